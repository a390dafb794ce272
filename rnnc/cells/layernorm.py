"""Layer normalisation, by itself and inside an LSTM.

Shapes: ``LayerNorm(15)``: ``x [B, size]`` → ``y [B, size]``. ``LayerNormLSTM(30, 15)``: as ``LSTM``.
Source: J. L. Ba, J. R. Kiros and G. E. Hinton, "Layer normalization" (2016).
"""

from rnnc import glorot, layer_norm, net, ones, split, stream, tanh, zeros
from rnnc import sigmoid as σ


@net
def LayerNorm(x=stream("size"), *, scale=ones("size"), bias=zeros("size")):
    """y = scale∘(x − mean)/deviation + bias, over the features"""
    y = layer_norm(x, scale, bias)
    return y


@net
def LayerNormLSTM(x, *,
                  Wx=glorot("in", "4*out"), gx=ones("4*out"), bx=zeros("4*out"),
                  Wy=glorot("out", "4*out"), gy=ones("4*out"), by=zeros("4*out"),
                  gc=ones("out"), bc=zeros("out"),
                  y=zeros("out"), state=zeros("out")):
    """f, i, o, u = LN(x Wx) + LN(y⁻ Wy);  state = σ(f)∘state⁻ + σ(i)∘tanh(u);  y = σ(o)∘tanh(LN(state))"""
    f, i, o, u = split(layer_norm(x @ Wx, gx, bx) + layer_norm(y[-1] @ Wy, gy, by), 4)
    state = σ(f) * state[-1] + σ(i) * tanh(u)
    y     = σ(o) * tanh(layer_norm(state, gc, bc))
    return y
