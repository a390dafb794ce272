"""Writing with the character model: one byte after another, drawn from what the model gives.

``browser/writing.js`` is the same in JavaScript, and draws the same bytes: random numbers come from a
generator that both have, and odds are summed in float64, from the first byte to the last. What two runtimes
make of one step differs by about 5e-6, so the bytes could differ only where a drawn number lies so close to
the boundary between two of them. At temperature 0 the first of equal logits is taken.
"""

from collections.abc import Iterator
from math import exp
from typing import Any


def mulberry32(seed: int) -> Iterator[float]:
    """Numbers from 0 to 1, the same in every language for the same seed: Tommy Ettinger's mulberry32."""
    while True:
        seed = (seed + 0x6D2B79F5) & 0xFFFFFFFF
        t = (seed ^ seed >> 15) * (seed | 1) & 0xFFFFFFFF
        t ^= t + ((t ^ t >> 7) * (t | 61) & 0xFFFFFFFF) & 0xFFFFFFFF
        yield (t ^ t >> 14) / 2**32


def draw(logits: Any, temperature: float, chance: float) -> int:
    """The first byte where the sum of odds passes ``chance`` of all; at temperature 0 the likeliest."""
    numbers = [float(logit) for logit in logits]
    top = max(numbers)
    if temperature == 0:
        return numbers.index(top)
    odds = [exp((number - top) / temperature) for number in numbers]
    total = 0.0
    for odd in odds:  # one after another, which sum() does not do from Python 3.12
        total += odd
    wanted, total = chance * total, 0.0
    for byte, odd in enumerate(odds):
        total += odd
        if total > wanted:
            return byte
    return len(odds) - 1


def write(stream: Any, prompt: str, count: int, temperature: float, seed: int) -> Iterator[int]:
    """The bytes that follow ``prompt``, one by one; ``stream`` runs the model's step file."""
    import numpy as np

    stream.reset()
    random = mulberry32(seed)
    for byte in prompt.encode():
        logits = stream.push(np.array([byte]))[0]
    for _ in range(count):
        byte = draw(logits, temperature, next(random))
        yield byte
        logits = stream.push(np.array([byte]))[0]
