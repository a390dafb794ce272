"""Running compiled files over whole sequences, whatever their form."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnc.compiler import Compiled
from rnnc.runtime import Stream


def close(found: Any, meant: Any) -> None:
    """Float32 results are what the reference machine means."""
    assert np.shape(found) == np.shape(meant)
    np.testing.assert_allclose(found, meant, rtol=1e-5, atol=1e-5)


def several(ys: Any) -> tuple[Any, ...]:
    return ys if isinstance(ys, tuple) else (ys,)


def push_all(file: Compiled, x: Any) -> tuple[tuple[Any, ...], Stream]:
    """A stream's outputs on all of ``x``, and the stream."""
    stream = Stream(file)
    return push_on(stream, x), stream


def push_on(stream: Stream, x: Any) -> tuple[Any, ...]:
    """What a stream gives on all of ``x``."""
    if stream.manifest["form"] == "step":
        return tuple(np.stack(ys) for ys in zip(*(several(stream.push(step)) for step in x), strict=True))
    if stream.manifest.get("separate"):
        ys, steps = several(stream.push(*x)), len(x)
        return tuple(np.stack(ys[k : k + steps]) for k in range(0, len(ys), steps))
    return several(stream.push(x))
