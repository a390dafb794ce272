"""Bistable cells: a unit whose feedback a exceeds 1 has two stable states, and so remembers without end.

Shapes: ``x [B, in]`` → ``h [B, out]``, state ``h``. In ``BR`` a unit sees only itself; ``NBR`` is
neuromodulated: its a and c see all units.
Source: N. Vecoven, D. Ernst and G. Drion, "A bio-inspired bistable recurrent cell allows for long-lasting
memory" (2021), which has no biases.
"""

from rnnc import glorot, net, tanh, uniform, zeros
from rnnc import sigmoid as σ


@net
def BR(x, *,
       Wa=glorot("in", "out"), ua=uniform("out"),
       Wc=glorot("in", "out"), uc=uniform("out"),
       W=glorot("in", "out"), h=zeros("out")):
    """h = c∘h⁻ + (1−c)∘tanh(x W + a∘h⁻),  a = 1 + tanh(x Wa + ua∘h⁻),  c = σ(x Wc + uc∘h⁻)"""
    a = 1 + tanh(x @ Wa + ua * h[-1])
    c = σ(x @ Wc + uc * h[-1])
    h = c * h[-1] + (1 - c) * tanh(x @ W + a * h[-1])
    return h


@net
def NBR(x, *,
        Wa=glorot("in", "out"), Ua=glorot("out", "out"),
        Wc=glorot("in", "out"), Uc=glorot("out", "out"),
        W=glorot("in", "out"), h=zeros("out")):
    """h = c∘h⁻ + (1−c)∘tanh(x W + a∘h⁻),  a = 1 + tanh(x Wa + h⁻ Ua),  c = σ(x Wc + h⁻ Uc)"""
    a = 1 + tanh(x @ Wa + h[-1] @ Ua)
    c = σ(x @ Wc + h[-1] @ Uc)
    h = c * h[-1] + (1 - c) * tanh(x @ W + a * h[-1])
    return h
