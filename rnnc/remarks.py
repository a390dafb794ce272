"""Remarks: what passes and plans have to say about a model that is not an error.

with collecting() as remarks:
    pipeline.run(graph)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from rnnc.errors import Loc


@dataclass(frozen=True, slots=True)
class Remark:
    """What was done (``passed``), or was not and why (``missed``); ``where`` names the pass or plan.

    ``details`` are lines below it.
    """

    kind: Literal["passed", "missed"]
    where: str
    message: str
    loc: Loc | None = None
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        place = f"{self.loc}: " if self.loc else ""
        return "\n".join([f"{place}{self.kind}: {self.where}: {self.message}", *self.details])


_open: ContextVar[list[Remark] | None] = ContextVar("remarks", default=None)


def remark(remark: Remark) -> None:
    """Tell whoever is collecting; without a collector the remark is dropped."""
    collector = _open.get()
    if collector is not None:
        collector.append(remark)


@contextmanager
def collecting() -> Iterator[list[Remark]]:
    """The remarks made inside, in order. Of collectors inside each other, the innermost gets them."""
    found: list[Remark] = []
    token = _open.set(found)
    try:
        yield found
    finally:
        _open.reset(token)
