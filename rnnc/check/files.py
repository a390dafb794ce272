"""Files that can be run over whole sequences, whatever one call of them takes: ours, and anyone's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rnnc import runtime
from rnnc.dims import Dim, Poly, dim, names, solve, substitute
from rnnc.errors import FileError
from rnnc.importer.file import File as Imported
from rnnc.importer.protos import plain
from rnnc.importer.sequence import SequenceFile
from rnnc.importer.step import StepFile
from rnnc.inspect import manifest_of, read_model
from rnnc.ir import Array
from rnnc.runtime import Stream, session
from rnnc.runtime.ort_format import ORT

BATCH = 3
STEPS = 12


@dataclass(frozen=True)
class Run:
    """What a run over whole sequences gave: outputs by name, over time, and the states after it by path.

    The outputs in ``final`` are of the last step only.
    """

    outputs: Mapping[str, Array]
    states: Mapping[str, Array]
    final: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Entry:
    """An input: its name, its kind (``stream``, ``given`` or ``lengths``), and what one step of it is."""

    name: str
    kind: str
    shape: tuple[Dim, ...]
    dtype: str


class Runnable(Protocol):
    """A file that runs over sequences ``[T, …]`` from its initial states; a call takes ``steps`` of them."""

    path: str
    steps: int

    def entries(self) -> Sequence[Entry]:
        """Its inputs."""

    def run(self, inputs: Mapping[str, Array], cuts: list[int] | None = None) -> Run:
        """Run over ``inputs``, in pieces that end at ``cuts`` where it can."""


@dataclass(frozen=True)
class Reading:
    """What is said of files that do not say it themselves: the options of :func:`rnnc.from_onnx`."""

    state: Mapping[str, str] | None = None
    given: Sequence[str] = ()
    constants: Mapping[str, Any] = field(default_factory=dict)
    time: Mapping[str, int] | None = None
    block: int = 1

    def of(self, path: str) -> Reading:
        """What of it is about that file, of several that are named differently."""
        graph = read_model(path, weights=False).graph
        inputs, outputs = {i.name for i in graph.input}, {o.name for o in graph.output}
        state = self.state and {a: b for a, b in self.state.items() if a in outputs and b in inputs}
        return Reading(
            state,
            [n for n in self.given if n in inputs],
            {n: v for n, v in self.constants.items() if n in inputs},
            self.time and ({n: a for n, a in self.time.items() if n in inputs} or None),
            self.block,
        )


def opened(path: str | Path, reading: Reading | None = None) -> Runnable:
    """A file that can be run: by its manifest, or by what is said of it."""
    path = str(path)
    if path.endswith(ORT):
        found = runtime.manifest_of(session(path))
    else:
        found = manifest_of(read_model(path, weights=False))
    if found is not None:
        return File(path, found)
    if reading is None:
        raise FileError(
            f"{path} has no manifest, so its form and states are not known",
            hint="Write it with rnnc, or compare it: rnnc check --against FILE --state OUT:IN.",
        )
    return Foreign(path, reading)


class File:
    """A compiled file that runs over sequences ``[T, B, …]``, whatever its form."""

    def __init__(self, path: str, manifest: Mapping[str, Any]) -> None:
        self.path, self.manifest = path, manifest
        self.form = manifest["form"]
        self.steps = int(manifest.get("steps") or 1)
        self.separate = bool(manifest.get("separate"))

    def entries(self) -> list[Entry]:
        """Its inputs; the steps of a stream that come one by one count as one."""
        axis, found = self.manifest["time_axis"], dict[str, Entry]()
        for entry in self.manifest["inputs"]:
            kind, shape = entry["kind"], [dim(d) for d in entry["shape"]]
            if axis is not None and kind == "stream":
                del shape[axis]
            name = self._stem(entry)
            found[name] = Entry(name, kind, tuple(shape), entry["dtype"])
        return list(found.values())

    def run(self, inputs: Mapping[str, Array], cuts: list[int] | None = None) -> Run:
        """Run from the initial states over ``inputs``, in pieces that end at ``cuts``."""
        T = next((len(inputs[e.name]) for e in self.entries() if e.kind == "stream"), STEPS)
        final = frozenset(e["name"] for e in self.manifest["outputs"] if e["kind"] == "final")
        if self.form == "sequence":
            run = session(self.path)
            ends = [o.name for o in run.get_outputs()]
            ys = run.run(ends, self.piece(inputs, 0, T))
            return Run(self._joined([dict(zip(ends, ys, strict=True))]), {}, final)
        size = {"chunk": T or 1, "step": 1}.get(self.form, self.steps)
        if cuts is None or self.form != "chunk":
            cuts = list(range(0, T + 1, size))
        stream = Stream(self.path)
        ends = [o["name"] for o in self.manifest["outputs"]]
        found: list[dict[str, Array]] = []
        for start, stop in pairwise(cuts):
            ys = stream.push(*self.piece(inputs, start, stop).values())
            found.append(dict(zip(ends, ys if isinstance(ys, tuple) else (ys,), strict=True)))
        return Run(self._joined(found), stream.state, final)

    def _stem(self, entry: Mapping[str, Any]) -> str:
        name = str(entry["name"])
        return name.rpartition("_")[0] if self.separate and entry["kind"] == "stream" else name

    def piece(self, inputs: Mapping[str, Array], start: int, stop: int) -> dict[str, Array]:
        """What the file takes for the steps from ``start`` to ``stop``, under its own names."""
        axis = self.manifest["time_axis"]
        found: dict[str, Array] = {}
        for entry in self.manifest["inputs"]:
            name, kind = entry["name"], entry["kind"]
            if kind == "lengths":
                found[name] = np.clip(inputs[name] - start, 0, stop - start)
            elif kind == "given":
                found[name] = inputs[name]
            elif self.separate:
                stem, _, step = name.rpartition("_")
                found[name] = inputs[stem][start + int(step)]
            elif axis is None:
                found[name] = inputs[name][start]
            else:
                found[name] = np.moveaxis(inputs[name][start:stop], 0, axis)
        return found

    def _joined(self, pieces: list[dict[str, Array]]) -> dict[str, Array]:
        """The pieces of every output as one array over time; of a final one the last."""
        axis = self.manifest["time_axis"]
        found: dict[str, list[Array]] = {}
        for piece in pieces:
            for entry in self.manifest["outputs"]:
                name, y = entry["name"], piece[entry["name"]]
                if entry["kind"] == "final":
                    found[name] = [y]
                    continue
                stem = name.rpartition("_")[0] if self.separate else name
                found.setdefault(stem, []).append(y[None] if axis is None else np.moveaxis(y, axis, 0))
        return {name: np.concatenate(ys) for name, ys in found.items()}


class Foreign:
    """Anyone's file, of one step or of whole sequences, that runs over sequences of steps ``[T, …]``."""

    def __init__(self, path: str, reading: Reading) -> None:
        self.path, self.steps, self.reading = path, 1, reading
        forms = ("step",) if reading.time is None else ("sequence", "chunk")
        model = read_model(path)
        self.file = Imported(model, path, reading.state, reading.given, reading.constants, forms)
        if reading.time is None:
            self.graph = StepFile(self.file).graph()
        else:
            self.graph = SequenceFile(self.file, reading.time, reading.block).graph()

    def entries(self) -> list[Entry]:
        """Its inputs, by the names that an imported model has."""
        inputs = self.graph.interface.inputs
        return [Entry(i.name, i.kind, i.type.shape, i.type.numpy.name) for i in inputs]

    def run(self, inputs: Mapping[str, Array], cuts: list[int] | None = None) -> Run:
        """Run from the initial states over ``inputs``."""
        sizes: dict[str, Dim] = {}
        for entry in self.entries():
            sizes |= fitted(entry.shape, inputs[entry.name].shape[entry.kind == "stream" :]) or {}
        before = {self.file.state[after]: after for after in self.file.state}
        paths = {b: self.file.paths.get(b, plain(b)) for b in before}
        starts = {s.path: (s.init, s.type) for s in self.graph.interface.states}
        feeds: dict[str, Array] = dict(self.file.constants)
        for b, path in paths.items():
            init, kind = starts[path]
            shape = tuple(_number(d, sizes) for d in kind.shape)
            first = np.zeros((), kind.numpy) if init is None else init
            feeds[b] = np.ascontiguousarray(np.broadcast_to(first, shape).astype(kind.numpy))
        run = session(self.path)
        ends = [o.name for o in run.get_outputs()]

        def call(more: Mapping[str, Array]) -> dict[str, Array]:
            return dict(zip(ends, run.run(ends, {**feeds, **more}), strict=True))

        if self.reading.time is not None:
            return self._sequence(inputs, call, paths, sizes)
        streams = [e.name for e in self.entries() if e.kind == "stream"]
        T = len(inputs[streams[0]]) if streams else STEPS
        names_ = {plain(n): n for n in self.file.inputs}
        found: dict[str, list[Array]] = {n: [] for n in self.file.outputs if n not in self.file.state}
        for t in range(T):
            ys = call({names_[n]: x[t] if n in streams else x for n, x in inputs.items()})
            feeds |= {b: ys[after] for b, after in before.items()}
            for n, steps in found.items():
                steps.append(ys[n])
        outputs = {plain(n): np.stack(steps) for n, steps in found.items()}
        return Run(outputs, {path: feeds[b] for b, path in paths.items()})

    def _sequence(
        self,
        inputs: Mapping[str, Array],
        call: Callable[[Mapping[str, Array]], dict[str, Array]],
        paths: Mapping[str, str],
        sizes: Mapping[str, Dim],
    ) -> Run:
        """One call of a sequence file, whose steps lie behind one another along the axis of time."""
        times: Mapping[str, int] = self.reading.time or {}
        feeds, T = dict[str, Array](), STEPS
        for n in (n for n in self.file.inputs if plain(n) in inputs):
            x = inputs[plain(n)]
            if n in times:
                T, rank = len(x), len(self.file.inputs[n].type.tensor_type.shape.dim)
                join = np.concatenate if x.ndim == rank + 1 else np.stack  # a step may have the axis or not
                x = join(list(x), axis=times[n] % rank)
            feeds[n] = x
        ys = call(feeds)
        outputs, final = dict[str, Array](), set[str]()
        for o in self.graph.interface.outputs:
            y = next(ys[n] for n in self.file.outputs if plain(n) == o.name)
            steps = _steps(y, [_number(d, sizes) for d in o.type.shape], T)
            if o.kind == "final" or steps is None:
                final.add(o.name)
            outputs[o.name] = y if steps is None else steps
        after = {b: a for a, b in self.file.state.items()}
        return Run(outputs, {path: ys[after[b]] for b, path in paths.items()}, frozenset(final))


def _steps(y: Array, step: list[int], T: int) -> Array | None:
    """The parts of an array that has ``T`` of that shape along one axis, stacked; ``None`` if it has not."""
    for axis in range(y.ndim):
        parts = np.split(y, T, axis) if y.shape[axis] % T == 0 else []
        if parts and y.ndim > len(step):
            parts = [p.reshape(step) for p in parts if list(np.delete(p.shape, axis)) == step]
        if parts and list(parts[0].shape) == step:
            return np.stack(parts)
    return None


def _number(d: Dim, sizes: Mapping[str, Dim]) -> int:
    found = substitute(d, sizes)
    return BATCH if isinstance(found, Poly) else found


def fitted(shape: Sequence[Dim], other: Sequence[Dim]) -> dict[str, Dim] | None:
    """The sizes that names in ``shape`` stand for where ``other`` has numbers; ``None`` if they differ."""
    if len(shape) != len(other):
        return None
    sizes: dict[str, Dim] = {}
    for mine, theirs in zip(shape, other, strict=True):
        d = substitute(mine, sizes)
        if isinstance(theirs, Poly):
            continue
        one = solve(d, theirs, names(d))
        if one is None:
            return None
        sizes |= one
    return sizes


def drawn(
    entries: Sequence[Entry], seed: int, T: int, sizes: Mapping[str, Dim] | None = None
) -> dict[str, Array]:
    """Inputs over ``T`` steps, drawn from ``seed``: numbers between -1 and 1, integers 0 or 1."""
    rng = np.random.default_rng(seed)
    found: dict[str, Array] = {}
    for entry in entries:
        shape = [*([T] if entry.kind == "stream" else []), *(_number(d, sizes or {}) for d in entry.shape)]
        if entry.kind == "lengths":
            found[entry.name] = rng.integers(0, T + 1, shape).astype(entry.dtype)
        elif np.dtype(entry.dtype).kind == "f":
            found[entry.name] = rng.uniform(-1, 1, shape).astype(entry.dtype)
        else:
            found[entry.name] = rng.integers(0, 2, shape).astype(entry.dtype)
    return found
