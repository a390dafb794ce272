"""The pool: many streams over one file, those whose frames arrive together run as one batch."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from rnnc.errors import RnncError, StreamError, UnknownStream
from rnnc.ir import Array
from rnnc.runtime import Provider, Source
from rnnc.serving import metrics, saved
from rnnc.serving.answers import Answer, here
from rnnc.serving.engine import Engine
from rnnc.serving.gate import Gate
from rnnc.serving.turns import Change, Id, Turns
from rnnc.serving.worker import Worker

RESET = Change(True, {})


class StreamPool:
    """Many streams over one step, chunk or unrolled file, each with a state of its own.

        with StreamPool("step.onnx", max_streams=1000) as pool:
            caller = pool.open()
            y = pool.push(caller, x)            # or: y = await pool.apush(caller, x)

    A stream takes and gives arrays without the batch axis. Frames that have arrived while a batch ran are the
    next batch, one of each stream in turns, at most ``max_batch``; a stream's own keep their order. Who else
    is in a batch changes a stream's outputs by no more than rounding. All methods may be called from any
    thread.

    Nothing grows: the states of ``max_streams`` are allocated at once, and callers are refused
    (:class:`~rnnc.errors.Overloaded`) beyond them, beyond ``max_waiting`` frames of one stream that wait, and
    beyond ``max_queue`` of all together, by default four times ``max_streams``; a piece has at most
    ``max_steps``. A stream that is not used for ``idle`` seconds is closed. What is no number is passed on,
    and stays within its stream until a reset; with ``refuse_nan`` it is refused. ``providers`` and
    ``threads`` are as in :class:`rnnc.Stream`.
    """

    def __init__(
        self,
        source: Source,
        max_streams: int,
        *,
        max_batch: int = 256,
        max_waiting: int = 16,
        max_queue: int | None = None,
        max_steps: int = 10_000,
        idle: float | None = None,
        refuse_nan: bool = False,
        providers: Sequence[Provider] | None = None,
        threads: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        total = 4 * max_streams if max_queue is None else max_queue
        for name, value in (
            ("max_streams", max_streams),
            ("max_batch", max_batch),
            ("max_waiting", max_waiting),
            ("max_queue", total),
            ("max_steps", max_steps),
            ("idle", 1 if idle is None else idle),
        ):
            if not value > 0:
                raise RnncError(f"{name} is {value}, and should be above 0")
        self._engine = Engine(source, max_streams, providers, threads)
        self.manifest = self._engine.manifest
        self._gate = Gate(self._engine, max_steps, refuse_nan)
        self._turns = Turns(max_streams, max_waiting, total, clock)
        self._metrics = metrics.Metrics(max_batch)
        self._worker = Worker(self._engine, self._turns, self._metrics, max_batch, idle)
        self._lock = self._worker.lock
        self._numbers = itertools.count()

    def __enter__(self) -> StreamPool:
        return self

    def __exit__(self, *exc: object) -> None:
        self.shutdown()

    # Streams

    def open(
        self,
        stream: Id | None = None,
        *,
        given: Mapping[str, Any] | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> Id:
        """Open a stream, under a name or the next number; its name.

        ``given`` are the values of inputs that are the same at every step, ``state`` of states, by name, both
        without the batch axis; states that are left out start at their initial values.
        """
        with self._counting():
            values, states = self._gate.given(given or {}), self._gate.states(state or {})
            if stream is not None and not isinstance(stream, Id):
                raise StreamError(f"a stream is named by a string or a number, not {stream!r:.40}")
            with self._lock:
                if stream is None:
                    stream = next(n for n in self._numbers if n not in self._turns.open_streams)
                self._open([(stream, states, values)])
        return stream

    def reset(self, stream: Id) -> None:
        """Return a stream to its initial state, after the frames pushed so far and before those to come."""
        with self._lock:
            self._turns.find(stream).before = RESET

    def close(self, stream: Id) -> None:
        """Close a stream; frames of it that wait are refused."""
        self._worker.close(stream)

    def __contains__(self, stream: object) -> bool:
        with self._lock:
            return stream in self._turns.open_streams

    @property
    def room(self) -> int:
        """How many streams more may be opened."""
        with self._lock:
            return self._turns.room

    @property
    def streams(self) -> list[Id]:
        """The open streams, oldest first."""
        with self._lock:
            return list(self._turns.open_streams)

    # Frames

    def push(self, stream: Id, *xs: Any, timeout: float | None = None) -> Any:
        """Run a stream on its next frame of each input; the output, or a tuple of them.

        Where no batch is running, the caller's thread runs it. After ``timeout`` seconds of waiting for
        another thread to do so it raises ``TimeoutError``; the frame is run all the same.
        """
        answer = here()
        self._submit(answer, stream, xs, helped=True)
        return self._worker.help(answer.future, timeout)

    def submit(self, stream: Id, *xs: Any) -> Future[Any]:
        """What ``push`` gives, in time; callbacks hold up the pool, and may not wait for it."""
        answer = here()
        self._submit(answer, stream, xs)
        future: Future[Any] = answer.future
        return future

    def apush(self, stream: Id, *xs: Any) -> asyncio.Future[Any]:
        """``push`` to await. Who is cancelled misses the outputs; the frame is run all the same."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._submit(Answer(future, loop), stream, xs)
        return future

    def push_many(self, streams: Sequence[Id], *xs: Any, timeout: float | None = None) -> Any:
        """``push`` of several streams at once: their frames and outputs in arrays with the streams first.

        All are refused or none. Where one fails as it runs, the others have run.
        """
        answer = Answer(Future(), None, len(streams))
        self._submit_many(answer, streams, xs, helped=True)
        return self._engine.together(self._worker.help(answer.future, timeout))

    async def apush_many(self, streams: Sequence[Id], *xs: Any) -> Any:
        """``push_many`` to await."""
        loop = asyncio.get_running_loop()
        answer = Answer(loop.create_future(), loop, len(streams))
        self._submit_many(answer, streams, xs)
        return self._engine.together(await answer.future)

    # States

    def state(self, stream: Id) -> dict[str, Array]:
        """A copy of a stream's states by their paths, after the frames that were answered."""
        _, states = self._worker.between(lambda: self._worker.states([stream]))
        return {path: array[0] for path, array in states.items()}

    def set_state(self, stream: Id, state: Mapping[str, Any]) -> None:
        """Set some of a stream's states, after the frames pushed so far and before those to come."""
        values = self._gate.states(state)
        with self._lock:
            found = self._turns.find(stream)
            found.before = (found.before or Change(False, {})).then(values)

    def save(self, path: str | os.PathLike[str], streams: Sequence[Id] | None = None) -> None:
        """Write streams, by default all, to a safetensors file, as they are between two batches.

        Frames that wait are not in it.
        """
        ids, tensors = self._worker.between(lambda: self._worker.snapshot(streams))
        saved.save(path, self._engine.model, ids, tensors)

    def restore(self, path: str | os.PathLike[str], streams: Sequence[Id] | None = None) -> list[Id]:
        """Open the streams of a file of ``save``, or some of them, as they were; their names.

        All are opened or, with an error, none.
        """
        with self._counting():
            ids, states, given = saved.load(path, self._engine)
            rows = {id: row for row, id in enumerate(ids)}
            wanted = ids if streams is None else list(streams)
            for id in wanted:
                if id not in rows:
                    raise UnknownStream(f"{path} holds no stream {id!r}")
            with self._lock:
                self._open([(id, _row(states, rows[id]), _row(given, rows[id])) for id in wanted])
        return wanted

    # The pool

    @property
    def busy(self) -> float:
        """The seconds that onnxruntime has run."""
        return self._engine.busy

    def collect(self) -> list[Any]:
        """The metrics as ``prometheus_client`` takes them: a pool can be registered as a collector."""
        with self._lock:
            turns = self._turns
            return list(self._metrics.collect(turns.waiting, len(turns.open_streams), turns.limit, self.busy))

    def metrics(self) -> str:
        """Latency, batch sizes, queue length, streams and refusals, in Prometheus's text form."""
        return metrics.text(self.collect())

    def shutdown(self) -> None:
        """End the pool: frames that wait, and all that come, are refused."""
        self._worker.shutdown()

    def _open(self, streams: Sequence[tuple[Id, Mapping[str, Array], Mapping[str, Array]]]) -> None:
        """Open streams with their states and given values, all or none."""
        self._worker.refuse_closed()
        if self._turns.room < len(streams):
            self._worker.expire()
        self._turns.refuse_opening([id for id, _, _ in streams])
        for id, states, given in streams:
            slot = self._turns.open(id, RESET.then(states)).slot
            for name, value in given.items():
                self._engine.given[name][slot] = value
        self._metrics.opened += len(streams)

    def _submit(self, answer: Answer, stream: Id, xs: tuple[Any, ...], helped: bool = False) -> None:
        try:  # what _counting does, in less time
            self._worker.submit(answer, (stream,), (self._gate.frames(xs),), helped)
        except RnncError as error:
            self._count(error)
            raise

    def _submit_many(
        self, answer: Answer, streams: Sequence[Id], xs: tuple[Any, ...], helped: bool = False
    ) -> None:
        with self._counting():
            if not len(streams):
                raise RnncError("push_many got no streams", hint="Name at least one.")
            if len(set(streams)) != len(streams):
                raise RnncError("push_many got a stream twice", hint="Push its frames one after the other.")
            self._worker.submit(answer, streams, self._gate.many(len(streams), xs), helped)

    @contextmanager
    def _counting(self) -> Iterator[None]:
        """Counts what is refused."""
        try:
            yield
        except RnncError as error:
            self._count(error)
            raise

    def _count(self, error: RnncError) -> None:
        with self._lock:
            self._metrics.refused[error.code if isinstance(error, StreamError) else "invalid"] += 1


def _row(arrays: Mapping[str, Array], row: int) -> dict[str, Array]:
    return {name: array[row] for name, array in arrays.items()}
