"""Products of matrices whose entries are values or numbers, multiplied element by element.

``a[i][j]`` says what register ``i`` takes of register ``j`` in a step; a number 0 is no value at all.
"""

from __future__ import annotations

from collections.abc import Sequence

from rnnc.build import Builder
from rnnc.plans.linear import simplified

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


def power(b: Builder, a: Matrix, exponent: int) -> Matrix:
    """A matrix to a power of two."""
    while exponent > 1:
        a, exponent = matmul(b, a, a), exponent // 2
    return a


def exact(b: Builder, number: float) -> Entry:
    """A number for products in float64: itself, where all of its powers are, else a value."""
    return number if number in (0.0, 1.0, -1.0) else b.const(number, "f64")


def cast(b: Builder, value: str, dtype: str) -> str:
    """A value of another element type."""
    return value if b.graph.type(value).dtype == dtype else b("cast", value, dtype=dtype)
