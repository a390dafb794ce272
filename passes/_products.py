"""Products of matrices whose entries are values or numbers, multiplied element by element.

``a[i][j]`` says what register ``i`` takes of register ``j`` in a step; a number 0 is no value at all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnnc.build import Builder
from rnnc.dims import Dim
from rnnc.loops.slots import broadcast
from rnnc.ops.declare import broadcast_shapes
from rnnc.plans.linear import simplified
from rnnc.types import TensorType

#: An entry of a matrix, or of a vector.
Entry = str | float
Matrix = list[list[Entry]]


def combine(b: Builder, op: str, x: Entry, y: Entry) -> Entry:
    """``op`` on entries; nothing is added where numbers decide it."""
    found: Entry | None = simplified(op, (x, y))
    return b(op, x, y) if found is None else found


def dot(b: Builder, row: Sequence[Entry], xs: Sequence[Entry], plus: Entry = 0.0) -> Entry:
    """``Σ row ∘ xs + plus``."""
    total: Entry = 0.0
    for r, x in zip(row, xs, strict=True):
        total = combine(b, "add", total, combine(b, "mul", r, x))
    return combine(b, "add", total, plus)


def matmul(b: Builder, x: Matrix, y: Matrix) -> Matrix:
    """The product of two matrices."""
    return [[dot(b, row, column) for column in zip(*y, strict=True)] for row in x]


def reach(a: Sequence[Sequence[object]]) -> list[list[bool]]:
    """Which registers take of which ones after any number of steps."""
    found = [[bool(entry) for entry in row] for row in a]
    for k in range(len(a)):
        for row in found:
            if row[k]:
                row[:] = [x or y for x, y in zip(row, found[k], strict=True)]
    return found


def powers(b: Builder, a: Matrix, count: int, kind: TensorType) -> Matrix:
    """``a``, ``a²``, … up to the power ``count``, a power of two, along a new first axis of each entry.

    Entries of ``a`` have the axes of ``kind``. Numbers whose powers are all the same stay numbers. A power
    has the relative error of ``a`` as often as its exponent says, so that they are float64.
    """
    if all(isinstance(entry, float) for row in a for entry in row):
        known = np.array(a)
        if (known @ known == known).all():
            return a
    exact = TensorType("f64", kind.shape)
    found: Matrix = [[_first(b, entry, exact) for entry in row] for row in a]
    done = 1
    while done < count:
        last: Matrix = [[_cut(b, entry, done) for entry in row] for row in found]
        more = matmul(b, found, last)
        found = [
            [_behind(b, x, y, done, exact) for x, y in zip(*rows, strict=True)]
            for rows in zip(found, more, strict=True)
        ]
        done *= 2
    return found


def _cast(b: Builder, entry: Entry, dtype: str) -> Entry:
    """An entry of another element type; 0 stays none."""
    same = isinstance(entry, float) or b.graph.type(entry).dtype == dtype
    return entry if same else b("cast", entry, dtype=dtype)


def _first(b: Builder, entry: Entry, kind: TensorType) -> Entry:
    """An entry with an axis for its powers; 0 stays none."""
    if isinstance(entry, float):
        return b.const(np.full([1] * (kind.rank + 1), entry), kind.dtype) if entry else 0.0
    return _cast(b, b("unsqueeze", entry, axes=(0,)), kind.dtype)


def _cut(b: Builder, entry: Entry, done: int) -> Entry:
    """The last of so many powers."""
    if isinstance(entry, float) or done == 1:
        return entry
    return b("slice", entry, axis=0, start=done - 1, stop=done)


def _behind(b: Builder, x: Entry, y: Entry, count: int, kind: TensorType) -> Entry:
    """As many powers again, zeros where there are none."""
    if isinstance(x, float) and isinstance(y, float):
        return x
    shapes = [b.graph.type(v).shape[1:] for v in (x, y) if isinstance(v, str)]
    whole = TensorType(kind.dtype, (count, *broadcast_shapes(*shapes)))
    parts = [b.const(v, kind.dtype) if isinstance(v, float) else v for v in (x, y)]
    return b("concat", *(broadcast(b, v, whole) for v in parts), axis=0)


def shape_of(b: Builder, a: Matrix) -> tuple[Dim, ...]:
    """The shape that all entries broadcast to."""
    return broadcast_shapes(*(b.graph.type(e).shape for row in a for e in row if isinstance(e, str)))
