"""Diagonal linear state spaces.

Shapes: ``DiagonalSSM(30, 64, 15)``: ``x [B, in]`` → ``y [B, out]``, states ``sr`` and ``si [B, state]``, the
real and the imaginary part of s. ``RGLRU(15)``: ``x [B, out]`` → ``h [B, out]``, state ``h``.
Sources: A. Gu et al., "On the parameterization and initialization of diagonal state space models" (S4D,
2022), and A. Orvieto et al., "Resurrecting recurrent neural networks for long sequences" (LRU, 2023), whose λ
this is; what either scales B by is in B. S. De et al., "Griffin: mixing gated linear recurrences with local
attention for efficient language models" (2024).
"""

from rnnc import cos, exp, glorot, net, sin, softplus, sqrt, stream, uniform, zeros
from rnnc import sigmoid as σ


@net
def DiagonalSSM(x, *,
                ν=uniform("state", low=-4, high=-1), θ=uniform("state", low=0, high=3.14),
                Br=glorot("in", "state"), Bi=glorot("in", "state"),
                Cr=glorot("state", "out"), Ci=glorot("state", "out"),
                D=glorot("in", "out"),
                sr=zeros("state"), si=zeros("state")):
    """s = λ∘s⁻ + x B,  y = Re(s C) + x D,  λ = exp(−exp(ν) + iθ), with complex s, λ, B and C"""
    λr = exp(-exp(ν)) * cos(θ)
    λi = exp(-exp(ν)) * sin(θ)
    sr = λr * sr[-1] - λi * si[-1] + x @ Br
    si = λr * si[-1] + λi * sr[-1] + x @ Bi
    y  = sr @ Cr - si @ Ci + x @ D
    return y


@net
def RGLRU(x=stream("out"), *,
          Wa=glorot("out", "out"), ba=zeros("out"),
          Wx=glorot("out", "out"), bx=zeros("out"),
          Λ=uniform("out", low=-6, high=-2), h=zeros("out"),
          c=8.0):
    """h = a∘h⁻ + √(1−a²)∘(i∘x),  a = exp(−c softplus(Λ)∘r),  r, i = σ(x W + b)"""
    r = σ(x @ Wa + ba)
    i = σ(x @ Wx + bx)
    a = exp(-c * softplus(Λ) * r)
    h = a * h[-1] + sqrt(1 - a * a) * (i * x)
    return h
