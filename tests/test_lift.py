"""From streams to functions: what becomes of loops, delays and ops, beside the golden files."""

from __future__ import annotations

import time

import numpy as np
import pytest

import rnnc.passes  # noqa: F401 - pipelines know the passes
from rnnc.errors import CycleError, FormError, Loc
from rnnc.ir import Graph
from rnnc.loops.ends import separate_ends
from rnnc.loops.regions import operands
from rnnc.machine.evaluate import function
from rnnc.machine.reference import random_arrays, run
from rnnc.passes.fuse_gates import FuseGates
from rnnc.passes.lift import Lift, lift
from rnnc.passes.step import step
from rnnc.passes.unroll import Unroll
from rnnc.pipeline import Pipeline
from rnnc.text import parse
from tests.meaning import disagreement, with_params

LSTM = """
net lstm(stream x: f32[B, 4], param Wxf: f32[4, 3], param Wyf: f32[3, 3], param bf: f32[3],
    param Wxi: f32[4, 3], param Wyi: f32[3, 3], param bi: f32[3], param Wxo: f32[4, 3], param Wyo: f32[3, 3],
    param bo: f32[3], param Wxc: f32[4, 3], param Wyc: f32[3, 3], param bc: f32[3], state y: f32[B, 3],
    state state: f32[B, 3]) -> (y) {
  y1: f32[B, 3] = delay(y, y.init) {k = 1}
  %0: f32[B, 3] = matmul(x, Wxf)
  %1: f32[B, 3] = matmul(y1, Wyf)
  %2: f32[B, 3] = add(%0, %1)
  %3: f32[B, 3] = add(%2, bf)
  forget: f32[B, 3] = sigmoid(%3)
  %4: f32[B, 3] = matmul(x, Wxi)
  %5: f32[B, 3] = matmul(y1, Wyi)
  %6: f32[B, 3] = add(%4, %5)
  %7: f32[B, 3] = add(%6, bi)
  input: f32[B, 3] = sigmoid(%7)
  %8: f32[B, 3] = matmul(x, Wxo)
  %9: f32[B, 3] = matmul(y1, Wyo)
  %10: f32[B, 3] = add(%8, %9)
  %11: f32[B, 3] = add(%10, bo)
  output: f32[B, 3] = sigmoid(%11)
  %12: f32[B, 3] = matmul(x, Wxc)
  %13: f32[B, 3] = matmul(y1, Wyc)
  %14: f32[B, 3] = add(%12, %13)
  %15: f32[B, 3] = add(%14, bc)
  update: f32[B, 3] = tanh(%15)
  state1: f32[B, 3] = delay(state, state.init) {k = 1}
  %16: f32[B, 3] = mul(forget, state1)
  %17: f32[B, 3] = mul(input, update)
  state: f32[B, 3] = add(%16, %17)
  %18: f32[B, 3] = tanh(state)
  y: f32[B, 3] = mul(output, %18)
}
"""

FIBONACCI = """
net fibonacci(stream x: f32[B], state y: f32[B] {k = 2, init = 1.0}) -> (y) {
  %0: f32[1, B] = slice(y.init) {axis = 0, start = 0, stop = 1}
  %1: f32[B] = squeeze(%0) {axes = (0,)}
  y1: f32[B] = delay(y, %1) {k = 1}
  y2: f32[B] = delay(y, y.init) {k = 2}
  %2: f32[B] = add(y1, y2)
  y: f32[B] = add(%2, x)
}
"""

TWO_BACK = """
net two_back(stream x: f32[B], state y: f32[B] {k = 2}) -> (y) {
  y2: f32[B] = delay(y, y.init) {k = 2}
  y: f32[B] = add(y2, x)
}
"""

AHEAD = """
net ahead(stream x: f32[B]) -> (y) {
  y1: f32[B] = delay(y, 5.0) {k = -1}
  %0: f32[B] = mul(y1, 2.0)
  y: f32[B] = add(%0, x)
}
"""

CROSSED = """
net crossed(stream x: f32[B], state y: f32[B] {init = 1.0}, state a: f32[B] {init = 2.0}) -> (y) {
  a: f32[B] = delay(y, y.init) {k = 1}
  a1: f32[B] = delay(a, a.init) {k = 1}
  y: f32[B] = add(a1, x)
}
"""

DELAYED = """
net delayed(stream x: f32[B], state x: f32[B] {k = 5}) -> (y) {
  x5: f32[B] = delay(x, x.init) {k = 5}
  y: f32[B] = add(x, x5)
}
"""

FORMS = ["lift", "lift,lower-time", "unroll{steps=3},lower-time", "unroll{steps=3,separate=true}"]


def became(text: str, pipeline: str) -> Graph:
    return Pipeline.parse(pipeline).run(parse(text))


def column(*values: float) -> np.ndarray:
    return np.array([[v] for v in values])


@pytest.mark.parametrize("pipeline", FORMS)
def test_fibonacci(pipeline: str) -> None:
    form = became(FIBONACCI, pipeline)
    first = run(form, {"x": np.zeros((3, 1))})
    assert first.outputs["y"].ravel().tolist() == [2, 3, 5]
    assert run(form, {"x": np.zeros((3, 1))}, first.finals).outputs["y"].ravel().tolist() == [8, 13, 21]


@pytest.mark.parametrize("pipeline", FORMS)
def test_slots_are_newest_first(pipeline: str) -> None:
    found = run(became(TWO_BACK, pipeline), {"x": column(1, 2, 3)}, {"y": column(100, 200)})
    assert found.outputs["y"].ravel().tolist() == [201, 102, 204]
    assert found.finals["y"].ravel().tolist() == [204, 102]


@pytest.mark.parametrize("pipeline", FORMS)
def test_looking_ahead(pipeline: str) -> None:
    assert run(became(AHEAD, pipeline), {"x": column(1, 2, 3)}).outputs["y"].ravel().tolist() == [57, 28, 13]


@pytest.mark.parametrize("pipeline", FORMS)
def test_two_states_of_one_loop(pipeline: str) -> None:
    form = became(CROSSED, pipeline)
    assert run(form, {"x": column(1, 2, 3)}).outputs["y"].ravel().tolist() == [3, 3, 6]
    found = run(form, {"x": column(1, 2, 3)}, {"y": [10.0], "a": [20.0]})
    assert found.outputs["y"].ravel().tolist() == [21, 12, 24]


@pytest.mark.parametrize("steps", [0, 1, 4, 5, 6, 20])
def test_delays_longer_than_the_sequence(steps: int) -> None:
    graph, form = parse(DELAYED), became(DELAYED, "lift,lower-time")
    x, state = np.arange(1.0, steps + 1)[:, None], -np.arange(1.0, 6)[:, None]
    found, wanted = run(form, {"x": x}, {"x": state}), run(graph, {"x": x}, {"x": state})
    np.testing.assert_array_equal(found.outputs["y"], wanted.outputs["y"])
    np.testing.assert_array_equal(found.finals["x"], wanted.finals["x"])


def test_the_loop_keeps_no_sequence_that_nobody_reads() -> None:
    form = became(LSTM, "lift")
    (region,) = form.find("region")
    body: Graph = form[region].attrs["body"]
    assert [o.name for o in body.interface.outputs] == ["y"]
    assert [s.path for s in body.interface.states] == ["y", "state"]
    assert {form[v].op for v in form.finals.values()} == {"item"}


def test_gates_become_one_product_outside_and_one_inside() -> None:
    form = became(LSTM, "fuse-gates,lift,gemm")
    (region,) = form.find("region")
    body: Graph = form[region].attrs["body"]
    assert len(form.find("matmul")) == 1
    assert [len(body.find(op)) for op in ("matmul", "gemm", "add", "sigmoid", "tanh")] == [0, 1, 1, 1, 2]


def test_what_cannot_take_a_time_axis_becomes_a_loop() -> None:
    text = """
    net f(stream x: f32[B, 4], stream w: f32[3, 4, 1]) -> (y) {
      %0: f32[B, 4, 1] = unsqueeze(x) {axes = (2,)}
      y: f32[B, 3, 1] = conv(%0, w) {strides = (1,), pads = (0, 0), dilations = (1,), group = 1}
    }
    """
    graph = parse(text)
    form = Pipeline.parse("lift").run(graph)
    (region,) = form.find("region")
    assert [form[region].attrs["body"][v].op for v in form[region].attrs["body"].outputs.values()] == ["conv"]
    assert operands(form, region).inits == ()
    assert disagreement(with_params(graph), form) == ""


def test_a_temporary_result_beside_one_with_a_name_like_its_own() -> None:
    """The loop gives v1 and a value without a name, which would be v1, its place."""
    text = """
    net f(stream x: f32[B, 2], state v: f32[B, 2]) -> (y) {
      v1: f32[B, 2] = delay(v, v.init) {k = 1}
      %0: f32[B, 2] = sub(x, v1)
      v: f32[B, 2] = mul(%0, 0.5)
      y: f32[B, 2] = mul(%0, v1)
    }
    """
    lifted = became(text, "lift")
    (region,) = lifted.find("region")
    assert len({o.name for o in lifted[region].attrs["body"].interface.outputs}) == 2
    assert not disagreement(parse(text), lifted)


def test_both_directions_in_one_loop() -> None:
    graph = parse("""
    net f(stream x: f32[B], state y: f32[B]) -> (y) {
      y1: f32[B] = delay(y, y.init) {k = 1}
      y2: f32[B] = delay(y, 0.0) {k = -1}
      %0: f32[B] = add(y1, y2)
      y: f32[B] = add(%0, x)
    }
    """)
    with pytest.raises(CycleError, match="both back and ahead"):
        lift(graph, 3)


def test_a_step_cannot_look_ahead() -> None:
    graph = Graph("f", parse(AHEAD).interface)
    place = Loc("model.py", 3, 4)
    graph.add("input", type=graph.interface.inputs[0].type, name="x")
    zero = graph.add("const", type=parse(AHEAD).type("y"), value=np.zeros(1, np.float32))
    graph.add("delay", "x", zero, type=graph.type("x"), name="y", locs=(place,), k=-2)
    graph.outputs["y"] = "y"
    with pytest.raises(FormError, match="looks ahead by 2") as raised:
        step(graph)
    assert raised.value.loc == place


def test_lengths_need_a_batch() -> None:
    graph = parse("net f(stream x: f32[3]) -> (y) { y: f32[3] = tanh(x) }")
    with pytest.raises(FormError, match="no axis B"):
        Lift(lengths=True).apply(graph)


@pytest.mark.parametrize("separate", [False, True])
def test_unrolling_takes_linear_time(separate: bool) -> None:
    def seconds(steps: int) -> float:
        graph = parse(LSTM)
        start = time.process_time()
        Unroll(steps, separate).apply(graph)
        return time.process_time() - start

    few, many = (min(seconds(steps) for _ in range(3)) for steps in (100, 1000))
    assert many < 60 * max(few, 0.01), "ten times the steps take ten times as long, not a hundred"


def test_fusing_gates_leaves_nothing_to_fuse() -> None:
    once = became(LSTM, "fuse-gates").copy()
    edits = len(once.edits)
    FuseGates().apply(once)
    assert len(once.edits) == edits


@pytest.mark.parametrize("pipeline", ["unroll{steps=3}", "unroll{steps=3,separate=true}"])
def test_steps_with_inputs_and_outputs_of_their_own(pipeline: str) -> None:
    form = Pipeline.parse(pipeline).run(parse(LSTM))
    apart = separate_ends(form, 3)
    assert apart.find("input") == ["x_0", "x_1", "x_2"]
    assert list(apart.outputs) == ["y_0", "y_1", "y_2"]
    if "separate" in pipeline:
        assert not apart.find("gather")
    a = random_arrays(form, seed=1, T=3)
    wanted = run(form, a.inputs, a.states, a.params)
    env = {f"x_{t}": x.astype(np.float64) for t, x in enumerate(a.inputs["x"])}
    env |= {f"{path}.init": s.astype(np.float64) for path, s in a.states.items()}
    found = function(apart, env | {path: p.astype(np.float64) for path, p in a.params.items()})
    for t in range(3):
        np.testing.assert_allclose(found[apart.outputs[f"y_{t}"]], wanted.outputs["y"][t], rtol=1e-12)
    for path, value in apart.finals.items():
        np.testing.assert_allclose(found[value], wanted.finals[path], rtol=1e-12)


def test_a_name_of_a_step_that_is_taken() -> None:
    text = """net f(stream x: f32[B], given x_1: f32[B]) -> (y, last y_0) {
      y: f32[B] = add(x, x_1)
      y_0: f32[B] = last(y)
    }"""
    apart = separate_ends(became(text, "unroll{steps=2,separate=true}"), 2)
    assert [i.name for i in apart.interface.inputs] == ["x_0", "x_1_2", "x_1"]
    assert [o.name for o in apart.interface.outputs] == ["y_0", "y_1", "y_0_2"] == list(apart.outputs)


def test_a_stream_named_like_a_step_of_another() -> None:
    text = "net f(stream x: f32[B], stream x_1: f32[B]) -> (y) { y: f32[B] = add(x, x_1) }"
    apart = separate_ends(became(text, "unroll{steps=2,separate=true}"), 2)
    assert [i.name for i in apart.interface.inputs] == ["x_0", "x_1", "x_1_0", "x_1_1"]


def test_an_output_that_is_an_input_named_like_a_step() -> None:
    text = "net f(stream x: f32[B]) -> (x_1 = x, x_1_0 = y) { y: f32[B] = neg(x) }"
    apart = separate_ends(became(text, "unroll{steps=2}"), 2)
    assert list(apart.outputs) == ["x_1_0", "x_1_1", "x_1_0_0", "x_1_0_1"]
