"""The reference machine: what a graph means, in float64 on NumPy. All else is compared to it.

Floating-point inputs, weights, states and constants become float64, and so does what is cast to any
floating-point type; integers and truth values stay as they are. Overflow, division by zero and undefined
results give infinities and NaN as IEEE 754 says, without a warning: a graph means its numbers. Every value is
compared with its type, so that the type rules of ops are held to what their bodies do.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from rnnc.dims import dim
from rnnc.errors import RnncError, TypeMismatch, VerifyError
from rnnc.ir import Array, Graph
from rnnc.loops.regions import over_time
from rnnc.machine.evaluate import Function
from rnnc.machine.library import Library, Sizes, bind, shape_of
from rnnc.machine.streams import Streams
from rnnc.types import TensorType, short_dtype


@dataclass(frozen=True, slots=True)
class Result:
    """What a run gives: outputs by name, over time; the states after it by path."""

    outputs: dict[str, Array]
    finals: dict[str, Array]


class Arrays(NamedTuple):
    """What a run takes, each by name or path."""

    inputs: dict[str, Array]
    states: dict[str, Array]
    params: dict[str, Array]


def run(
    graph: Graph,
    inputs: Mapping[str, ArrayLike],
    states: Mapping[str, ArrayLike] | None = None,
    params: Mapping[str, Array | None] | None = None,
    lengths: ArrayLike | None = None,
    dtype: DTypeLike = np.float64,
    sizes: Mapping[str, int] | None = None,
) -> Result:
    """Run a graph of either level.

    Streams come and go as ``[T, B, …]`` (a function graph may have them otherwise: its own types say).
    ``states`` left out are the model's initial values, ``params`` the graph's own. With ``lengths``, each
    sequence means what it means run alone. ``sizes`` gives T and B where no input shows them.
    """
    given = {**graph.interface.params, **(params or {})}
    reader = _Reader(graph, Library(floats=short_dtype(dtype), check=_check), dict(sizes or {}))
    with np.errstate(all="ignore"):
        if graph.level == "function":
            return _function(reader, inputs, states or {}, given, lengths)
        return _stream(reader, inputs, states or {}, given, lengths)


def random_arrays(graph: Graph, seed: int, T: int = 5, B: int = 2, **sizes: int) -> Arrays:
    """Inputs, states and weights to try a graph on, each drawn from ``seed`` and its own name.

    Numbers lie between -1 and 1; integers are 0 or 1, which index whatever has two entries. Weights that the
    graph has are its own. Dims with other names are given by ``sizes``.
    """
    known: Sizes = {"T": T, "B": B, **sizes}
    inputs, states, weights = _sources(graph)

    def draw(name: str, type: TensorType) -> Array:
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        shape = shape_of(type, known)
        if type.floating:
            return rng.uniform(-1, 1, shape).astype(type.numpy)
        return rng.integers(0, 2, shape).astype(type.numpy)

    own = {path: array for path, array in graph.interface.params.items() if array is not None}
    return Arrays(
        {name: draw(name, type) for name, type in inputs.items()},
        {path: draw(path, type) for path, type in states.items()},
        {path: own[path] if path in own else draw(path, type) for path, type in weights.items()},
    )


# -- the two levels ----------------------------------------------------------------------------------------


def _stream(
    reader: _Reader,
    inputs: Mapping[str, ArrayLike],
    states: Mapping[str, ArrayLike],
    params: Mapping[str, Array | None],
    lengths: ArrayLike | None,
) -> Result:
    graph, face = reader.graph, reader.graph.interface
    xs, weights, before = reader.inputs(inputs), reader.weights(params), reader.states(states)
    steps = reader.size("T")
    outputs, finals = Streams(graph)(
        [xs[i.name] for i in face.inputs],
        [before[s.path] for s in face.states],
        params=weights,
        steps=steps,
        lengths=None if lengths is None else reader.lengths(lengths, steps),
        library=reader.library,
        sizes=reader.sizes,
    )
    paths = [s.path for s in face.states if s.path in graph.finals]
    return Result(
        dict(zip((o.name for o in face.outputs), outputs, strict=True)), dict(zip(paths, finals, strict=True))
    )


def _function(
    reader: _Reader,
    inputs: Mapping[str, ArrayLike],
    states: Mapping[str, ArrayLike],
    params: Mapping[str, Array | None],
    lengths: ArrayLike | None,
) -> Result:
    graph = reader.graph
    env = reader.inputs(inputs if lengths is None else {**inputs, "lengths": lengths})
    env |= reader.weights(params)
    env |= {f"{path}.init": array for path, array in reader.states(states).items()}
    found = Function(graph)(env, reader.library, reader.sizes)
    return Result(
        {name: found[v] for name, v in graph.outputs.items()},
        {path: found[v] for path, v in graph.finals.items()},
    )


def _sources(graph: Graph) -> tuple[dict[str, TensorType], dict[str, TensorType], dict[str, TensorType]]:
    """The types of the whole inputs by name, of the states and of the weights by path."""
    weights = {v: graph.type(v) for v in graph.find("param")}
    if graph.level == "function":
        inits = {v.removesuffix(".init"): graph.type(v) for v in graph.find("init")}
        return {v: graph.type(v) for v in graph.find("input")}, inits, weights
    face = graph.interface
    inputs = {i.name: over_time(i.type, dim("T")) if i.kind == "stream" else i.type for i in face.inputs}
    return inputs, {s.path: s.tensor for s in face.states}, weights


class _Reader:
    """Takes the user's arrays one by one, and learns from them the sizes that the graph's types name."""

    def __init__(self, graph: Graph, library: Library, sizes: Sizes) -> None:
        self.graph, self.library, self.sizes = graph, library, sizes
        self._inputs, self._states, self._weights = _sources(graph)

    def inputs(self, given: Mapping[str, ArrayLike]) -> dict[str, Array]:
        """Every input as an array."""
        known = {*self._inputs, *(i.name for i in self.graph.interface.inputs)}
        self._refuse_unknown("input", given, known)
        missing = [name for name in self._inputs if name not in given]
        if missing:
            raise RnncError(
                f"{self.graph.name} needs the input {missing[0]}", hint=f"Its inputs are {_list(known)}."
            )
        return {name: self._array(name, given[name], type) for name, type in self._inputs.items()}

    def weights(self, given: Mapping[str, Array | None]) -> dict[str, Array]:
        """Every weight that the graph reads."""
        self._refuse_unknown("weight", given, {*self._weights, *self.graph.interface.params})
        found = {}
        for path, type in self._weights.items():
            array = given.get(path)
            if array is None:
                raise RnncError(
                    f"{self.graph.name} needs an array for the weight {path}", hint="Give it by params=…."
                )
            found[path] = self._array(path, array, type)
        return found

    def states(self, given: Mapping[str, ArrayLike]) -> dict[str, Array]:
        """Every state before the run: as given, or as the model starts."""
        face = self.graph.interface
        self._refuse_unknown("state", given, {*self._states, *(s.path for s in face.states)})
        start = {s.path: s.init for s in face.states}
        for path, type in self._states.items():
            if path in given:
                bind(type, np.shape(given[path]), self.sizes)
        found = {}
        for path, type in self._states.items():
            first = start.get(path)
            value = given.get(path, np.zeros((), type.numpy) if first is None else first)
            found[path] = self._broadcast(path, value, type)
        return found

    def lengths(self, given: ArrayLike, steps: int) -> Array:
        """How long each sequence is."""
        lengths = self._array("lengths", given, TensorType("i64", (dim("B"),)))
        if lengths.size and not 0 <= lengths.min() <= lengths.max() <= steps:
            raise RnncError(
                f"lengths must lie between 0 and the {steps} steps given, and are {lengths.tolist()}"
            )
        return lengths

    def size(self, name: str) -> int:
        """The size that the types call ``name``."""
        found = self.sizes.get(name)
        if not isinstance(found, int):
            raise RnncError(
                f"no input of {self.graph.name} shows the size {name}", hint="Give it by sizes=…."
            )
        return found

    def _refuse_unknown(self, kind: str, given: Iterable[str], known: Iterable[str]) -> None:
        unknown = sorted(set(given) - set(known))
        if unknown:
            names_known = f"Its {kind}s are {_list(known)}." if known else f"It has no {kind}s."
            raise RnncError(f"{self.graph.name} has no {kind} {unknown[0]}", hint=names_known)

    def _array(self, name: str, value: ArrayLike, type: TensorType) -> Array:
        array = self._cast(name, value, type)
        before = {n: self.sizes[n] for n in sorted(type.names()) if n in self.sizes}
        if not bind(type, array.shape, self.sizes):
            known = f" with {', '.join(f'{n} = {d}' for n, d in before.items())}" if before else ""
            raise TypeMismatch(f"{name} should be {type}{known}, and has shape {list(array.shape)}")
        return array

    def _broadcast(self, name: str, value: ArrayLike, type: TensorType) -> Array:
        array = self._cast(name, value, type)
        try:
            return np.broadcast_to(array, shape_of(type, self.sizes))
        except ValueError:
            wanted = type.substitute(self.sizes)
            raise TypeMismatch(
                f"the state {name} should be {wanted}, and has shape {list(array.shape)}"
            ) from None

    def _cast(self, name: str, value: ArrayLike, type: TensorType) -> Array:
        array = np.asarray(value)
        wanted = self.library.dtype(type.dtype).numpy
        if array.dtype.kind not in _TAKEN[wanted.kind]:
            raise TypeMismatch(f"{name} should hold {type.numpy.name} numbers, and holds {array.dtype.name}")
        return array.astype(wanted)


#: For each kind of element type, the kinds that may be given for it without loss of meaning.
_TAKEN = {"f": "fiu", "i": "iu", "u": "iu", "b": "b"}


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _check(value: str, type: TensorType, array: Any) -> None:
    """Raise :class:`VerifyError` if a value is not of its type; all floating-point types count as one."""
    same_kind = array.dtype == type.numpy or (type.floating and array.dtype.kind == "f")
    if array.shape != type.shape or not same_kind:
        raise VerifyError(f"{value} should be {type}, and is {array.dtype.name}{list(array.shape)}")
