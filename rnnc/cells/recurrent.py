"""The simplest recurrent layer.

Shapes: ``x [B, in]`` → ``y [B, out]``, state ``y``. ``Recurrent(20, 30)``.
Source: J. L. Elman, "Finding structure in time", Cognitive Science 14 (1990).
"""

from rnnc import glorot, net, tanh, zeros


@net
def Recurrent(x, *, Wxy=glorot("in", "out"), Wyy=glorot("out", "out"), by=zeros("out"), y=zeros("out")):
    """y = tanh(x Wxy + y⁻ Wyy + by)"""
    y = tanh(x @ Wxy + y[-1] @ Wyy + by)
    return y
