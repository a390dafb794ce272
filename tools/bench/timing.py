"""Timing in turns: what is compared is run within moments of each other, so that noise meets all alike.

The machine's speed drifts with heat, with what else runs, with the clock. A ratio of two times taken far
apart measures that drift. So everything runs once a round, each round begins with another, and what is told
is the median over rounds of the ratios within a round. Time goes where it decides something: what is far
behind after a few rounds takes no part in the others, and rounds end when the ratios are known well.
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
#: What takes so many times as long as the fastest is far behind.
FAR = 3
#: Ratios are known well when the error of each median is about this part of it.
CLOSE = 0.004


@dataclass(frozen=True)
class Times:
    """Seconds a call: one sample for each round that it took part in, which are the first ones."""

    samples: Sequence[float]

    @property
    def median(self) -> float:
        """The middle one."""
        return median(self.samples)

    def over(self, other: Times) -> tuple[float, float, float]:
        """How many times as long as ``other`` this takes: lower quartile, median, upper quartile."""
        ratios = [a / b for a, b in zip(self.samples, other.samples, strict=False)]
        low, middle, high = quantiles(ratios, n=4, method="inclusive")
        return low, middle, high


def in_turns(calls: Mapping[str, Call], seconds: float) -> dict[str, Times]:
    """Samples of every call, for about so many seconds in all; ratios to the first of them are wanted."""
    racing = list(calls)
    counts = {name: _count(call) for name, call in calls.items()}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    collecting = gc.isenabled()
    gc.disable()
    try:
        end, rounds = perf_counter() + seconds, 0
        while rounds < FEWEST or (rounds < MOST and perf_counter() < end and not _known(samples, racing)):
            first = rounds % len(racing)
            for name in racing[first:] + racing[:first]:
                samples[name].append(_sample(calls[name], counts[name]))
            rounds += 1
            if rounds == FEWEST:
                racing = _contenders(samples)
    finally:
        if collecting:
            gc.enable()
    return {name: Times(found) for name, found in samples.items()}


def _contenders(samples: Mapping[str, Sequence[float]]) -> list[str]:
    """The first, and what is not far behind the fastest."""
    base, *others = samples
    fastest = min(map(median, samples.values()))
    return [base, *(name for name in others if median(samples[name]) <= FAR * fastest)]


def _known(samples: Mapping[str, Sequence[float]], racing: Sequence[str]) -> bool:
    """Whether more rounds would change no ratio to the first by much."""
    base, *others = racing
    for name in others:
        low, middle, high = Times(samples[name]).over(Times(samples[base]))
        if high - low > CLOSE * middle * math.sqrt(len(samples[name])):
            return False
    return True


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
