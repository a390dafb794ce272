"""Graphs drawn at random, compiled in every form and by every plan, run by onnxruntime as they mean.

``pytest --examples 2000`` draws more than the few of a normal run, and others every time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rnnc.compiler import Compiled, compile
from rnnc.ir import Graph
from rnnc.machine.reference import Arrays, run
from rnnc.runtime import Stream, session
from tests.strategies import arrays, graphs
from tests.streaming import several

#: Of numbers in float32, here of order 1, after a few dozen ops.
TOLERANCE = 1e-4

SIZES = (st.sampled_from([0, 1, 2, 3, 6]), st.integers(1, 3))


def drawn(data: st.DataObject, T: int, B: int, ahead: bool) -> tuple[Graph, Arrays]:
    """A graph with weights, and arrays to run it on, all of them as a file takes them."""
    exact = data.draw(st.booleans())
    graph = data.draw(graphs(exact, ahead)).copy()
    # What float32 takes for less, float64 may not.
    assume(exact or not graph.find("less"))
    xs, states, params = (
        {k: v.astype(np.float32) for k, v in part.items()} for part in arrays(graph, exact, T, B)
    )
    graph.interface = replace(graph.interface, params=params)
    return graph.freeze(), Arrays(xs, states, params)


def written(graph: Graph, form: Any, plan: str = "", **options: Any) -> Compiled:
    """The file of a graph, in which ``plan`` runs every loop that it can."""
    file = compile(graph, form, **options)
    if plan:
        passes = str(file.pipeline).replace("choose", f"choose{{plan={plan}}}")
        file = compile(graph, form, pipeline=passes, **options)
    onnx.checker.check_model(file.proto, full_check=True)
    return file


def agree(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert found[name].shape == array.shape
        np.testing.assert_allclose(found[name], array, rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)


@given(st.data(), *SIZES)
@pytest.mark.parametrize("plan", ["", "scan"])
def test_sequence(plan: str, data: st.DataObject, T: int, B: int) -> None:
    graph, (xs, _, _) = drawn(data, T, B, ahead=True)
    file = session(written(graph, "sequence", plan))
    names = [o.name for o in file.get_outputs()]
    taken = {i.name for i in file.get_inputs()}
    found = file.run(names, {k: v for k, v in xs.items() if k in taken})
    agree(dict(zip(names, found, strict=True)), run(graph, xs).outputs)


@given(st.data(), *SIZES)
@pytest.mark.parametrize("plan", ["", "scan"])
def test_chunks(plan: str, data: st.DataObject, T: int, B: int) -> None:
    graph, (xs, states, _) = drawn(data, T, B, ahead=False)
    stream, wanted = Stream(written(graph, "chunk", plan)), run(graph, xs, states)
    stream.state = states
    cut = data.draw(st.integers(0, T))
    parts = [several(stream.push(*pieces(graph, xs, piece))) for piece in (slice(cut), slice(cut, None))]
    found = {}
    for output, *ys in zip(graph.interface.outputs, *parts, strict=True):
        final = output.kind == "final"
        found[output.name] = ys[-1] if final else np.concatenate(ys)
    # Of no steps, the last is zeros: a last piece without steps is no piece.
    last = {} if cut == T else {o.name: found[o.name] for o in graph.interface.outputs if o.kind == "final"}
    streams = {o.name for o in graph.interface.outputs if o.kind == "stream"}
    agree(
        {k: v for k, v in found.items() if k in streams | last.keys()},
        {k: v for k, v in wanted.outputs.items() if k in streams | last.keys()},
    )
    agree(stream.state, wanted.finals)


@given(st.data(), *SIZES)
def test_steps(data: st.DataObject, T: int, B: int) -> None:
    graph, (xs, states, _) = drawn(data, T, B, ahead=False)
    stream, wanted = Stream(written(graph, "step")), run(graph, xs, states)
    stream.state = states
    ys: list[tuple[Any, ...]] = [several(stream.push(*pieces(graph, xs, t))) for t in range(T)]
    for k, output in enumerate(graph.interface.outputs):
        if T:
            found = ys[-1][k] if output.kind == "final" else np.stack([y[k] for y in ys])
            agree({output.name: found}, {output.name: wanted.outputs[output.name]})
    agree(stream.state, wanted.finals)


@given(st.data(), st.integers(1, 6), SIZES[1])
def test_unrolled(data: st.DataObject, T: int, B: int) -> None:
    graph, (xs, states, _) = drawn(data, T, B, ahead=True)
    stream, wanted = Stream(written(graph, "unroll", steps=T)), run(graph, xs, states)
    stream.state = states
    found = several(stream.push(*pieces(graph, xs, slice(None))))
    agree(dict(zip(wanted.outputs, found, strict=True)), wanted.outputs)
    agree(stream.state, wanted.finals)


def pieces(graph: Graph, xs: dict[str, Any], steps: Any) -> list[Any]:
    """Some steps of the streams, and the rest as it is."""
    return [xs[i.name][steps] if i.kind == "stream" else xs[i.name] for i in graph.interface.inputs]
