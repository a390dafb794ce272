"""The engine: a session and the states of all streams, some of which it runs as one batch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnc.errors import FileError, FormError
from rnnc.ir import Array
from rnnc.ports import Port, StatePort
from rnnc.runtime import Provider, Source, content_digest, failures, manifest_of, run_error, session
from rnnc.serving.rows import Rows, batch_axis, of_one, streams_first

#: What one stream gives to a run: an array for each of the file's streams, and how many steps they are.
Frames = tuple[Array, ...]


class Engine:
    """A step, chunk or unrolled file, and the states of ``streams`` of them by their slots.

    Its memory is allocated here and does not grow. It is used by one thread at a time.
    """

    def __init__(
        self, source: Source, streams: int, providers: Sequence[Provider] | None, threads: int | None
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
                "a sequence file keeps no state between runs, so it cannot serve streams",
                hint='Compile the model with form="step" or form="chunk".',
            )
        self.manifest = found
        self.model = content_digest(source)
        inputs = [Port.read(entry) for entry in found["inputs"]]
        self._streams = [p for p in inputs if p.kind == "stream"]
        self._lengths = next((p for p in inputs if p.kind == "lengths"), None)
        self._outputs = [Port.read(entry) for entry in found["outputs"]]
        self._axes = [batch_axis(port) for port in self._outputs]
        states = [StatePort.read(entry) for entry in found["states"]]
        #: One stream's frames.
        self.frames = [of_one(p) for p in self._streams]
        self.given = {p.name: Rows(p, streams) for p in inputs if p.kind == "given"}
        self.states = {s.path: Rows(s.before, streams, s.path) for s in states}
        self._wires = {s.path: (s.before.name, s.after) for s in states}
        self._first = {s.path: np.take(s.first(1), 0, self.states[s.path].axis) for s in states}
        self._names = [*(p.name for p in self._outputs), *(s.after for s in states)]
        self._failures = failures()
        #: Seconds that onnxruntime has run.
        self.busy = 0.0

    @property
    def any_steps(self) -> bool:
        """Whether pieces of different lengths can be one batch."""
        return self._lengths is not None

    def begin(self, slots: Sequence[int]) -> None:
        """Put those slots into the initial state."""
        for path, rows in self.states.items():
            rows[slots] = self._first[path]

    def run(self, slots: Sequence[int], frames: Sequence[Frames], steps: Sequence[int | None]) -> list[Any]:
        """Run once on the frames of some streams; for each its output, or a tuple of them.

        These are views of what all of them got. Nothing is changed if it fails.
        """
        places = np.array(slots)
        feeds = {rows_name: self.states[path].take(places) for path, (rows_name, _) in self._wires.items()}
        feeds |= {name: rows.take(places) for name, rows in self.given.items()}
        longest = max((n for n in steps if n is not None), default=0)
        ragged = self.any_steps
        for k, port in enumerate(self._streams):
            feeds[port.name] = _joined(port, [xs[k] for xs in frames], longest, ragged)
        if self._lengths is not None:
            feeds[self._lengths.name] = np.array(steps, self._lengths.dtype)
        start = time.perf_counter()
        try:
            found = self._session.run(self._names, feeds)
        except self._failures as error:
            raise run_error(error, self._source) from error
        finally:
            self.busy += time.perf_counter() - start
        for path, after in zip(self._wires, found[len(self._outputs) :], strict=True):
            self.states[path].put(places, after)
        columns = []
        for port, axis, y in zip(self._outputs, self._axes, found, strict=False):
            rows = streams_first(y, axis)
            if ragged and port.kind == "stream":
                columns.append([row[:n] for row, n in zip(rows, steps, strict=True)])
            else:
                columns.append(list(rows))
        return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))

    def together(self, ys: Sequence[Any]) -> Any:
        """The outputs of several streams in arrays, streams first."""
        return np.array(ys) if len(self._outputs) == 1 else tuple(map(np.array, zip(*ys, strict=True)))


def _joined(port: Port, frames: Sequence[Array], steps: int, ragged: bool) -> Array:
    """What the file takes for an input: each stream's frames along the batch axis, zeros after its end."""
    axis = batch_axis(port)
    if not ragged:
        rows = np.array(frames)
    else:
        rows = np.zeros((len(frames), steps, *frames[0].shape[1:]), port.dtype)
        for row, x in zip(rows, frames, strict=True):
            row[: len(x)] = x
    return np.ascontiguousarray(np.moveaxis(rows, 0, axis)) if axis else rows
