"""Probes: small ONNX models of one part each, many times over, by which a machine is measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, helper, numpy_helper

OPSET, IR_VERSION = 17, 8
FLOAT = 1
GATES = {"lstm": 4, "gru": 3, "rnn": 1}

Shapes = dict[str, Sequence[int | str]]


def _weight(name: str, *shape: int) -> Any:
    values = np.random.default_rng(0).uniform(-0.05, 0.05, shape).astype(np.float32)
    return numpy_helper.from_array(values, name)


def _graph(
    nodes: Iterable[NodeProto], inputs: Shapes, outputs: Iterable[str], weights: Iterable[Any] = ()
) -> GraphProto:
    takes = [helper.make_tensor_value_info(n, FLOAT, s) for n, s in inputs.items()]
    gives = [helper.make_tensor_value_info(n, FLOAT, None) for n in outputs]
    return helper.make_graph(list(nodes), "probe", takes, gives, list(weights))


def _model(graph: GraphProto) -> bytes:
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
    return bytes(model.SerializeToString())


def chain(op_type: str, count: int, elements: int) -> bytes:
    """So many nodes of one op in a row, each on so many elements; those of two operands read one twice."""
    two = op_type in ("Add", "Mul")
    nodes = [
        helper.make_node(op_type, [f"x{i}"] * (1 + two), [f"x{i + 1}"], name=f"n{i}") for i in range(count)
    ]
    return _model(_graph(nodes, {"x0": [1, elements]}, [f"x{count}"]))


def product(rows: int, width: int) -> bytes:
    """A loop of nothing but the product of ``rows`` vectors with a square of so many rows."""
    node = helper.make_node("Gemm", ["h", "w", "c"], ["g"])
    body = _graph([node], {"h": [rows, width], "c": [rows, width]}, ["g"], [_weight("w", width, width)])
    return _scan(body, {"start": [rows, width]}, {"cs": ["T", rows, width]})


def loop(nodes: int) -> bytes:
    """A loop of so many small nodes a step."""
    inside = [helper.make_node("Add", [f"h{i}", "c"], [f"h{i + 1}"]) for i in range(nodes)]
    body = _graph(inside, {"h0": [1, 16], "c": [1, 16]}, [f"h{nodes}"])
    return _scan(body, {"start": [1, 16]}, {"cs": ["T", 1, 16]})


def _scan(body: GraphProto, states: Shapes, streams: Shapes) -> bytes:
    node = helper.make_node("Scan", [*states, *streams], ["y"], body=body, num_scan_inputs=len(streams))
    return _model(_graph([node], {**states, **streams}, ["y"]))


def choice() -> bytes:
    """One choice between two single nodes."""
    branches = {
        name: _graph([helper.make_node(op, ["x"], ["z"])], {}, ["z"])
        for name, op in (("then_branch", "Neg"), ("else_branch", "Abs"))
    }
    fixed = [
        numpy_helper.from_array(np.array(0, np.float32), "zero"),
        numpy_helper.from_array(np.array([0, 0], np.int64), "at"),
    ]
    nodes = [
        helper.make_node("GatherND", ["x", "at"], ["first"]),
        helper.make_node("Less", ["first", "zero"], ["c"]),
        helper.make_node("If", ["c"], ["y"], **branches),
    ]
    return _model(_graph(nodes, {"x": [1, 16]}, ["y"], fixed))


def native(op: str, units: int) -> bytes:
    """A native op of one input, so that all but its state's products is small."""
    wide = GATES[op] * units
    weights = [_weight("w", 1, wide, 1), _weight("r", 1, wide, units), _weight("b", 1, 2 * wide)]
    node = helper.make_node(op.upper(), ["x", "w", "r", "b"], ["y"], hidden_size=units)
    return _model(_graph([node], {"x": ["T", "B", 1]}, ["y"], weights))
