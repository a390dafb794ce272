"""Python's operators on anything that ops build from."""

from __future__ import annotations

from typing import Any

from rnnc.ops import arithmetic as a
from rnnc.ops import compare as c
from rnnc.ops.linalg import matmul


class Arithmetic:
    """A mixin for carriers (see :mod:`rnnc.ops.declare`): ``x + 1`` calls ``add(x, 1)``, and so on.

    Comparison has named methods only: ``==`` and ``<`` on values keep Python's own meaning.
    """

    __slots__ = ()

    def __add__(self, other: Any) -> Any:
        return a.add(self, other)

    def __radd__(self, other: Any) -> Any:
        return a.add(other, self)

    def __sub__(self, other: Any) -> Any:
        return a.sub(self, other)

    def __rsub__(self, other: Any) -> Any:
        return a.sub(other, self)

    def __mul__(self, other: Any) -> Any:
        return a.mul(self, other)

    def __rmul__(self, other: Any) -> Any:
        return a.mul(other, self)

    def __truediv__(self, other: Any) -> Any:
        return a.div(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return a.div(other, self)

    def __mod__(self, other: Any) -> Any:
        return a.mod(self, other)

    def __rmod__(self, other: Any) -> Any:
        return a.mod(other, self)

    def __pow__(self, other: Any) -> Any:
        return a.pow_(self, other)

    def __rpow__(self, other: Any) -> Any:
        return a.pow_(other, self)

    def __matmul__(self, other: Any) -> Any:
        return matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return matmul(other, self)

    def __neg__(self) -> Any:
        return a.neg(self)

    def __abs__(self) -> Any:
        return a.abs_(self)

    def equal(self, other: Any) -> Any:
        """Where it equals ``other``."""
        return c.equal(self, other)

    def less(self, other: Any) -> Any:
        """Where it is less than ``other``."""
        return c.less(self, other)

    def less_equal(self, other: Any) -> Any:
        """Where it is at most ``other``."""
        return c.less_equal(self, other)

    def greater(self, other: Any) -> Any:
        """Where it is greater than ``other``."""
        return c.greater(self, other)

    def greater_equal(self, other: Any) -> Any:
        """Where it is at least ``other``."""
        return c.greater_equal(self, other)
