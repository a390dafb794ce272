"""Every plan gives what the reference machine gives: on cells, and on models and graphs drawn at random.

A plan runs every loop that it can, and the cheapest other plan the rest. ``pytest --examples 2000`` draws
more models and graphs than the few of a normal run, and others every time.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rnnc import cells, glorot, net, passes, sigmoid, tanh, zeros
from rnnc.cells import zoo
from rnnc.compiler import Compiled, compile
from rnnc.dims import dim
from rnnc.emit.form import Form
from rnnc.emit.model import write_model
from rnnc.frontend.assemble import trace
from rnnc.ir import Graph
from rnnc.machine.reference import Arrays, Result, random_arrays, run
from rnnc.passes.lift import lift
from rnnc.pipeline import Pipeline
from rnnc.plans import PLANS
from rnnc.runtime import Stream, session
from tests.models_drawn import N, layers
from tests.strategies import arrays as arrays_of
from tests.strategies import graphs
from tests.streaming import several


@net
def leaky(x, *, W=glorot("in", "out"), V=glorot("in", "out"), y=zeros("out")):
    y = sigmoid(x @ W) * y[-1] + x @ V
    return y


@net
def total(x, *, W=glorot("in", "out"), y=zeros("out")):
    y = y[-1] + tanh(x @ W)
    return y


CELLS = {
    "Recurrent": cells.Recurrent(N, 4),
    "IndRNN": cells.IndRNN(N, 4),
    "DilatedRecurrent": cells.DilatedRecurrent(N, 4, d=3),
    "LSTM": cells.LSTM(N, 4),
    "PeepholeLSTM": cells.PeepholeLSTM(N, 4),
    "CoupledLSTM": cells.CoupledLSTM(N, 4),
    "ProjectedLSTM": cells.ProjectedLSTM(N, 5, 4),
    "GatedRecurrent": cells.GatedRecurrent(N, 4),
    "GatedRecurrentAfter": cells.GatedRecurrentAfter(N, 4),
    "MinimalGatedUnit": cells.MinimalGatedUnit(N, 4),
    "leaky": leaky(N, 4),
    "total": total(N, 4),
    "GatedDeltaNet": zoo.GatedDeltaNet(N, 4, 3),
    "DiagonalSSM": zoo.DiagonalSSM(N, 3, 4),
}

#: How many steps, and how many of them each sequence has: some with none, all with none, one alone, no steps.
RAGGED = ((5, [0, 5, 2, 1]), (4, [0, 0]), (5, [3]), (3, [0]), (0, [0, 0]))

#: The native ops of 3 features in float32 are good to their own tolerance; some dozen ops follow one another.
TOLERANCE = 1e-4


def drawn(graph: Graph) -> Graph:
    """The graph with all weights drawn anew, so that no zero hides a fault."""
    bare = graph.copy()
    bare.interface = replace(graph.interface, params=dict.fromkeys(graph.interface.params))
    found = random_arrays(bare, seed=1).params
    new = graph.copy()
    new.interface = replace(
        graph.interface,
        params={
            k: found[k].astype(np.float32) if k in found else v for k, v in graph.interface.params.items()
        },
    )
    return new.freeze()


def as_file(a: Arrays) -> Arrays:
    """Arrays as a file takes them."""
    return Arrays(*({k: v.astype(np.float32) for k, v in part.items()} for part in a))


def forced(text: str, plan: str) -> str:
    """A pipeline in which ``choose`` takes that plan."""
    return text.replace("choose", f"choose{{plan={plan}}}") if plan else text


def plans(graph: Graph, steps: int | None = None) -> list[str]:
    """No plan in particular, and all that differ in how they run a loop of the graph."""
    found = Pipeline.parse(f"{passes.STREAMS},lift,taps,canonicalize,recognize").run(graph)
    loops = found.find("region")
    native = dict.fromkeys(p for r in loops for p in found[r].attrs.get("alternatives", ()))
    return ["", *(["scan", *native] if loops else []), *(["straight"] if loops and steps else [])]


def written(graph: Graph, form: str, plan: str, lengths: bool = False) -> Compiled:
    """The file of a graph, whose loops run as planned."""
    text = forced(getattr(passes, form.upper()), plan)
    text = text.replace("lift,", "lift{lengths=true},") if lengths else text
    file = compile(graph, form, lengths=lengths, pipeline=text)  # type: ignore[arg-type]
    onnx.checker.check_model(file.proto, full_check=True)
    return file


def of_steps(graph: Graph, steps: int, plan: str) -> Compiled:
    """A file for just so many steps, which straight-line code needs to know."""
    lifted = Pipeline.parse(passes.STREAMS).run(graph).copy()
    lift(lifted, dim(steps))
    pipeline = Pipeline.parse(forced(f"taps,canonicalize,recognize,choose,{passes.FUNCTIONS}", plan))
    found, form = pipeline.run(lifted.freeze()), Form("unroll", steps)
    file = Compiled(write_model(found, form, None), form, pipeline, graph, found)
    onnx.checker.check_model(file.proto, full_check=True)
    return file


def agree(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert found[name].shape == array.shape
        np.testing.assert_allclose(found[name], array, rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)


def same(found: Result, wanted: Result) -> None:
    agree(found.outputs, wanted.outputs)
    agree(found.finals, wanted.finals)


def whole(file: Compiled, inputs: dict[str, Any]) -> dict[str, Any]:
    """What a sequence file gives; inputs that it has no use for are left out."""
    opened = session(file)
    taken = {i.name for i in opened.get_inputs()}
    found = opened.run(None, {k: v for k, v in inputs.items() if k in taken})
    return dict(zip((o.name for o in opened.get_outputs()), found, strict=True))


def in_pieces(file: Compiled, a: Arrays, cuts: tuple[int, ...], lengths: Any = None) -> Result:
    """What a stream gives on a sequence cut at some steps, joined; ``lengths`` are those of the whole."""
    graph, stream = file.source, Stream(file)
    stream.state = a.states
    parts = []
    for start, stop in pairwise(cuts):
        xs = [a.inputs[i.name] for i in graph.interface.inputs]
        kinds = [i.kind for i in graph.interface.inputs]
        pushed = (x[start:stop] if k == "stream" else x for x, k in zip(xs, kinds, strict=True))
        left = [] if lengths is None else [np.clip(lengths - start, 0, stop - start)]
        parts.append(several(stream.push(*pushed, *left)))
    ys = {}
    for k, output in enumerate(graph.interface.outputs):
        pieces = [part[k] for part in parts]
        ys[output.name] = pieces[-1] if output.kind == "final" else np.concatenate(pieces)
    return Result(ys, dict(stream.state))


# -- cells --------------------------------------------------------------------------------------------------


@functools.cache
def cell(name: str) -> Graph:
    return drawn(trace(CELLS[name]))


@pytest.mark.parametrize("T", [1, 2, 7])
@pytest.mark.parametrize("name", CELLS)
def test_cell(name: str, T: int) -> None:
    """Whole from the initial states, and in pieces from any, by all plans."""
    graph = cell(name)
    for plan in plans(graph):
        sequence, chunk = cell_file(name, "sequence", plan), cell_file(name, "chunk", plan)
        for B in (1, 3):
            a = as_file(random_arrays(graph, seed=T, T=T, B=B))
            agree(whole(sequence, a.inputs), run(graph, a.inputs).outputs)
            meant = run(graph, a.inputs, a.states)
            for cuts in ((0, T), (0, 0, T // 2, T // 2, T), tuple(range(T + 1))):
                same(in_pieces(chunk, a, cuts), meant)


@functools.cache
def cell_file(name: str, form: str, plan: str) -> Compiled:
    return written(cell(name), form, plan)


@pytest.mark.parametrize("T", [1, 2, 7])
@pytest.mark.parametrize("name", CELLS)
def test_cell_of_so_many_steps(name: str, T: int) -> None:
    graph = cell(name)
    for plan in plans(graph, T):
        file = of_steps(graph, T, plan)
        for B in (1, 3):
            a = as_file(random_arrays(graph, seed=T, T=T, B=B))
            same(in_pieces(file, a, (0, T)), run(graph, a.inputs, a.states))


@pytest.mark.parametrize("name", CELLS)
def test_cell_ragged(name: str) -> None:
    """Whole from the initial states, and in pieces from any: a sequence that is over keeps its states."""
    graph = cell(name)
    for plan in plans(graph):
        sequence, chunk = (written(graph, form, plan, lengths=True) for form in ("sequence", "chunk"))
        for T, given_lengths in RAGGED:
            lengths = np.array(given_lengths)
            a = as_file(random_arrays(graph, seed=5, T=T, B=len(lengths)))
            meant = run(graph, a.inputs, lengths=lengths).outputs
            agree(whole(sequence, {**a.inputs, "lengths": lengths}), meant)
            meant_in_pieces = run(graph, a.inputs, a.states, lengths=lengths)
            for cuts in ((0, T), (0, 0, T // 2, T // 2, T)):
                same(in_pieces(chunk, a, cuts, lengths), meant_in_pieces)


def test_every_plan_runs_some_cell() -> None:
    assert set(PLANS) == {plan for name in CELLS for plan in plans(cell(name), 7)} - {""}


# -- drawn at random ----------------------------------------------------------------------------------------

SIZES = (st.integers(1, 6), st.integers(1, 3))


@given(st.data(), *SIZES)
def test_drawn_model(data: st.DataObject, T: int, B: int) -> None:
    graph = drawn(trace(data.draw(layers(ahead=True)), {"x": (N,)}))
    a = as_file(random_arrays(graph, seed=T, T=T, B=B))
    for plan in plans(graph):
        agree(whole(written(graph, "sequence", plan), a.inputs), run(graph, a.inputs).outputs)


@given(st.data(), *SIZES)
def test_drawn_model_ragged(data: st.DataObject, T: int, B: int) -> None:
    graph = drawn(trace(data.draw(layers(ahead=True)), {"x": (N,)}))
    a = as_file(random_arrays(graph, seed=T, T=T, B=B))
    lengths = np.array(data.draw(st.lists(st.integers(0, T), min_size=B, max_size=B)))
    meant = run(graph, a.inputs, lengths=lengths)
    for plan in plans(graph):
        file = written(graph, "sequence", plan, lengths=True)
        agree(whole(file, {**a.inputs, "lengths": lengths}), meant.outputs)


@given(st.data(), *SIZES)
def test_drawn_model_in_pieces(data: st.DataObject, T: int, B: int) -> None:
    graph = drawn(trace(data.draw(layers(ahead=False)), {"x": (N,)}))
    a = as_file(random_arrays(graph, seed=T, T=T, B=B))
    cuts = tuple(sorted([0, data.draw(st.integers(0, T)), T]))
    for plan in plans(graph):
        same(in_pieces(written(graph, "chunk", plan), a, cuts), run(graph, a.inputs, a.states))


@given(st.data(), *SIZES)
def test_drawn_graph_of_so_many_steps(data: st.DataObject, T: int, B: int) -> None:
    exact = data.draw(st.booleans())
    graph = data.draw(graphs(exact)).copy()
    # What float32 takes for less, float64 may not.
    assume(exact or not graph.find("less"))
    a = as_file(arrays_of(graph, exact, T, B))
    graph.interface = replace(graph.interface, params=a.params)
    graph.freeze()
    for plan in plans(graph, T):
        same(in_pieces(of_steps(graph, T, plan), a, (0, T)), run(graph, a.inputs, a.states))
