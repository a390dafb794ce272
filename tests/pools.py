"""Pools to test, and what they are held by."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

import rnnc
from rnnc.emit.form import Form
from tests.test_runtime import compiled

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
    return rnnc.StreamPool(compiled(COUNT, Form("step")), max_streams, threads=1, **options)


@contextmanager
def held(pool: rnnc.StreamPool, stream: Any, x: Any = ONE) -> Iterator[Future[Any]]:
    """A frame of a stream is being run meanwhile, so that what is pushed has to wait."""
    engine, there, go = pool._engine, threading.Event(), threading.Event()
    run = engine.run

    def slow(*args: Any) -> Any:
        there.set()
        assert go.wait(10)
        return run(*args)

    setattr(engine, "run", slow)  # noqa: B010  (a method, as mypy sees it)
    first = pool.submit(stream, x)
    assert there.wait(10)
    setattr(engine, "run", run)  # noqa: B010
    try:
        yield first
    finally:
        go.set()


def counted(pool: rnnc.StreamPool) -> dict[str, float]:
    """The samples of a pool's metrics by name, with the label that tells them apart."""
    families = text_string_to_metric_families(pool.metrics())
    return {
        " ".join([s.name, *s.labels.values()]): float(s.value) for family in families for s in family.samples
    }
