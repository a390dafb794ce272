"""Timing in turns: what is compared is run within moments of each other, so that noise meets all alike.

The machine's speed drifts with heat, with what else runs, with the clock. A ratio of two times taken far
apart measures that drift. So everything runs once a round, each round begins with another, and what is told
is the median over rounds of the ratios within a round.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from time import perf_counter
from typing import Any

Call = Callable[[], Any]

#: How long a sample lasts at least, in seconds: enough for the clock, and for caches to be its own.
SAMPLE = 1e-3
#: How many rounds there are.
FEWEST, MOST = 5, 41


@dataclass(frozen=True)
class Times:
    """Seconds a call: one sample for each round."""

    samples: Sequence[float]

    @property
    def median(self) -> float:
        """The middle one."""
        return median(self.samples)

    def over(self, other: Times) -> tuple[float, float, float]:
        """How many times as long as ``other`` this takes: lower quartile, median, upper quartile."""
        ratios = [a / b for a, b in zip(self.samples, other.samples, strict=True)]
        low, middle, high = quantiles(ratios, n=4, method="inclusive")
        return low, middle, high


def in_turns(calls: Mapping[str, Call], seconds: float) -> dict[str, Times]:
    """Samples of every call, for about so many seconds in all."""
    names = list(calls)
    counts = {name: _count(call) for name, call in calls.items()}
    samples: dict[str, list[float]] = {name: [] for name in names}
    collecting = gc.isenabled()
    gc.disable()
    try:
        end, rounds = perf_counter() + seconds, 0
        while rounds < FEWEST or (rounds < MOST and perf_counter() < end):
            first = rounds % len(names)
            for name in names[first:] + names[:first]:
                samples[name].append(_sample(calls[name], counts[name]))
            rounds += 1
    finally:
        if collecting:
            gc.enable()
    return {name: Times(found) for name, found in samples.items()}


def _sample(call: Call, count: int) -> float:
    """Seconds a call, of ``count`` calls after one that brings back what the others drove from the caches."""
    if count > 1:
        call()
    start = perf_counter()
    for _ in range(count):
        call()
    return (perf_counter() - start) / count


def _count(call: Call) -> int:
    """How many calls make a sample; compilation, if it waits for the first call, is over afterwards."""
    call()
    start = perf_counter()
    call()
    return max(1, math.ceil(SAMPLE / max(perf_counter() - start, 1e-9)))
