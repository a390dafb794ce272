"""The models of the page that rnnc starts from: "Recurrent Models", of the first Flux (2017).

There, ``y{-1}`` is the value of ``y`` at the previous run of the network; here it is ``y[-1]``.

    rnnc compile models/seed.py:chain -o chain.onnx
    rnnc compile models/seed.py:unrolled -o unrolled.onnx
    rnnc show models/seed.py:lstm
"""

from rnnc import Chain, glorot, net, tanh, unroll, zeros
from rnnc import sigmoid as σ
from rnnc.cells import Affine


@net
def Recurrent(x, *, Wxy=glorot("in", "out"), Wyy=glorot("out", "out"), by=zeros("out"), y=zeros("out")):
    """The simplest recurrent network."""
    y = tanh( x @ Wxy + y[-1] @ Wyy + by )
    return y


@net
def LSTM(x, *,
         Wxf=glorot("in", "out"), Wyf=glorot("out", "out"), bf=zeros("out"),
         Wxi=glorot("in", "out"), Wyi=glorot("out", "out"), bi=zeros("out"),
         Wxo=glorot("in", "out"), Wyo=glorot("out", "out"), bo=zeros("out"),
         Wxc=glorot("in", "out"), Wyc=glorot("out", "out"), bc=zeros("out"),
         y=zeros("out"), state=zeros("out")):
    """A more complex recurrent layer."""
    # Gates
    forget = σ( x @ Wxf + y[-1] @ Wyf + bf )
    input  = σ( x @ Wxi + y[-1] @ Wyi + bi )
    output = σ( x @ Wxo + y[-1] @ Wyo + bo )
    # State update and output
    stateʹ = tanh( x @ Wxc + y[-1] @ Wyc + bc )
    state  = forget * state[-1] + input * stateʹ
    y = output * tanh(state)
    return y


recurrent = Recurrent(10, 5)

lstm = LSTM(30, 15)

chain = Chain(
    Affine(784, 20), σ,
    Recurrent(20, 30),
    Recurrent(30, 15))

unrolled = unroll(chain, 20)

model = chain
