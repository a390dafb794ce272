"""A weighted residual connection around a plain cell, and the gated cell that shares its two matrices.

Shapes: ``x [B, in]`` → ``h [B, out]``, state ``h``. ``FastGRNN(30, 15)``. The weights of the sum are single
numbers, kept between 0 and 1 by σ.
Source: A. Kusupati et al., "FastGRNN: a fast, accurate, stable and tiny kilobyte sized gated recurrent neural
network" (2018), without its factorised matrices.
"""

from rnnc import constant, glorot, net, tanh, zeros
from rnnc import sigmoid as σ


@net
def FastRNN(x, *, W=glorot("in", "out"), U=glorot("out", "out"), b=zeros("out"),
            α=constant(-3, 1), β=constant(3, 1), h=zeros("out")):
    """h = σ(α) tanh(x W + h⁻ U + b) + σ(β) h⁻"""
    h = σ(α) * tanh(x @ W + h[-1] @ U + b) + σ(β) * h[-1]
    return h


@net
def FastGRNN(x, *, W=glorot("in", "out"), U=glorot("out", "out"), bz=zeros("out"), bh=zeros("out"),
             ζ=constant(1, 1), ν=constant(-4, 1), h=zeros("out")):
    """h = (σ(ζ)(1−z) + σ(ν))∘g + z∘h⁻,  z = σ(s + bz),  g = tanh(s + bh),  s = x W + h⁻ U"""
    s = x @ W + h[-1] @ U
    z = σ(s + bz)
    g = tanh(s + bh)
    h = (σ(ζ) * (1 - z) + σ(ν)) * g + z * h[-1]
    return h
