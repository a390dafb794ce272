"""Sizes known only when running, computed from the tensors that have them.

Each size and each shape is computed once in a model, in the outermost graph that shows it, and read from
there by the graphs inside nodes. ``Reshape`` and ``Expand`` can leave sizes open, so most need none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from rnnc.dims import Dim, Poly, dim, names
from rnnc.emit.scope import Scope
from rnnc.errors import FormError
from rnnc.types import TensorType

SIZE = TensorType("i64", (1,))


class Sizes:
    """Where the sizes of a graph being written can be read.

    ``outer`` are those of the graph around it, which are read there; what only tensors of its own show, such
    as how many elements an op has found, is read inside.
    """

    def __init__(self, scope: Scope, outer: Sizes | None = None) -> None:
        self.scope, self.outer = scope, outer
        self._axes: dict[Dim, tuple[str, int]] = {}
        self._one: dict[Dim, str] = {}
        self._vectors: dict[tuple[Dim, ...], str] = {}
        self._ranges: dict[Dim, str] = {}
        self._empty: dict[Dim, str] = {}

    def sees(self, tensor: str, type: TensorType) -> None:
        """Note a tensor of this graph: the first that has a size is where it is read."""
        for axis, d in enumerate(type.shape):
            if isinstance(d, Poly) and not (self.outer and self.outer.shows(d)):
                self._axes.setdefault(d, (tensor, axis))

    def shows(self, *dims: Dim) -> bool:
        """Whether all of these sizes can be read or computed."""
        return all(
            not isinstance(d, Poly)
            or d in self._axes
            or bool(self.outer and self.outer.shows(d))
            or (not _is_name(d) and self.shows(*map(dim, names(d))))
            for d in dims
        )

    def _around(self, *dims: Dim) -> bool:
        """Whether these sizes are read in the graph around this one."""
        return bool(self.outer and self.outer.shows(*dims))

    def one(self, d: Dim) -> str:
        """A size as a tensor of one element."""
        if self.outer and self._around(d):
            return self.outer.one(d)
        if not isinstance(d, Poly):
            return self.scope.constant(np.array([d], np.int64), f"size_{d}")
        if d not in self._one:
            self._one[d] = self._read(d) if d in self._axes else self._compute(d)
        return self._one[d]

    def _read(self, d: Poly) -> str:
        tensor, axis = self._axes[d]
        name = f"size_{d}" if str(d).isidentifier() else "size"
        return self.scope.derive("Shape", [tensor], SIZE, name, start=axis, end=axis + 1)

    def _compute(self, d: Poly) -> str:
        if _is_name(d):
            raise FormError(
                f"nothing that goes into the file shows the size {d}",
                hint='A model without inputs that have it can be compiled with form="step" or "unroll".',
            )
        total = ""
        for product, coefficient in d.terms:
            factors = [self.one(dim(n)) for n in product]
            if coefficient != 1 or not factors:
                factors.append(self.one(coefficient))
            term = factors[0]
            for factor in factors[1:]:
                term = self.scope.derive("Mul", [term, factor], SIZE, "size")
            total = self.scope.derive("Add", [total, term], SIZE, "size") if total else term
        return total

    def vector(self, dims: Sequence[Dim]) -> str:
        """Several sizes as one tensor: a constant if all are known, a ``Concat`` if not."""
        key = tuple(dims)
        if self.outer and self._around(*key):
            return self.outer.vector(key)
        if not any(isinstance(d, Poly) for d in key):
            return self.scope.constant(np.array(key, np.int64), "shape")
        if len(key) == 1:
            return self.one(key[0])
        if key not in self._vectors:
            parts = [self.one(d) for d in key]
            self._vectors[key] = self.scope.derive(
                "Concat", parts, TensorType("i64", (len(key),)), "shape", axis=0
            )
        return self._vectors[key]

    def scalar(self, d: Dim) -> str:
        """A size as a tensor of rank 0."""
        if self.outer and self._around(d):
            return self.outer.scalar(d)
        if not isinstance(d, Poly):
            return self.scope.constant(np.array(d, np.int64), f"number_{d}")
        return self.scope.derive("Squeeze", [self.one(d)], TensorType("i64"), "number")

    def range(self, d: Dim) -> str:
        """The numbers 0, 1, … below a size."""
        if self.outer and self._around(d):
            return self.outer.range(d)
        if d not in self._ranges:
            ends = [self.scalar(0), self.scalar(d), self.scalar(1)]
            self._ranges[d] = self.scope.derive("Range", ends, TensorType("i64", (d,)), "range")
        return self._ranges[d]

    def is_zero(self, d: Dim) -> str:
        """Whether a size is 0, as a tensor of one element."""
        if self.outer and self._around(d):
            return self.outer.is_zero(d)
        if d not in self._empty:
            ends = [self.one(d), self.one(0)]
            self._empty[d] = self.scope.derive("Equal", ends, TensorType("bool", (1,)), "empty")
        return self._empty[d]


def _is_name(d: Poly) -> bool:
    return len(d.terms) == 1 and d.terms[0][1] == 1 and len(d.terms[0][0]) == 1


def reshaped(before: tuple[Dim, ...], after: tuple[Dim, ...]) -> tuple[int, ...] | None:
    """``after`` as ``Reshape`` may read it: 0 keeps the size of that axis, -1 takes what is left.

    What is left is found by division, so -1 stands for a size only where no other may be 0 when running.
    """
    if 0 in after:
        return None
    kept = [
        0 if isinstance(d, Poly) and i < len(before) and before[i] == d else d for i, d in enumerate(after)
    ]
    unknown = [i for i, d in enumerate(kept) if isinstance(d, Poly)]
    if len(unknown) == 1 and 0 not in kept:
        kept[unknown[0]] = -1
    return _known(kept)


def expanded(before: tuple[Dim, ...], after: tuple[Dim, ...]) -> tuple[int, ...] | None:
    """``after`` as ``Expand`` may read it: 1 keeps the size of that axis."""
    lead = len(after) - len(before)
    return _known([1 if i >= lead and before[i - lead] == d else d for i, d in enumerate(after)])


def _known(dims: Sequence[Dim]) -> tuple[int, ...] | None:
    known = tuple(d for d in dims if not isinstance(d, Poly))
    return known if len(known) == len(dims) else None


#: What the ONNX ops that take a shape may be told instead of all of it, given the shape before, if that is
#: constant; else ``None``.
OPEN_SHAPES: Mapping[str, Callable[[tuple[Dim, ...], tuple[Dim, ...]], tuple[int, ...] | None]] = {
    "Reshape": reshaped,
    "Expand": expanded,
}
