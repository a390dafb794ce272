"""Sizes that are still unknown, and how they are found.

An undeclared input has an unknown number of features. Every type rule compares sizes through
:func:`rnnc.ops.declare.same_dim`; while a model is traced, comparing an unknown size with another one *finds*
it. What has been found is kept aside, and put into all types when the trace ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rnnc.dims import Dim, Poly, dim, names, solve, substitute
from rnnc.ops.declare import unifier
from rnnc.types import TensorType

#: The batch axis. No unknown size is ever found to be the batch's.
BATCH = dim("B")


class Sizes:
    """The unknown sizes of one trace, and what has been found of them."""

    def __init__(self) -> None:
        self.unknown: set[str] = set()
        self.found: dict[str, Dim] = {}

    def new(self, name: str) -> Dim:
        """A size not yet known, called after ``name`` in messages."""
        key, n = f"?{name}", 1
        while key in self.unknown:
            n += 1
            key = f"?{name}_{n}"
        self.unknown.add(key)
        return Poly((((key,), 1),))

    def same(self, a: Dim, b: Dim) -> Dim | None:
        """The common size of ``a`` and ``b``, found if need be; ``None`` if they differ."""
        a, b = self.resolve(a), self.resolve(b)
        if a == b:
            return a
        binding = solve(a, b, self.unknown - self.found.keys())
        if binding is None:
            return None
        for size in binding.values():
            if "B" in names(size) or (isinstance(size, int) and size < 1):
                return None
        self.found.update(binding)
        return self.resolve(a)

    def resolve(self, d: Dim) -> Dim:
        """``d`` with all that has been found put in."""
        while known := names(d) & self.found.keys():
            d = substitute(d, {n: self.found[n] for n in known})
        return d

    def type(self, t: TensorType) -> TensorType:
        """``t`` with all that has been found put in."""
        if not any(isinstance(d, Poly) and d != BATCH for d in t.shape):
            return t
        return TensorType(t.dtype, tuple(self.resolve(d) for d in t.shape))

    def known_ones(self, t: TensorType) -> TensorType:
        """``t`` with only those sizes put in that were found to be 1, and so broadcast.

        Other sizes keep their names, so that what is asked of an unknown size does not depend on the order in
        which a body happens to use it.
        """
        return TensorType(t.dtype, tuple(1 if self.resolve(d) == 1 else d for d in t.shape))

    def open(self, d: Dim) -> set[str]:
        """The unknown sizes in ``d``, whether or not they have been found since."""
        return names(d) & self.unknown

    @contextmanager
    def unifying(self) -> Iterator[None]:
        """Let type rules find sizes."""
        token = unifier.set(self.same)
        try:
            yield
        finally:
            unifier.reset(token)
