"""Convolution over time that sees no future, written with delays.

Shapes: ``x [B, in]`` → ``y [B, out]``, state ``x``, the last k−1 inputs. ``CausalConv1d(3)(16, 32)``.
Source: A. van den Oord et al., "WaveNet: a generative model for raw audio" (2016).
"""

from rnnc import concat, glorot, net, zeros


def CausalConv1d(k, dilation=1):
    """The net y = [x, x[-d], …, x[-(k-1)d]] W + b, of ``k`` taps at distances of d = ``dilation`` steps."""

    @net
    def CausalConv1d(x, *, W=glorot(f"{k}*in", "out"), b=zeros("out")):
        taps = concat(*(x[-j * dilation] for j in range(k)))
        y = taps @ W + b
        return y

    return CausalConv1d
