"""Answers: where the outputs of a request go, a thread that waits or an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any

import numpy as np


class Answer:
    """The outputs that one call waits for: those of one stream, or a list of ``count``."""

    __slots__ = ("error", "future", "left", "loop", "many", "value")

    def __init__(self, future: Any, loop: asyncio.AbstractEventLoop | None, count: int | None = None) -> None:
        self.future, self.loop, self.many = future, loop, count is not None
        self.left = 1 if count is None else count
        self.value: Any = None if count is None else [None] * count
        self.error: Exception | None = None

    def put(self, value: Any, place: int = 0) -> bool:
        """Take the outputs in a place of the list, or the error that came instead; whether all are there."""
        if isinstance(value, Exception):
            self.error = self.error or value
        elif self.many:  # views, which are joined and go
            self.value[place] = value
        else:
            self.value = _own(value)
        self.left -= 1
        return not self.left

    def settle(self) -> None:
        """Tell whoever waits, in the thread that its future belongs to."""
        if self.loop is not None and self.future.done():  # nobody waits any more
            return
        if self.loop is None and not self.future.set_running_or_notify_cancel():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.value)


def _own(value: Any) -> Any:
    """Outputs that hold no memory of other streams'."""
    if isinstance(value, np.ndarray):
        return value.copy()
    return tuple(map(_own, value)) if type(value) is tuple else value


def here() -> Answer:
    """An answer for a thread: its future is one of ``concurrent.futures``."""
    return Answer(Future(), None)


def settle(answers: Iterable[Answer]) -> None:
    """Tell all who wait, each event loop once."""
    loops: dict[asyncio.AbstractEventLoop, list[Answer]] = {}
    for answer in answers:
        if answer.loop is None:
            answer.settle()
        else:
            loops.setdefault(answer.loop, []).append(answer)
    for loop, mine in loops.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle_all, mine)


def _settle_all(answers: Iterable[Answer]) -> None:
    for answer in answers:
        answer.settle()
