"""Step files read as stream graphs: names, states that do nothing, pieces kept as they are."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import rnnc
from rnnc.runtime import Stream
from rnnc.text import parse, show
from tests.test_stripping import ints, node

F = TensorProto.FLOAT


def step(nodes, inputs, outputs, weights=()) -> onnx.ModelProto:
    """A model of named inputs and outputs, each with its shape."""
    infos = [[helper.make_tensor_value_info(n, F, s) for n, s in part.items()] for part in (inputs, outputs)]
    made = helper.make_model(
        helper.make_graph(nodes, "step", infos[0], infos[1], list(weights)),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    made.ir_version = 8
    onnx.checker.check_model(made)
    return made


def test_names_that_are_written_alike_stay_apart(tmp_path) -> None:
    shape = {"x": ["N", 3], "h/1": ["N", 3], "h_1": ["N", 3]}
    nodes = [
        node("Add", "x h/1", "a/b"),
        node("Mul", "x h_1", "a_b"),
        helper.make_node("Identity", ["a/b"], ["n/1"]),
        helper.make_node("Tanh", ["a_b"], ["n_1"]),
    ]
    names = ("a/b", "a_b", "n/1", "n_1")
    onnx.save(step(nodes, shape, {name: ["N", 3] for name in names}), tmp_path / "s.onnx")
    graph = rnnc.from_onnx(tmp_path / "s.onnx", {"n/1": "h/1", "n_1": "h_1"})
    assert [s.path for s in graph.interface.states] == ["h_1", "h_1_2"]
    assert [o.name for o in graph.interface.outputs] == ["a_b", "a_b_2"]
    x = np.arange(6, dtype=np.float32).reshape(2, 1, 3)
    sums, products = rnnc.reference(graph, x)[0]
    np.testing.assert_array_equal(sums[:, 0], [[0, 1, 2], [3, 5, 7]])
    assert not products.any()


def test_a_state_without_effect_is_told(tmp_path) -> None:
    nodes = [node("Tanh", "x", "y"), node("Add", "x h", "n")]
    made = step(nodes, {"x": ["N", 3], "h": ["N", 3]}, {"y": ["N", 3], "n": ["N", 3]})
    onnx.save(made, tmp_path / "s.onnx")
    with pytest.warns(RuntimeWarning, match="the state 'h' has no effect"):
        rnnc.from_onnx(tmp_path / "s.onnx", {"n": "h"})


@pytest.mark.parametrize("width", [6, 7])
def test_what_no_op_says_is_kept_and_runs_over_all_frames(tmp_path, width: int) -> None:
    nodes = [
        node("Resize", "x none none sizes", "r", mode="linear"),
        node("Add", "r h", "n"),
        node("Atan", "n", "y"),
    ]
    nodes[0].input[1:3] = ["", ""]
    shape = [1, 2, width]
    made = step(nodes, {"x": [1, 2, 3], "h": shape}, {"y": shape, "n": shape}, [ints("sizes", 1, 2, width)])
    onnx.save(made, tmp_path / "s.onnx")
    graph = rnnc.from_onnx(tmp_path / "s.onnx", {"n": "h"})
    assert show(parse(show(graph))) == show(graph)
    assert {graph[v].attrs["what"] for v in graph.find("opaque")} == {"Resize", "Atan"}
    compiled = rnnc.compile(graph)
    outside = {n.op_type for n in compiled.proto.graph.node}
    assert "Atan" in outside
    assert ("Resize" in outside) == (width == 6), "of 3 only multiples can be told for any number of frames"
    session = onnxruntime.InferenceSession(made.SerializeToString())
    xs = np.random.default_rng(0).uniform(-1, 1, (7, 1, 2, 3)).astype(np.float32)
    h, ys = np.zeros(shape, np.float32), []
    for x in xs:
        y, h = session.run(None, {"x": x, "h": h})
        ys.append(y)
    (found,) = onnxruntime.InferenceSession(compiled.proto.SerializeToString()).run(None, {"x": xs})
    np.testing.assert_allclose(found, np.stack(ys), atol=1e-5)
    stream = Stream(rnnc.compile(graph, "step"))
    np.testing.assert_allclose(np.stack([stream.push(x) for x in xs]), np.stack(ys), atol=1e-5)
    np.testing.assert_allclose(rnnc.reference(graph, xs)[0], np.stack(ys), atol=1e-5)
