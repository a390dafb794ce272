"""Turns: which streams are open, what waits for each, and whose turn it is.

Streams with something waiting stand in a ring. A batch takes one frame from each, from the front; those that
have more go to the back. So a stream's frames keep their order, and however many one stream sends, every
other has its turn after at most one of them. Nothing here is locked: that is for the caller.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnc.errors import Overloaded, StreamError, UnknownStream
from rnnc.ir import Array
from rnnc.serving.engine import Frames

#: What streams are known by.
Id = str | int


@dataclass(frozen=True, slots=True)
class Change:
    """What is done to a stream's state before a frame: reset it or not, then set some states."""

    reset: bool
    states: Mapping[str, Array]

    def then(self, states: Mapping[str, Array]) -> Change:
        """This, and some states set afterwards."""
        return Change(self.reset, {**self.states, **states})


@dataclass(slots=True, eq=False)
class Request:
    """One stream's frames for one run, what comes before them, and the place in an answer for the outputs."""

    stream: Stream
    frames: Frames
    steps: int | None
    answer: Any
    place: int
    since: float
    before: Change | None = None


@dataclass(slots=True, eq=False)
class Stream:
    """An open stream: its row in every tensor, what waits, and what its next frame begins with."""

    id: Id
    slot: int
    before: Change | None
    waiting: deque[Request] = field(default_factory=deque)
    running: bool = False
    closed: bool = False


class Turns:
    """The streams of a pool, at most ``streams``, each with at most ``per_stream`` requests that wait.

    All together have at most ``total`` that wait. ``clock`` gives seconds.
    """

    def __init__(self, streams: int, per_stream: int, total: int, clock: Callable[[], float]) -> None:
        self.limit, self.per_stream, self.total = streams, per_stream, total
        self.clock = clock
        self.open_streams: dict[Id, Stream] = {}
        self.waiting = 0
        self._ring: deque[Stream] = deque()
        self._free = list(range(streams - 1, -1, -1))
        self._used = np.full(streams, np.inf)  # when each slot was last used, by the clock
        self._slots: list[Stream | None] = [None] * streams
        self._gone: OrderedDict[Id, str] = OrderedDict()

    @property
    def room(self) -> int:
        """How many streams more may be opened."""
        return len(self._free)

    def refuse_opening(self, ids: Sequence[Id]) -> None:
        """An error unless all of these can be opened."""
        for id, times in Counter(ids).items():
            if id in self.open_streams or times > 1:
                raise StreamError(
                    f"stream {id!r} is open already", hint="Close it first, or choose another name."
                )
        if len(ids) > self.room:
            raise Overloaded(
                f"{len(self.open_streams)} streams are open, and there is room for {self.limit}",
                hint="Close some, or try later.",
            )

    def open(self, id: Id, before: Change) -> Stream:
        """Give ``id`` a slot; :meth:`refuse_opening` comes first."""
        stream = Stream(id, self._free.pop(), before)
        self._gone.pop(id, None)
        self._slots[stream.slot] = self.open_streams[id] = stream
        self._used[stream.slot] = self.clock()
        return stream

    def find(self, id: Id) -> Stream:
        """The open stream of that name."""
        try:
            return self.open_streams[id]
        except (KeyError, TypeError):
            raise UnknownStream(f"stream {id!r:.60} {self._why(id)}", hint="Open it.") from None

    def close(self, stream: Stream, why: str = "was closed") -> Sequence[Request]:
        """Forget a stream; what waited for it. Its slot is free once it does not run any more."""
        del self.open_streams[stream.id]
        self._gone[stream.id] = why
        if len(self._gone) > self.limit:
            self._gone.popitem(last=False)
        dropped = tuple(stream.waiting)
        if dropped and not stream.running:
            self._ring.remove(stream)
        stream.waiting.clear()
        stream.closed = True
        self.waiting -= len(dropped)
        if not stream.running:
            self._leave(stream)
        return dropped

    def add(self, requests: Sequence[Request]) -> None:
        """Let requests wait, all or none of them."""
        if self.waiting + len(requests) > self.total:
            raise Overloaded(f"{self.waiting} frames wait, which is all there is room for")
        for request in requests:
            if len(request.stream.waiting) >= self.per_stream:
                raise Overloaded(
                    f"{self.per_stream} frames of stream {request.stream.id!r} wait, which is all it may have"
                )
        for request in requests:
            stream = request.stream
            if not stream.waiting and not stream.running:
                self._ring.append(stream)
            stream.waiting.append(request)
            request.before, stream.before = stream.before, None
        self.waiting += len(requests)

    def take(self, most: int, any_steps: bool) -> list[Request]:
        """The next batch: one request of each of at most ``most`` streams, which run until :meth:`back`.

        All have as many steps as the first, unless ``any_steps`` can be one batch.
        """
        batch: list[Request] = []
        passed: list[Stream] = []
        ring = self._ring
        while ring and len(batch) < most:
            stream = ring.popleft()
            if batch and not any_steps and stream.waiting[0].steps != batch[0].steps:
                passed.append(stream)
                continue
            batch.append(stream.waiting.popleft())
            stream.running = True
        ring.extendleft(reversed(passed))
        self.waiting -= len(batch)
        return batch

    def back(self, batch: Sequence[Request]) -> None:
        """A batch has run: those with more that waits stand at the back, those that were closed leave."""
        self._used[[request.stream.slot for request in batch]] = self.clock()
        for request in batch:
            stream = request.stream
            stream.running = False
            if stream.closed:
                self._leave(stream)
            elif stream.waiting:
                self._ring.append(stream)

    def idle(self, seconds: float) -> list[Stream]:
        """Streams that have not run for so long and have nothing waiting."""
        old = np.flatnonzero(self._used < self.clock() - seconds)
        found = [self._slots[slot] for slot in old]
        return [s for s in found if s is not None and not s.waiting and not s.running]

    def _why(self, id: object) -> str:
        return self._gone.get(id, "is not open") if isinstance(id, str | int) else "is not open"

    def _leave(self, stream: Stream) -> None:
        self._used[stream.slot] = np.inf
        self._slots[stream.slot] = None
        self._free.append(stream.slot)
