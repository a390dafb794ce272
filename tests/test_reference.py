"""The reference machine against numbers worked out by hand, and against itself in pieces."""

from __future__ import annotations

import numpy as np
import pytest

from rnnc.errors import CycleError, RnncError, TypeMismatch, VerifyError
from rnnc.ir import Graph
from rnnc.machine.reference import random_arrays, run
from rnnc.text import parse

FIBONACCI = """
net fibonacci(stream x: f32[B], state y: f32[B] {k = 2, init = 1.0}) -> (y) {
  yi: f32[1, B] = slice(y.init) {axis = 0, start = 0, stop = 1}
  y1i: f32[B] = squeeze(yi) {axes = (0,)}
  y1: f32[B] = delay(y, y1i) {k = 1}
  y2: f32[B] = delay(y, y.init) {k = 2}
  %0: f32[B] = add(y1, y2)
  y: f32[B] = add(%0, x)
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
  next: f32[B] = delay(y, 5.0) {k = -1}
  %0: f32[B] = add(next, next)
  y: f32[B] = add(%0, x)
}
"""

DIFFERENCE = """
net difference(stream x: f32[B], state x: f32[B]) -> (y) {
  x1: f32[B] = delay(x, x.init) {k = 1}
  y: f32[B] = sub(x, x1)
}
"""

CROSSED = """
net crossed(stream x: f32[B], state y: f32[B] {init = 1.0}, state a: f32[B] {init = 2.0}) -> (y) {
  a: f32[B] = delay(y, y.init) {k = 1}
  a1: f32[B] = delay(a, a.init) {k = 1}
  y: f32[B] = add(a1, x)
}
"""

BOTH_WAYS = """
net both_ways(stream x: f32[B], state f: f32[B]) -> (f, b) {
  f1: f32[B] = delay(f, f.init) {k = 1}
  f: f32[B] = add(f1, x)
  b1: f32[B] = delay(b, 0.0) {k = -1}
  b: f32[B] = add(b1, x)
}
"""

DEEP = """
net deep(stream x: f32[B], state x: f32[B] {k = 5}) -> (y) {
  y: f32[B] = delay(x, x.init) {k = 5}
}
"""

SUMMARY = """
net summary(stream x: f32[B, 2], given g: f32[B, 2], param w: f32[2], state s: f32[B, 2])
    -> (s, c, last z) {
  s1: f32[B, 2] = delay(s, s.init) {k = 1}
  s: f32[B, 2] = add(s1, x)
  c: f32[B, 2] = mul(g, w)
  %0: f32[B, 2] = last(s)
  z: f32[B, 2] = add(%0, c)
}
"""


def stream(*numbers: float) -> np.ndarray:
    return np.array(numbers, float)[:, None]


def flat(array: np.ndarray) -> list[float]:
    return array.ravel().tolist()


def test_fibonacci_whole_and_in_pieces():
    graph = parse(FIBONACCI)
    whole = run(graph, {"x": np.zeros((6, 1))})
    assert flat(whole.outputs["y"]) == [2, 3, 5, 8, 13, 21]
    assert flat(whole.finals["y"]) == [21, 13]
    for size in (1, 2, 5):
        states, pieces = {"y": np.ones((2, 1))}, []
        for start in range(0, 6, size):
            piece = run(graph, {"x": np.zeros((min(size, 6 - start), 1))}, states)
            states = piece.finals
            pieces += flat(piece.outputs["y"])
        assert pieces == [2, 3, 5, 8, 13, 21]
        assert flat(states["y"]) == [21, 13]


def test_a_state_is_newest_first():
    found = run(parse(TWO_BACK), {"x": stream(1, 2, 3)}, {"y": stream(100, 200)})
    assert flat(found.outputs["y"]) == [201, 102, 204]
    assert flat(found.finals["y"]) == [204, 102]


def test_lookahead_starts_past_the_end():
    found = run(parse(AHEAD), {"x": stream(1, 2, 3)})
    assert flat(found.outputs["y"]) == [57, 28, 13]
    assert found.finals == {}


def test_the_state_of_an_input():
    found = run(parse(DIFFERENCE), {"x": stream(1, 4, 9)})
    assert flat(found.outputs["y"]) == [1, 3, 5]
    assert flat(found.finals["x"]) == [9]


def test_a_state_that_is_a_delay_of_another():
    found = run(parse(CROSSED), {"x": stream(1, 2, 3)})
    assert flat(found.outputs["y"]) == [3, 3, 6]
    assert found.finals == {"y": [6], "a": [3]}
    assert flat(run(parse(CROSSED), {"x": stream(1, 2, 3)}, {"a": [10.0]}).outputs["y"]) == [11, 3, 14]


def test_both_directions_side_by_side():
    found = run(parse(BOTH_WAYS), {"x": stream(1, 2, 3)})
    assert flat(found.outputs["f"]) == [1, 3, 6]
    assert flat(found.outputs["b"]) == [6, 5, 3]


def test_a_delay_deeper_than_the_sequence():
    found = run(parse(DEEP), {"x": stream(7)}, {"x": stream(1, 2, 3, 4, 5)})
    assert flat(found.outputs["y"]) == [5]
    assert flat(found.finals["x"]) == [7, 1, 2, 3, 4]


def test_a_deep_lookahead_has_its_slots_mirrored():
    text = "net n(stream x: f32[B], given i: f32[2, B]) -> (y) {\n  y: f32[B] = delay(x, i) {k = -2}\n}"
    found = run(parse(text), {"x": stream(1, 2, 3), "i": stream(10, 20)})
    assert flat(found.outputs["y"]) == [3, 10, 20]


def test_no_steps_give_nothing_and_keep_the_state():
    found = run(parse(TWO_BACK), {"x": np.zeros((0, 3))}, {"y": np.arange(6.0).reshape(2, 3)})
    assert found.outputs["y"].shape == (0, 3)
    assert flat(found.finals["y"]) == [0, 1, 2, 3, 4, 5]


def test_what_does_not_change_and_what_is_last():
    g, w = np.array([[1.0, 2], [3, 4]]), np.array([10.0, 100])
    x = np.arange(12.0).reshape(3, 2, 2)
    found = run(parse(SUMMARY), {"x": x, "g": g}, params={"w": w})
    np.testing.assert_array_equal(found.outputs["s"], x.cumsum(0))
    np.testing.assert_array_equal(found.outputs["c"], np.stack([g * w] * 3))
    np.testing.assert_array_equal(found.outputs["z"], x.sum(0) + g * w)
    nothing = run(parse(SUMMARY), {"x": x[:0], "g": g}, params={"w": w})
    np.testing.assert_array_equal(nothing.outputs["z"], g * w)


@pytest.mark.parametrize("text", [FIBONACCI, TWO_BACK, AHEAD, DIFFERENCE, CROSSED, BOTH_WAYS, DEEP, SUMMARY])
def test_ragged_is_each_sequence_alone(text):
    graph, lengths = parse(text), [4, 0, 7, 2]
    inputs, states, params = random_arrays(graph, 1, T=7, B=4)
    ragged = run(graph, inputs, states, params, lengths=lengths)
    kinds = {i.name: i.kind for i in graph.interface.inputs}
    for b, n in enumerate(lengths):
        alone = {
            name: x[:n, b : b + 1] if kinds[name] == "stream" else x[b : b + 1] for name, x in inputs.items()
        }
        depth = {s.path: s.depth > 1 for s in graph.interface.states}
        before = {p: s[:, b : b + 1] if depth[p] else s[b : b + 1] for p, s in states.items()}
        found = run(graph, alone, before, params)
        for o in graph.interface.outputs:
            if o.kind == "final":
                np.testing.assert_array_equal(ragged.outputs[o.name][b : b + 1], found.outputs[o.name])
            else:
                np.testing.assert_array_equal(ragged.outputs[o.name][:n, b : b + 1], found.outputs[o.name])
                assert not ragged.outputs[o.name][n:, b].any()
        for p in states:
            after = ragged.finals[p][:, b : b + 1] if depth[p] else ragged.finals[p][b : b + 1]
            np.testing.assert_array_equal(after, found.finals[p])


def test_an_empty_batch_with_lengths():
    found = run(parse(TWO_BACK), {"x": np.zeros((3, 0))}, lengths=np.zeros(0, int))
    assert found.outputs["y"].shape == (3, 0)
    assert found.finals["y"].shape == (2, 0)


LOOP = """
function loop(stream x: f32[T, B, 3], param w: f32[3, 3], state y: f32[B, 3] = %2) -> (y = %1) {
  %0: (f32[T, B, 3], f32[B, 3]) = region(x, w, y.init) {steps = T, body = net body(stream x: f32[B, 3],
      given w: f32[3, 3], state y: f32[B, 3]) -> (y) {
    y1: f32[B, 3] = delay(y, y.init) {k = 1}
    %0: f32[B, 3] = matmul(y1, w)
    %1: f32[B, 3] = add(%0, x)
    y: f32[B, 3] = tanh(%1)
  }}
  %1: f32[T, B, 3] = item(%0) {k = 0}
  %2: f32[B, 3] = item(%0) {k = 1}
}
"""


def by_hand(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> list[np.ndarray]:
    out = []
    x, y, w = x.astype(float), y.astype(float), w.astype(float)
    for step in x:
        y = np.tanh(y @ w + step)
        out.append(y)
    return out


def test_a_region_is_its_body_over_time():
    graph = parse(LOOP)
    inputs, states, params = random_arrays(graph, 3, T=4)
    found = run(graph, inputs, states, params)
    wanted = by_hand(inputs["x"], states["y"], params["w"])
    np.testing.assert_allclose(found.outputs["y"], wanted, rtol=1e-12)
    np.testing.assert_allclose(found.finals["y"], wanted[-1], rtol=1e-12)


def test_a_region_in_reverse_keeps_the_places_of_its_outputs():
    graph = parse(LOOP.replace("steps = T,", "steps = T, reverse = true,"))
    inputs, states, params = random_arrays(graph, 3, T=4)
    found = run(graph, inputs, states, params)
    wanted = by_hand(inputs["x"][::-1], states["y"], params["w"])
    np.testing.assert_allclose(found.outputs["y"], wanted[::-1], rtol=1e-12)
    np.testing.assert_allclose(found.finals["y"], wanted[-1], rtol=1e-12)


def test_a_ragged_region_in_reverse_begins_at_each_sequence_s_end():
    text = LOOP.replace("steps = T,", "steps = T, reverse = true, ragged = true,")
    text = text.replace("region(x, w, y.init)", "region(x, w, y.init, lengths)")
    graph = parse(text.replace("param w:", "given lengths: i64[B], param w:"))
    inputs, states, params = random_arrays(graph, 3, T=4)
    found = run(graph, {"x": inputs["x"]}, states, params, lengths=[2, 4])
    wanted = by_hand(inputs["x"][1::-1, :1], states["y"][:1], params["w"])
    np.testing.assert_allclose(found.outputs["y"][:2, :1], wanted[::-1], rtol=1e-12)
    np.testing.assert_allclose(found.finals["y"][:1], wanted[-1], rtol=1e-12)
    assert not found.outputs["y"][2:, 0].any()


def test_everything_is_float64_and_integers_stay():
    text = """net n(stream x: f32[B], stream i: i64[B]) -> (y, j) {
      %0: f32[B] = cast(i) {dtype = "f32"}
      y: f32[B] = add(x, %0)
      j: i64[B] = add(i, i)
    }"""
    found = run(parse(text), {"x": stream(1e-9), "i": [[1]]})
    assert found.outputs["y"].dtype == np.float64
    assert flat(found.outputs["y"]) == [1 + 1e-9]
    assert found.outputs["j"].dtype == np.int64


def test_a_state_of_truth_values_starts_false():
    text = """net n(stream x: bool[B], state seen: bool[B]) -> (seen) {
      before: bool[B] = delay(seen, seen.init) {k = 1}
      seen: bool[B] = logical_or(before, x)
    }"""
    found = run(parse(text), {"x": [[False], [True], [False]]})
    assert flat(found.outputs["seen"]) == [False, True, True]


def test_overflow_is_a_number_and_no_warning():
    text = "net n(stream x: f32[B]) -> (y) {\n  y: f32[B] = mul(x, x)\n}"
    assert flat(run(parse(text), {"x": stream(1e200)}).outputs["y"]) == [np.inf]


def test_types_are_held_to_what_ops_do():
    text = "net n(stream x: f32[B, 2]) -> (y) {\n  y: f32[B, 3] = add(x, x)\n}"
    with pytest.raises(VerifyError, match=r"y should be f32\[1, 3\], and is float64\[1, 2\]"):
        run(parse(text), {"x": np.zeros((2, 1, 2))})


def test_both_directions_in_one_cycle_are_refused():
    text = """net n(stream x: f32[B]) -> (y) {
      a: f32[B] = delay(y, 0.0) {k = 1}
      b: f32[B] = delay(y, 0.0) {k = -1}
      y: f32[B] = add(a, b)
    }"""
    with pytest.raises(CycleError, match="both back and ahead"):
        run(parse(text), {"x": stream(1)})


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"inputs": {}}, RnncError, "needs the input x"),
        ({"inputs": {"x": stream(1), "z": stream(1)}}, RnncError, "has no input z"),
        ({"inputs": {"x": stream(1)}, "states": {"q": [1.0]}}, RnncError, "has no state q"),
        ({"inputs": {"x": stream(1)}, "params": {"w": np.ones(1)}}, RnncError, "has no weight w"),
        ({"inputs": {"x": np.zeros(3)}}, TypeMismatch, r"x should be f32\[T, B\], and has shape \[3\]"),
        (
            {"inputs": {"x": stream(1)}, "states": {"y": np.zeros((3, 1))}},
            TypeMismatch,
            "the state y should be",
        ),
        ({"inputs": {"x": np.array([["a"]])}}, TypeMismatch, "x should hold float32 numbers"),
        (
            {"inputs": {"x": stream(1)}, "lengths": [2]},
            RnncError,
            "lengths must lie between 0 and the 1 steps",
        ),
        ({"inputs": {"x": stream(1)}, "lengths": [1, 1]}, TypeMismatch, r"i64\[B\] with B = 1"),
    ],
)
def test_wrong_arrays_are_refused(arguments, kind, message):
    with pytest.raises(kind, match=message):
        run(parse(TWO_BACK), **arguments)


def test_a_weight_that_is_nowhere():
    with pytest.raises(RnncError, match="needs an array for the weight w"):
        run(parse(SUMMARY), {"x": np.zeros((1, 1, 2)), "g": np.zeros((1, 2))})


def test_sizes_that_no_input_shows():
    graph: Graph = parse("net ones(state y: f32[B]) -> (y) {\n  y1: f32[B] = delay(y, y.init) {k = 1}\n"
                         "  y: f32[B] = add(y1, 1.0)\n}")  # fmt: skip
    with pytest.raises(RnncError, match="do not show"):
        run(graph, {})
    assert flat(run(graph, {}, sizes={"T": 3, "B": 1}).outputs["y"]) == [1, 2, 3]


def test_random_arrays_depend_on_seed_and_name_alone():
    one, two = random_arrays(parse(FIBONACCI), 5), random_arrays(parse(TWO_BACK), 5)
    np.testing.assert_array_equal(one.inputs["x"], two.inputs["x"])
    assert (random_arrays(parse(TWO_BACK), 6).inputs["x"] != two.inputs["x"]).any()
    assert one.states["y"].shape == (2, 2)


@pytest.mark.torch
def test_a_graph_runs_on_torch_and_is_differentiable():
    torch = pytest.importorskip("torch")
    from rnnc.machine.evaluate import function
    from rnnc.machine.library import Library

    inputs, states, params = random_arrays(parse(LOOP), 3, T=4)
    wanted = run(parse(LOOP), inputs, states, params)
    env = {"x": inputs["x"], "y.init": states["y"], "w": params["w"]}
    tensors = {name: torch.tensor(a, dtype=torch.float64, requires_grad=True) for name, a in env.items()}
    found = function(parse(LOOP), tensors, Library(torch.tensor, "f64"))
    np.testing.assert_allclose(found["%1"].detach().numpy(), wanted.outputs["y"], rtol=1e-12)
    found["%1"].sum().backward()
    assert all(t.grad is not None and bool(t.grad.any()) for t in tensors.values())
