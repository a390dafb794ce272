"""What an ONNX tensor is while a graph is read: known, a list of sizes, a value of the graph, or pending.

Shape arithmetic is done as it is read, on sizes that may have names, so that none of it is left in the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import NodeProto, TypeProto

from rnnc.dims import Dim, Poly
from rnnc.types import TensorType

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Known:
    """A tensor whose elements are known; ``name`` is that of a weight, empty for what was computed."""

    array: Array
    name: str = ""


@dataclass(frozen=True, eq=False)
class Sizes:
    """A tensor of rank 0 or 1, by default of i64, whose elements are sizes, some with names."""

    dims: tuple[Dim, ...]
    scalar: bool = False
    dtype: str = "i64"


@dataclass(frozen=True)
class Value:
    """A value of the graph that is being made."""

    name: str


@dataclass(frozen=True, eq=False)
class Nothing:
    """An input that is left out."""


@dataclass(frozen=True, eq=False)
class Pending:
    """A result without a type of ours, for the reason ``why``, and the nodes that make it, in order.

    It is called ``name`` in the nodes; ``reads`` are what these read from elsewhere, and ``proto`` is its
    type as far as ONNX knows it.
    """

    name: str
    nodes: tuple[NodeProto, ...]
    reads: Mapping[str, Item]
    proto: TypeProto | None
    why: str


Item = Known | Sizes | Value | Nothing | Pending
NOTHING = Nothing()


def sizes_of(item: Item) -> tuple[Dim, ...] | None:
    """The elements of a tensor of whole numbers, flat; ``None`` if they are not known, not even by name."""
    if isinstance(item, Sizes):
        return item.dims
    if isinstance(item, Known) and item.array.dtype.kind in "iuf" and item.array.ndim <= 1:
        flat = item.array.reshape(-1).tolist()
        return tuple(map(int, flat)) if all(float(n).is_integer() for n in flat) else None
    return None


def sized(dims: Sequence[Dim], scalar: bool = False, dtype: str = "i64") -> Item:
    """Sizes as an item: known where all are numbers."""
    if not any(isinstance(d, Poly) for d in dims):
        array = np.array(dims, TensorType(dtype).numpy)
        return Known(array.reshape(()) if scalar else array)
    return Sizes(tuple(dims), scalar, dtype)


def numbers(item: Item) -> list[Any] | None:
    """The elements of a known tensor as Python numbers, flat; ``None`` if it is not known."""
    return None if not isinstance(item, Known) else item.array.reshape(-1).tolist()


def _exact(a: Dim, b: Dim) -> Dim:
    """A quotient, cut towards zero; ``ValueError`` where it has a name and is not exact."""
    if isinstance(a, Poly):
        return a // b
    if isinstance(b, Poly):
        raise ValueError
    return -(-a // b) if (a < 0) != (b < 0) else a // b


#: What ONNX's arithmetic does to sizes.
ARITHMETIC: Mapping[str, Callable[[Dim, Dim], Dim]] = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Div": _exact,
}


def arithmetic(op_type: str, x: Item, y: Item) -> Item | None:
    """The result of an op on sizes; ``None`` if it cannot be told."""
    a, b = sizes_of(x), sizes_of(y)
    if a is None or b is None or not (len(a) == len(b) or 1 in (len(a), len(b))):
        return None
    n = max(len(a), len(b))
    pairs = zip(a * n if len(a) == 1 else a, b * n if len(b) == 1 else b, strict=True)
    try:
        found = [ARITHMETIC[op_type](p, q) for p, q in pairs]
    except (ValueError, ZeroDivisionError):
        return None
    dtype = next((i.dtype for i in (x, y) if isinstance(i, Sizes)), "i64")
    return sized(found, _is_scalar(x) and _is_scalar(y), dtype)


def _is_scalar(item: Item) -> bool:
    return item.scalar if isinstance(item, Sizes) else isinstance(item, Known) and item.array.ndim == 0


def gathered(x: Item, indices: Item, axis: int) -> Item | None:
    """Elements of sizes, by index."""
    if not isinstance(x, Sizes) or x.scalar or axis not in (0, -1) or not isinstance(indices, Known):
        return None
    if indices.array.ndim > 1:
        return None
    at = indices.array.reshape(-1).tolist()
    if any(not -len(x.dims) <= i < len(x.dims) for i in at):
        return None
    return sized([x.dims[i] for i in at], indices.array.ndim == 0, x.dtype)


def sliced(x: Item, starts: Item, ends: Item, axes: Item, steps: Item) -> Item | None:
    """A slice of sizes."""
    if not isinstance(x, Sizes) or x.scalar:
        return None
    parts = [numbers(i) for i in (starts, ends)]
    step = [1] if isinstance(steps, Nothing) else numbers(steps)
    if any(p is None or len(p) != 1 for p in parts) or step is None or len(step) != 1:
        return None
    return sized(x.dims[parts[0][0] : parts[1][0] : step[0]])  # type: ignore[index]


def joined(parts: Sequence[Item]) -> Item | None:
    """Sizes behind one another."""
    dims: list[Dim] = []
    for part in parts:
        found = sizes_of(part)
        if found is None or _is_scalar(part):
            return None
        dims += found
    return sized(dims)
