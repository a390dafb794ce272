"""Gates that only weigh what is added: content of the input, linear in it, and what there was.

Shapes: ``x [B, in]`` → ``h [B, out]``. State of ``ATR`` is ``h``; of ``RAN`` ``h`` and ``c``.
Sources: B. Zhang et al., "Simplifying neural machine translation with addition-subtraction twin-gated
recurrent networks" (2018); K. Lee, O. Levy and L. Zettlemoyer, "Recurrent additive networks" (2017).
"""

from rnnc import glorot, net, tanh, zeros
from rnnc import sigmoid as σ


@net
def ATR(x, *, W=glorot("in", "out"), U=glorot("out", "out"), h=zeros("out")):
    """h = i∘p + f∘h⁻,  i, f = σ(p ± q),  p = x W,  q = h⁻ U"""
    p = x @ W
    q = h[-1] @ U
    i = σ(p + q)
    f = σ(p - q)
    h = i * p + f * h[-1]
    return h


@net
def RAN(x, *,
        Wi=glorot("in", "out"), Ui=glorot("out", "out"), bi=zeros("out"),
        Wf=glorot("in", "out"), Uf=glorot("out", "out"), bf=zeros("out"),
        Wc=glorot("in", "out"),
        h=zeros("out"), c=zeros("out")):
    """c = i∘(x Wc) + f∘c⁻,  h = tanh(c),  i, f = σ(x W + h⁻ U + b)"""
    i = σ(x @ Wi + h[-1] @ Ui + bi)
    f = σ(x @ Wf + h[-1] @ Uf + bf)
    c = i * (x @ Wc) + f * c[-1]
    h = tanh(c)
    return h
