"""Gated recurrent units, in the two forms that differ in where the reset gate stands.

Shapes: ``x [B, in]`` → ``y [B, out]``, state ``y``. ``GatedRecurrent(30, 15)``.
Source: K. Cho et al., "Learning phrase representations using RNN encoder-decoder" (2014), where the reset
gate acts on the state before its product. The other form, with one product less to wait for, is that of cuDNN
and PyTorch (ONNX calls it ``linear_before_reset``) and has a bias of its own inside the reset.
"""

from rnnc import glorot, net, tanh, zeros
from rnnc import sigmoid as σ


@net
def GatedRecurrent(x, *,
                   Wxr=glorot("in", "out"), Wyr=glorot("out", "out"), br=zeros("out"),
                   Wxz=glorot("in", "out"), Wyz=glorot("out", "out"), bz=zeros("out"),
                   Wxn=glorot("in", "out"), Wyn=glorot("out", "out"), bn=zeros("out"),
                   y=zeros("out")):
    """y = (1−z)∘n + z∘y⁻,  n = tanh(x Wxn + (r∘y⁻) Wyn + bn)"""
    r = σ(x @ Wxr + y[-1] @ Wyr + br)
    z = σ(x @ Wxz + y[-1] @ Wyz + bz)
    n = tanh(x @ Wxn + (r * y[-1]) @ Wyn + bn)
    y = (1 - z) * n + z * y[-1]
    return y


@net
def GatedRecurrentAfter(x, *,
                        Wxr=glorot("in", "out"), Wyr=glorot("out", "out"), br=zeros("out"),
                        Wxz=glorot("in", "out"), Wyz=glorot("out", "out"), bz=zeros("out"),
                        Wxn=glorot("in", "out"), Wyn=glorot("out", "out"), bn=zeros("out"), cn=zeros("out"),
                        y=zeros("out")):
    """y = (1−z)∘n + z∘y⁻,  n = tanh(x Wxn + bn + r∘(y⁻ Wyn + cn))"""
    r = σ(x @ Wxr + y[-1] @ Wyr + br)
    z = σ(x @ Wxz + y[-1] @ Wyz + bz)
    n = tanh(x @ Wxn + bn + r * (y[-1] @ Wyn + cn))
    y = (1 - z) * n + z * y[-1]
    return y
