"""Differential equations of coupled units, discretised in steps of dt so that gradients keep their size.

Shapes: ``x [B, in]`` → ``h [B, out]``, states ``h`` (position) and ``z`` (velocity, or the slow variable).
``coRNN(30, 15, dt=0.05)``.
Sources: T. K. Rusch and S. Mishra, "Coupled oscillatory recurrent neural network (coRNN)" (2021), with the
explicit z⁻ in the damping, and "UnICORNN: a recurrent model for learning very long time dependencies" (2021);
T. K. Rusch et al., "Long expressive memory for sequence modeling" (2022), whose h sees the new z.
"""

from rnnc import glorot, net, tanh, uniform, zeros
from rnnc import sigmoid as σ


@net
def coRNN(x, *, W=glorot("in", "out"), U=glorot("out", "out"), V=glorot("out", "out"), b=zeros("out"),
          h=zeros("out"), z=zeros("out"),
          dt=0.1, γ=1.0, ε=1.0):
    """z = z⁻ + dt (tanh(x W + h⁻ U + z⁻ V + b) − γ h⁻ − ε z⁻),  h = h⁻ + dt z"""
    z = z[-1] + dt * (tanh(x @ W + h[-1] @ U + z[-1] @ V + b) - γ * h[-1] - ε * z[-1])
    h = h[-1] + dt * z
    return h


@net
def UnICORNN(x, *, W=glorot("in", "out"), u=uniform("out"), b=zeros("out"),
             c=uniform("out", low=-0.1, high=0.1), h=zeros("out"), z=zeros("out"),
             dt=0.1, α=1.0):
    """z = z⁻ − dt σ(c)∘(tanh(u∘h⁻ + x W + b) + α h⁻),  h = h⁻ + dt σ(c)∘z"""
    z = z[-1] - dt * σ(c) * (tanh(u * h[-1] + x @ W + b) + α * h[-1])
    h = h[-1] + dt * σ(c) * z
    return h


@net
def LEM(x, *,
        W1=glorot("in", "out"), U1=glorot("out", "out"), b1=zeros("out"),
        W2=glorot("in", "out"), U2=glorot("out", "out"), b2=zeros("out"),
        Wz=glorot("in", "out"), Uz=glorot("out", "out"), bz=zeros("out"),
        Wh=glorot("in", "out"), Vh=glorot("out", "out"), bh=zeros("out"),
        h=zeros("out"), z=zeros("out"),
        dt=1.0):
    """z = (1−d₁)∘z⁻ + d₁∘tanh(x Wz + h⁻ Uz + bz),  h = (1−d₂)∘h⁻ + d₂∘tanh(x Wh + z Vh + bh),

    with steps of their own, d = dt σ(x W + h⁻ U + b).
    """
    d1 = dt * σ(x @ W1 + h[-1] @ U1 + b1)
    d2 = dt * σ(x @ W2 + h[-1] @ U2 + b2)
    z = (1 - d1) * z[-1] + d1 * tanh(x @ Wz + h[-1] @ Uz + bz)
    h = (1 - d2) * h[-1] + d2 * tanh(x @ Wh + z @ Vh + bh)
    return h
