"""The array library that a graph is run with, and what a node's op does on its arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any

import numpy as np

from rnnc.dims import Dim, Poly, names, solve, substitute
from rnnc.errors import RnncError
from rnnc.ir import Array, Node
from rnnc.ops import OPS
from rnnc.types import FLOATS, TensorType, short_dtype

Sizes = dict[str, Dim]
Check = Callable[[str, TensorType, Any], None]


def _no_check(value: str, type: TensorType, array: Any) -> None:
    """Trust every result."""


@dataclass(frozen=True)
class Library:
    """The arrays to compute with.

    ``asarray`` makes one from a NumPy array. All floating-point arithmetic is done in the element type
    ``floats``, whatever the graph declares; without it, as declared. ``check`` is shown every value that a
    function graph computes, and the first of every stream, with the type it should have.
    """

    asarray: Callable[[Array], Any] = np.asarray
    floats: str = ""
    check: Check = _no_check

    def constant(self, value: Any) -> Any:
        """A constant of a graph as an array of this library."""
        if not isinstance(value, np.ndarray):
            raise RnncError(
                f"{value} stands for an array that is not here", hint="Run the graph it was shown from."
            )
        return self.asarray(value.astype(self.dtype(short_dtype(value.dtype)).numpy, copy=False))

    def converted(self, found: Any) -> Any:
        """NumPy arrays, one or a tuple, as arrays of this library."""
        return tuple(map(self.constant, found)) if isinstance(found, tuple) else self.constant(found)

    def zeros(self, dtype: str, shape: Sequence[int]) -> Any:
        """Zeros of an element type."""
        return self.asarray(np.zeros(shape, self.dtype(dtype).numpy))

    def dtype(self, declared: str) -> TensorType:
        """The element type that is computed in where ``declared`` is written, as that of a scalar."""
        return TensorType(self.floats if self.floats and declared in FLOATS else declared)


NUMPY = Library()


def call_of(node: Node, library: Library, sizes: Mapping[str, Dim]) -> Callable[..., Any]:
    """The body of a node's op, with attributes in which all sizes are known."""
    if node.op == "const":
        return partial(library.constant, node.attrs["value"])
    if node.op == "item":
        return itemgetter(node.attrs["k"])
    body = OPS[node.op].body
    attrs = {name: _known(value, sizes) for name, value in node.attrs.items()}
    if any(isinstance(v, Poly) for value in attrs.values() for v in _flat(value)):
        return partial(_unknown, node)
    if attrs.get("dtype") in FLOATS:
        attrs["dtype"] = library.dtype(attrs["dtype"]).dtype
    if OPS[node.op].arity() == (0, 0):  # made by NumPy: no operand says of which library
        return lambda: library.asarray(body(**attrs))
    if node.op == "opaque":  # what is not ours speaks NumPy
        return lambda *xs: library.converted(body(*xs, **attrs))
    return partial(body, **attrs) if attrs else body


def _known(attr: Any, sizes: Mapping[str, Dim]) -> Any:
    if isinstance(attr, tuple):
        return tuple(_known(a, sizes) for a in attr)
    return substitute(attr, sizes) if isinstance(attr, Poly) else attr


def _flat(attr: Any) -> tuple[Any, ...]:
    return attr if isinstance(attr, tuple) else (attr,)


def _unknown(node: Node, *_: Any) -> Any:
    """Stand for an op with a size that no array has shown before it runs."""
    raise RnncError(f"a size of the {node.op} that gives {node.type} does not show in the arrays given")


def shape_of(type: TensorType, sizes: Mapping[str, Dim]) -> tuple[int, ...]:
    """The shape of a type with all its sizes known."""
    shape = tuple(d for d in type.substitute(sizes).shape if isinstance(d, int))
    if len(shape) < type.rank:
        raise RnncError(f"the sizes of {type} do not show in the arrays given", hint="Give them by sizes=….")
    return shape


def bind(type: TensorType, shape: Sequence[int], sizes: Sizes) -> bool:
    """Learn from an array's shape the sizes that its type names; whether the two agree."""
    if len(shape) != type.rank:
        return False
    for d, n in zip(type.shape, shape, strict=True):
        wanted = substitute(d, sizes)
        found = solve(wanted, int(n), names(wanted))
        if found is None:
            return False
        sizes.update(found)
    return True
