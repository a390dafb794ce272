"""GRUs with less: no reset gate, or a candidate that does not see the state at all.

Shapes: ``x [B, in]`` → ``h [B, out]``, state ``h``. ``LiGRU(30, 15)``, or with tanh
``LiGRU(30, 15, φ=tanh)``.
Sources: M. Ravanelli et al., "Light gated recurrent units for speech recognition" (2018), whose batch
normalisation of x W has become the scale in W and the bias; H. Ye et al., "Light recurrent unit: towards an
interpretable recurrent neural network for modeling long-range dependency", Electronics 13 (2024).
"""

from rnnc import glorot, net, relu, tanh, zeros
from rnnc import sigmoid as σ


@net
def LiGRU(x, *,
          Wz=glorot("in", "out"), Uz=glorot("out", "out"), bz=zeros("out"),
          Wh=glorot("in", "out"), Uh=glorot("out", "out"), bh=zeros("out"),
          h=zeros("out"),
          φ=relu):
    """h = z∘h⁻ + (1−z)∘φ(x Wh + h⁻ Uh + bh),  z = σ(x Wz + h⁻ Uz + bz),  φ = relu"""
    z = σ(x @ Wz + h[-1] @ Uz + bz)
    h = z * h[-1] + (1 - z) * φ(x @ Wh + h[-1] @ Uh + bh)
    return h


@net
def LightRU(x, *, Wh=glorot("in", "out"), Wf=glorot("in", "out"), Uf=glorot("out", "out"), bf=zeros("out"),
            h=zeros("out")):
    """h = (1−f)∘h⁻ + f∘tanh(x Wh),  f = σ(x Wf + h⁻ Uf + bf)"""
    f = σ(x @ Wf + h[-1] @ Uf + bf)
    h = (1 - f) * h[-1] + f * tanh(x @ Wh)
    return h
