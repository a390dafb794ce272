"""Graphs drawn at random mean the same in every form: the reference machine runs the streams, and what each
form makes of them, on the same arrays.

``pytest --examples 2000`` draws more than the few of a normal run, and others every time.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rnnc.passes as passes
from rnnc.ir import Array, Graph
from rnnc.machine.reference import Arrays, Result, run
from rnnc.pipeline import Pipeline
from rnnc.text import parse, show
from rnnc.verify import verify
from tests.strategies import arrays, graphs

#: Both sides compute in float64, in another order at most.
TOLERANCE = 1e-9

T = st.sampled_from([0, 1, 2, 3, 6])
B = st.integers(1, 3)
EXACT = st.booleans()

#: What every stream graph can become, whole sequences in and out; ``{T}`` is their length.
WHOLE = [
    "lift",
    "lift,lower-time",
    "unroll{{steps={T}}},lower-time",
    "unroll{{steps={T},separate=true}}",
    "canonicalize,hoist,fuse-gates,lift,gemm,lower-time",
    passes.CHUNK,
]


def same(found: Mapping[str, Array], wanted: Mapping[str, Array], exact: bool) -> None:
    """Equal arrays by name; but for rounding, unless ``exact``."""
    assert found.keys() == wanted.keys()
    for name in wanted:
        if exact:
            np.testing.assert_array_equal(found[name], wanted[name], err_msg=name)
        else:
            np.testing.assert_allclose(
                found[name], wanted[name], rtol=TOLERANCE, atol=TOLERANCE, err_msg=name
            )


def agree(found: Result, wanted: Result, exact: bool) -> None:
    same(found.outputs, wanted.outputs, exact)
    same(found.finals, wanted.finals, exact)


@given(st.data(), EXACT, T, B)
@pytest.mark.parametrize("pipeline", WHOLE)
def test_a_whole_sequence(pipeline: str, data: st.DataObject, exact: bool, t: int, batch: int) -> None:
    graph = data.draw(graphs(exact=exact))
    verify(graph)
    if "{T}" in pipeline:
        t = max(t, 1)
    a = arrays(graph, exact, t, batch)
    form = Pipeline.parse(pipeline.format(T=t) if "{T}" in pipeline else pipeline).run(graph)
    found = run(form, a.inputs, a.states, a.params, sizes={"T": t, "B": batch})
    agree(found, run(graph, a.inputs, a.states, a.params), exact)


@given(st.data(), EXACT, T, B)
@pytest.mark.parametrize("pipeline", ["bind,lift", passes.SEQUENCE])
def test_from_the_initial_states(pipeline: str, data: st.DataObject, exact: bool, t: int, batch: int) -> None:
    graph = data.draw(graphs(exact=exact))
    a = arrays(graph, exact, t, batch)
    form = Pipeline.parse(pipeline).run(graph)
    assert not form.finals
    found = run(form, a.inputs, params=a.params, sizes={"T": t, "B": batch})
    same(found.outputs, run(graph, a.inputs, params=a.params).outputs, exact)


def pieces(form: Graph, a: Arrays, sizes: list[int], step: bool) -> Result:
    """A sequence run in pieces of ``sizes`` steps, states carried over."""
    inputs, states, params = a
    kinds = {i.name: i.kind for i in form.interface.inputs}
    parts: list[Result] = []
    at = 0
    for size in sizes:
        given_ = {
            name: x if kinds[name] == "given" else x[at] if step else x[at : at + size]
            for name, x in inputs.items()
        }
        parts.append(run(form, given_, states, params, sizes={"T": size}))
        states = parts[-1].finals
        at += size
    outputs: dict[str, Array] = {}
    for output in form.interface.outputs:
        found = [p.outputs[output.name] for p in parts]
        if output.kind == "final":
            outputs[output.name] = found[-1]
        else:
            outputs[output.name] = np.stack(found) if step else np.concatenate(found)
    return Result(outputs, states)


@given(st.data(), EXACT, B)
@pytest.mark.parametrize("pipeline", ["step", passes.STEP])
def test_step_by_step(pipeline: str, data: st.DataObject, exact: bool, batch: int) -> None:
    graph = data.draw(graphs(exact=exact, ahead=False))
    a = arrays(graph, exact, 6, batch)
    form = Pipeline.parse(pipeline).run(graph)
    agree(pieces(form, a, [1] * 6, step=True), run(graph, a.inputs, a.states, a.params), exact)


@given(st.data(), EXACT, B)
@pytest.mark.parametrize("pipeline", ["lift", passes.CHUNK])
def test_in_chunks(pipeline: str, data: st.DataObject, exact: bool, batch: int) -> None:
    graph = data.draw(graphs(exact=exact, ahead=False))
    a = arrays(graph, exact, 6, batch)
    form = Pipeline.parse(pipeline).run(graph)
    agree(pieces(form, a, [1, 0, 2, 3], step=False), run(graph, a.inputs, a.states, a.params), exact)


@given(st.data(), EXACT)
@pytest.mark.parametrize(
    "pipeline", ["lift{lengths=true}", "lift{lengths=true},lower-time", "unroll{steps=4,lengths=true}"]
)
def test_with_lengths(pipeline: str, data: st.DataObject, exact: bool) -> None:
    graph = data.draw(graphs(exact=exact))
    lengths = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=3))
    a = arrays(graph, exact, 4, len(lengths))
    form = Pipeline.parse(pipeline).run(graph)
    found = run(form, a.inputs, a.states, a.params, lengths=lengths)
    agree(found, run(graph, a.inputs, a.states, a.params, lengths=lengths), exact)


@given(graphs())
def test_text(graph: Graph) -> None:
    for g in (graph, Pipeline.parse("lift").run(graph)):
        assert show(parse(show(g))) == show(g)
