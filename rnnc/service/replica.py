"""The replica: a pool of streams that fronts call."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from ray import serve

from rnnc.errors import RnncError
from rnnc.runtime import Source
from rnnc.service.links import Item, Reply
from rnnc.service.protocol import Refusal
from rnnc.serving import StreamPool
from rnnc.serving.turns import Id


class Replica:
    """A pool over a file, with the options of :class:`rnnc.StreamPool`."""

    def __init__(self, source: Source, options: Mapping[str, Any]) -> None:
        self._pool = StreamPool(source, **options)
        self._name = serve.get_replica_context().replica_id.unique_id

    async def run(self, wanted: str, items: Sequence[Item]) -> tuple[str, Sequence[Reply] | None]:
        """This replica's name, and a reply to each item; none if another replica was wanted."""
        if wanted not in ("", self._name):
            return self._name, None
        return self._name, await asyncio.gather(*(self._reply(item) for item in items))

    async def has(self, sequence: Id) -> str | None:
        """This replica's name if the stream is here."""
        return self._name if sequence in self._pool else None

    async def room(self) -> tuple[int, str]:
        """How many streams more there is room for, and this replica's name."""
        return self._pool.room, self._name

    async def close(self, sequences: Sequence[Id]) -> None:
        """End streams, if they are here."""
        for sequence in sequences:
            if sequence in self._pool:
                self._pool.close(sequence)

    async def metrics(self) -> tuple[str, str]:
        """This replica's name, and what its pool counts."""
        return self._name, self._pool.metrics()

    def check_health(self) -> None:
        """Fails, for Ray to see, when the pool's thread has ended."""
        self._pool.collect()

    async def _reply(self, item: Item) -> Reply:
        sequence, pool = item.sequence, self._pool
        started = False
        try:
            if item.start:
                await self.close([sequence])
                pool.open(sequence, given=item.given)
                started = True
            elif item.given:
                names = ", ".join(item.given)
                raise Refusal("INVALID", f"{names} is given as a stream starts, and not later", sequence)
            if item.frames is None:
                ys: Any = ()
            else:
                ys = await pool.apush(sequence, *item.frames)
                ys = ys if isinstance(ys, tuple) else (ys,)
        except RnncError as error:
            if started:  # a stream that did not start as asked has not started
                await self.close([sequence])
            return Refusal.of(error, sequence)
        finally:
            if item.end:
                await self.close([sequence])
        return tuple(ys)
