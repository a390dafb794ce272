"""The minimal gated unit: one gate both resets and updates.

Shapes: ``x [B, in]`` → ``y [B, out]``, state ``y``. ``MinimalGatedUnit(30, 15)``.
Source: G.-B. Zhou et al., "Minimal gated unit for recurrent neural networks" (2016).
"""

from rnnc import glorot, net, tanh, zeros
from rnnc import sigmoid as σ


@net
def MinimalGatedUnit(x, *,
                     Wxf=glorot("in", "out"), Wyf=glorot("out", "out"), bf=zeros("out"),
                     Wxn=glorot("in", "out"), Wyn=glorot("out", "out"), bn=zeros("out"),
                     y=zeros("out")):
    """y = (1−f)∘y⁻ + f∘tanh(x Wxn + (f∘y⁻) Wyn + bn)"""
    f = σ(x @ Wxf + y[-1] @ Wyf + bf)
    n = tanh(x @ Wxn + (f * y[-1]) @ Wyn + bn)
    y = (1 - f) * y[-1] + f * n
    return y
