"""Liquid networks: a differential equation whose time constants depend on the input.

Shapes: ``x [B, in]`` → ``y [B, out]``, state ``y``. ``CfC(30, 20, 15)``: in, hidden, out. ``LTC(30, 15)``.
Sources: R. Hasani et al., "Liquid time-constant networks" (2021), one step of the fused solver, and
"Closed-form continuous-time neural networks" (2022). The time between steps, ``t`` and ``dt``, is a number
here.
"""

from rnnc import glorot, net, ones, tanh, uniform, zeros
from rnnc import sigmoid as σ


@net
def Head(x, y, *, W=glorot("in", "hidden"), U=glorot("out", "hidden"), b=zeros("hidden"),
         V=glorot("hidden", "out"), c=zeros("out")):
    """tanh(x W + y U + b) V + c: a small net of the input and the state"""
    head = tanh(x @ W + y @ U + b) @ V + c
    return head


@net
def CfC(x, *, f=Head, g=Head, h=Head, y=zeros("out"), t=1.0):
    """y = σ(−f t)∘g + (1 − σ(−f t))∘h,  f, g, h small nets of x and y⁻"""
    gate = σ(-f(x, y[-1]) * t)
    y    = gate * tanh(g(x, y[-1])) + (1 - gate) * tanh(h(x, y[-1]))
    return y


@net
def LTC(x, *, W=glorot("in", "out"), U=glorot("out", "out"), b=zeros("out"),
        A=uniform("out"), τ=ones("out"), y=zeros("out"),
        dt=1.0):
    """y = (y⁻ + dt f∘A) / (1 + dt (1/τ + f)),  f = σ(x W + y⁻ U + b)"""
    f = σ(x @ W + y[-1] @ U + b)
    y = (y[-1] + dt * f * A) / (1 + dt * (1 / τ + f))
    return y
