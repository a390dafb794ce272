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


def _weight(name: str, *shape: int, most: float = 0.05) -> Any:
    values = np.random.default_rng(0).uniform(-most, most, shape).astype(np.float32)
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


def stretched(count: int, width: int) -> bytes:
    """So many products of many rows with one, in a row."""
    nodes = [helper.make_node("Mul", [f"x{i}", "w"], [f"x{i + 1}"]) for i in range(count)]
    return _model(_graph(nodes, {"x0": ["rows", width]}, [f"x{count}"], [_weight("w", width)]))


def kept(count: int) -> bytes:
    """So many sums of a value and one before, all of which are kept to the end, to be summed up."""
    nodes = [helper.make_node("Add", [f"x{i}", "x0"], [f"x{i + 1}"]) for i in range(count)]
    nodes.append(helper.make_node("Sum", [f"x{i + 1}" for i in range(count)], ["y"]))
    return _model(_graph(nodes, {"x0": [1, "n"]}, ["y"]))


#: Ops that make of ``{x}``, three rows, a value like it, ``{y}``, by way of others.
PIECES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "where": (("Where", "yes {x} {x}", "{y}"),),
    "slice": (("Slice", "{x} one two zero", "{a}"), ("Concat", "{a} {a} {a}", "{y}")),
    "slices": (
        ("Slice", "{x} one two zero", "{a}"),
        ("Slice", "{x} two three zero", "{b}"),
        ("Concat", "{a} {b} {a}", "{y}"),
    ),
    "split": (("Split", "{x}", "{a} {b} {c}"), ("Concat", "{c} {b} {a}", "{y}")),
}


def pieces(name: str, count: int) -> bytes:
    """The ops of that entry of :data:`PIECES`, so many times in a row."""
    nodes = []
    for i in range(count):
        known = {"x": f"x{i}", "y": f"x{i + 1}", "a": f"a{i}", "b": f"b{i}", "c": f"c{i}"}
        for op_type, reads, gives in PIECES[name]:
            axis: dict[str, Any] = {"axis": 0} if op_type in ("Split", "Concat") else {}
            inputs, outputs = reads.format(**known).split(), gives.format(**known).split()
            nodes.append(helper.make_node(op_type, inputs, outputs, **axis))
    fixed = {"zero": [0], "one": [1], "two": [2], "three": [3], "yes": [True]}
    used = {v for node in nodes for v in node.input}
    weights = [numpy_helper.from_array(np.array(v), n) for n, v in fixed.items() if n in used]
    return _model(_graph(nodes, {"x0": [3, "n"]}, [f"x{count}"], weights))


def product(rows: int, width: int) -> bytes:
    """A loop of nothing but the product of ``rows`` vectors with a square of so many rows."""
    node = helper.make_node("Gemm", ["h", "w", "c"], ["g"])
    body = _graph([node], {"h": [rows, width], "c": [rows, width]}, ["g"], [_weight("w", width, width)])
    return _scan(body, {"start": [rows, width]}, {"cs": ["T", rows, width]})


def loop(nodes: int, streams: int = 1, copies: int = 0, elements: int = 16) -> bytes:
    """A loop of so many small nodes a step, which read so many streams in turn; ``copies`` of its state are
    given at every step."""
    kind: Sequence[int | str] = [1, elements]
    reads = [f"c{i % streams}" for i in range(nodes)]
    inside = [helper.make_node("Add", [f"h{i}", c], [f"h{i + 1}"]) for i, c in enumerate(reads)]
    given = [f"y{k}" for k in range(copies)]
    inside += [helper.make_node("Identity", [f"h{nodes}"], [y]) for y in given]
    scanned = [f"c{k}" for k in range(streams)]
    body = _graph(inside, {"h0": kind, **dict.fromkeys(scanned, kind)}, [f"h{nodes}", *given])
    return _scan(body, {"start": kind}, {f"{c}s": ["T", *kind] for c in scanned})


def _scan(body: GraphProto, states: Shapes, streams: Shapes) -> bytes:
    gives = [f"y{k}" for k in range(len(body.output))]
    node = helper.make_node("Scan", [*states, *streams], gives, body=body, num_scan_inputs=len(streams))
    return _model(_graph([node], {**states, **streams}, gives))


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


def native(op: str, units: int, activations: Sequence[str] = ()) -> bytes:
    """A native op of one input, so that all but its state's products is small.

    Inputs of 0.1 at most make gates of about 1: some activations take longer there than near 0.
    """
    wide = GATES[op] * units
    weights = [_weight("w", 1, wide, 1, most=10), _weight("r", 1, wide, units), _weight("b", 1, 2 * wide)]
    attrs: dict[str, Any] = {"activations": list(activations)} if activations else {}
    if affine := activations.count("Affine"):
        attrs |= {"activation_alpha": [1.0] * affine, "activation_beta": [0.0] * affine}
    node = helper.make_node(op.upper(), ["x", "w", "r", "b"], ["y"], hidden_size=units, **attrs)
    return _model(_graph([node], {"x": ["T", "B", 1]}, ["y"], weights))
