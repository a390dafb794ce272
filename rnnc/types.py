"""Types of values: an element type with a shape of dims, or a tuple of such."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from rnnc.dims import Dim, dim, names, substitute

#: Short name of each element type, as graph text writes it, and NumPy's.
DTYPES: Mapping[str, str] = {
    "f16": "float16",
    "f32": "float32",
    "f64": "float64",
    "i8": "int8",
    "i16": "int16",
    "i32": "int32",
    "i64": "int64",
    "u8": "uint8",
    "u16": "uint16",
    "u32": "uint32",
    "u64": "uint64",
    "bool": "bool",
}
_SHORT = {long: short for short, long in DTYPES.items()}
FLOATS = frozenset({"f16", "f32", "f64"})


def short_dtype(dtype: DTypeLike) -> str:
    """The short name (``f32``) of a NumPy dtype or of its name; ``ValueError`` if rnnc has no such type."""
    if isinstance(dtype, str) and dtype in DTYPES:
        return dtype
    try:
        return _SHORT[np.dtype(dtype).name]
    except (KeyError, TypeError):
        raise ValueError(
            f"{dtype!r} is not an element type: use one of {', '.join(DTYPES.values())}"
        ) from None


@dataclass(frozen=True, slots=True)
class TensorType:
    """Element type (short name) and shape; a named dim is a size known only when running."""

    dtype: str
    shape: tuple[Dim, ...] = ()

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"

    @property
    def rank(self) -> int:
        """How many axes."""
        return len(self.shape)

    @property
    def numpy(self) -> np.dtype[Any]:
        """The element type as NumPy's."""
        return np.dtype(DTYPES[self.dtype])

    @property
    def floating(self) -> bool:
        """Whether the elements are floating-point numbers."""
        return self.dtype in FLOATS

    def with_shape(self, *shape: Dim | str) -> TensorType:
        """The same element type with another shape."""
        return TensorType(self.dtype, tuple(dim(d) for d in shape))

    def substitute(self, env: Mapping[str, Dim]) -> TensorType:
        """The type with named dims replaced."""
        return TensorType(self.dtype, tuple(substitute(d, env) for d in self.shape))

    def names(self) -> set[str]:
        """The names in the shape."""
        return set().union(*(names(d) for d in self.shape))


@dataclass(frozen=True, slots=True)
class TupleType:
    """The type of a value that is several tensors, taken apart by ``item{k}``."""

    items: tuple[TensorType, ...]

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.items))})"

    def substitute(self, env: Mapping[str, Dim]) -> TupleType:
        """The type with named dims replaced."""
        return TupleType(tuple(t.substitute(env) for t in self.items))


Type = TensorType | TupleType


def tensor(dtype: str, *shape: Dim | str) -> TensorType:
    """``tensor("f32", "B", 3)`` is ``f32[B, 3]``."""
    return TensorType(short_dtype(dtype), tuple(dim(d) for d in shape))


def parse_type(text: str) -> TensorType:
    """The tensor type that ``text`` writes, as in ``f32[B, 3]``; ``ValueError`` if it is none."""
    dtype, bracket, rest = text.strip().partition("[")
    if not bracket or not rest.endswith("]") or dtype not in DTYPES:
        raise ValueError(f"{text!r} is not a type: write one like f32[B, 3]")
    inside = rest[:-1].strip()
    return TensorType(dtype, tuple(dim(d) for d in inside.split(",")) if inside else ())


def type_of(array: np.ndarray[Any, Any]) -> TensorType:
    """The type of a NumPy array."""
    return TensorType(short_dtype(array.dtype), array.shape)
