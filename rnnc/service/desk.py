"""The desk: takes the requests of clients to the streams of a model, wherever those are."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ray.exceptions import RayActorError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from rnnc.service.links import Gone, Item, Links, Reply
from rnnc.service.protocol import Ask, Refusal, Shapes, respond
from rnnc.serving.turns import Id

#: How long replicas have to answer to what all of them are asked, in seconds.
PATIENCE = 5.0


class Listener(Protocol):
    """Who is told which streams are lost."""

    def tell_lost(self, sequences: set[Id]) -> None:
        """These are lost."""


class Desk:
    """Sends requests to replicas; knows where each stream is. With ``shared`` there are other desks."""

    def __init__(
        self, replicas: DeploymentHandle[Any], model: str, manifest: Mapping[str, Any], shared: bool
    ) -> None:
        self._replicas, self._model, self._shapes = replicas, model, Shapes(manifest)
        self._links = Links(self._send, self._locate, self._roomy, self._lost, shared)
        self.listeners: set[Listener] = set()

    async def infer(self, ask: Ask) -> tuple[bytes, list[bytes]]:
        """The response to a request: its header, and the binary tensors if it has such."""
        sequence = ask.sequence
        if sequence is None:
            raise Refusal(
                "INVALID", "the model keeps a state for each stream", hint="Name it: parameters.sequence_id"
            )
        frames, given = self._shapes.frames(ask)
        reply = await self._links.ask(Item(sequence, ask.start, ask.end, frames, given or None))
        if isinstance(reply, Refusal):
            raise reply
        return respond(self._model, ask, self._shapes.outputs(reply), sequence)

    async def end(self, sequences: Sequence[Id]) -> None:
        """End streams whose client is no more."""
        await asyncio.gather(*(self._links.ask(Item(sequence, end=True)) for sequence in sequences))

    async def all(self, method: str, *args: Any) -> list[Any]:
        """What every replica replies that can."""
        try:
            found = await self._replicas.broadcast(method, *args).results_async(
                timeout_s=PATIENCE, return_exceptions=True
            )
        except (TimeoutError, RayServeException):
            return []
        return [reply for reply in found if not isinstance(reply, BaseException)]

    async def _locate(self, sequence: Id) -> str | None:
        return next((name for name in await self.all("has", sequence) if name), None)

    async def _roomy(self) -> str | None:
        room, name = max(await self.all("room"), default=(0, None))
        return name if room else None

    def _lost(self, sequences: Sequence[Id]) -> None:
        gone = set(sequences)
        for listener in self.listeners:
            listener.tell_lost(gone)

    async def _send(self, replica: str, items: Sequence[Item]) -> tuple[str, Sequence[Reply]]:
        """Call a replica, in a context of its own: Ray takes calls of one client's request for one call."""
        call = self._call(replica, items)
        return await asyncio.create_task(call, context=contextvars.Context())

    async def _call(self, replica: str, items: Sequence[Item]) -> tuple[str, Sequence[Reply]]:
        try:
            name, replies = await self._replicas.options(session_id=replica).run.remote(replica, list(items))
        except (RayActorError, RayServeException) as error:
            raise Gone(replica) from error
        if replies is None:
            raise Gone(replica)
        return name, replies
