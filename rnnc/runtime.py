"""The runtime: compiled files run as streams by onnxruntime, which is imported here and nowhere else.

A :class:`Stream` holds the states of one file, feeds each run's final states to the next, and leaves them on
the device that computes them: two sets of buffers take turns, one read while the other is written. What a
caller gets wrong is said before onnxruntime sees it.
"""

from __future__ import annotations

import functools
import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

import numpy as np

from rnnc.emit.manifest import KEY, VERSION
from rnnc.errors import FileError, FormError, MissingExtra, RnncError
from rnnc.ir import Array
from rnnc.ports import Port, StatePort

#: A file by its path, its content, or what ``compile`` gave.
Source = str | os.PathLike[str] | bytes | Any
Provider = str | tuple[str, Mapping[str, Any]]
P = ParamSpec("P")
R = TypeVar("R")

#: Where each provider keeps its tensors; all others keep them in the memory of the CPU.
DEVICES = {
    "CUDAExecutionProvider": "cuda",
    "TensorrtExecutionProvider": "cuda",
    "ROCMExecutionProvider": "cuda",
}


# -- sessions ------------------------------------------------------------------------------------------------


def session(source: Source, providers: Sequence[Provider] | None = None, threads: int | None = None) -> Any:
    """An onnxruntime session of a file, denormals flushed to zero.

    They are flushed in onnxruntime's own threads, and in the caller's if no session of the process came
    before. ``providers`` are onnxruntime's, the first preferred; the CPU by default. ``threads`` is how many
    threads one op may use; onnxruntime's own choice by default.
    """
    ort = _onnxruntime()
    options = ort.SessionOptions()
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    if threads is not None:
        options.intra_op_num_threads = threads
    wanted = _wanted(providers)
    for provider in wanted:
        name = provider if isinstance(provider, str) else provider[0]
        if name not in ort.get_available_providers():
            have = ", ".join(ort.get_available_providers())
            raise RnncError(f"this onnxruntime has no {name}", hint=f"It has {have}.")
    model, shown = _content(source)
    try:
        return ort.InferenceSession(model, options, providers=wanted)
    except _failures() as error:
        raise FileError(f"{shown} is not a model that onnxruntime can run: {_first_line(error)}") from error


def manifest_of(opened: Any) -> dict[str, Any] | None:
    """What a session's file says about itself; ``None`` if it was not written by rnnc."""
    text = opened.get_modelmeta().custom_metadata_map.get(KEY)
    if text is None:
        return None
    try:
        found = json.loads(text)
        version = found["version"]
    except (ValueError, TypeError, KeyError) as error:
        raise FileError(f"the file's {KEY} is damaged") from error
    if version != VERSION:
        raise FileError(f"the file's manifest has version {version}, which this rnnc does not know")
    return dict(found)


def _wanted(providers: Sequence[Provider] | None) -> list[Provider]:
    """The providers asked for, or the CPU; one name alone is a list of one."""
    return [providers] if isinstance(providers, str) else list(providers or ["CPUExecutionProvider"])


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra(
            "running a file needs onnxruntime", hint="Install it: pip install onnxruntime"
        ) from error
    return onnxruntime


def _failures() -> tuple[type[Exception], ...]:
    """What onnxruntime raises: its exceptions have no common ancestor of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [e for e in vars(state).values() if isinstance(e, type) and issubclass(e, Exception)]
    return (*own, RuntimeError, ValueError)


def _content(source: Source) -> tuple[str | bytes, str]:
    """What onnxruntime reads, and what messages call it."""
    if isinstance(source, bytes):
        return source, "the model"
    if hasattr(source, "proto"):
        from rnnc.emit.save import to_bytes

        return to_bytes(source.proto), "the compiled model"
    path = os.fspath(source)
    if not Path(path).is_file():
        raise FileError(f"there is no file {path}")
    return path, path


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _run_error(error: Exception, source: Source) -> RnncError:
    """onnxruntime's failure, told with the place in the source that its node comes from."""
    from rnnc.emit.model import find_place

    message = _first_line(error)
    node = re.search(r"Name:'([^']*)'", message)
    if node is None:
        return RnncError(f"onnxruntime failed: {message}")
    told = message.partition("Status Message:")[2].strip() or message
    return RnncError(f"onnxruntime failed in {node[1]}: {told}", loc=find_place(_content(source)[0], node[1]))


# -- streams -------------------------------------------------------------------------------------------------


class _Turn(NamedTuple):
    """One of two ways to bind buffers: the states that a run reads are those that the run before wrote."""

    binding: Any
    before: list[Any]


def _one_at_a_time(method: Callable[Concatenate[Stream, P], R]) -> Callable[Concatenate[Stream, P], R]:
    """``method`` of a stream, which waits while another thread is in one."""

    @functools.wraps(method)
    def waiting(self: Stream, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self._lock:
            return method(self, *args, **kwargs)

    return waiting


class Stream:
    """A step, chunk or unrolled file, run piece after piece with its states kept between.

        stream = Stream("model.onnx")
        y = stream.push(x)

    The first push, or the first state that is set, decides the size of the batch. What several threads do
    with one stream happens one after another; streams of their own run at the same time.
    """

    def __init__(
        self, source: Source, providers: Sequence[Provider] | None = None, threads: int | None = None
    ) -> None:
        self._source = source
        self._session = session(source, providers, threads)
        found = manifest_of(self._session)
        if found is None:
            raise FileError(
                "the file has no manifest, so its states are not known", hint="Write it with rnnc.compile."
            )
        if found["form"] == "sequence":
            raise FormError(
                "a sequence file keeps no state between runs, so it cannot be a Stream",
                hint='Compile the model with form="chunk" or form="step".',
            )
        self.manifest = found
        self._inputs = [Port.read(entry) for entry in found["inputs"]]
        self._outputs = [str(entry["name"]) for entry in found["outputs"]]
        self._states = [StatePort.read(entry) for entry in found["states"]]
        self._device = _device(providers)
        self._batch: int | None = None
        self._turns: list[_Turn] = []
        self._lock = threading.RLock()

    @_one_at_a_time
    def push(self, *xs: Any) -> Any:
        """Run on the next piece of each input, in the file's order; the output, or a tuple of them.

        A step file takes one step ``[B, …]``, the others pieces as long as their form says.
        """
        if len(xs) != len(self._inputs):
            names = ", ".join(p.name for p in self._inputs)
            raise RnncError(f"push got {len(xs)} arrays, and the file takes {len(self._inputs)}: {names}")
        sizes = {} if self._batch is None else {"B": self._batch}
        arrays = [port.array(x, sizes) for port, x in zip(self._inputs, xs, strict=True)]
        if self._batch is None:
            self._begin(sizes.get("B", 1), {})
        io = self._turns[0].binding
        for port, array in zip(self._inputs, arrays, strict=True):
            io.bind_cpu_input(port.name, array)
        for name in self._outputs:
            io.bind_output(name, "cpu")  # each run's in memory of its own
        try:
            self._session.run_with_iobinding(io)
        except _failures() as error:
            raise _run_error(error, self._source) from error
        self._turns.reverse()
        ys = tuple(value.numpy() for value in io.get_outputs()[: len(self._outputs)])
        return ys[0] if len(ys) == 1 else ys

    @_one_at_a_time
    def reset(self) -> None:
        """Return to the initial state; the next push may have another batch."""
        self._batch, self._turns = None, []

    @property
    @_one_at_a_time
    def state(self) -> dict[str, Array]:
        """A copy of every state by its path, as the next push finds it. Setting some leaves the others."""
        if self._batch is None and self._states:
            raise RnncError(
                "the states have no batch size before the first push",
                hint="Push something, or set the states.",
            )
        before = self._turns[0].before if self._turns else []
        return {s.path: value.numpy().copy() for s, value in zip(self._states, before, strict=True)}

    @state.setter
    @_one_at_a_time
    def state(self, values: Mapping[str, Any]) -> None:
        paths = [s.path for s in self._states]
        known = f"Its states are {', '.join(paths) or 'none'}."
        if not isinstance(values, Mapping):
            raise RnncError(f"states are set by their paths, in a dict, not {values!r}", hint=known)
        for path in values:
            if path not in paths:
                raise RnncError(f"the file has no state {path}", hint=known)
        sizes = {} if self._batch is None else {"B": self._batch}
        arrays = {s.path: s.before.array(values[s.path], sizes) for s in self._states if s.path in values}
        if arrays:
            current = {} if self._batch is None else self.state
            self._begin(sizes.get("B", 1), {**current, **arrays})

    def _begin(self, batch: int, states: Mapping[str, Array]) -> None:
        """Fill the buffers for a batch of that size; states not given are at their initial values."""
        place = _onnxruntime().OrtValue.ortvalue_from_numpy
        first = [states[s.path] if s.path in states else s.first(batch) for s in self._states]
        # onnxruntime may use an array's own memory, so each buffer gets one of its own.
        one, two = ([place(np.array(a), *self._device) for a in first] for _ in range(2))
        self._turns = [self._turn(one, two), self._turn(two, one)]
        self._batch = batch

    def _turn(self, before: list[Any], after: list[Any]) -> _Turn:
        """A run's binding, in which all but inputs and outputs stays as it is."""
        io = self._session.io_binding()
        for name in self._outputs:
            io.bind_output(name, "cpu")
        for state, now, new in zip(self._states, before, after, strict=True):
            io.bind_ortvalue_input(state.before.name, now)
            io.bind_ortvalue_output(state.after, new)
        return _Turn(io, before)


def _device(providers: Sequence[Provider] | None) -> tuple[str, int]:
    """Where the first provider keeps tensors: the kind of device, and which."""
    first = _wanted(providers)[0]
    name, options = (first, {}) if isinstance(first, str) else first
    return DEVICES.get(name, "cpu"), int(options.get("device_id", 0))


# -- whole files ---------------------------------------------------------------------------------------------


def run_file(
    source: Source,
    inputs: Mapping[str, Any],
    chunk: int | None = None,
    providers: Sequence[Provider] | None = None,
) -> Iterator[dict[str, Array]]:
    """Run a file from its initial states over whole sequences; outputs by name, in pieces of ``chunk`` steps.

    Inputs are read piece by piece, so they may be memory-mapped. Pieces join along the time axis
    (:func:`time_axis`), except outputs that only the last step has. Without ``chunk``, there is one piece.
    """
    opened = session(source, providers)
    found = manifest_of(opened)
    if found is None or found["form"] == "sequence":
        if chunk is not None:
            raise FormError(
                "only a file that takes its states can be run in pieces",
                hint='Compile the model with form="chunk" or form="step", or run it whole.',
            )
        yield _whole(opened, source, found, inputs)
        return
    yield from _pieces(Stream(source, providers), inputs, chunk)


def time_axis(manifest: Mapping[str, Any]) -> int:
    """The axis along which the pieces of :func:`run_file` join."""
    return int(manifest["time_axis"] or 0)


def _named(ports: Sequence[Port], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """``inputs`` in the file's order; an error if they are not exactly what it takes."""
    names = [p.name for p in ports]
    if set(names) != set(inputs):
        raise RnncError(
            f"the file takes the inputs {', '.join(names)}, and was given {', '.join(inputs) or 'none'}"
        )
    return {name: inputs[name] for name in names}


def _whole(
    opened: Any, source: Source, found: Mapping[str, Any] | None, inputs: Mapping[str, Any]
) -> dict[str, Array]:
    feeds = dict(inputs)
    if found is not None:
        ports = [Port.read(entry) for entry in found["inputs"]]
        sizes: dict[str, int] = {}
        feeds = {
            p.name: p.array(x, sizes) for p, x in zip(ports, _named(ports, inputs).values(), strict=True)
        }
    names = [output.name for output in opened.get_outputs()]
    try:
        return dict(zip(names, opened.run(names, feeds), strict=True))
    except _failures() as error:
        raise _run_error(error, source) from error


def _pieces(stream: Stream, inputs: Mapping[str, Any], chunk: int | None) -> Iterator[dict[str, Array]]:
    found = stream.manifest
    given = _named([Port.read(entry) for entry in found["inputs"]], inputs)
    kinds = {entry["name"]: entry["kind"] for entry in found["inputs"]}
    names = [entry["name"] for entry in found["outputs"]]
    if found.get("separate"):
        yield dict(zip(names, _several(stream.push(*given.values())), strict=True))
        return
    axis, stepwise = time_axis(found), found["form"] == "step"
    finals = [entry["kind"] == "final" for entry in found["outputs"]]
    lengths = {
        name: np.shape(x)[axis] for name, x in given.items() if kinds[name] == "stream" and np.ndim(x) > axis
    }
    total = next(iter(lengths.values()), 0)
    for name, steps in lengths.items():
        if steps != total:
            raise RnncError(f"{name} has {steps} steps, and {next(iter(lengths))} has {total}")
    if stepwise and lengths and not total:
        yield _of_no_steps(found, given)
        return
    size = found.get("steps") or chunk or max(total, 1)
    if size < 1 or (found["form"] == "unroll" and total % size):
        raise RnncError(f"{total} steps cannot be run in pieces of {size}")

    def part(name: str, start: int, stop: int) -> Any:
        if kinds[name] == "lengths":
            return np.clip(np.asarray(given[name]) - start, 0, stop - start)
        return (
            given[name][(slice(None),) * axis + (slice(start, stop),)]
            if kinds[name] == "stream"
            else given[name]
        )

    for start in range(0, max(total, 1), size):
        stop = min(start + size, total)
        piece = {name: part(name, start, stop) for name in given}
        if not stepwise:
            yield dict(zip(names, _several(stream.push(*piece.values())), strict=True))
            continue
        steps = [
            _several(stream.push(*(x[t] if kinds[name] == "stream" else x for name, x in piece.items())))
            for t in range(stop - start)
        ]
        columns = zip(finals, zip(*steps, strict=True), strict=True)
        joined = [ys[-1] if final else np.stack(ys) for final, ys in columns]
        yield dict(zip(names, joined, strict=True))


def _of_no_steps(found: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Array]:
    """What a step file gives where there is no step to run: nothing of a stream, zeros of a last value."""
    sizes: dict[str, int] = {}
    for entry in found["inputs"]:
        x = np.asarray(given[entry["name"]])
        Port.read(entry).array(np.zeros(x.shape[1:], x.dtype) if entry["kind"] == "stream" else x, sizes)
    ys = {}
    for entry in found["outputs"]:
        shape = [sizes.get(d, 0) if isinstance(d, str) else d for d in entry["shape"]]
        ys[entry["name"]] = np.zeros(shape if entry["kind"] == "final" else [0, *shape], entry["dtype"])
    return ys


def _several(ys: Any) -> tuple[Array, ...]:
    return ys if isinstance(ys, tuple) else (ys,)
