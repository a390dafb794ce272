"""Weights as recipes: matrices and biases over invariant values, built only when a plan emits them.

    Matrix
    ├── Full        a value of the graph, or something computed from such values
    ├── Pick        an identity's columns from ``at`` on: it picks features of its source
    ├── Placed      another matrix with columns of zeros around it
    ├── Diagonal    one factor a feature
    └── Sum         two others added up

The kinds exist so that products with identities, which is what split and concat amount to, are never built,
and so that a diagonal is known as one whatever was concatenated and taken apart around it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rnnc.build import Builder

Make = Callable[[Builder], str]


@dataclass(frozen=True, eq=False)
class Bias:
    """A vector of ``cols`` elements, or one number when ``cols`` is 1; without a recipe it is zero."""

    cols: int
    recipe: Make | None = None

    def build(self, b: Builder) -> str:
        """A value with one axis."""
        return self.recipe(b) if self.recipe else b.const(np.zeros(self.cols, np.float32))

    def wide(self, cols: int) -> Bias:
        """Broadcast to ``cols`` elements."""
        make = self.recipe
        if self.cols == cols or make is None:
            return Bias(cols, make)
        return Bias(cols, lambda b: b("expand", make(b), shape=(cols,)))

    def columns(self, start: int, stop: int) -> Bias:
        """Elements ``start`` to ``stop``."""
        make = self.recipe
        if make is None or (start, stop) == (0, self.cols):
            return Bias(stop - start, make)
        return Bias(stop - start, lambda b: b("slice", make(b), axis=0, start=start, stop=stop))

    def plus(self, other: Bias, cols: int) -> Bias:
        """The sum, ``cols`` wide."""
        a, c = self.wide(cols), other.wide(cols)
        if a.recipe is None or c.recipe is None:
            return c if a.recipe is None else a
        return Bias(cols, lambda b: b("add", a.build(b), c.build(b)))

    def times(self, other: Bias, cols: int) -> Bias:
        """The product element by element, ``cols`` wide."""
        a, c = self.wide(cols), other.wide(cols)
        if a.recipe is None or c.recipe is None:
            return Bias(cols)
        return Bias(cols, lambda b: b("mul", a.build(b), c.build(b)))

    def through(self, w: Matrix) -> Bias:
        """The bias as a row, times a matrix."""
        if self.recipe is None:
            return Bias(w.cols)
        row = self.wide(w.rows)
        if isinstance(w, Pick):
            return row.columns(w.at, w.at + w.cols)
        if isinstance(w, Diagonal):
            return row.times(w.factors, w.cols)

        def make(b: Builder) -> str:
            product = b("matmul", b("reshape", row.build(b), shape=(1, w.rows)), w.build(b))
            return b("reshape", product, shape=(w.cols,))

        return Bias(w.cols, make)


@dataclass(frozen=True, eq=False)
class Matrix(ABC):
    """A weight of ``rows`` × ``cols``."""

    rows: int
    cols: int

    @abstractmethod
    def build(self, b: Builder) -> str:
        """The matrix as a value of rank 2."""

    def diagonal(self) -> Bias | None:
        """The factors of a square matrix that is zero off its diagonal; ``None`` if it may not be one."""
        return None

    def then(self, w: Matrix) -> Matrix:
        """``self @ w``."""
        if isinstance(w, Pick):
            return self.columns(w.at, w.at + w.cols) or zeros(self.rows, w.cols)
        if isinstance(w, Placed):
            return Placed(self.rows, w.cols, self.then(w.inner), w.at)
        if isinstance(w, Diagonal):
            return self.scaled(w.factors)
        return Full(self.rows, w.cols, lambda b: b("matmul", self.build(b), w.build(b)))

    def columns(self, start: int, stop: int) -> Matrix | None:
        """Columns ``start`` to ``stop``; ``None`` if they are all zero."""
        if (start, stop) == (0, self.cols):
            return self
        return Full(
            self.rows, stop - start, lambda b: b("slice", self.build(b), axis=1, start=start, stop=stop)
        )

    def lines(self, start: int, stop: int) -> Matrix:
        """Rows ``start`` to ``stop``."""
        if (start, stop) == (0, self.rows):
            return self
        return Full(
            stop - start, self.cols, lambda b: b("slice", self.build(b), axis=0, start=start, stop=stop)
        )

    def scaled(self, by: Bias) -> Matrix:
        """Each column times the matching element of ``by``."""
        return Full(self.rows, self.cols, lambda b: b("mul", self.build(b), by.build(b)))

    def plus(self, other: Matrix) -> Matrix:
        """The sum."""
        return Sum(self.rows, self.cols, self, other)


@dataclass(frozen=True, eq=False)
class Full(Matrix):
    """A matrix known only by how to build it."""

    make: Make

    def build(self, b: Builder) -> str:
        """The matrix as a value of rank 2."""
        return self.make(b)


@dataclass(frozen=True, eq=False)
class Pick(Matrix):
    """Columns ``at`` to ``at + cols`` of the identity on ``rows`` features."""

    at: int = 0

    @property
    def whole(self) -> bool:
        """Whether it is the identity."""
        return self.rows == self.cols

    def build(self, b: Builder) -> str:
        """The matrix as a value of rank 2."""
        return b.const(np.eye(self.rows, self.cols, -self.at, dtype=np.float32))

    def diagonal(self) -> Bias | None:
        """Ones, where this is the identity."""
        return ones(self.cols) if self.whole else None

    def then(self, w: Matrix) -> Matrix:
        """``self @ w``: the rows of ``w`` among rows of zeros."""
        if self.whole:
            return w
        if isinstance(w, Pick):
            return Pick(self.rows, w.cols, self.at + w.at)
        if isinstance(w, Placed):
            return Placed(self.rows, w.cols, self.then(w.inner), w.at)
        before, after = self.at, self.rows - self.at - self.cols

        def make(b: Builder) -> str:
            above, below = (b.const(np.zeros((n, w.cols), np.float32)) if n else "" for n in (before, after))
            return b("concat", *filter(None, [above, w.build(b), below]), axis=0)

        return Full(self.rows, w.cols, make)

    def columns(self, start: int, stop: int) -> Matrix | None:
        """Columns ``start`` to ``stop``."""
        return Pick(self.rows, stop - start, self.at + start)

    def scaled(self, by: Bias) -> Matrix:
        """A diagonal, where this is the identity."""
        return Diagonal(self.rows, self.cols, by.wide(self.cols)) if self.whole else super().scaled(by)


@dataclass(frozen=True, eq=False)
class Placed(Matrix):
    """``inner`` at column ``at``, zeros elsewhere."""

    inner: Matrix
    at: int

    def build(self, b: Builder) -> str:
        """The matrix as a value of rank 2."""
        after = self.cols - self.at - self.inner.cols
        sides = [b.const(np.zeros((self.rows, n), np.float32)) if n else "" for n in (self.at, after)]
        return b("concat", *filter(None, [sides[0], self.inner.build(b), sides[1]]), axis=1)

    def then(self, w: Matrix) -> Matrix:
        """``self @ w``: only the rows of ``w`` that meet ``inner`` matter."""
        if isinstance(w, Pick | Placed | Diagonal):
            return super().then(w)
        return self.inner.then(w.lines(self.at, self.at + self.inner.cols))

    def columns(self, start: int, stop: int) -> Matrix | None:
        """Columns ``start`` to ``stop``."""
        low, high = max(start, self.at), min(stop, self.at + self.inner.cols)
        if low >= high:
            return None
        part = self.inner.columns(low - self.at, high - self.at)
        if part is None or (low, high) == (start, stop):
            return part
        return Placed(self.rows, stop - start, part, low - start)

    def scaled(self, by: Bias) -> Matrix:
        """Each column times the matching element of ``by``."""
        part = by.wide(self.cols).columns(self.at, self.at + self.inner.cols)
        return Placed(self.rows, self.cols, self.inner.scaled(part), self.at)


@dataclass(frozen=True, eq=False)
class Diagonal(Matrix):
    """A square matrix with ``factors`` on its diagonal."""

    factors: Bias

    def build(self, b: Builder) -> str:
        """The matrix as a value of rank 2."""
        return b("mul", Pick(self.rows, self.cols).build(b), self.factors.build(b))

    def diagonal(self) -> Bias | None:
        """The factors."""
        return self.factors

    def columns(self, start: int, stop: int) -> Matrix | None:
        """Columns ``start`` to ``stop``."""
        if (start, stop) == (0, self.cols):
            return self
        return Pick(self.rows, stop - start, start).then(
            Diagonal(stop - start, stop - start, self.factors.columns(start, stop))
        )

    def scaled(self, by: Bias) -> Matrix:
        """Each factor times the matching element of ``by``."""
        return Diagonal(self.rows, self.cols, self.factors.times(by, self.cols))


@dataclass(frozen=True, eq=False)
class Sum(Matrix):
    """``one + other``."""

    one: Matrix
    other: Matrix

    def build(self, b: Builder) -> str:
        """The matrix as a value of rank 2."""
        return b("add", self.one.build(b), self.other.build(b))

    def diagonal(self) -> Bias | None:
        """The sum of the factors, where both are diagonals."""
        p, q = self.one.diagonal(), self.other.diagonal()
        return p.plus(q, self.cols) if p and q else None

    def columns(self, start: int, stop: int) -> Matrix | None:
        """Columns ``start`` to ``stop`` of both, or of the one that is not zero there."""
        p, q = self.one.columns(start, stop), self.other.columns(start, stop)
        return p.plus(q) if p and q else p or q

    def scaled(self, by: Bias) -> Matrix:
        """Each column of both times the matching element of ``by``."""
        return Sum(self.rows, self.cols, self.one.scaled(by), self.other.scaled(by))


def zeros(rows: int, cols: int) -> Matrix:
    """A matrix of zeros."""
    return Full(rows, cols, lambda b: b.const(np.zeros((rows, cols), np.float32)))


def spread(cols: int) -> Matrix:
    """The matrix that repeats one feature so many times."""
    return Full(1, cols, lambda b: b.const(np.ones((1, cols), np.float32)))


def ones(cols: int) -> Bias:
    """A vector of ones."""
    return Bias(cols, lambda b: b.const(np.ones(cols, np.float32)))


def constant(value: float) -> Bias:
    """The same number for all features."""
    return Bias(1, lambda b: b.const(np.array([value], np.float32)))
