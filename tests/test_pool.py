"""Pools: streams that run in one batch give what each gives alone, and what one gets wrong stays with it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.emit.form import Form
from rnnc.errors import FileError, FormError, Overloaded, RnncError, StreamError, UnknownStream
from tests.streaming import close
from tests.test_runtime import NET, compiled, meant
from tools.bench.pool import Script, rehearse

COUNT = """net count(stream x: f32[B], state y: f32[B] {init = 10.0}) -> (y) {
  y1: f32[B] = delay(y, y.init) {k = 1}
  y: f32[B] = add(x, y1)
}"""
LOOKUP = """net n(stream i: i64[B], state y: f32[B]) -> (y) {
  table: f32[2] = const() {value = f32[2] (1.0, 2.0)}
  y1: f32[B] = delay(y, y.init) {k = 1}
  v: f32[B] = gather(table, i) {axis = 0}
  y: f32[B] = add(v, y1)
}"""
ONE = np.ones((), np.float32)


def counter(max_streams: int = 4, **options: Any) -> rnnc.StreamPool:
    """A pool whose streams sum what they get, from 10."""
    return rnnc.StreamPool(compiled(COUNT, Form("step")), max_streams, **options)


@contextmanager
def held(pool: rnnc.StreamPool, stream: Any = 0, x: Any = ONE) -> Iterator[None]:
    """The pool's thread waits meanwhile: what is pushed waits, and is then run together."""
    there, go = threading.Event(), threading.Event()

    def wait(_: object) -> None:
        there.set()
        go.wait()

    blocked = threading.Event()
    with ThreadPoolExecutor(1) as caller:
        # A callback of a future runs in the pool's thread, if it is there before the future is done.
        first = pool.submit(stream, x)
        first.add_done_callback(wait)
        while not there.wait(0.01):
            if first.done() and not blocked.is_set():
                break
        caller.submit(blocked.set).result()
        try:
            yield
        finally:
            go.set()
