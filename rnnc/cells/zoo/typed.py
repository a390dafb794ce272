"""Strongly-typed cells: no product mixes the state; what gates see is the input and the input before.

Shapes: ``x [B, in]`` → ``h [B, out]``; states ``h`` (in ``TLSTM`` ``c``) and, but for ``TRNN``, ``x``, the
last input. ``TGRU(30, 15)``.
Source: D. Balduzzi and M. Ghifary, "Strongly-typed recurrent neural networks" (2016).
"""

from rnnc import glorot, net, tanh, zeros
from rnnc import sigmoid as σ


@net
def TRNN(x, *, W=glorot("in", "out"), Wf=glorot("in", "out"), bf=zeros("out"), h=zeros("out")):
    """h = f∘h⁻ + (1−f)∘(x W),  f = σ(x Wf + bf)"""
    z = x @ W
    f = σ(x @ Wf + bf)
    h = f * h[-1] + (1 - f) * z
    return h


@net
def TGRU(x, *,
         Wz=glorot("in", "out"), Uz=glorot("in", "out"), bz=zeros("out"),
         Wf=glorot("in", "out"), Uf=glorot("in", "out"), bf=zeros("out"),
         Wo=glorot("in", "out"), Uo=glorot("in", "out"), bo=zeros("out"),
         h=zeros("out")):
    """h = f∘h⁻ + z∘o,  z, f, o = (·), σ(·), tanh(·),  each of x W + x⁻ U + b"""
    z = x @ Wz + x[-1] @ Uz + bz
    f = σ(x @ Wf + x[-1] @ Uf + bf)
    o = tanh(x @ Wo + x[-1] @ Uo + bo)
    h = f * h[-1] + z * o
    return h


@net
def TLSTM(x, *,
          Wz=glorot("in", "out"), Uz=glorot("in", "out"), bz=zeros("out"),
          Wf=glorot("in", "out"), Uf=glorot("in", "out"), bf=zeros("out"),
          Wo=glorot("in", "out"), Uo=glorot("in", "out"), bo=zeros("out"),
          c=zeros("out")):
    """c = f∘c⁻ + (1−f)∘z,  h = c∘o,  with z, f and o as in TGRU"""
    z = x @ Wz + x[-1] @ Uz + bz
    f = σ(x @ Wf + x[-1] @ Uf + bf)
    o = tanh(x @ Wo + x[-1] @ Uo + bo)
    c = f * c[-1] + (1 - f) * z
    h = c * o
    return h
