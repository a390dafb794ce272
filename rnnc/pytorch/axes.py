"""Which axis of each tensor is the batch, found by running the module on every example twice."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from rnnc.pytorch.rows import Row

#: How far two results of the same numbers, in batches of another size, may be apart.
CLOSE = 1e-4
#: How many assignments of axes are tried.
TRIED = 200

#: The batch axis of each input; ``None`` for one that has none.
Axes = tuple[int | None, ...]


def twice(tensors: Sequence[Any], axes: Axes) -> list[Any]:
    """Every example two times along its batch axis."""
    pairs = zip(tensors, axes, strict=True)
    return [t.clone() if axis is None else torch.cat([t, t], axis) for t, axis in pairs]


def batch_axes(
    row: Row, time: Mapping[int, int], states: Mapping[int, int], given: Sequence[int]
) -> Axes | None:
    """The batch axis of each input; ``None`` if the module takes no batch, or fixes its size.

    ``time`` has the axis of time by input, ``states`` the input by the output that goes back into it. With
    the right axes, two of everything in give two of everything out.
    """
    once = row.run(row.tensors)
    options: list[list[int | None]] = []
    for k, t in enumerate(row.tensors):
        own: list[int | None] = [a for a in range(t.dim()) if a != time.get(k)]
        loose = k in given or k in states.values()
        options.append([*own, None] if loose or not own else own)
    for axes in itertools.islice(itertools.product(*options), TRIED):
        if any(a is not None for a in axes) and _doubles(row, once, axes, states):
            return axes
    return None


def _doubles(row: Row, once: Sequence[Any], axes: Axes, states: Mapping[int, int]) -> bool:
    """Whether the module gives two of everything for two of everything."""
    try:
        both = row.run(twice(row.tensors, axes))
    except Exception:  # noqa: BLE001 - a module raises whatever it likes for what it cannot take
        return False
    for k, (one, two) in enumerate(zip(once, both, strict=True)):
        own = [axes[states[k]]] if k in states else range(one.dim())
        if not any(two.shape == (w := _joined(one, a)).shape and _close(two, w) for a in own):
            return False
    return True


def _joined(one: Any, axis: int | None) -> Any:
    return one if axis is None else torch.cat([one, one], axis)


def _close(a: Any, b: Any) -> bool:
    return bool(torch.allclose(a.double(), b.double(), rtol=CLOSE, atol=CLOSE, equal_nan=True))
