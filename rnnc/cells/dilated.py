"""Recurrence over every d-th step: d interleaved networks, which together see far back.

Shapes: ``x [B, in]`` → ``y [B, out]``, state ``y [d, B, out]``. ``DilatedRecurrent(20, 30, d=4)``.
Source: S. Chang et al., "Dilated recurrent neural networks" (2017).
"""

from rnnc import glorot, net, tanh, zeros


@net
def DilatedRecurrent(x, *, Wxy=glorot("in", "out"), Wyy=glorot("out", "out"), by=zeros("out"), y=zeros("out"),
                     d=2):
    """y = tanh(x Wxy + y[-d] Wyy + by)"""
    y = tanh(x @ Wxy + y[-d] @ Wyy + by)
    return y
