"""The worker: runs a pool's batches, changes its states and gives answers, in one thread at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from rnnc.errors import RnncError, StreamError, UnknownStream
from rnnc.ir import Array
from rnnc.serving.answers import Answer, here, settle
from rnnc.serving.engine import Engine, Frames
from rnnc.serving.metrics import Metrics
from rnnc.serving.turns import Change, Id, Request, Turns

DOWN = "the pool was shut down"


class Worker:
    """Runs an engine on what waits in ``turns``, batch after batch, in a thread of its own or of who waits.

    ``turns`` and ``metrics`` are touched while ``lock`` is held. The engine and its states are touched by
    whose turn it is, so that whoever wants states has to ask :meth:`between`.
    """

    def __init__(
        self, engine: Engine, turns: Turns, metrics: Metrics, max_batch: int, idle: float | None
    ) -> None:
        self.engine, self.turns, self.metrics = engine, turns, metrics
        self.max_batch, self.idle = max_batch, idle
        self.lock = threading.Condition(threading.Lock())
        self._turn = threading.Lock()
        self._asked: list[tuple[Callable[[], Any], Answer]] = []
        self._closed = self._asleep = False
        self._next_sweep = 0.0
        self._thread = threading.Thread(target=self._serve, name="rnnc.StreamPool", daemon=True)
        self._thread.start()

    # What callers' threads do

    def submit(
        self,
        answer: Answer,
        ids: Sequence[Id],
        frames: Sequence[tuple[Frames, int | None]],
        helped: bool = False,
    ) -> None:
        """Let the frames of some streams wait, all or none; :meth:`help` follows if it is ``helped``."""
        now = time.perf_counter()
        with self.lock:
            self.refuse_closed()
            find = self.turns.find
            self.turns.add(
                [
                    Request(find(id), arrays, steps, answer, place, now)
                    for place, (id, (arrays, steps)) in enumerate(zip(ids, frames, strict=True))
                ]
            )
            if self._asleep and not helped:
                self.lock.notify()

    def help(self, future: Future[Any], timeout: float | None = None) -> Any:
        """What a future gives, waited for by running batches where nobody else does."""
        while not future.done() and self._turn.acquire(blocking=False):
            try:
                self._round()
            finally:
                self._turn.release()
        with self.lock:
            if self._asleep and self._due():
                self.lock.notify()
        return future.result(timeout)

    def between(self, chore: Callable[[], Any]) -> Any:
        """What ``chore`` gives, run between two batches, ``lock`` held."""
        answer = here()
        with self.lock:
            self.refuse_closed()
            self._asked.append((chore, answer))
        return self.help(answer.future)

    def close(self, id: Id) -> None:
        """Close a stream, and refuse what waits of it."""
        with self.lock:
            dropped = self.turns.close(self.turns.find(id))
            self.metrics.closed["asked"] += 1
            refused = _refused(dropped, f"stream {id!r} was closed while a frame of it waited")
        settle(refused)

    def refuse_closed(self) -> None:
        """An error if the pool is no more; ``lock`` is held."""
        if self._closed:
            raise StreamError(DOWN)

    def expire(self) -> None:
        """Close the streams that have been idle for too long; ``lock`` is held."""
        if self.idle is None:
            self._next_sweep = float("inf")
            return
        for stream in self.turns.idle(self.idle):
            self.turns.close(stream, f"expired: it was not used for {self.idle:g} s")
            self.metrics.closed["expired"] += 1
        self._next_sweep = self.turns.clock() + self.idle / 4

    def shutdown(self) -> None:
        """End the thread after the batch that it runs; what waits is refused."""
        with self.lock:
            self._closed = True
            self.lock.notify()
        self._thread.join()

    # What is done in turns

    def _serve(self) -> None:
        try:
            while not self._closed:
                with self.lock:
                    if not (self._due() or self._closed):
                        self._asleep = True
                        self.lock.wait(self.idle and self.idle / 4)
                        self._asleep = False
                with self._turn:
                    self._round()
        finally:
            with self._turn, self.lock:
                self._closed = True
                streams = list(self.turns.open_streams.values())
                refused = _refused([r for stream in streams for r in self.turns.close(stream)], DOWN)
                refused += [answer for _, answer in self._asked if answer.put(StreamError(DOWN))]
            settle(refused)

    def _due(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._asked or self.turns.waiting)

    def _round(self) -> None:
        """Do what is due: what is asked for between batches, then a batch."""
        with self.lock:
            if self.turns.clock() >= self._next_sweep:
                self.expire()
            asked, self._asked = self._asked, []
            for chore, answer in asked:
                try:
                    answer.put(chore())
                except Exception as error:  # noqa: BLE001  (it belongs to whoever asked)
                    answer.put(error)
            batch = self.turns.take(self.max_batch, self.engine.any_steps)
        settle(answer for _, answer in asked)
        if not batch:
            return
        outcomes: list[Any] | None = None
        try:
            self._change([(r.stream.slot, r.before) for r in batch if r.before is not None])
            outcomes = self._outcomes(batch)
        finally:  # whatever happens, an interrupt of the thread that helps too
            self._finish(batch, outcomes or [StreamError("the run was interrupted") for _ in batch])

    def _finish(self, batch: Sequence[Request], outcomes: Sequence[Any]) -> None:
        """Answer a batch, and let its streams have another turn."""
        now = time.perf_counter()
        with self.lock:
            self.turns.back(batch)
            self.metrics.latency.observe([now - request.since for request in batch])
            self.metrics.batch.observe([len(batch)])
            pairs = zip(batch, outcomes, strict=True)
            done = [r.answer for r, outcome in pairs if r.answer.put(outcome, r.place)]
        settle(done)

    def _outcomes(self, batch: Sequence[Request]) -> list[Any]:
        """The outputs of each request; an error for those that make a run fail, found by halving."""
        slots = [request.stream.slot for request in batch]
        steps = [request.steps for request in batch]
        try:
            return self.engine.run(slots, [request.frames for request in batch], steps)
        except RnncError as error:
            if len(batch) == 1:
                self.metrics.failed += 1
                return [error]
            half = len(batch) // 2
            return [*self._outcomes(batch[:half]), *self._outcomes(batch[half:])]

    def _change(self, changes: Sequence[tuple[int, Change]]) -> None:
        """Reset and set states of the streams in some slots."""
        fresh = [slot for slot, change in changes if change.reset]
        if fresh:
            self.engine.begin(fresh)
        for slot, change in changes:
            for path, value in change.states.items():
                self.engine.states[path][slot] = value

    # What is asked of it between batches

    def states(self, ids: Sequence[Id]) -> tuple[list[int], dict[str, Array]]:
        """The slots of streams and copies of their states, streams first, after what was asked of them."""
        streams = [self.turns.find(id) for id in ids]
        due = [(s, s.before) for s in streams if s.before is not None and not s.waiting]
        self._change([(stream.slot, change) for stream, change in due])
        for stream, _ in due:
            stream.before = None
        slots = [stream.slot for stream in streams]
        return slots, {path: rows[slots] for path, rows in self.engine.states.items()}

    def snapshot(self, ids: Sequence[Id] | None) -> tuple[list[Id], dict[str, Array]]:
        """All that streams have, by default all of them, as a file holds it."""
        wanted = list(self.turns.open_streams) if ids is None else list(ids)
        slots, states = self.states(wanted)
        tensors = {f"state.{path}": array for path, array in states.items()}
        tensors |= {f"given.{name}": rows[slots] for name, rows in self.engine.given.items()}
        return wanted, tensors


def _refused(requests: Sequence[Request], why: str) -> list[Answer]:
    """The answers that are whole now that these requests are not run."""
    return [r.answer for r in requests if r.answer.put(UnknownStream(why), r.place)]
