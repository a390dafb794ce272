"""Streams: a file run piece after piece, its states kept between and fed from each run to the next.

The states stay on the device that computes them: two sets of buffers take turns, one read while the other is
written. Where the batch decides the size of everything, as in a step file, inputs and outputs have buffers as
well, all of which stay bound, so that a push copies in, runs and copies out.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

import numpy as np

from rnnc.errors import FileError, FormError, RnncError
from rnnc.ir import Array
from rnnc.ports import Port, StatePort
from rnnc.runtime.sessions import (
    Provider,
    Source,
    failures,
    manifest_of,
    onnxruntime,
    run_error,
    session,
    wanted_providers,
)

P = ParamSpec("P")
R = TypeVar("R")

#: Where each provider keeps its tensors; all others keep them in the memory of the CPU.
DEVICES = {
    "CUDAExecutionProvider": "cuda",
    "TensorrtExecutionProvider": "cuda",
    "ROCMExecutionProvider": "cuda",
}


class _Turn(NamedTuple):
    """One of two ways to bind buffers: the states that a run reads are those that the run before wrote."""

    binding: Any
    bound: Any  # what ``Stream._run`` takes for it
    before: list[Any]


class _Held(NamedTuple):
    """The memory that an input is copied into, and which of the inputs that is."""

    place: int
    buffer: Array
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


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
        self._outputs = [Port.read(entry) for entry in found["outputs"]]
        self._states = [StatePort.read(entry) for entry in found["states"]]
        self._device = _device(providers)
        own = self._session.get_providers() == ["CPUExecutionProvider"]
        # On a CPU, onnxruntime's methods do nothing but call the objects within.
        self._inner = own
        self._run = self._session._sess.run_with_iobinding if own else self._session.run_with_iobinding
        self._options = onnxruntime().RunOptions()  # a run without makes its own, in 0.5 µs
        ports = [*self._inputs, *self._outputs]
        # Inputs bound to a device are copied to it then and there, so they are bound anew for each run.
        self._fixed = own and all(d == "B" for port in ports for d in port.shape if isinstance(d, str))
        self._failures = failures()
        self._batch: int | None = None
        self._turns: list[_Turn] = []
        self._held: list[_Held] = []
        self._given: list[Array] = []
        self._lock = threading.RLock()
        self._valid: str | None = found.get("valid")
        self._latest: tuple[Any, ...] = ()

    def push(self, *xs: Any) -> Any:
        """Run on the next piece of each input, in the file's order; the output, or a tuple of them.

        A step file takes one step ``[B, …]``, the others pieces as long as their form says. Of a file with a
        latency, outputs are those of so many steps ago; before the first they are zeros.
        """
        with self._lock:
            if self._valid is not None:
                self._latest = xs
                xs = (*xs, self._valid_steps(xs, True))
            if not self._taken(xs):
                self._take(xs)
            turn = self._turns[0]
            try:
                self._run(turn.bound, self._options)
            except self._failures as error:
                raise run_error(error, self._source) from error
            self._turns.reverse()
            if self._given:
                ys = self._given
                return ys[0].copy() if len(ys) == 1 else tuple([y.copy() for y in ys])
            made = turn.binding.get_outputs()[: len(self._outputs)]
            return made[0].numpy() if len(made) == 1 else tuple([value.numpy() for value in made])

    def _taken(self, xs: tuple[Any, ...]) -> bool:
        """Copy ``xs`` in if they are just what the buffers hold; what is left half done does no harm."""
        if not xs or len(xs) != len(self._held):
            return False
        for k, buffer, dtype, shape in self._held:
            x = xs[k]
            if type(x) is not np.ndarray or x.shape != shape or x.dtype != dtype:
                return False
            buffer[...] = x
        return True

    def _take(self, xs: tuple[Any, ...]) -> None:
        """Check ``xs``, begin with their batch if none has, and copy them in or bind them."""
        if len(xs) != len(self._inputs):
            names = ", ".join(p.name for p in self._inputs)
            raise RnncError(f"push got {len(xs)} arrays, and the file takes {len(self._inputs)}: {names}")
        sizes = {} if self._batch is None else {"B": self._batch}
        if self.manifest.get("steps"):  # which no axis of an unrolled file has by name
            sizes["T"] = self.manifest["steps"]
        arrays = [port.array(x, sizes) for port, x in zip(self._inputs, xs, strict=True)]
        if self._batch is None:
            self._begin(sizes.get("B", 1), {})
        io = self._turns[0].binding
        for k, (port, array) in enumerate(zip(self._inputs, arrays, strict=True)):
            if self._fixed:
                self._held[k].buffer[...] = array
            else:
                io.bind_cpu_input(port.name, array)
        if not self._fixed:
            for port in self._outputs:
                io.bind_output(port.name, "cpu")  # each run's in memory of its own

    def _valid_steps(self, xs: tuple[Any, ...], valid: bool) -> Array:
        """What says of each step of ``xs`` whether it is one of the sequence."""
        assert self._valid is not None
        axis = self.manifest["time_axis"]
        steps = [] if axis is None else [np.shape(xs[0])[axis] if xs and np.ndim(xs[0]) > axis else 1]
        return np.full(steps, valid)

    @_one_at_a_time
    def flush(self) -> Any:
        """The outputs that are still to come, of the last ``latency`` steps; then the stream starts anew.

        Gives an array ``[latency, B, …]``, or a tuple of them. Raises :class:`RnncError` for a file without
        latency, and before the first push.
        """
        late = int(self.manifest["latency"] or 0) if self._valid is not None else 0
        if not late or self._batch is None:
            raise RnncError(
                "there is nothing to flush: " + ("no step was pushed" if late else "the file has no latency")
            )
        axis = self.manifest["time_axis"]
        sizes = {"B": self._batch, "T": late}
        rest = [
            x
            if p.kind == "given"
            else np.zeros([d if isinstance(d, int) else sizes[d] for d in p.shape], p.dtype)
            for p, x in zip(self._inputs, self._latest, strict=False)
        ]
        ended = self._valid_steps(tuple(rest), False)
        valid, self._valid = self._valid, None
        try:
            pieces = [self.push(*rest, ended) for _ in range(late if axis is None else 1)]
        finally:
            self._valid = valid
        self.reset()
        if axis is not None:
            return pieces[0]
        several = isinstance(pieces[0], tuple)
        return tuple(map(np.stack, zip(*pieces, strict=True))) if several else np.stack(pieces)

    @_one_at_a_time
    def reset(self) -> None:
        """Return to the initial state; the next push may have another batch."""
        self._batch, self._turns, self._held, self._given = None, [], [], []

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
        place = onnxruntime().OrtValue.ortvalue_from_numpy
        first = [states[s.path] if s.path in states else s.first(batch) for s in self._states]
        # onnxruntime may use an array's own memory, so each buffer gets one of its own.
        one, two = ([place(np.array(a), *self._device) for a in first] for _ in range(2))
        if self._fixed:
            buffers = [port.empty(batch) for port in self._inputs]
            self._held = [_Held(k, a, a.dtype, a.shape) for k, a in enumerate(buffers)]
            self._given = [port.empty(batch) for port in self._outputs]
        self._turns = [self._turn(one, two), self._turn(two, one)]
        self._batch = batch

    def _turn(self, before: list[Any], after: list[Any]) -> _Turn:
        """A run's binding, in which all that has buffers stays as it is."""
        io = self._session.io_binding()
        for port, held in zip(self._inputs, self._held, strict=False):
            io.bind_input(port.name, "cpu", 0, held.dtype, held.shape, held.buffer.ctypes.data)
        for k, port in enumerate(self._outputs):
            if self._fixed:
                y = self._given[k]
                io.bind_output(port.name, "cpu", 0, y.dtype, y.shape, y.ctypes.data)
            else:
                io.bind_output(port.name, "cpu")
        for state, now, new in zip(self._states, before, after, strict=True):
            io.bind_ortvalue_input(state.before.name, now)
            io.bind_ortvalue_output(state.after, new)
        return _Turn(io, io._iobinding if self._inner else io, before)


def _device(providers: Sequence[Provider] | None) -> tuple[str, int]:
    """Where the first provider keeps tensors: the kind of device, and which."""
    first = wanted_providers(providers)[0]
    name, options = (first, {}) if isinstance(first, str) else first
    return DEVICES.get(name, "cpu"), int(options.get("device_id", 0))
