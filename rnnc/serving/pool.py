"""The pool: many streams over one file, those whose frames arrive together run as one batch."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from rnnc.errors import RnncError, StreamError, UnknownStream
from rnnc.ir import Array
from rnnc.runtime import Provider, Source
from rnnc.serving import metrics, saved
from rnnc.serving.answers import Answer, here, settle
from rnnc.serving.engine import Engine
from rnnc.serving.gate import Gate
from rnnc.serving.turns import Change, Id, Request, Turns

RESET = Change(True, {})
DOWN = "the pool was shut down"


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
        self.max_streams, self.max_batch, self.idle = max_streams, max_batch, idle
        self._engine = Engine(source, max_streams, providers, threads)
        self.manifest = self._engine.manifest
        self._gate = Gate(self._engine, max_steps, refuse_nan)
        self._turns = Turns(max_streams, max_waiting, total, clock)
        self._metrics = metrics.Metrics(max_batch)
        self._numbers = itertools.count()
        self._chores: list[tuple[Callable[[], Any], Answer]] = []
        self._batch: list[Request] = []
        self._closed = self._asleep = False
        self._next_sweep = 0.0
        self._work = threading.Condition(threading.Lock())
        self._thread = threading.Thread(target=self._serve, name="rnnc.StreamPool", daemon=True)
        self._thread.start()

    def __enter__(self) -> StreamPool:
        return self

    def __exit__(self, *exc: object) -> None:
        self.shutdown()

    # Streams

    def open(
        self, stream: Id | None = None, *, given: Mapping[str, Any] | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> Id:  # fmt: skip
        """Open a stream, under a name or the next number; its name.

        ``given`` are the values of inputs that are the same at every step, ``state`` of states, by name, both
        without the batch axis; states that are left out start at their initial values.
        """
        try:
            values, change = self._gate.given(given or {}), RESET.then(self._gate.states(state or {}))
            with self._work:
                self._refuse_closed()
                if stream is None:
                    stream = next(n for n in self._numbers if n not in self._turns.open_streams)
                elif not isinstance(stream, Id):
                    raise StreamError(f"a stream is named by a string or a number, not {stream!r:.40}")
                if not self._turns.room:
                    self._expire()
                slot = self._turns.open(stream, change).slot
                for name, value in values.items():
                    self._engine.given[name][slot] = value
                self._metrics.opened += 1
        except RnncError as error:
            raise self._counted(error) from None
        return stream

    def reset(self, stream: Id) -> None:
        """Return a stream to its initial state, after the frames pushed so far and before those to come."""
        with self._work:
            self._turns.find(stream).before = RESET

    def close(self, stream: Id) -> None:
        """Close a stream; frames of it that wait are refused."""
        with self._work:
            dropped = self._turns.close(self._turns.find(stream))
            self._metrics.closed["asked"] += 1
            refused = _refused(dropped, f"stream {stream!r} was closed while a frame of it waited")
        settle(refused)

    @property
    def streams(self) -> list[Id]:
        """The open streams, oldest first."""
        with self._work:
            return list(self._turns.open_streams)

    # Frames

    def push(self, stream: Id, *xs: Any, timeout: float | None = None) -> Any:
        """Run a stream on its next frame of each input; the output, or a tuple of them.

        After ``timeout`` seconds ``TimeoutError``; the frame is run all the same.
        """
        return self.submit(stream, *xs).result(timeout)

    def submit(self, stream: Id, *xs: Any) -> Future[Any]:
        """What ``push`` gives, in time: a future whose callbacks run in the pool's thread."""
        answer = here()
        self._submit(answer, [(stream, xs)])
        future: Future[Any] = answer.future
        return future

    def apush(self, stream: Id, *xs: Any) -> asyncio.Future[Any]:
        """``push`` to await. Who is cancelled misses the outputs; the frame is run all the same."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._submit(Answer(future, loop), [(stream, xs)])
        return future

    def push_many(self, frames: Mapping[Id, Any], timeout: float | None = None) -> dict[Id, Any]:
        """``push`` of several streams at once: their frames, a tuple where there are several inputs.

        All are refused or none; where one fails as it runs, the others have run.
        """
        if not frames:
            return {}
        answer = Answer(Future(), None, len(frames))
        self._submit(answer, [(id, xs if type(xs) is tuple else (xs,)) for id, xs in frames.items()])
        found: dict[Id, Any] = answer.future.result(timeout)
        return found

    # States

    def state(self, stream: Id) -> dict[str, Array]:
        """A copy of a stream's states by their paths, after the frames that were answered."""
        _, states = self._between(lambda: self._rows([stream]))
        return {path: array[0] for path, array in states.items()}

    def set_state(self, stream: Id, state: Mapping[str, Any]) -> None:
        """Set some of a stream's states, after the frames pushed so far and before those to come."""
        values = self._gate.states(state)
        with self._work:
            found = self._turns.find(stream)
            found.before = (found.before or Change(False, {})).then(values)

    def save(self, path: str | os.PathLike[str], streams: Sequence[Id] | None = None) -> None:
        """Write streams, by default all, to a safetensors file, as they are between two batches.

        Frames that wait are not in it.
        """
        ids, tensors = self._between(lambda: self._snapshot(streams))
        saved.save(path, self._engine.model, ids, tensors)

    def restore(self, path: str | os.PathLike[str], streams: Sequence[Id] | None = None) -> list[Id]:
        """Open the streams of a file of ``save``, or some of them, as they were; their names.

        All are opened or, with an error, none.
        """
        ids, tensors = saved.load(path, self._engine)
        wanted = ids if streams is None else list(streams)
        rows_of = {id: row for row, id in enumerate(ids)}
        for id in wanted:
            if id not in rows_of:
                raise UnknownStream(f"{path} holds no stream {id!r}")
        with self._work:
            self._refuse_closed()
            self._expire()
            self._turns.refuse_opening(wanted)
            for id in wanted:
                row = rows_of[id]
                change = RESET.then({p: tensors[f"state.{p}"][row] for p in self._engine.states})
                slot = self._turns.open(id, change).slot
                for name, rows in self._engine.given.items():
                    rows[slot] = tensors[f"given.{name}"][row]
                self._metrics.opened += 1
        return wanted

    # The pool

    def collect(self) -> list[Any]:
        """The metrics as ``prometheus_client`` takes them: a pool can be registered as a collector."""
        with self._work:
            turns = self._turns
            found = self._metrics.collect(
                turns.waiting, len(turns.open_streams), self.max_streams, self._engine.busy
            )
            return list(found)

    def metrics(self) -> str:
        """Latency, batch sizes, queue length, streams and refusals, in Prometheus's text form."""
        return metrics.text(self.collect())

    def shutdown(self) -> None:
        """End the pool: frames that wait, and all that come, are refused."""
        with self._work:
            self._closed = True
            self._work.notify()
        self._thread.join()

    # What callers' threads do

    def _submit(self, answer: Answer, frames: Sequence[tuple[Id, tuple[Any, ...]]]) -> None:
        """Let the frames of some streams wait, all or none."""
        try:
            checked = [self._gate.frames(xs) for _, xs in frames]
            now = time.perf_counter()
            with self._work:
                self._refuse_closed()
                requests = []
                for (id, _), (arrays, steps) in zip(frames, checked, strict=True):
                    stream = self._turns.find(id)
                    requests.append(Request(stream, arrays, steps, stream.before, answer, now))
                self._turns.add(requests)
                if self._asleep:
                    self._work.notify()
        except RnncError as error:
            raise self._counted(error) from None

    def _counted(self, error: RnncError) -> RnncError:
        reason = error.code if isinstance(error, StreamError) else "invalid"
        with self._work:
            self._metrics.refused[reason] += 1
        return error

    def _refuse_closed(self) -> None:
        if self._closed:
            raise StreamError(DOWN)

    def _between(self, chore: Callable[[], Any]) -> Any:
        """What ``chore`` gives, run by the pool's thread between two batches, locked."""
        answer = here()
        with self._work:
            self._refuse_closed()
            self._chores.append((chore, answer))
            self._work.notify()
        return answer.future.result()

    # What the pool's thread does

    def _serve(self) -> None:
        try:
            while not self._closed:
                self._round()
        finally:
            with self._work:
                self._closed = True
                left = [r for stream in self._turns.open_streams.values() for r in stream.waiting]
                refused = _refused([*self._batch, *left], DOWN)
                refused += [answer for _, answer in self._chores if answer.put("", StreamError(DOWN))]
            settle(refused)

    def _round(self) -> None:
        """Wait for something to do and do it: what is asked for between batches, then a batch."""
        with self._work:
            if not self._chores and not self._turns.waiting:
                self._asleep = True
                self._work.wait(self.idle and self.idle / 4)
                self._asleep = False
            if self._turns.clock() >= self._next_sweep:
                self._expire()
            asked, self._chores = self._chores, []
            for chore, answer in asked:
                try:
                    answer.put("", chore())
                except Exception as error:  # noqa: BLE001  (it belongs to whoever asked)
                    answer.put("", error)
            batch = self._batch = self._turns.take(self.max_batch, self._engine.any_steps)
        settle(answer for _, answer in asked)
        if not batch:
            return
        self._change([(r.stream.slot, r.before) for r in batch if r.before is not None])
        outcomes = self._outcomes(batch)
        now = time.perf_counter()
        with self._work:
            self._turns.back(batch)
            self._batch = []
            self._metrics.latency.observe([now - request.since for request in batch])
            self._metrics.batch.observe([len(batch)])
            pairs = zip(batch, outcomes, strict=True)
            done = [r.answer for r, value in pairs if r.answer.put(r.stream.id, value)]
        settle(done)

    def _expire(self) -> None:
        """Close the streams that have been idle for too long."""
        if self.idle is None:
            self._next_sweep = float("inf")
            return
        for stream in self._turns.idle(self.idle):
            self._turns.close(stream, f"expired: it was not used for {self.idle:g} s")
            self._metrics.closed["expired"] += 1
        self._next_sweep = self._turns.clock() + self.idle / 4

    def _change(self, changes: Sequence[tuple[int, Change]]) -> None:
        """Reset and set states of the streams in some slots."""
        fresh = [slot for slot, change in changes if change.reset]
        if fresh:
            self._engine.begin(fresh)
        for slot, change in changes:
            for path, value in change.states.items():
                self._engine.states[path][slot] = value

    def _outcomes(self, batch: Sequence[Request]) -> list[Any]:
        """The outputs of each request; an error for those that make a run fail, found by halving."""
        slots = [request.stream.slot for request in batch]
        steps = [request.steps for request in batch]
        try:
            ys = self._engine.run(slots, [request.frames for request in batch], steps)
        except RnncError as error:
            if len(batch) == 1:
                self._metrics.failed += 1
                return [error]
            half = len(batch) // 2
            return [*self._outcomes(batch[:half]), *self._outcomes(batch[half:])]
        found = [self._engine.own(ys, row, n) for row, n in enumerate(steps)]
        return found if len(ys) > 1 else [own[0] for own in found]

    def _rows(self, ids: Sequence[Id]) -> tuple[list[int], dict[str, Array]]:
        """The slots of streams and copies of their states, streams first, after what was asked of them."""
        streams = [self._turns.find(id) for id in ids]
        due = [s for s in streams if s.before is not None and not s.waiting]
        self._change([(s.slot, s.before) for s in due if s.before is not None])
        for stream in due:
            stream.before = None
        slots = [stream.slot for stream in streams]
        return slots, {path: rows[slots] for path, rows in self._engine.states.items()}

    def _snapshot(self, ids: Sequence[Id] | None) -> tuple[list[Id], dict[str, Array]]:
        """All that streams have, as a file holds it."""
        wanted = list(self._turns.open_streams) if ids is None else list(ids)
        slots, states = self._rows(wanted)
        tensors = {f"state.{path}": array for path, array in states.items()}
        tensors |= {f"given.{name}": rows[slots] for name, rows in self._engine.given.items()}
        return wanted, tensors


def _refused(requests: Sequence[Request], why: str) -> list[Answer]:
    """The answers that are whole now that these requests are not run."""
    return [r.answer for r in requests if r.answer.put(r.stream.id, UnknownStream(why))]
