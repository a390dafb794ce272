"""Recurrences of a constant matrix, by its powers: the same as the loop, in every direction and length."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from rnnc import compile
from rnnc.cells.zoo import DiagonalSSM, sized
from rnnc.ir import Graph
from rnnc.machine.reference import random_arrays, run
from rnnc.pipeline import Pipeline
from rnnc.remarks import collecting
from rnnc.runtime import Stream
from rnnc.text import parse
from tests.meaning import with_params
from tests.test_linear import LEVELS, agree

FULL = "%0 = matmul(h1, A) | h = add(%0, p)"
#: Recurrences on a stream p of 3 features: states h of 3 and g of 2, what they return, and their lines.
SYSTEMS = {
    "h = h⁻ A + p": ("h", "", FULL),
    "h = h⁻ A + p W + b": (
        "h",
        "",
        "%0 = matmul(h1, A) | %1 = matmul(p, W) | %2 = add(%0, %1) | h = add(%2, b)",
    ),
    "the state before": ("h1", "", FULL),
    "h = -(a h⁻ + p - h⁻ A) / 2": (
        "h",
        "",
        "%0 = mul(a, h1) | %1 = matmul(h1, A) | %2 = add(%0, p) | %3 = sub(%1, %2) | h = mul(%3, 0.5)",
    ),
    "h = a h⁻ - g⁻ R + p, g = h⁻ Q": (
        "h",
        "g",
        "%0 = mul(a, h1) | %1 = matmul(g1, R) | %2 = sub(%0, %1) | h = add(%2, p)"
        " | g: f32[B, 2] = matmul(h1, Q)",
    ),
}
SHAPES = {"A": "3, 3", "W": "3, 3", "R": "2, 3", "Q": "3, 2", "a": "3", "b": "3"}


def system(name: str, back: str = "k = 1") -> Graph:
    """The graph of one of the systems."""
    given, more, text = SYSTEMS[name]
    states = {"h": 3, **dict.fromkeys(more, 2)}
    forward = back == "k = 1"
    params = [f"param {p}: f32[{s}]" for p, s in SHAPES.items() if re.search(rf"\b{p}\b", text)]
    inits = [f"state {s}: f32[B, {n}]" for s, n in states.items()] if forward else []
    lines = [
        f"{s}1: f32[B, {n}] = delay({s}, {f'{s}.init' if forward else '0.0'}) {{{back}}}"
        for s, n in states.items()
    ]
    lines += [x if ":" in x else x.replace(" =", ": f32[B, 3] =", 1) for x in text.split(" | ")]
    face = ", ".join(["stream p: f32[B, 3]", *params, *inits])
    return with_params(parse(f"net f({face}) -> (y = {given}) {{\n" + "\n".join(lines) + "\n}\n"))


def chunked(graph: Graph, deep: int = 1, lift: str = "lift") -> Graph:
    """The graph run in chunks, so many levels deep."""
    text = f"{lift},taps,canonicalize,recognize{{T={LEVELS[deep]}}},choose{{plan=matrix-powers}},lower-time"
    found = Pipeline.parse(text).run(graph)
    assert any("every8_" * deep in str(found[v].type) for v in found), "it still runs step by step"
    return found


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("deep", LEVELS)
def test_means_the_same(name: str, deep: int) -> None:
    graph = system(name)
    other = chunked(graph, deep)
    for steps in (0, 1, 7, 8, 9, *([73] if deep > 1 else [])):
        agree(graph, other, steps)


@pytest.mark.parametrize("back", ["k = 1", "k = -1"])
@pytest.mark.parametrize("name", SYSTEMS)
def test_ragged_and_backward(name: str, back: str) -> None:
    graph = system(name, back)
    agree(graph, chunked(graph), 11)
    ragged = chunked(graph, 1, "lift{lengths=true}")
    for lengths in ([0, 0], [13, 5], [0, 13], [8, 9]):
        agree(graph, ragged, 13, lengths)


def files(graph: Any) -> list[Stream]:
    """A file that runs the loop, and one of powers."""
    pipeline = str(compile(graph, "chunk", sizes={"T": 1000}).pipeline)
    made = [re.sub(r"choose\{?", f"choose{{plan={p},", pipeline, count=1) for p in ("scan", "matrix-powers")]
    return [Stream(compile(graph, "chunk", pipeline=text)) for text in made]


@pytest.mark.parametrize("name", SYSTEMS)
def test_in_a_file(name: str) -> None:
    """In pieces of any length, empty ones too."""
    graph = system(name)
    drawn = random_arrays(graph, seed=1, T=100, B=3)
    meant = run(graph, drawn.inputs, drawn.states)
    stream = files(graph)[1]
    stream.state = {p: s.astype(np.float32) for p, s in drawn.states.items()}
    x = drawn.inputs["p"].astype(np.float32)
    ys = [stream.push(x[a:b]) for a, b in pairwise([0, 1, 1, 3, 34, 100])]
    np.testing.assert_allclose(np.concatenate(ys), meant.outputs["y"], rtol=2e-5, atol=2e-5)
    for path, state in stream.state.items():
        np.testing.assert_allclose(state, meant.finals[path], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("radius", [1.0, 0.999, 0.5])
def test_rounding(radius: float) -> None:
    """Over 20 seeds, the largest error is at most twice that of the float32 loop."""
    graph = system("h = h⁻ A + p").copy()
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    graph.interface = replace(graph.interface, params={"A": (radius * turn).astype(np.float32)})
    streams, worst = files(graph.freeze()), [0.0, 0.0]
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = rng.uniform(-1, 1, (500, 2, 3)).astype(np.float32)
        start = rng.uniform(-1, 1, (2, 3)).astype(np.float32)
        meant = run(graph, {"p": x}, {"h": start})
        for k, stream in enumerate(streams):
            stream.state = {"h": start}
            worst[k] = max(worst[k], np.abs(stream.push(x) - meant.outputs["y"]).max())
    assert 0 < worst[1] <= 2 * worst[0]


def test_rotations_are_chosen_where_they_are_narrow() -> None:
    """Two states that are rotated into one another take one product a step, of all chunks."""
    told = {n: compile(sized(DiagonalSSM, n, n), sizes={"T": 1000, "B": 1}).explain() for n in (8, 128)}
    assert "runs as matrix-powers" in told[8]
    assert "runs as matrix-powers" not in told[128]


def test_powers_that_would_overflow_are_not_chosen() -> None:
    graph = system("h = h⁻ A + p").copy()
    graph.interface = replace(graph.interface, params={"A": np.full((3, 3), 1e3, np.float32)})
    with collecting() as remarks:
        Pipeline.parse("lift,recognize,choose").run(graph.freeze())
    assert any("matrix-powers" in str(r) and "products of 8 steps could overflow" in str(r) for r in remarks)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("%0 = mul(a, h1) | h = add(%0, p)", "every unit sees only itself"),
        ("%0 = matmul(h1, A) | %1 = tanh(%0) | h = add(%1, p)", "reads what the loop computes otherwise"),
        ("%0 = matmul(h1, A) | h = mul(%0, p)", "state h is no sum of products"),
        ("h = matmul(h1, A)", "the loop reads no stream"),
    ],
)  # fmt: skip
def test_refused(monkeypatch: pytest.MonkeyPatch, lines: str, reason: str) -> None:
    monkeypatch.setitem(SYSTEMS, "refused", ("h", "", lines))
    with collecting() as remarks:
        Pipeline.parse("lift,recognize").run(system("refused"))
    (said,) = [r.message for r in remarks if r.where == "matrix-powers"]
    assert said.startswith("not a recurrence of a constant matrix: ") and said.endswith(reason)
