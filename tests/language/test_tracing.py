"""Tracing itself: where it works, what it costs, and that it leaves nothing behind."""

from __future__ import annotations

import cProfile
import sys
import time
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc import Chain, net, tanh, zeros
from rnnc.errors import LanguageError
from rnnc.frontend.assemble import trace
from rnnc.frontend.values import running
from rnnc.ops.declare import unifier
from rnnc.text import show
from rnnc.verify import verify
from tests.semantics import Recurrent, cases, fibonacci, noise

SOURCE = """
from rnnc import net, zeros

@net
def total(x, *, y=zeros(3)):
    y = y[-1] + x
    return y
"""


def without_source() -> Any:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(SOURCE, names)
    return names["total"]


def test_without_a_source_file() -> None:
    graph = trace(without_source())
    assert [s.path for s in graph.interface.states] == ["y"]
    (loc,) = graph["y"].locs
    assert (loc.file, loc.line, loc.col, loc.end_col) == ("<string>", 6, 8, 17)


def test_under_a_tracer_and_a_profiler() -> None:
    expected = show(trace(fibonacci))
    seen = []
    before = sys.gettrace()
    sys.settrace(lambda frame, event, arg: seen.append(event))
    try:
        traced = show(trace(fibonacci))
    finally:
        sys.settrace(before)
    assert seen and traced == expected
    with cProfile.Profile():
        assert show(trace(fibonacci)) == expected


def test_a_failed_trace_leaves_nothing_behind() -> None:
    @net
    def faulty(x):
        raise KeyError("user's own")

    before = running.get(), unifier.get()
    with pytest.raises(KeyError):
        trace(Chain(Recurrent(3, 3), faulty))
    assert (running.get(), unifier.get()) == before
    trace(fibonacci)


def test_tracing_inside_a_body() -> None:
    @net
    def outer(x, *, y=zeros(1)):
        inner = fibonacci(np.zeros((3, 1, 1)))
        y = y[-1] + x * float(inner[-1, 0, 0])
        return y

    np.testing.assert_allclose(outer(np.ones((2, 1, 1))).ravel(), [5, 10])


def test_values_of_an_outer_net_are_seen_from_inside() -> None:
    @net
    def outer(x, *, y=zeros(3)):
        inside = net(lambda z: z + x + y[-1])
        y = inside(x * 2)
        return y

    x = np.ones((2, 1, 3))
    np.testing.assert_allclose(outer(x)[:, 0, 0], [3, 6])


def test_values_of_another_trace_are_refused() -> None:
    @net
    def outer(x):
        return net(lambda z: z + x)(np.ones((1, 1, 3))) + x

    with pytest.raises(LanguageError, match="x is used after its net has returned"):
        trace(outer, {"x": (3,)})


def test_comprehensions_and_helpers() -> None:
    def step(v: Any) -> Any:
        return tanh(v)

    @net
    def model(x, *, y=zeros(3)):
        taps = [step(y[-k]) for k in (1, 2, 3)]
        y = sum(taps) + x
        return y

    (state,) = trace(model).interface.states
    assert (state.path, state.depth) == ("y", 3)


def test_time_is_linear() -> None:
    def seconds(n: int) -> float:
        model = Chain(*(rnnc.cells.LSTM(4, 4) for _ in range(n)))
        started = time.perf_counter()
        trace(model)
        return time.perf_counter() - started

    seconds(2)
    assert seconds(50) < 3


def test_a_long_body() -> None:
    @net
    def model(x):
        for _ in range(3000):
            x = x * 0.5
        return x

    assert len(trace(model, {"x": (1,)})) == 6001


@pytest.mark.parametrize("case", cases(), ids=str)
def test_graphs_are_well_formed_and_the_same_every_time(case: Any) -> None:
    shapes = {"x": case.x.shape[2:]}
    first, second = trace(case.model, shapes), trace(case.model, shapes)
    verify(first)
    assert first.frozen
    assert show(first) == show(second)


@pytest.mark.parametrize("operation", ["+", "-", "*", "/", "@", "**"])
def test_arrays_on_either_side(operation: str) -> None:
    a, x = np.abs(noise(3, 3)) + 1, np.abs(noise(4, 3, 3)) + 1
    right = net(lambda x: eval(f"x {operation} a", {"x": x, "a": a}))
    left = net(lambda x: eval(f"a {operation} x", {"x": x, "a": a})) if operation != "@" else right
    np.testing.assert_allclose(
        right(x[:, :, None]), eval(f"x {operation} a", {"x": x[:, :, None], "a": a}), rtol=1e-5
    )
    np.testing.assert_allclose(
        left(x[:, :, None]),
        eval(f"a {operation} x" if operation != "@" else "x @ a", {"x": x[:, :, None], "a": a}),
        rtol=1e-5,
    )
