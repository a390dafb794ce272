"""The dense layer.

Shapes: ``x [B, in]`` → ``y [B, out]``. ``Affine(784, 20)``.
"""

from rnnc import glorot, net, zeros


@net
def Affine(x, *, W=glorot("in", "out"), b=zeros("out")):
    """y = x W + b"""
    y = x @ W + b
    return y
