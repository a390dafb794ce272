"""Long short-term memory, with a forget gate.

Shapes: ``x [B, in]`` → ``y [B, out]``, states ``y`` and ``state``. ``LSTM(30, 15)``.
Source: S. Hochreiter and J. Schmidhuber, "Long short-term memory", Neural Computation 9 (1997); the forget
gate from F. Gers, J. Schmidhuber and F. Cummins, "Learning to forget", Neural Computation 12 (2000).
"""

from rnnc import glorot, net, tanh, zeros
from rnnc import sigmoid as σ


@net
def LSTM(x, *,
         Wxf=glorot("in", "out"), Wyf=glorot("out", "out"), bf=zeros("out"),
         Wxi=glorot("in", "out"), Wyi=glorot("out", "out"), bi=zeros("out"),
         Wxo=glorot("in", "out"), Wyo=glorot("out", "out"), bo=zeros("out"),
         Wxc=glorot("in", "out"), Wyc=glorot("out", "out"), bc=zeros("out"),
         y=zeros("out"), state=zeros("out")):
    """state = f∘state⁻ + i∘tanh(·),  y = o∘tanh(state),  each gate σ(x Wx + y⁻ Wy + b)"""
    forget = σ(x @ Wxf + y[-1] @ Wyf + bf)
    input  = σ(x @ Wxi + y[-1] @ Wyi + bi)
    output = σ(x @ Wxo + y[-1] @ Wyo + bo)
    update = tanh(x @ Wxc + y[-1] @ Wyc + bc)
    state  = forget * state[-1] + input * update
    y      = output * tanh(state)
    return y
