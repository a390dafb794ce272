"""Cells that a search found: the three best of many mutated ones, and one that a network designed.

Shapes: ``x [B, in]`` → ``h [B, out]``; state ``h``, in ``NAS`` also ``c``. ``MUT1(30, 15)``.
Sources: R. Jozefowicz, W. Zaremba and I. Sutskever, "An empirical exploration of recurrent network
architectures" (2015), where some x stand without the matrix that makes them as wide as h; B. Zoph and Q. Le,
"Neural architecture search with reinforcement learning" (2017).
"""

from rnnc import glorot, net, relu, split, tanh, zeros
from rnnc import sigmoid as σ


@net
def MUT1(x, *,
         Wz=glorot("in", "out"), bz=zeros("out"),
         Wr=glorot("in", "out"), Ur=glorot("out", "out"), br=zeros("out"),
         Wh=glorot("in", "out"), Uh=glorot("out", "out"), bh=zeros("out"),
         h=zeros("out")):
    """h = z∘tanh((r∘h⁻) Uh + tanh(x Wh) + bh) + (1−z)∘h⁻,  z = σ(x Wz + bz),  r = σ(x Wr + h⁻ Ur + br)"""
    z = σ(x @ Wz + bz)
    r = σ(x @ Wr + h[-1] @ Ur + br)
    h = z * tanh((r * h[-1]) @ Uh + tanh(x @ Wh) + bh) + (1 - z) * h[-1]
    return h


@net
def MUT2(x, *,
         Wz=glorot("in", "out"), Uz=glorot("out", "out"), bz=zeros("out"),
         Wr=glorot("in", "out"), Ur=glorot("out", "out"), br=zeros("out"),
         Wh=glorot("in", "out"), Uh=glorot("out", "out"), bh=zeros("out"),
         h=zeros("out")):
    """h = z∘tanh(x Wh + (r∘h⁻) Uh + bh) + (1−z)∘h⁻,  z, r = σ(x W + h⁻ U + b)"""
    z = σ(x @ Wz + h[-1] @ Uz + bz)
    r = σ(x @ Wr + h[-1] @ Ur + br)
    h = z * tanh(x @ Wh + (r * h[-1]) @ Uh + bh) + (1 - z) * h[-1]
    return h


@net
def MUT3(x, *,
         Wz=glorot("in", "out"), Uz=glorot("out", "out"), bz=zeros("out"),
         Wr=glorot("in", "out"), Ur=glorot("out", "out"), br=zeros("out"),
         Wh=glorot("in", "out"), Uh=glorot("out", "out"), bh=zeros("out"),
         h=zeros("out")):
    """As MUT2, with z = σ(x Wz + tanh(h⁻) Uz + bz)"""
    z = σ(x @ Wz + tanh(h[-1]) @ Uz + bz)
    r = σ(x @ Wr + h[-1] @ Ur + br)
    h = z * tanh(x @ Wh + (r * h[-1]) @ Uh + bh) + (1 - z) * h[-1]
    return h


@net
def NAS(x, *, W=glorot("in", "8*out"), U=glorot("out", "8*out"), b=zeros("8*out"),
        h=zeros("out"), c=zeros("out")):
    """A tree over eight sums a = x W + h⁻ U + b, from its leaves to c and h:

    c = tanh(tanh(σ(a₁) relu(a₂)) + c⁻)∘tanh(σ(a₃) + relu(a₄)),
    h = tanh(c∘tanh(tanh(tanh(a₅) σ(a₆)) + σ(tanh(a₇) + σ(a₈)))).
    """
    a1, a2, a3, a4, a5, a6, a7, a8 = split(x @ W + h[-1] @ U + b, 8)
    c = tanh(tanh(σ(a1) * relu(a2)) + c[-1]) * tanh(σ(a3) + relu(a4))
    h = tanh(c * tanh(tanh(tanh(a5) * σ(a6)) + σ(tanh(a7) + σ(a8))))
    return h
