"""Places: where in a value time is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from rnnc.dims import Dim, Poly, dim, names, product, substitute
from rnnc.types import TensorType, TupleType, Type

#: How many steps a sequence has.
TIME = "T"
STEPS = dim(TIME)


#: In the place of what is before the first step, where nothing may read it.
UNTOLD = "?"


class CannotStream(Exception):
    """Why a value has no meaning one step at a time."""


@dataclass(frozen=True)
class Place:
    """Where time is in a value: along ``axis``, ``frames`` a step, and ``lead`` more before the first step.

    The axis may be merged with others: its index is then ``(o * t_in_all + t) * inner + i``, with ``o``
    below ``outer``. With a ``lead``, frame ``f`` of the value is frame ``f - lead`` of the sequence. What is
    before the first step is ``past``, a value of so many frames, or zeros, or :data:`UNTOLD`. A negative
    lead says that the first frames are not there.
    """

    axis: int
    frames: int = 1
    outer: Dim = 1
    lead: int = 0
    past: str = ""

    def at(self, axis: int, outer: Dim | None = None) -> Place:
        """The same along another axis."""
        return replace(self, axis=axis, outer=self.outer if outer is None else outer)


@dataclass(frozen=True)
class Stripped:
    """A value of the function, as it is at one step: a stream if it has a ``place``.

    Of a ``final`` one only the last step counts; any other without a place is the same at every step.
    """

    value: str
    place: Place | None = None
    final: bool = False


def one_step(value: Any) -> Any:
    """A size, or an attribute with sizes, at one step."""
    if isinstance(value, tuple):
        return tuple(map(one_step, value))
    return substitute(value, {TIME: 1}) if isinstance(value, Poly) else value


def one_step_type(type: Type) -> Type:
    """The type of one step of a value."""
    if isinstance(type, TupleType):
        return TupleType(tuple(t.substitute({TIME: 1}) for t in type.items))
    return type.substitute({TIME: 1})


def grows(d: Dim) -> bool:
    """Whether a size grows with time."""
    return TIME in names(d)


def time_axes(type: Type) -> list[int]:
    """The axes that grow with time, of a tensor."""
    return [a for a, d in enumerate(type.shape) if grows(d)] if isinstance(type, TensorType) else []


def open_axes(type: Type) -> list[int]:
    """The axes of sizes with names, of a tensor."""
    return [a for a, d in enumerate(type.shape) if names(d)] if isinstance(type, TensorType) else []


def growth(d: Dim) -> Dim:
    """How much a size grows with each step."""
    return substitute(d, {TIME: dim(TIME) + 1}) - d


def before(shape: tuple[Dim, ...], place: Place) -> Dim:
    """How many elements of an array come before time counts on, divided by those of a frame."""
    return product(shape[: place.axis]) * place.outer
