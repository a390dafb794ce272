"""LSTM whose output is a projection of its cells, so that many cells need few recurrent weights.

Shapes: ``x [B, in]`` → ``y [B, out]``, states ``y [B, out]`` and ``state [B, hidden]``.
``ProjectedLSTM(30, 64, 15)``: in, hidden, out.
Source: H. Sak, A. Senior and F. Beaufays, "Long short-term memory based recurrent neural network
architectures for large vocabulary speech recognition" (2014), without peepholes.
"""

from rnnc import glorot, net, tanh, zeros
from rnnc import sigmoid as σ


@net
def ProjectedLSTM(x, *,
                  Wxf=glorot("in", "hidden"), Wyf=glorot("out", "hidden"), bf=zeros("hidden"),
                  Wxi=glorot("in", "hidden"), Wyi=glorot("out", "hidden"), bi=zeros("hidden"),
                  Wxo=glorot("in", "hidden"), Wyo=glorot("out", "hidden"), bo=zeros("hidden"),
                  Wxc=glorot("in", "hidden"), Wyc=glorot("out", "hidden"), bc=zeros("hidden"),
                  P=glorot("hidden", "out"),
                  y=zeros("out"), state=zeros("hidden")):
    """state = f∘state⁻ + i∘tanh(·),  y = (o∘tanh(state)) P"""
    forget = σ(x @ Wxf + y[-1] @ Wyf + bf)
    input  = σ(x @ Wxi + y[-1] @ Wyi + bi)
    output = σ(x @ Wxo + y[-1] @ Wyo + bo)
    update = tanh(x @ Wxc + y[-1] @ Wyc + bc)
    state  = forget * state[-1] + input * update
    y      = (output * tanh(state)) @ P
    return y
