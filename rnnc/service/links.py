"""Links: which replica has which stream, and the way there.

What waits for one replica while a call to it is under way is the next call, so that many clients cost one
call. A call has at most one item of each stream, in order. Nothing here knows Ray: ``send`` calls a replica.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rnnc.ir import Array
from rnnc.service.protocol import Refusal
from rnnc.serving.turns import Id

#: How many items a call has, and how many wait for one replica, at most.
CALL, WAITING = 256, 4096
#: How many streams are remembered; what is forgotten is asked for.
KNOWN = 100_000


@dataclass(frozen=True)
class Item:
    """What is asked of a stream: to start anew, with given values; frames, if any; and to end."""

    sequence: Id
    start: bool = False
    end: bool = False
    frames: tuple[Array, ...] | None = None
    given: dict[str, Array] | None = None


#: The outputs of an item, or why there are none.
Reply = tuple[Any, ...] | Refusal


class Gone(Exception):
    """A replica that is no more, or cannot be reached."""


#: Calls a replica, or any if it is named "", with items; its name and the replies. It may raise ``Gone``.
Send = Callable[[str, Sequence[Item]], Awaitable[tuple[str, Sequence[Reply]]]]


class Link:
    """The way to one replica."""

    def __init__(self, send: Send, replica: str) -> None:
        self._send, self._replica = send, replica
        self._waiting: deque[tuple[Item, asyncio.Future[Reply]]] = deque()
        self._pump: asyncio.Task[None] | None = None

    async def ask(self, item: Item) -> Reply:
        """What the replica replies; raises ``Gone``."""
        if len(self._waiting) >= WAITING:
            return Refusal("OVERLOADED", f"{WAITING} requests wait for one replica", item.sequence)
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        while self._waiting:
            batch = self._next()
            try:
                _, replies = await self._send(self._replica, [item for item, _ in batch])
            except Gone as gone:
                batch += self._waiting
                self._waiting.clear()
                for _, future in batch:
                    if not future.done():
                        future.set_exception(Gone(*gone.args))
                return
            except Exception as error:  # noqa: BLE001  (whatever it is, those who wait are told)
                text = f"the replica failed: {type(error).__name__}"
                replies = [Refusal("INTERNAL", text, item.sequence) for item, _ in batch]
            for (_, future), reply in zip(batch, replies, strict=True):
                if not future.done():  # who asked is still there
                    future.set_result(reply)

    def _next(self) -> list[tuple[Item, asyncio.Future[Reply]]]:
        """The first item of each stream; the others stay."""
        taken: list[tuple[Item, asyncio.Future[Reply]]] = []
        left: deque[tuple[Item, asyncio.Future[Reply]]] = deque()
        seen = set()
        for entry in self._waiting:
            sequence = entry[0].sequence
            if sequence in seen or len(taken) == CALL:
                left.append(entry)
            else:
                taken.append(entry)
            seen.add(sequence)
        self._waiting = left
        return taken


class Links:
    """Sends items to the replica that has their stream.

    ``locate`` finds the replica that has a stream, and ``roomy`` the one with the most room, by asking all;
    ``None`` if there is none. ``lost`` is told which streams went with a replica. With ``shared``, other
    fronts may have started a stream that is to be started here.
    """

    def __init__(
        self,
        send: Send,
        locate: Callable[[Id], Awaitable[str | None]],
        roomy: Callable[[], Awaitable[str | None]],
        lost: Callable[[Sequence[Id]], None],
        shared: bool = False,
    ) -> None:
        self._send, self._locate, self._roomy, self._tell = send, locate, roomy, lost
        self._shared = shared
        self._where: OrderedDict[Id, str] = OrderedDict()
        self._lost: OrderedDict[Id, None] = OrderedDict()
        self._links: dict[str, Link] = {}
        self._placing: dict[Id, asyncio.Future[None]] = {}

    async def ask(self, item: Item) -> Reply:
        """What the stream's replica replies."""
        while (placing := self._placing.get(item.sequence)) is not None:
            await placing
        replica = self._where.get(item.sequence)
        if replica is None and (self._shared or not item.start) and item.sequence not in self._lost:
            replica = await self._found(item.sequence)
        if replica is None:
            return await self._place(item) if item.start else self._unknown(item.sequence)
        try:
            reply = await self._link(replica).ask(item)
        except Gone:
            self._forget(replica)
            return await self._place(item) if item.start else self._unknown(item.sequence)
        unknown = isinstance(reply, Refusal) and reply.code == "STREAM_UNKNOWN"
        if item.end or unknown:
            self._where.pop(item.sequence, None)
        return reply

    async def _place(self, item: Item) -> Reply:
        """Start a stream on any replica; what else comes for it waits until it is known which."""
        if item.sequence in self._placing:
            return await self.ask(item)
        placed = self._placing[item.sequence] = asyncio.get_running_loop().create_future()
        try:
            replica, (reply,) = await self._send("", [item])
            if isinstance(reply, Refusal) and reply.code == "OVERLOADED" and (other := await self._roomy()):
                replica, (reply,) = await self._send(other, [item])
        except Gone:
            return Refusal("OVERLOADED", "no replica can be reached", item.sequence, "Try again later")
        finally:
            del self._placing[item.sequence]
            placed.set_result(None)
        if not isinstance(reply, Refusal):
            self._lost.pop(item.sequence, None)
            if not item.end:
                _remember(self._where, item.sequence, replica)
        return reply

    async def _found(self, sequence: Id) -> str | None:
        replica = await self._locate(sequence)
        if replica is not None:
            _remember(self._where, sequence, replica)
        return replica

    def _link(self, replica: str) -> Link:
        if replica not in self._links:
            self._links[replica] = Link(self._send, replica)
        return self._links[replica]

    def _forget(self, replica: str) -> None:
        """A replica is gone: its streams are lost, and those who have them are told."""
        self._links.pop(replica, None)
        lost = [sequence for sequence, where in self._where.items() if where == replica]
        for sequence in lost:
            del self._where[sequence]
            _remember(self._lost, sequence, None)
        if lost:
            self._tell(lost)

    def _unknown(self, sequence: Id) -> Refusal:
        if sequence in self._lost:
            return lost(sequence)
        return Refusal(
            "STREAM_UNKNOWN",
            f"stream {sequence!r} is not open: it was never started, has ended, or has expired",
            sequence,
            "Start it: sequence_start",
        )


def lost(sequence: Id) -> Refusal:
    """What the client of a lost stream is told."""
    message = f"stream {sequence!r} was lost with its replica, and its state with it"
    return Refusal("STREAM_LOST", message, sequence, "Start it again: sequence_start")


def _remember(known: OrderedDict[Id, Any], sequence: Id, value: Any) -> None:
    known[sequence] = value
    if len(known) > KNOWN:
        known.popitem(last=False)
