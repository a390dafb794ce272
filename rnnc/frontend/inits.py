"""Initialisers: what a weight or a state starts as, and what an input looks like.

A field's default, ``glorot("in", "out")``, says both its shape, in names and numbers, and how its first
values are made. An input's default, ``stream("C", "H", "W")`` or ``given("emb")``, says what one step
looks like.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rnnc.dims import Dim, dim, names
from rnnc.errors import LanguageError
from rnnc.frontend.locations import here
from rnnc.ir import Array
from rnnc.types import DTYPES, short_dtype


def _dims(dims: tuple[int | str | Dim, ...]) -> tuple[Dim, ...]:
    out = []
    for d in dims:
        try:
            size = dim(d)
        except (ValueError, TypeError):
            raise LanguageError(
                f"{d!r} is not a dimension",
                hint='Write names and numbers, as in glorot("in", 4).',
                loc=here(),
            ) from None
        if isinstance(d, (bool, float)) or (isinstance(size, int) and size < 1):
            raise LanguageError(f"{d!r} is not a size: it must be 1 or more", loc=here())
        if {"B", "T"} & names(size):
            raise LanguageError(
                f"{d!r} cannot be a dimension: T and B are the numbers of steps and of sequences",
                hint="Leave the batch axis out, and choose another name.",
                loc=here(),
            )
        out.append(size)
    return tuple(out)


def _dtype(dtype: str) -> str:
    try:
        return short_dtype(dtype)
    except ValueError as e:
        raise LanguageError(str(e), loc=here()) from None


@dataclass(frozen=True)
class Declared:
    """What a default declares: dimensions, names or numbers, and an element type."""

    dims: tuple[Dim, ...]
    dtype: str


@dataclass(frozen=True)
class Stream(Declared):
    """An input: one value a step, or, ``given``, one a run. Without dims and element type, any vector."""

    kind: Literal["stream", "given"] = "stream"
    declared: bool = True


@dataclass(frozen=True)
class Init(Declared, ABC):
    """A field's initialiser."""

    @abstractmethod
    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        """The first values, of ``shape``."""


@dataclass(frozen=True)
class Constant(Init):
    """Every element the same."""

    value: float = 0.0

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        """The first values, of ``shape``."""
        return np.full(shape, self.value, DTYPES[self.dtype])


@dataclass(frozen=True)
class Glorot(Init):
    """Uniform, its width such that signals keep their variance through a product with it."""

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        """The first values, ``[in, out]`` for a product or ``[out, in, *kernel]`` for a convolution."""
        taps = math.prod(shape[2:])
        fan = sum(shape[:2]) * taps if len(shape) > 1 else sum(shape) + 1
        limit = math.sqrt(6 / fan)
        return generator.uniform(-limit, limit, shape).astype(DTYPES[self.dtype])


@dataclass(frozen=True)
class Normal(Init):
    """Normally distributed."""

    mean: float = 0.0
    std: float = 1.0

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        """The first values, of ``shape``."""
        return generator.normal(self.mean, self.std, shape).astype(DTYPES[self.dtype])


@dataclass(frozen=True)
class Uniform(Init):
    """Evenly distributed between two bounds."""

    low: float = -1.0
    high: float = 1.0

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        """The first values, of ``shape``."""
        return generator.uniform(self.low, self.high, shape).astype(DTYPES[self.dtype])


@dataclass(frozen=True)
class Sparse(Init):
    """A fixed recurrent matrix, ``[out, out]``: a share of entries not 0, as many in every column.

    By the circular law its largest eigenvalue is about ``radius`` in size; nothing is solved for, so that it
    is the same on every machine.
    """

    density: float = 0.1
    radius: float = 1.0

    def draw(self, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
        """The first values, of ``shape``."""
        several = max(1, round(self.density * shape[0]))
        chosen = generator.random(shape).argsort(axis=0).argsort(axis=0) < several
        scale = self.radius * math.sqrt(3 / several)  # the variance of what is evenly drawn from ±1 is 1/3
        values: Array = np.where(chosen, generator.uniform(-scale, scale, shape), 0)
        return values.astype(DTYPES[self.dtype])


def generator(seed: int, path: str) -> np.random.Generator:
    """The generator from which the field at ``path`` is drawn: the same for the same seed, on any machine."""
    digest = hashlib.sha256(f"{seed}:{path}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))


def glorot(*dims: int | str, dtype: str = "float32") -> Init:
    """A weight drawn after Glorot and Bengio (2010): uniform within ±√(6 / (in + out))."""
    return Glorot(_dims(dims), _dtype(dtype))


def zeros(*dims: int | str, dtype: str = "float32") -> Init:
    """A field that starts at 0."""
    return Constant(_dims(dims), _dtype(dtype), 0)


def ones(*dims: int | str, dtype: str = "float32") -> Init:
    """A field that starts at 1."""
    return Constant(_dims(dims), _dtype(dtype), 1)


def constant(value: float, *dims: int | str, dtype: str = "float32") -> Init:
    """A field that starts at ``value``."""
    return Constant(_dims(dims), _dtype(dtype), value)


def normal(*dims: int | str, mean: float = 0.0, std: float = 1.0, dtype: str = "float32") -> Init:
    """A weight drawn from a normal distribution."""
    return Normal(_dims(dims), _dtype(dtype), mean, std)


def uniform(*dims: int | str, low: float = -1.0, high: float = 1.0, dtype: str = "float32") -> Init:
    """A weight drawn evenly between ``low`` and ``high``."""
    return Uniform(_dims(dims), _dtype(dtype), low, high)


def sparse(*dims: int | str, density: float = 0.1, radius: float = 1.0, dtype: str = "float32") -> Init:
    """A reservoir: a matrix with few entries that are not 0, whose largest eigenvalue is about ``radius``."""
    return Sparse(_dims(dims), _dtype(dtype), density, radius)


def stream(*dims: int | str, dtype: str = "float32") -> Stream:
    """An input with one value a step, of which ``dims`` is one sequence's: ``x=stream("C", "H", "W")``.

    ``stream()`` is one number a step; ``stream(dtype="int64")`` one token.
    """
    return Stream(_dims(dims), _dtype(dtype))


def given(*dims: int | str, dtype: str = "float32") -> Stream:
    """An input with one value a run, the same at every step: ``g=given("emb")``."""
    return Stream(_dims(dims), _dtype(dtype), "given")
