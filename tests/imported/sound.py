"""Small models of somebody's, sound ones, that tests of bad files start from."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def made(nodes: list[Any], inputs: dict[str, Any], outputs: dict[str, Any], **weights: Any) -> ModelProto:
    """A model of float tensors."""
    graph = helper.make_graph(
        nodes,
        "m",
        [helper.make_tensor_value_info(n, FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, FLOAT, s) for n, s in outputs.items()],
        [numpy_helper.from_array(np.asarray(a), n) for n, a in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def step() -> ModelProto:
    """One step of a net with two states, ``h`` and ``c``, and a constant weight."""
    nodes = [
        helper.make_node("MatMul", ["x", "W"], ["p"]),
        helper.make_node("Add", ["p", "h_in"], ["q"]),
        helper.make_node("Tanh", ["q"], ["h_out"]),
        helper.make_node("Add", ["h_out", "c_in"], ["c_out"]),
        helper.make_node("Mul", ["c_out", "h_out"], ["y"]),
    ]
    states = {"h_in": [1, 3], "c_in": [1, 3]}
    ends = {"y": [1, 3], "h_out": [1, 3], "c_out": [1, 3]}
    return made(nodes, {"x": [1, 2], **states}, ends, W=np.ones((2, 3), np.float32))


def info(name: str, shape: list[int] | None = None) -> Any:
    return helper.make_tensor_value_info(name, FLOAT, [2] if shape is None else shape)


def nested(depth: int) -> ModelProto:
    """Loops of two rounds inside one another, the innermost of which reads what all others have around it."""

    def body(k: int) -> Any:
        if k == depth:
            nodes = [helper.make_node("Mean", [f"s{j}" for j in range(k)] + ["x"], [f"n{k}"])]
        else:
            nodes = [
                helper.make_node("Loop", ["two", "", f"s{k - 1}"], [f"n{k}"], body=body(k + 1)),
            ]
        counter = helper.make_tensor_value_info(f"i{k}", TensorProto.INT64, [])
        going = [helper.make_tensor_value_info(f"{c}{k}", TensorProto.BOOL, []) for c in ("a", "b")]
        nodes.append(helper.make_node("Identity", [f"a{k}"], [f"b{k}"]))
        inputs, outputs = [counter, going[0], info(f"s{k - 1}")], [going[1], info(f"n{k}")]
        return helper.make_graph(nodes, f"body{k}", inputs, outputs)

    nodes = [helper.make_node("Loop", ["two", "", "x"], ["y"], body=body(1))]
    return made(nodes, {"x": [2]}, {"y": [2]}, two=np.array(2))
