"""How little a gated cell can do with: gates that are constants, or that see a latent input.

Shapes: ``x [B, in]`` → ``h [B, out]``, state ``h``. ``MiRU1(30, 15, λ=0.5)``.
Sources: M. Chen, "MinimalRNN: toward more interpretable and trainable recurrent neural networks" (2017);
A. Zyarah and D. Kudithipudi, "Minion gated recurrent unit for continual learning" (2025). The minimal gated
unit is in :mod:`rnnc.cells.minimal`.
"""

from rnnc import glorot, net, tanh, zeros
from rnnc import sigmoid as σ


@net
def MinimalRNN(x, *, W=glorot("in", "out"), bz=zeros("out"),
               U=glorot("out", "out"), V=glorot("out", "out"), bu=zeros("out"),
               h=zeros("out")):
    """h = u∘h⁻ + (1−u)∘z,  z = tanh(x W + bz),  u = σ(h⁻ U + z V + bu)"""
    z = tanh(x @ W + bz)
    u = σ(h[-1] @ U + z @ V + bu)
    h = u * h[-1] + (1 - u) * z
    return h


@net
def MiRU1(x, *,
          Wr=glorot("in", "out"), Ur=glorot("out", "out"), br=zeros("out"),
          Wh=glorot("in", "out"), Uh=glorot("out", "out"), bh=zeros("out"),
          h=zeros("out"),
          λ=0.5):
    """h = λ h⁻ + (1−λ) tanh(x Wh + (r∘h⁻) Uh + bh),  r = σ(x Wr + h⁻ Ur + br)"""
    r = σ(x @ Wr + h[-1] @ Ur + br)
    h = λ * h[-1] + (1 - λ) * tanh(x @ Wh + (r * h[-1]) @ Uh + bh)
    return h


@net
def MiRU2(x, *, W=glorot("in", "out"), U=glorot("out", "out"), b=zeros("out"), h=zeros("out"),
          λ=0.5, θ=0.5):
    """h = λ h⁻ + (1−λ) tanh(x W + (θ h⁻) U + b)"""
    h = λ * h[-1] + (1 - λ) * tanh(x @ W + (θ * h[-1]) @ U + b)
    return h
