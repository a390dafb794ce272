"""Nodes that no op of ours says: grouped while they are read, and run in as few loops as possible."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper, save

import rnnc
from rnnc.errors import FileError
from rnnc.ir import Graph
from rnnc.machine.reference import run
from rnnc.runtime import session

FLOAT = TensorProto.FLOAT
OPSET = 17


def model(
    nodes: list[Any],
    inputs: dict[str, list[int]],
    outputs: dict[str, list[int]],
    weights: dict[str, Any] | None = None,
) -> ModelProto:
    """A model of float tensors."""
    graph = helper.make_graph(
        nodes,
        "m",
        [helper.make_tensor_value_info(n, FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, FLOAT, s) for n, s in outputs.items()],
        [numpy_helper.from_array(np.asarray(a), n) for n, a in (weights or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def imported(proto: ModelProto, tmp_path: Path, **options: Any) -> Graph:
    path = tmp_path / "m.onnx"
    save(proto, path)
    return rnnc.from_onnx(path, **{"state": {}, **options})


def frame_by_frame(proto: ModelProto, streams: dict[str, Any]) -> list[Any]:
    """What the file gives for each step alone, stacked."""
    opened = session(proto.SerializeToString())
    steps = len(next(iter(streams.values())))
    found = [opened.run(None, {n: x[t] for n, x in streams.items()}) for t in range(steps)]
    return [np.stack(ys) for ys in zip(*found, strict=True)]


def equal_in_every_form(proto: ModelProto, graph: Graph, streams: dict[str, Any]) -> Any:
    """The sequence form, once it gives what the file gives frame by frame; and the reference machine too."""
    wanted = frame_by_frame(proto, streams)
    sequence = rnnc.compile(graph)
    found = session(sequence).run(None, streams)
    meant = run(graph, streams, sizes={"T": len(next(iter(streams.values())))}).outputs
    for y, machine, w in zip(found, meant.values(), wanted, strict=True):
        np.testing.assert_allclose(y, w, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(machine, w, rtol=1e-5, atol=1e-6)
    return sequence


def scans(compiled: Any) -> int:
    """How many loops the file has, at any depth."""
    from rnnc.foreign import all_nodes

    return sum(n.op_type == "Scan" for n in all_nodes(compiled.proto.graph))


def draw(*shape: int) -> Any:
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


def test_nodes_with_a_sequence_between_them_are_one_piece(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("SplitToSequence", ["x"], ["seq"], axis=1),
        helper.make_node("SequenceInsert", ["seq", "h", "two"], ["longer"]),
        helper.make_node("SequenceAt", ["longer", "two"], ["part"]),
        helper.make_node("Relu", ["part"], ["y"]),
    ]
    weights = {"two": np.array(2, np.int64)}
    proto = model(nodes, {"x": [2, 4], "h": [2, 1]}, {"y": [2, 1]}, weights)
    graph = imported(proto, tmp_path)
    (piece,) = graph.find("opaque")
    assert len(rnnc.foreign.unpack(graph[piece].attrs["piece"]).graph.node) == 3
    compiled = equal_in_every_form(proto, graph, {"x": draw(3, 2, 4), "h": draw(3, 2, 1)})
    assert scans(compiled) == 1


def test_nodes_with_an_element_type_of_their_own_between_them_are_one_piece(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["text"], to=TensorProto.STRING),
        helper.make_node("Identity", ["text"], ["same"]),
        helper.make_node("Cast", ["same"], ["z"], to=FLOAT),
        helper.make_node("Neg", ["z"], ["y"]),
    ]
    proto = model(nodes, {"x": [2, 4]}, {"y": [2, 4]})
    graph = imported(proto, tmp_path)
    assert len(graph.find("opaque")) == 1
    assert len(graph.find("neg")) == 1
    streams = {"x": np.round(draw(3, 2, 4) * 8)}
    sequence = rnnc.compile(graph)
    np.testing.assert_array_equal(session(sequence).run(None, streams)[0], frame_by_frame(proto, streams)[0])


def test_a_tensor_of_unknown_rank_waits_for_a_node_whose_type_is_stated(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ReduceSum", ["x", "axes"], ["s"], keepdims=0),
        helper.make_node("Exp", ["s"], ["y"]),
    ]
    proto = model(nodes, {"x": [2, 4]}, {"y": [2]})
    proto.graph.input.append(helper.make_tensor_value_info("axes", TensorProto.INT64, [1]))
    graph = imported(proto, tmp_path)
    streams = {"x": draw(3, 2, 4), "axes": np.ones((3, 1), np.int64)}
    equal_in_every_form(proto, graph, streams)


def test_names_that_two_branches_share_are_kept_apart(tmp_path: Path) -> None:
    def branch(axis: int, name: str) -> Any:
        nodes = [
            helper.make_node("SplitToSequence", ["x"], ["seq"], axis=axis),
            helper.make_node("SequenceAt", ["seq", "one"], [name]),
        ]
        info = helper.make_tensor_value_info(name, FLOAT, [1, 3] if axis == 0 else [2, 1])
        return helper.make_graph(nodes, name, [], [info])

    nodes = [
        helper.make_node("If", ["yes"], ["a"], then_branch=branch(0, "r"), else_branch=branch(1, "e")),
        helper.make_node("If", ["no"], ["b"], then_branch=branch(0, "t"), else_branch=branch(1, "r")),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    weights = {"yes": np.array(True), "no": np.array(False), "one": np.array(1, np.int64)}
    proto = model(nodes, {"x": [2, 3]}, {"y": [2, 3]}, weights)
    equal_in_every_form(proto, imported(proto, tmp_path), {"x": draw(3, 2, 3)})


def test_an_output_that_is_no_tensor_is_refused(tmp_path: Path) -> None:
    proto = model([helper.make_node("SplitToSequence", ["x"], ["y"], axis=0)], {"x": [2, 4]}, {})
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, [1, 4]))
    proto.graph.output.append(helper.make_value_info("y", kind))
    with pytest.raises(FileError, match="the SplitToSequence that gives 'y' is no tensor, but a sequence"):
        imported(proto, tmp_path)


def test_what_takes_no_time_is_one_loop_where_nothing_that_does_stands_between(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Det", ["x"], ["d"]),
        helper.make_node("Mul", ["x", "d"], ["m"]),
        helper.make_node("Einsum", ["m"], ["e"], equation="...ii"),
        helper.make_node("Hardmax", ["x"], ["h"]),
        helper.make_node("Add", ["e", "d"], ["y"]),
    ]
    proto = model(nodes, {"x": [3, 3]}, {"y": [], "h": [3, 3]})
    graph = imported(proto, tmp_path)
    assert len(graph.find("opaque")) == 3
    assert scans(equal_in_every_form(proto, graph, {"x": draw(4, 3, 3)})) == 1


def test_a_product_between_them_makes_two_loops(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Hardmax", ["x"], ["h"]),
        helper.make_node("MatMul", ["h", "w"], ["m"]),
        helper.make_node("Det", ["m"], ["y"]),
    ]
    proto = model(nodes, {"x": [3, 3]}, {"y": []}, {"w": draw(3, 3)})
    assert scans(equal_in_every_form(proto, imported(proto, tmp_path), {"x": draw(4, 3, 3)})) == 2


def test_dice_are_rolled_at_every_step(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("RandomNormal", [], ["noise"], shape=[2, 3]),
        helper.make_node("Add", ["x", "noise"], ["y"]),
    ]
    graph = imported(model(nodes, {"x": [2, 3]}, {"y": [2, 3]}), tmp_path)
    (y,) = session(rnnc.compile(graph)).run(None, {"x": np.zeros((4, 2, 3), np.float32)})
    assert len(np.unique(y)) == y.size


def test_how_many_elements_are_found_is_known_only_inside_the_loop(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("NonZero", ["x"], ["at"]),
        helper.make_node("Shape", ["at"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
        helper.make_node("Cast", ["at"], ["f"], to=FLOAT),
        helper.make_node("ReduceMax", ["f"], ["top"], keepdims=0),
        helper.make_node("Add", ["top", "sum"], ["y"]),
    ]
    proto = model(nodes, {"x": [2, 4]}, {"y": []})
    equal_in_every_form(proto, imported(proto, tmp_path), {"x": draw(3, 2, 4)})


def test_a_piece_is_brought_to_the_opset_that_the_rest_needs(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Resize", ["x", "", "scales"], ["r"], mode="nearest"),
        helper.make_node("Pad", ["r", "pads"], ["y"]),
    ]
    weights = {"scales": np.array([1, 1, 2, 2], np.float32), "pads": np.array([0, 0, 1, 0, 0, 0, 0, 1])}
    proto = model(nodes, {"x": [1, 2, 3, 3]}, {"y": [1, 2, 7, 7]}, weights)
    graph = imported(proto, tmp_path)
    compiled = equal_in_every_form(proto, graph, {"x": draw(3, 1, 2, 3, 3)})
    assert compiled.proto.opset_import[0].version == 17
    newer = rnnc.compile(graph, opset=18).proto
    checker.check_model(newer, full_check=True)
    assert newer.opset_import[0].version == 18


def test_a_size_that_only_the_file_names_is_that_of_the_state(tmp_path: Path) -> None:
    """As in what onnxruntime's quantizer writes."""
    nodes = [
        helper.make_node("Add", ["x", "h"], ["s"]),
        helper.make_node("QuantizeLinear", ["s", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["h_out"]),
        helper.make_node("Neg", ["h_out"], ["y"]),
    ]
    weights = {"scale": np.float32(1 / 64), "zero": np.uint8(128)}
    shapes: tuple[Any, Any] = (
        {"x": ["B", 3], "h": ["B", 3]},
        {"y": ["n", 3], "h_out": ["Add_dim_0", 3]},
    )
    graph = imported(model(nodes, *shapes, weights), tmp_path, state={"h_out": "h"})
    x = np.round(8 * draw(5, 2, 3)) / 64
    np.testing.assert_array_equal(session(rnnc.compile(graph)).run(None, {"x": x})[0], -np.cumsum(x, axis=0))
