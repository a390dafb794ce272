"""Whether two runs agree: by how much they differ at most, and where that began."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from rnnc.check.files import Run
from rnnc.ir import Array

#: How far results may lie apart: absolutely up to 1, relatively above.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Difference:
    """The largest difference between two runs, and where the first one was that is too large."""

    error: float = 0.0
    first: str = ""


def difference(found: Run, meant: Run) -> Difference:
    """How far apart two runs are, in all outputs, and in the states that both have."""
    alone = set(found.outputs) ^ set(meant.outputs)
    if alone:
        return Difference(np.inf, f"only one of them has the output {min(alone)}")
    largest = 0.0
    places: list[tuple[float, str]] = []
    for name, final, x, y in _pairs(found, meant):
        if x.shape != y.shape:
            return Difference(
                np.inf, f"{name} has the shape {list(x.shape)} in one and {list(y.shape)} in the other"
            )
        if not x.size:
            continue
        a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
        with np.errstate(all="ignore"):
            apart = np.array(np.abs(a - b) / np.maximum(1.0, np.abs(b)))
        apart[(a == b) | (np.isnan(a) & np.isnan(b))] = 0.0
        apart[np.isnan(apart)] = np.inf
        largest = max(largest, float(apart.max()))
        wrong = np.argwhere(apart > TOLERANCE)
        if len(wrong):
            at = tuple(int(i) for i in wrong[0])
            step, element = (np.inf, at) if final else (float(at[0]), at[1:])
            when = "after the last step" if final else f"at step {at[0]}"
            inside = f", element [{', '.join(map(str, element))}]" if element else ""
            places.append((step, f"{name} first differs {when}{inside}: {a[at]:.7g} and {b[at]:.7g}"))
    return Difference(largest, min(places, key=lambda p: p[0])[1] if places else "")


def _pairs(found: Run, meant: Run) -> Iterator[tuple[str, bool, Array, Array]]:
    """What is compared: its name, whether it is of the end only, and both arrays."""
    for name, y in meant.outputs.items():
        yield name, name in meant.final | found.final, found.outputs[name], y
    common: Mapping[str, Array] = {n: s for n, s in meant.states.items() if n in found.states}
    for name, s in common.items():
        yield f"the state {name}", True, found.states[name], s
