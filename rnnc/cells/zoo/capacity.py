"""Cells found while measuring how much cells can hold and how well they train.

Shapes: ``UGRNN(30, 15)``: ``x [B, in]`` → ``h [B, out]``, state ``h``.
``IntersectionRNN(15)``: ``x [B, out]`` → ``y [B, out]``, state ``h [B, out]``: what goes up is not what
goes on.
Source: J. Collins, J. Sohl-Dickstein and D. Sussillo, "Capacity and trainability in recurrent neural
networks" (2017).
"""

from rnnc import glorot, net, relu, stream, tanh, zeros
from rnnc import sigmoid as σ


@net
def UGRNN(x, *,
          Wc=glorot("in", "out"), Uc=glorot("out", "out"), bc=zeros("out"),
          Wg=glorot("in", "out"), Ug=glorot("out", "out"), bg=zeros("out"),
          h=zeros("out")):
    """h = g∘h⁻ + (1−g)∘tanh(x Wc + h⁻ Uc + bc),  g = σ(x Wg + h⁻ Ug + bg)"""
    c = tanh(x @ Wc + h[-1] @ Uc + bc)
    g = σ(x @ Wg + h[-1] @ Ug + bg)
    h = g * h[-1] + (1 - g) * c
    return h


@net
def IntersectionRNN(x=stream("out"), *,
                    Wyi=glorot("out", "out"), Uyi=glorot("out", "out"), byi=zeros("out"),
                    Whi=glorot("out", "out"), Uhi=glorot("out", "out"), bhi=zeros("out"),
                    Wgy=glorot("out", "out"), Ugy=glorot("out", "out"), bgy=zeros("out"),
                    Wgh=glorot("out", "out"), Ugh=glorot("out", "out"), bgh=zeros("out"),
                    h=zeros("out")):
    """y = gy∘x + (1−gy)∘relu(·),  h = gh∘h⁻ + (1−gh)∘tanh(·),  gy, gh = σ(·),  each of x W + h⁻ U + b"""
    yi = relu(x @ Wyi + h[-1] @ Uyi + byi)
    hi = tanh(x @ Whi + h[-1] @ Uhi + bhi)
    gy = σ(x @ Wgy + h[-1] @ Ugy + bgy)
    gh = σ(x @ Wgh + h[-1] @ Ugh + bgh)
    y = gy * x + (1 - gy) * yi
    h = gh * h[-1] + (1 - gh) * hi
    return y
