"""Models that rnnc did not write, made by hand: what others export, and what is wrong with files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

node = helper.make_node
FLOAT = TensorProto.FLOAT


def port(name: str, shape: Sequence[int | str | None] | None, kind: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def weight(name: str, *shape: int) -> onnx.TensorProto:
    array = np.random.default_rng(len(name)).normal(size=shape).astype(np.float32) / 4
    return numpy_helper.from_array(array, name)


def fixed(name: str, value: Any) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(value), name)


def graph(nodes, ins, outs, weights=()) -> onnx.GraphProto:
    return helper.make_graph(nodes, "g", ins, outs, list(weights))


def model(nodes, ins, outs, weights=(), opsets=(("", 17),), functions=()) -> onnx.ModelProto:
    imports = [helper.make_opsetid(*o) for o in opsets]
    return helper.make_model(graph(nodes, ins, outs, weights), opset_imports=imports, functions=functions)


def vad() -> onnx.ModelProto:
    """One step of a detector as people export them: ``state`` goes in, and ``stateN`` comes out."""
    nodes = [
        node("Concat", ["input", "state"], ["both"], axis=-1),
        node("MatMul", ["both", "K"], ["p"]),
        node("Tanh", ["p"], ["stateN"]),
        node("MatMul", ["stateN", "O"], ["output"]),
    ]
    ins, outs = (
        [port("input", ["B", 4]), port("state", ["B", 6])],
        [port("output", ["B", 1]), port("stateN", ["B", 6])],
    )
    return model(nodes, ins, outs, [weight("K", 10, 6), weight("O", 6, 1)])


def nested() -> onnx.ModelProto:
    """An LSTM in a Scan in a branch of an If in a Loop."""
    lstm = node("LSTM", ["seq", "W", "R"], ["", "last", ""], hidden_size=3, name="lstm")
    step = graph(
        [
            node("Unsqueeze", ["xt", "axis"], ["seq"]),
            lstm,
            node("Squeeze", ["last", "axis"], ["flat"]),
            node("Add", ["s", "flat"], ["s2"]),
        ],
        [port("s", [1, 3]), port("xt", [1, 3])],
        [port("s2", [1, 3])],
    )
    scan = node("Scan", ["z", "X"], ["h3"], body=step, num_scan_inputs=1, name="scan")
    one = graph([scan], [], [port("h3", [1, 3])])
    other = graph([node("Identity", ["h"], ["h4"])], [], [port("h4", [1, 3])])
    body = graph(
        [
            node("If", ["flag"], ["h2"], then_branch=one, else_branch=other, name="choice"),
            node("Identity", ["go"], ["go2"]),
        ],
        [port("i", [], TensorProto.INT64), port("go", [], TensorProto.BOOL), port("h", [1, 3])],
        [port("go2", [], TensorProto.BOOL), port("h2", [1, 3])],
    )
    weights = [weight("W", 1, 12, 3), weight("R", 1, 12, 3), fixed("axis", np.array([0]))]
    weights += [fixed("z", np.zeros((1, 3), np.float32)), fixed("n", np.int64(7))]
    ins = [port("X", ["T", 1, 3]), port("flag", [], TensorProto.BOOL)]
    return model(
        [node("Loop", ["n", "", "z"], ["out"], body=body, name="loop")], ins, [port("out", [1, 3])], weights
    )


def old() -> onnx.ModelProto:
    """Opset 7, nodes without names, an op of someone's own, and an LSTM that CUDA does not run."""
    nodes = [
        node("LSTM", ["x", "W", "R"], ["y", "last"], hidden_size=3, clip=3.0),
        node("Magic", ["y"], ["z"], domain="com.acme"),
        node("Det", ["z"], ["d"]),
    ]
    ins = [port("x", ["T", "B", 3]), port("W", [1, 12, 3]), port("R", [1, 12, 3])]
    weights = [weight("W", 1, 12, 3), weight("R", 1, 12, 3)]
    return model(nodes, ins, [port("d", None), port("last", None)], weights, (("", 7), ("com.acme", 1)))


def chain(count: int) -> onnx.ModelProto:
    """``count`` nodes in a row."""
    nodes = [
        node("Add" if n % 2 else "Mul", [f"v{n}", "w"], [f"v{n + 1}"], name=f"n{n}") for n in range(count)
    ]
    return model(nodes, [port("v0", ["B", 8])], [port(f"v{count}", ["B", 8])], [weight("w", 8)])


def calling(names: Sequence[str], calls: Sequence[Sequence[str]]) -> onnx.ModelProto:
    """A model that calls the last of some functions, each of which calls others, or is a Neg."""
    functions = []
    for name, called in zip(names, calls, strict=True):
        ends = ["x", *(f"t{n}" for n in range(1, len(called))), "y"]
        body = [
            node(c, [a], [b], domain="" if c == "Neg" else "local")
            for c, a, b in zip(called, ends, ends[1:], strict=False)
        ]
        imports = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
        functions.append(helper.make_function("local", name, ["x"], ["y"], body, imports))
    top = [node(names[-1], ["x"], ["y"], domain="local")]
    return model(top, [port("x", [1])], [port("y", [1])], (), (("", 17), ("local", 1)), functions)
