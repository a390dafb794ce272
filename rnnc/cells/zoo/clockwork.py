"""Clockwork: modules of units, each with a period at which it moves; in between it stands still.

Shapes: ``x [B, in]`` → ``h [B, out]``, states ``h`` and ``t int64 [B, 1]``, the number of the last step.
``ClockworkRNN(30, 16)`` has modules with periods 1, 2, 4 and 8, ``ClockworkRNN(30, 16, T=clock(1, 3, 9))``
others.
Source: J. Koutník et al., "A clockwork RNN" (2014). A module sees those that are as slow as it or slower; the
first step, number 0, moves all.
"""

from dataclasses import dataclass

import numpy as np

from rnnc import constant, glorot, mod, net, tanh, unsqueeze, where, zeros
from rnnc.dims import dim
from rnnc.frontend.inits import Init


@dataclass(frozen=True)
class Clock(Init):
    """The period of every unit: the units stand in modules of equal size, one for each of ``periods``."""

    periods: tuple[int, ...] = ()

    def draw(self, shape, generator):
        """The periods, unit by unit."""
        modules = np.array_split(np.empty(shape), len(self.periods))
        return np.repeat(self.periods, [len(units) for units in modules]).astype(np.int64)


def clock(*periods):
    """Modules with ``periods``, the fastest first."""
    return Clock((dim("out"),), "i64", periods)


@net
def ClockworkRNN(x, *, W=glorot("in", "out"), U=glorot("out", "out"), b=zeros("out"), T=clock(1, 2, 4, 8),
                 h=zeros("out"), t=constant(-1, 1, dtype="int64")):
    """h = tanh(x W + h⁻ (U∘M) + b) where t mod T = 0, else h⁻,  M[j, i] = (T[j] ≥ T[i])"""
    t = t[-1] + 1
    M = where(unsqueeze(T, 1) >= unsqueeze(T, 0), 1.0, 0.0)
    h = where(mod(t, T) == 0, tanh(x @ W + h[-1] @ (U * M) + b), h[-1])
    return h
