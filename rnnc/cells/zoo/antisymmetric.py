"""Recurrence as a stable differential equation: the recurrent matrix has eigenvalues near the imaginary axis.

Shapes: ``x [B, in]`` → ``h [B, out]``, state ``h``. ``AntisymmetricRNN(30, 15, ε=0.1, γ=0.01)``.
Source: B. Chang, M. Chen, E. Haber and E. Chi, "AntisymmetricRNN: a dynamical system view on recurrent neural
networks" (2019).
"""

import numpy as np

from rnnc import glorot, net, tanh, zeros
from rnnc import sigmoid as σ


@net
def AntisymmetricRNN(x, *, W=glorot("in", "out"), U=glorot("out", "out"), b=zeros("out"), h=zeros("out"),
                     ε=0.1, γ=0.01):
    """h = h⁻ + ε tanh(x W + h⁻ A + b),  A = U − Uᵀ − γI"""
    A = U - U.T - γ * np.eye(*U.shape)
    h = h[-1] + ε * tanh(x @ W + h[-1] @ A + b)
    return h


@net
def GatedAntisymmetricRNN(x, *,
                          Wz=glorot("in", "out"), bz=zeros("out"),
                          Wh=glorot("in", "out"), bh=zeros("out"),
                          U=glorot("out", "out"), h=zeros("out"),
                          ε=0.1, γ=0.01):
    """h = h⁻ + ε z∘tanh(x Wh + h⁻ A + bh),  z = σ(x Wz + h⁻ A + bz),  A = U − Uᵀ − γI"""
    A = U - U.T - γ * np.eye(*U.shape)
    z = σ(x @ Wz + h[-1] @ A + bz)
    h = h[-1] + ε * z * tanh(x @ Wh + h[-1] @ A + bh)
    return h
