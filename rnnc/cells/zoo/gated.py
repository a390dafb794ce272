"""One-state cells with one or two gates, each with its own idea of what they weigh.

Shapes: ``x [B, in]`` → ``h [B, out]``, state ``h``. ``CFN(30, 15)``.
Sources: T. Laurent and J. von Brecht, "A recurrent neural network without chaos" (2016); the simple gated
recurrent network of IET Generation, Transmission & Distribution 15 (2021), doi 10.1049/gtd2.12056, whose bias
belongs to the input; M. Turkoglu et al., "Gating revisited: deep multi-layer RNNs that can be trained"
(2021).
"""

from rnnc import glorot, net, tanh, zeros
from rnnc import sigmoid as σ


@net
def CFN(x, *,
        Wθ=glorot("in", "out"), Uθ=glorot("out", "out"), bθ=zeros("out"),
        Wη=glorot("in", "out"), Uη=glorot("out", "out"), bη=zeros("out"),
        W=glorot("in", "out"), h=zeros("out")):
    """h = θ∘tanh(h⁻) + η∘tanh(x W),  θ, η = σ(x W· + h⁻ U· + b·)"""
    θ = σ(x @ Wθ + h[-1] @ Uθ + bθ)
    η = σ(x @ Wη + h[-1] @ Uη + bη)
    h = θ * tanh(h[-1]) + η * tanh(x @ W)
    return h


@net
def SGRN(x, *, W=glorot("in", "out"), U=glorot("out", "out"), b=zeros("out"), h=zeros("out")):
    """h = tanh((1−f)∘v + f∘h⁻),  f = σ(v + h⁻ U),  v = x W + b"""
    v = x @ W + b
    f = σ(v + h[-1] @ U)
    h = tanh((1 - f) * v + f * h[-1])
    return h


@net
def STAR(x, *,
         Wz=glorot("in", "out"), bz=zeros("out"),
         Wk=glorot("in", "out"), Uk=glorot("out", "out"), bk=zeros("out"),
         h=zeros("out")):
    """h = tanh((1−k)∘h⁻ + k∘z),  z = tanh(x Wz + bz),  k = σ(x Wk + h⁻ Uk + bk)"""
    z = tanh(x @ Wz + bz)
    k = σ(x @ Wk + h[-1] @ Uk + bk)
    h = tanh((1 - k) * h[-1] + k * z)
    return h
