"""Sockets: one client's WebSocket, with any number of streams on it."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import Coroutine
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect

from rnnc.service.desk import Desk
from rnnc.service.links import lost
from rnnc.service.protocol import Ask, Refusal, parse, too_large
from rnnc.serving.turns import Id

logger = logging.getLogger("ray.serve")

#: How many requests of one WebSocket may be unanswered. It is closed beyond that: what it sends is held by
#: Ray, without a bound.
UNDER_WAY = 64


class Socket:
    """One WebSocket: its requests, and the streams that it has started, which end with it.

    A message in text is a request in JSON; a binary one has the length of that in its first four bytes,
    little end first, then the JSON and the binary tensors. Responses come as their requests do. What names no
    stream is of the socket's own, which starts by itself.
    """

    def __init__(self, desk: Desk, socket: WebSocket, most: int) -> None:
        self._desk, self._socket, self._most = desk, socket, most
        self._own, self._tasks = uuid.uuid4().hex, set[asyncio.Task[None]]()
        self.started: set[Id] = set()
        self._asked: Counter[Id] = Counter()  # requests under way

    async def serve(self) -> None:
        """Answer until the client leaves."""
        try:
            while (message := await self._socket.receive())["type"] != "websocket.disconnect":
                if len(self._tasks) >= UNDER_WAY:
                    told = f"more than {UNDER_WAY} requests of one connection are unanswered"
                    await self._send(Refusal("OVERLOADED", told, hint="Await answers").content(), None)
                    await self._socket.close(1008, told)
                    return
                self._do(self._told(message.get("text"), message.get("bytes")))
        except (WebSocketDisconnect, RuntimeError):  # starlette's, where the connection is gone
            return
        finally:
            for task in self._tasks:
                task.cancel()

    def tell_lost(self, sequences: set[Id]) -> None:
        """Tell the client which of its streams are lost, but for those of requests that will tell it."""
        for sequence in self.started & sequences:
            self.started.discard(sequence)
            if not self._asked[sequence]:
                self._do(self._send(lost(sequence).content(), None))

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not task.cancelled():
                task.exception()  # the client is gone, and nobody is left to be told

        task.add_done_callback(done)

    async def _told(self, text: str | None, binary: bytes | None) -> None:
        """Answer a message, whatever happens."""
        try:
            await self._answer(text, binary)
        except WebSocketDisconnect:
            raise
        except Exception:
            logger.exception("a request failed")
            await self._send(Refusal("INTERNAL", "the request failed").content(), None)

    async def _answer(self, text: str | None, binary: bytes | None) -> None:
        ask = Ask()
        try:
            if len(binary if binary is not None else text or "") > self._most:
                raise too_large(self._most)
            if binary is None:
                ask = parse((text or "").encode())
            else:
                if len(binary) < 4:
                    raise Refusal("MALFORMED", "a binary message begins with the length of its header")
                ask = parse(binary[4:], int.from_bytes(binary[:4], "little"))
            if ask.sequence is None:
                ask.sequence = self._own
                ask.start |= self._own not in self.started
            if ask.start:
                self.started.add(ask.sequence)
            if ask.end:
                self.started.discard(ask.sequence)
            self._asked[ask.sequence] += 1
            try:
                header, tensors = await self._desk.infer(ask)
            finally:
                self._asked[ask.sequence] -= 1
                self._asked += Counter()  # without those of none
            await self._send(header, None if binary is None else tensors)
        except Refusal as refusal:
            if refusal.code in ("STREAM_LOST", "STREAM_UNKNOWN") or ask.start:
                self.started.discard(ask.sequence or "")
            await self._send(refusal.content(ask.id), None)

    async def _send(self, header: bytes, tensors: list[bytes] | None) -> None:
        if tensors is None:
            await self._socket.send_text(header.decode())
        else:
            await self._socket.send_bytes(b"".join([len(header).to_bytes(4, "little"), header, *tensors]))
