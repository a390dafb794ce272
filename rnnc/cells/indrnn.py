"""The independently recurrent network: every unit feeds back to itself alone.

Shapes: ``x [B, in]`` → ``y [B, out]``, state ``y``. ``IndRNN(30, 15)``.
Source: S. Li et al., "Independently recurrent neural network (IndRNN)" (2018).
"""

from rnnc import glorot, net, ones, relu, zeros


@net
def IndRNN(x, *, W=glorot("in", "out"), u=ones("out"), b=zeros("out"), y=zeros("out")):
    """y = relu(x W + u∘y⁻ + b)"""
    y = relu(x @ W + u * y[-1] + b)
    return y
