"""Products of matrices whose entries are values or numbers, multiplied element by element.

``a[i][j]`` says what register ``i`` takes of register ``j`` in a step; a number 0 is no value at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rnnc.build import Builder
from rnnc.plans.linear import simplified

#: An entry of a matrix, or of a vector.
Entry = str | float
Matrix = list[list[Entry]]
#: What a coefficient takes of a register, or of another coefficient.
Times = Callable[[Builder, Entry, Entry], Entry]


def combine(b: Builder, op: str, x: Entry, y: Entry) -> Entry:
    """``op`` on entries; nothing is added where numbers decide it."""
    found: Entry | None = simplified(op, (x, y))
    return b(op, x, y) if found is None else found


def elementwise(b: Builder, a: Entry, x: Entry) -> Entry:
    """``a ∘ x``."""
    return combine(b, "mul", a, x)


def dot(b: Builder, row: Sequence[Entry], xs: Sequence[Entry], plus: Entry, times: Times) -> Entry:
    """``Σ row · xs + plus``."""
    total: Entry = 0.0
    for r, x in zip(row, xs, strict=True):
        total = combine(b, "add", total, times(b, r, x))
    return combine(b, "add", total, plus)


def matmul(b: Builder, x: Matrix, y: Matrix, times: Times) -> Matrix:
    """The product of two matrices."""
    return [[dot(b, row, column, 0.0, times) for column in zip(*y, strict=True)] for row in x]


def power(b: Builder, a: Matrix, exponent: int, times: Times) -> Matrix:
    """A matrix to a power of two."""
    while exponent > 1:
        a, exponent = matmul(b, a, a, times), exponent // 2
    return a


def exact(b: Builder, number: float) -> Entry:
    """A number for products in float64: itself, where all of its powers are, else a value."""
    return number if number in (0.0, 1.0, -1.0) else b.const(number, "f64")


def cast(b: Builder, value: str, dtype: str) -> str:
    """A value of another element type."""
    return value if b.graph.type(value).dtype == dtype else b("cast", value, dtype=dtype)
