"""LSTM with its input and forget gates coupled (CIFG): what is forgotten makes room for what comes in.

Shapes: ``x [B, in]`` → ``y [B, out]``, states ``y`` and ``state``. ``CoupledLSTM(30, 15)``.
Source: K. Greff et al., "LSTM: a search space odyssey" (2015).
"""

from rnnc import glorot, net, tanh, zeros
from rnnc import sigmoid as σ


@net
def CoupledLSTM(x, *,
                Wxf=glorot("in", "out"), Wyf=glorot("out", "out"), bf=zeros("out"),
                Wxo=glorot("in", "out"), Wyo=glorot("out", "out"), bo=zeros("out"),
                Wxc=glorot("in", "out"), Wyc=glorot("out", "out"), bc=zeros("out"),
                y=zeros("out"), state=zeros("out")):
    """state = f∘state⁻ + (1−f)∘tanh(·),  y = o∘tanh(state)"""
    forget = σ(x @ Wxf + y[-1] @ Wyf + bf)
    output = σ(x @ Wxo + y[-1] @ Wyo + bo)
    update = tanh(x @ Wxc + y[-1] @ Wyc + bc)
    state  = forget * state[-1] + (1 - forget) * update
    y      = output * tanh(state)
    return y
