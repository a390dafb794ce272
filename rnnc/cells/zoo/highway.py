"""Recurrent highway: several highway layers deep within one step.

Shapes: ``x [B, in]`` → ``h [B, out]``, state ``h``. ``RHN(30, 15)``.
Source: J. Zilly et al., "Recurrent highway networks" (2017), with the carry gate 1 − t, three layers deep.
"""

from rnnc import glorot, net, tanh, zeros
from rnnc import sigmoid as σ


@net
def Highway(s, *, U=glorot("out", "out"), b=zeros("out"), Ut=glorot("out", "out"), bt=zeros("out")):
    """(tanh(s U + b) − s)∘σ(s Ut + bt) + s"""
    next = (tanh(s @ U + b) - s) * σ(s @ Ut + bt) + s
    return next


@net
def RHN(x, *,
        W=glorot("in", "out"), U=glorot("out", "out"), b=zeros("out"),
        Wt=glorot("in", "out"), Ut=glorot("out", "out"), bt=zeros("out"),
        second=Highway, third=Highway,
        h=zeros("out")):
    """h = third(second(s₁)),  s₁ = (tanh(x W + h⁻ U + b) − h⁻)∘σ(x Wt + h⁻ Ut + bt) + h⁻"""
    s = (tanh(x @ W + h[-1] @ U + b) - h[-1]) * σ(x @ Wt + h[-1] @ Ut + bt) + h[-1]
    h = third(second(s))
    return h
