"""Literals: names, numbers and arrays as graph text writes them, in both directions.

1.0   -3   true   1.5:f16   inf:f32             scalars; without a suffix f32, i64 and bool
f32[2] (1.0, 2.0)                               an array of up to eight elements, in full
f32[784, 20]#1a2b3c4d                           a larger one, by a digest of its content
3   0.5   true   none   "same"   T+2   (1, 2)   attributes; a bare word is a dim
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, NoReturn, cast

import numpy as np

from rnnc.dims import Poly, dim
from rnnc.errors import TextError
from rnnc.ir import Array, Attr
from rnnc.types import DTYPES, TensorType, type_of

#: Arrays of more elements are shown by their digest.
SHOWN_ELEMENTS = 8

#: A name, of a value or a graph: anything without spaces and ASCII punctuation other than ``_`` and ``.``.
NAME = r"%?[^\s\x00-,\-\/:-@\[-^`{-\x7f]+"

#: A scalar among operands. What follows must not go on, for ``0.1.y`` is a name.
NUMBER = (
    r"(?:-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?::[fiu]\d+)?|-?(?:inf|nan):f\d+|true|false)"
    r"(?![^\s\x00-,\-\/:-@\[-^`{-\x7f])"
)

_WORDS: dict[str, Attr] = {
    "true": True,
    "false": False,
    "none": None,
    "inf": float("inf"),
    "-inf": float("-inf"),
    "nan": float("nan"),
}


def is_name(text: str) -> bool:
    """Whether graph text can name a value so."""
    return bool(re.fullmatch(NAME, text)) and not re.fullmatch(NUMBER, text)


@dataclass(frozen=True, slots=True)
class Digest:
    """An array of which graph text keeps only the type and a digest; it stands in for the array."""

    type: TensorType
    hex: str

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type, as an array has it."""
        return self.type.numpy

    @property
    def shape(self) -> tuple[Any, ...]:
        """The shape, as an array has it."""
        return self.type.shape

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise TextError(
            f"the elements of {self} are not known: graph text keeps only their digest",
            hint=f"Arrays of up to {SHOWN_ELEMENTS} elements are kept in full.",
        )

    def __str__(self) -> str:
        return f"{self.type}#{self.hex}"


def digest(array: Array) -> str:
    """Eight hexadecimal digits that tell arrays apart by type and content, the same on every machine."""
    content = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
    return hashlib.sha256(str(type_of(array)).encode() + content).hexdigest()[:8]


def show_element(x: Any) -> str:
    """One element of an array, in the fewest digits that its element type reads back as the same."""
    return str(x).lower()  # True, False; NumPy's text of a float is the shortest exact one


def show_scalar(array: Array) -> str:
    """A scalar among operands; the element type is told where its look does not."""
    text, dtype = show_element(array[()]), type_of(array).dtype
    plain = dtype in ("i64", "bool") or (dtype == "f32" and text[-1].isdigit())
    return text if plain else f"{text}:{dtype}"


def show_array(array: Array | Digest) -> str:
    """An array, in full if it is small, else by its digest."""
    if isinstance(array, Digest):
        return str(array)
    if array.size > SHOWN_ELEMENTS:
        return f"{type_of(array)}#{digest(array)}"
    return f"{type_of(array)} ({', '.join(map(show_element, array.ravel()))})"


def show_attr(value: Attr) -> str:
    """An attribute that is not a graph."""
    match value:
        case None | bool():
            return str(value).lower()
        case int() | Poly():
            return str(value)
        case float():
            return repr(float(value))
        case str():
            return json.dumps(value, ensure_ascii=False)
        case tuple():
            return f"({', '.join(map(show_attr, value))}{',' if len(value) == 1 else ''})"
        case np.ndarray() | Digest():
            return show_array(value)
    raise TypeError(f"graph text has no notation for {value!r}, an attribute of type {type(value).__name__}")


def read_scalar(text: str) -> Array:
    """The 0-dimensional array that ``show_scalar`` shows as ``text``; ``ValueError`` if there is none."""
    number, _, suffix = text.partition(":")
    word = number.lstrip("-")
    default = "bool" if word in _WORDS else "i64" if word.isdigit() else "f32"
    if (suffix or default) not in DTYPES:
        raise ValueError(f"{suffix} is no element type")
    return read_array(TensorType(suffix or default), [number])


def read_array(type_: TensorType, elements: list[str]) -> Array:
    """The array of that type with these elements in order; ``ValueError`` if they do not fit."""
    try:
        values = [
            _WORDS[e] if e in _WORDS else int(e) if e.lstrip("-").isdigit() else float(e) for e in elements
        ]
        if not type_.floating and any(isinstance(v, float) for v in values):
            raise ValueError
        array = np.array(values, dtype=type_.numpy).reshape(cast("tuple[int, ...]", type_.shape))
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ValueError(f"these elements do not make an array of type {type_}") from None
    array.flags.writeable = False
    return array


def read_word(text: str) -> Attr:
    """An attribute written as one word: ``true``, ``none``, ``-3``, ``T+2``; ``ValueError`` if it is none."""
    return _WORDS[text] if text in _WORDS else dim(text)
