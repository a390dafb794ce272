"""Loops that look back by multiples of k, as one larger batch: every length, in pieces, ragged, both ways."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from rnnc import cells, flip, given, glorot, net, passes, sigmoid, tanh, zeros
from rnnc.compiler import compile
from rnnc.frontend.assemble import trace
from rnnc.ir import Graph
from rnnc.loops.batching import batch_of
from rnnc.machine.reference import random_arrays, run
from rnnc.pipeline import Pipeline
from rnnc.runtime import Stream, session
from rnnc.text import parse
from tests.meaning import disagreement
from tests.streaming import close


@net
def gru(x, *, W=glorot(3, 12), U=glorot(4, 8), V=glorot(4, 4), h=zeros(4)):
    a = x @ W
    g = sigmoid(a[..., :8] + h[-3] @ U)
    z, r = g[..., :4], g[..., 4:]
    h = z * h[-3] + (1 - z) * tanh(a[..., 8:] + (r * h[-3]) @ V)
    return h


@net
def two_registers(x, *, U=glorot(3, 3), h=zeros(3), c=zeros(3)):
    c = sigmoid(h[-2]) * c[-4] + x
    h = tanh(c + h[-6] @ U)
    return h, c


@net
def smooth(x, *, h=zeros(3)):
    h = sigmoid(x) * h[-4] + x
    return h


@net
def speaker(x, g=given(3), *, U=glorot(3, 3), h=zeros(3)):
    h = tanh(x * g + h[-2] @ U * g)
    return h


MODELS = {
    "rnn, 2": cells.DilatedRecurrent(3, 4, d=2),
    "rnn, 5": cells.DilatedRecurrent(3, 4, d=5),
    "gru, 3": gru,
    "two registers": two_registers,
    "linear, 4": smooth,
    "given": speaker,
}
AHEAD = {"rnn ahead": flip(cells.DilatedRecurrent(3, 4, d=2)), "two registers ahead": flip(two_registers)}


def graph_of(model: Any) -> Graph:
    return trace(model, shapes={"x": (3,)})


def steps_of(graph: Graph) -> list[str]:
    """The rounds of the loops that are left of a graph after interleaving."""
    return [str(graph[r].attrs["steps"]) for r in graph.find("region")]


@pytest.mark.parametrize("name", [*MODELS, *AHEAD])
@pytest.mark.parametrize("lengths", [False, True])
def test_means_the_same_after_each_pass(name: str, lengths: bool) -> None:
    graph = graph_of({**MODELS, **AHEAD}[name])
    lift = "lift{lengths=true}" if lengths else "lift"
    after: list[Graph] = []
    text = f"canonicalize,{lift},interleave,taps,canonicalize,recognize,choose,lower-time"
    Pipeline.parse(text).run(graph, hook=lambda p, _, g: after.append(g))
    assert steps_of(after[2]) and all(s.startswith("every") for s in steps_of(after[2]))
    for g in after[1:]:
        assert not disagreement(graph, g)
        for T in (0, 1, 2, 3, 4, 7, 13):
            a = random_arrays(graph, seed=T, T=T, B=2)
            ragged = np.array([T, T // 2]) if lengths else None
            states = a.states if all(s.source in g for s in graph.interface.states) else None
            wanted = run(graph, a.inputs, states, lengths=ragged)
            found = run(g, a.inputs, states, lengths=ragged, sizes={"T": T, "B": 2})
            for key, y in wanted.outputs.items():
                np.testing.assert_allclose(found.outputs[key], y, atol=1e-12)
            for key, y in wanted.finals.items():
                np.testing.assert_allclose(found.finals[key], y, atol=1e-12)


@pytest.mark.parametrize("plan", ["", "scan"])
@pytest.mark.parametrize("name", [*MODELS, *AHEAD])
def test_in_files(name: str, plan: str) -> None:
    graph = graph_of({**MODELS, **AHEAD}[name])
    for lengths in (False, True):
        text = passes.SEQUENCE.replace("choose", f"choose{{plan={plan}}}") if plan else passes.SEQUENCE
        text = text.replace("lift,", "lift{lengths=true},") if lengths else text
        file = session(compile(graph, "sequence", pipeline=text, lengths=lengths))
        for T, B in ((0, 1), (1, 1), (2, 3), (7, 3), (40, 1)):
            feeds = {
                k: v.astype(np.float32) for k, v in random_arrays(graph, seed=T, T=T, B=B).inputs.items()
            }
            ragged = np.random.default_rng(T).integers(0, T + 1, B) if lengths else None
            extra = {} if ragged is None else {"lengths": ragged}
            meant = run(graph, feeds, lengths=ragged)
            for y, wanted in zip(file.run(None, {**feeds, **extra}), meant.outputs.values(), strict=True):
                close(y, wanted)


@pytest.mark.parametrize("plan", ["", "scan"])
@pytest.mark.parametrize("name", [m for m in MODELS if m != "given"])
def test_in_pieces(name: str, plan: str) -> None:
    """Pieces longer and shorter than the delay, one without a step among them."""
    graph = graph_of(MODELS[name])
    text = passes.CHUNK.replace("choose", f"choose{{plan={plan}}}") if plan else passes.CHUNK
    a = random_arrays(graph, seed=5, T=25, B=3)
    xs, states = ({k: v.astype(np.float32) for k, v in part.items()} for part in a[:2])
    stream, meant = Stream(compile(graph, "chunk", pipeline=text)), run(graph, xs, states)
    stream.state = states
    parts = [stream.push(xs["x"][a:b]) for a, b in pairwise((0, 1, 3, 3, 6, 14, 18, 25))]
    parts = [p if isinstance(p, tuple) else (p,) for p in parts]
    for ys, wanted in zip(zip(*parts, strict=True), meant.outputs.values(), strict=True):
        close(np.concatenate(ys), wanted)
    for path, state in stream.state.items():
        close(state, meant.finals[path])


def test_a_dilated_layer_is_native_and_reads_its_input() -> None:
    """The product with the input stays one with the op's own weights, whose input is laid out instead."""
    found = Pipeline.parse(passes.SEQUENCE).run(graph_of(cells.DilatedRecurrent(3, 4, d=2)))
    (rnn,) = found.find("rnn")
    assert str(found.type(found.operands(rnn)[0]).shape[-1]) == "3"
    assert not found.find("region") and not found.find("matmul")


MEETING = """
net meeting(stream x: f32[B, 2], state h: f32[B, 2] {k = 2}) -> (h) {
  h2: f32[B, 2] = delay(h, h.init) {k = 2}
  LINE
  h: f32[B, 2] = add(x, %0)
}
"""


@pytest.mark.parametrize(
    ("line", "alone"),
    [
        ("%0: f32[B, 2] = tanh(h2)", True),
        ("%0: f32[B, 2] = cumsum(h2) {axis = 1}", True),
        ("%0: f32[B, 2] = cumsum(h2) {axis = 0}", False),
        ("%0: f32[B, 2] = softmax(h2) {axis = 0}", False),
        ("%0: f32[1, 2] = reduce_mean(h2) {axes = (0,), keepdims = true}", False),
        ('%0: f32[B, 2] = einsum(h2, h2) {equation = "bi,bi->bi"}', True),
        ('%0: f32[B, 2] = einsum(h2, h2) {equation = "bi,ci->bi"}', False),
    ],
)
def test_only_sequences_that_do_not_meet(line: str, alone: bool) -> None:
    graph = Pipeline.parse("lift").run(parse(MEETING.replace("LINE", line)))
    (region,) = graph.find("region")
    assert bool(batch_of(graph[region].attrs["body"])) == alone
