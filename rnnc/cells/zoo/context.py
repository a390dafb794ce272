"""Fast units beside slow ones: a context that forgets at a fixed rate.

Shapes: ``x [B, in]`` → ``y [B, out]``, states ``s [B, context]`` and ``h [B, hidden]``.
``SCRN(30, 40, 100, 15)``: in, context, hidden, out.
Source: T. Mikolov et al., "Learning longer memory in recurrent neural networks" (2014), which has no biases
and leaves the output's function open; here it is tanh.
"""

from rnnc import glorot, net, tanh, zeros
from rnnc import sigmoid as σ


@net
def SCRN(x, *,
         B=glorot("in", "context"),
         A=glorot("in", "hidden"), R=glorot("hidden", "hidden"), P=glorot("context", "hidden"),
         U=glorot("hidden", "out"), V=glorot("context", "out"),
         s=zeros("context"), h=zeros("hidden"),
         α=0.95):
    """s = (1−α) x B + α s⁻,  h = σ(s P + x A + h⁻ R),  y = tanh(h U + s V)"""
    s = (1 - α) * (x @ B) + α * s[-1]
    h = σ(s @ P + x @ A + h[-1] @ R)
    y = tanh(h @ U + s @ V)
    return y
