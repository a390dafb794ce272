"""Gates of the input alone, so that the state is a linear recurrence and all steps can be taken at once.

Shapes: ``x [B, in]`` → ``h [B, out]``, state ``h``. ``minGRU(30, 15)``. ``QRNN(30, 15)`` has states ``c``
and, in each of its convolutions, the last input. ``SRU(15)``: ``x [B, out]`` → ``h [B, out]``, state ``c``;
its gates see their own unit, and so it is not quite linear.
Sources: L. Feng et al., "Were RNNs all we needed?" (2024); J. Bradbury et al., "Quasi-recurrent neural
networks" (2017), fo-pooling over a filter of two steps; T. Lei et al., "Simple recurrent units for highly
parallelizable recurrence" (2018).
"""

from rnnc import glorot, net, stream, tanh, uniform, zeros
from rnnc import sigmoid as σ
from rnnc.cells.conv import CausalConv1d


@net
def minGRU(x, *,
           Wz=glorot("in", "out"), bz=zeros("out"),
           Wh=glorot("in", "out"), bh=zeros("out"),
           h=zeros("out")):
    """h = (1−z)∘h⁻ + z∘(x Wh + bh),  z = σ(x Wz + bz)"""
    z = σ(x @ Wz + bz)
    h = (1 - z) * h[-1] + z * (x @ Wh + bh)
    return h


@net
def minLSTM(x, *,
            Wf=glorot("in", "out"), bf=zeros("out"),
            Wi=glorot("in", "out"), bi=zeros("out"),
            Wh=glorot("in", "out"), bh=zeros("out"),
            h=zeros("out")):
    """h = f/(f+i)∘h⁻ + i/(f+i)∘(x Wh + bh),  f, i = σ(x W + b)"""
    f = σ(x @ Wf + bf)
    i = σ(x @ Wi + bi)
    h = f / (f + i) * h[-1] + i / (f + i) * (x @ Wh + bh)
    return h


@net
def SRU(x=stream("out"), *,
        W=glorot("out", "out"),
        Wf=glorot("out", "out"), vf=uniform("out"), bf=zeros("out"),
        Wr=glorot("out", "out"), vr=uniform("out"), br=zeros("out"),
        c=zeros("out")):
    """c = f∘c⁻ + (1−f)∘(x W),  h = r∘c + (1−r)∘x,  f, r = σ(x W· + v·∘c⁻ + b·)"""
    f = σ(x @ Wf + vf * c[-1] + bf)
    r = σ(x @ Wr + vr * c[-1] + br)
    c = f * c[-1] + (1 - f) * (x @ W)
    h = r * c + (1 - r) * x
    return h


@net
def QRNN(x, *, Z=CausalConv1d(2), F=CausalConv1d(2), O=CausalConv1d(2), c=zeros("out")):
    """c = f∘c⁻ + (1−f)∘z,  h = o∘c,  z, f, o = tanh(Z(x)), σ(F(x)), σ(O(x)), each a convolution over time"""
    z = tanh(Z(x))
    f = σ(F(x))
    o = σ(O(x))
    c = f * c[-1] + (1 - f) * z
    h = o * c
    return h
