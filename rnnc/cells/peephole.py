"""LSTM whose gates also look at the cell.

Shapes: ``x [B, in]`` → ``y [B, out]``, states ``y`` and ``state``. ``PeepholeLSTM(30, 15)``.
Source: F. Gers and J. Schmidhuber, "Recurrent nets that time and count" (2000). The output gate sees the cell
as it has become, the other two as it was.
"""

from rnnc import glorot, net, tanh, zeros
from rnnc import sigmoid as σ


@net
def PeepholeLSTM(x, *,
                 Wxf=glorot("in", "out"), Wyf=glorot("out", "out"), pf=zeros("out"), bf=zeros("out"),
                 Wxi=glorot("in", "out"), Wyi=glorot("out", "out"), pi=zeros("out"), bi=zeros("out"),
                 Wxo=glorot("in", "out"), Wyo=glorot("out", "out"), po=zeros("out"), bo=zeros("out"),
                 Wxc=glorot("in", "out"), Wyc=glorot("out", "out"), bc=zeros("out"),
                 y=zeros("out"), state=zeros("out")):
    """As LSTM, with p∘state⁻ added inside f and i, and p∘state inside o"""
    forget = σ(x @ Wxf + y[-1] @ Wyf + pf * state[-1] + bf)
    input  = σ(x @ Wxi + y[-1] @ Wyi + pi * state[-1] + bi)
    update = tanh(x @ Wxc + y[-1] @ Wyc + bc)
    state  = forget * state[-1] + input * update
    output = σ(x @ Wxo + y[-1] @ Wyo + po * state + bo)
    y      = output * tanh(state)
    return y
