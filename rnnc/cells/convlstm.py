"""LSTM over images: its products are convolutions.

Shapes: ``x [B, in, H, W]`` → ``y [B, out, H, W]``, states ``y`` and ``state``.
Source: X. Shi et al., "Convolutional LSTM network" (2015), without peepholes.
"""

from rnnc import conv, glorot, net, stream, tanh, zeros
from rnnc import sigmoid as σ


@net
def ConvLSTM(x=stream("in", "H", "W"), *,
             Wxf=glorot("out", "in", 3, 3), Wyf=glorot("out", "out", 3, 3), bf=zeros("out"),
             Wxi=glorot("out", "in", 3, 3), Wyi=glorot("out", "out", 3, 3), bi=zeros("out"),
             Wxo=glorot("out", "in", 3, 3), Wyo=glorot("out", "out", 3, 3), bo=zeros("out"),
             Wxc=glorot("out", "in", 3, 3), Wyc=glorot("out", "out", 3, 3), bc=zeros("out"),
             y=zeros("out", "H", "W"), state=zeros("out", "H", "W")):
    """As LSTM, with 3×3 convolutions, padded to keep the size, in the place of products"""
    def both(Wx, Wy, b):
        return conv(x, Wx, b, pads=(1, 1, 1, 1)) + conv(y[-1], Wy, pads=(1, 1, 1, 1))

    forget = σ(both(Wxf, Wyf, bf))
    input  = σ(both(Wxi, Wyi, bi))
    output = σ(both(Wxo, Wyo, bo))
    update = tanh(both(Wxc, Wyc, bc))
    state  = forget * state[-1] + input * update
    y      = output * tanh(state)
    return y
