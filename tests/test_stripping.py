"""Sequence files read back as streams: written with onnx.helper, compared with the file itself."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import rnnc
from rnnc.errors import FileError, FormError
from rnnc.runtime import Stream

RNG = np.random.default_rng(0)
F = TensorProto.FLOAT


def weight(name: str, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(RNG.uniform(-0.5, 0.5, shape).astype(np.float32), name)


def ints(name: str, *values: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def node(op: str, inputs: str, outputs: str, **attrs) -> onnx.NodeProto:
    return helper.make_node(op, [n.strip("'") for n in inputs.split()], outputs.split(), **attrs)


def model(nodes, x, y, weights=(), more=()) -> onnx.ModelProto:
    """A model of input ``x`` and output ``y``, each a shape; ``more`` outputs as pairs."""
    outputs = [helper.make_tensor_value_info("y", F, y)]
    outputs += [helper.make_tensor_value_info(n, F, s) for n, s in more]
    graph = helper.make_graph(
        nodes, "sequence", [helper.make_tensor_value_info("x", F, x)], outputs, list(weights)
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 8
    onnx.checker.check_model(made)
    return made


LSTM = [weight("w", 1, 24, 4), weight("r", 1, 24, 6), weight("b", 1, 48)]
BOTH = [weight("w", 2, 24, 4), weight("r", 2, 24, 6), weight("b", 2, 48)]
KERNEL = weight("k", 5, 4, 3)

#: Models by what they are about: the model, the axis of time of x, and that of y.
# fmt: off
MODELS = {
    "matmul over frames": (
        model([node("MatMul", "x a", "y")], [2, "n", 4], [2, "n", 3], [weight("a", 4, 3)]), 1, 1),
    "merged with the batch": (
        model([node("Reshape", "x flat", "f"), node("Gemm", "f a", "g"), node("Tanh", "g", "h"),
               node("Reshape", "h apart", "y")],
              ["n", 2, 4], ["n", 2, 3], [weight("a", 4, 3), ints("flat", -1, 4), ints("apart", -1, 2, 3)]),
        0, 0),
    "lstm": (
        model([node("LSTM", "x w r b", "h", hidden_size=6), node("Squeeze", "h one", "y")],
              ["n", 2, 4], ["n", 2, 6], [*LSTM, ints("one", 1)]), 0, 0),
    "lstm, reversed": (
        model([node("LSTM", "x w r b", "h", hidden_size=6, direction="reverse"),
               node("Squeeze", "h one", "y")],
              ["n", 2, 4], ["n", 2, 6], [*LSTM, ints("one", 1)]), 0, 0),
    "lstm, both ways": (
        model([node("LSTM", "x w r b", "h", hidden_size=6, direction="bidirectional"),
               node("Transpose", "h", "t", perm=[0, 2, 1, 3]), node("Reshape", "t both", "y")],
              ["n", 2, 4], ["n", 2, 12], [*BOTH, ints("both", 0, 0, -1)]), 0, 0),
    "gru over channels": (  # time is its batch
        model([node("Transpose", "x", "t", perm=[1, 0, 2]), node("GRU", "t w r", "h", hidden_size=6),
               node("Squeeze", "h one", "s"), node("Transpose", "s", "y", perm=[1, 0, 2])],
              ["n", 3, 4], ["n", 3, 6], [weight("w", 1, 18, 4), weight("r", 1, 18, 6), ints("one", 1)]),
        0, 0),
    "causal convolution": (
        model([node("Conv", "x k", "y", pads=[2, 0])], [2, 4, "n"], [2, 5, "n"], [KERNEL]), 2, 2),
    "dilated, padded by hand": (
        model([node("Pad", "x p", "q"), node("Conv", "q k", "y", dilations=[3])],
              [2, 4, "n"], [2, 5, "n"], [KERNEL, ints("p", 0, 0, 6, 0, 0, 0)]), 2, 2),
    "padded on both sides and cut": (
        model([node("Conv", "x k", "c", pads=[2, 2]), node("Slice", "c a e two", "y")],
              [2, 4, "n"], [2, 5, "n"], [KERNEL, ints("a", 0), ints("e", -2), ints("two", 2)]), 2, 2),
    "a convolution that looks ahead": (
        model([node("Conv", "x k", "y", pads=[1, 1])], [2, 4, "n"], [2, 5, "n"], [KERNEL]), 2, 2),
    "differences": (
        model([node("Pad", "x p", "q"), node("Slice", "q a e", "o"), node("Sub", "x o", "y")],
              ["n", 3], ["n", 3], [ints("p", 1, 0, 0, 0), ints("a", 0), ints("e", -1)]), 0, 0),
    "largest of the last frames": (
        model([node("MaxPool", "x", "y", kernel_shape=[3], pads=[2, 0])], [2, 4, "n"], [2, 4, "n"]), 2, 2),
    "mean of the last frames": (
        model([node("AveragePool", "x", "y", kernel_shape=[3], pads=[2, 0], count_include_pad=1)],
              [2, 4, "n"], [2, 4, "n"]), 2, 2),
    "an op kept as it is": (
        model([node("Atan", "x", "a"), node("MaxPool", "a", "y", kernel_shape=[2, 1])],
              [2, 4, 6, "n"], [2, 4, 5, "n"]), 3, 3),
    "frame before, joined to zeros": (
        model([node("Slice", "x a e", "o"), node("Concat", "z o", "q", axis=0), node("Sub", "x q", "y")],
              ["n", 3], ["n", 3],
              [numpy_helper.from_array(np.zeros((1, 3), np.float32), "z"), ints("a", 0), ints("e", -1)]),
        0, 0),
    "padded around frames and time": (
        model([node("Pad", "x p", "q"), node("Conv", "q k", "y")],
              [2, 4, "n"], [2, 5, "n"], [weight("k", 5, 6, 3), ints("p", 0, 1, 2, 0, 1, 0)]), 2, 2),
    "table of positions": (
        model([node("Shape", "x", "s", start=0, end=1), node("Slice", "w a s zero", "q"),
               node("Add", "x q", "y")],
              ["n", 3], ["n", 3], [weight("w", 64, 3), ints("a", 0), ints("zero", 0)]), 0, 0),
    "start of a size that is compared": (
        model([node("Shape", "x", "s", start=1, end=2), node("Concat", "one s six", "c", axis=0),
               node("Equal", "c minus", "e"), node("Where", "e ones c", "d"), node("Expand", "h d", "h0"),
               node("GRU", "x w r '' '' h0", "g", hidden_size=6),
               node("Squeeze", "g one", "y")],
              ["n", "b", 4], ["n", "b", 6],
              [weight("w", 1, 18, 4), weight("r", 1, 18, 6), weight("h", 1, 1, 6), ints("one", 1),
               ints("six", 6), ints("minus", -1), ints("ones", 1, 1, 1)]), 0, 0),
    "running sum": (
        model([node("CumSum", "x axis", "y")], [2, "n"], [2, "n"], [ints("axis", 1)]), 1, 1),
}
# fmt: on
LOOKS_AHEAD = ("a convolution that looks ahead", "lstm, reversed", "lstm, both ways")


def run(made: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    found: list[np.ndarray] = onnxruntime.InferenceSession(made.SerializeToString()).run(None, {"x": x})
    return found


def read(tmp_path, made: onnx.ModelProto, axis: int, **options) -> rnnc.ir.Graph:
    onnx.save(made, tmp_path / "sequence.onnx")
    return rnnc.from_onnx(tmp_path / "sequence.onnx", {}, time={"x": axis}, **options)


def frames(made: onnx.ModelProto, axis: int, n: int) -> np.ndarray:
    shape = [d.dim_value or n for d in made.graph.input[0].type.tensor_type.shape.dim]
    return RNG.uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize("name", MODELS)
def test_a_sequence_is_what_the_file_makes_of_it(tmp_path, name: str) -> None:
    made, axis, out = MODELS[name]
    compiled = rnnc.compile(read(tmp_path, made, axis))
    for n in (7, 33):
        x = frames(made, axis, n)
        (y,) = run(compiled.proto, np.moveaxis(x, axis, 0))
        np.testing.assert_allclose(np.moveaxis(y, 0, out), run(made, x)[0], atol=1e-5)


@pytest.mark.parametrize("name", [n for n in MODELS if n not in LOOKS_AHEAD])
def test_a_step_at_a_time_it_is_the_same(tmp_path, name: str) -> None:
    made, axis, out = MODELS[name]
    stream = Stream(rnnc.compile(read(tmp_path, made, axis), "step"))
    x = frames(made, axis, 9)
    y = np.stack([stream.push(f) for f in np.moveaxis(x, axis, 0)])
    np.testing.assert_allclose(np.moveaxis(y, 0, out), run(made, x)[0], atol=1e-5)


def test_the_last_output_is_final(tmp_path) -> None:
    nodes = [node("LSTM", "x w r b", "all y", hidden_size=6)]
    made = model(nodes, ["n", 2, 4], [1, 2, 6], LSTM)
    compiled = rnnc.compile(read(tmp_path, made, 0))
    x = frames(made, 0, 11)
    np.testing.assert_allclose(run(compiled.proto, x)[0], run(made, x)[0], atol=1e-5)
    assert [n.op_type for n in compiled.proto.graph.node].count("LSTM") == 1


def test_frames_of_a_block_are_one_step(tmp_path) -> None:
    nodes = [node("Conv", "x k", "c", strides=[2], pads=[1, 0]), node("Relu", "c", "y")]
    made = model(nodes, [1, 4, "n"], [1, 5, "m"], [KERNEL])
    with pytest.raises(FileError, match="stride 2 along an axis of size T"):
        read(tmp_path, made, 2)
    _blocks(tmp_path, made)
    _blocks(
        tmp_path, model([node("MaxPool", "x", "y", kernel_shape=[2], strides=[2])], [1, 4, "n"], [1, 4, "m"])
    )


def _blocks(tmp_path, made: onnx.ModelProto) -> None:
    stream = Stream(rnnc.compile(read(tmp_path, made, 2, block=4), "step"))
    x = frames(made, 2, 24)
    y = np.concatenate([stream.push(part) for part in np.split(x, 6, axis=2)], axis=2)
    np.testing.assert_allclose(y, run(made, x)[0], atol=1e-5)


# fmt: off
REFUSED = [
    ([node("ReduceMean", "x", "y", axes=[1], keepdims=1)], [], "it reduces over time"),
    ([node("Softmax", "x", "y", axis=1)], [], "it works along time"),
    ([node("Transpose", "x", "t", perm=[0, 2, 1]), node("MatMul", "x t", "y")], [], "to several axes"),
    ([node("Slice", "x a e one", "y")], [ints("a", 0), ints("e", 1), ints("one", 1)], "of fixed numbers"),
    ([node("Slice", "x a e one a", "y")], [ints("a", -1), ints("e", -(2**62)), ints("one", 1)],
     "turns time around"),
    ([node("Gather", "x at", "y", axis=1)], [ints("at", 0, 2)], "picks frames out of time"),
]
# fmt: on


@pytest.mark.parametrize(("nodes", "weights", "reason"), REFUSED, ids=[r for *_, r in REFUSED])
def test_what_cannot_stream_says_why(tmp_path, nodes, weights, reason: str) -> None:
    made = model(nodes, [2, "n", 4], [None, None, None], weights)
    with pytest.raises(FormError, match=f"y, which .* gives, cannot be streamed: .*{reason}"):
        read(tmp_path, made, 1)


@pytest.mark.parametrize("form", ["sequence", "chunk"])
@pytest.mark.parametrize("cell", ["LSTM", "GatedRecurrent", "Recurrent", "LayerNormLSTM"])
def test_a_file_of_our_own_is_read_back(tmp_path, form, cell: str) -> None:
    layer = getattr(rnnc.cells, cell)(4, 6)
    rnnc.compile(layer, form).save(tmp_path / "own.onnx")
    graph = rnnc.from_onnx(tmp_path / "own.onnx", time={"x": 0})
    x = RNG.uniform(-1, 1, (9, 2, 4)).astype(np.float32)
    meant, _ = rnnc.reference(layer, x)
    stream = Stream(rnnc.compile(graph, "step"))
    np.testing.assert_allclose(np.stack([stream.push(f) for f in x]), meant, atol=1e-5)
    np.testing.assert_allclose(run(rnnc.compile(graph).proto, x)[0], meant, atol=1e-5)


def test_both_directions_are_read_back(tmp_path) -> None:
    layer = rnnc.cells.Bidirectional(rnnc.cells.LSTM(4, 6), rnnc.cells.GatedRecurrent(4, 6))
    rnnc.compile(layer).save(tmp_path / "own.onnx")
    x = RNG.uniform(-1, 1, (9, 2, 4)).astype(np.float32)
    again = rnnc.compile(rnnc.from_onnx(tmp_path / "own.onnx", time={"x": 0}))
    np.testing.assert_allclose(run(again.proto, x)[0], rnnc.reference(layer, x)[0], atol=1e-5)


def test_a_loop_that_picks_its_frames_by_number_is_one_over_time(tmp_path) -> None:
    body = helper.make_graph(
        [
            node("Gather", "x i", "f", axis=0),
            node("MatMul", "f w", "a"),
            node("MatMul", "h u", "b"),
            node("Add", "a b", "s"),
            node("Tanh", "s", "n"),
            node("Identity", "going", "on"),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("h", F, [2, 5]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("n", F, [2, 5]),
        ],
    )
    start = numpy_helper.from_array(np.zeros((2, 5), np.float32), "start")
    going = numpy_helper.from_array(np.array(True), "going")
    nodes = [
        node("Shape", "x", "shape"),
        node("Gather", "shape first", "rounds"),
        helper.make_node("Loop", ["rounds", "going", "start"], ["y"], body=body),
    ]
    first = numpy_helper.from_array(np.array(0), "first")
    made = model(nodes, ["n", 2, 4], [2, 5], [start, going, first, weight("w", 4, 5), weight("u", 5, 5)])
    compiled = rnnc.compile(read(tmp_path, made, 0))
    for steps in (1, 9):
        x = frames(made, 0, steps)
        np.testing.assert_allclose(run(compiled.proto, x)[0], run(made, x)[0], atol=1e-5)


def test_numbers_in_even_steps_are_counted(tmp_path) -> None:
    nodes = [
        node("Shape", "x", "shape"),
        node("Gather", "shape first", "length"),
        node("Mul", "length three", "last"),
        node("Add", "last three", "stop"),
        node("Range", "three stop three", "r"),
        node("Cast", "r", "f", to=F),
        node("Unsqueeze", "f axes", "g"),
        node("Div", "x g", "y"),
    ]
    numbers = [numpy_helper.from_array(np.array(v), n) for n, v in (("first", 0), ("three", 3))]
    made = model(nodes, ["n", 4], ["n", 4], [*numbers, ints("axes", 1)])
    stream = Stream(rnnc.compile(read(tmp_path, made, 0), "step"))
    x = frames(made, 0, 7)
    np.testing.assert_allclose(np.stack([stream.push(f) for f in x]), run(made, x)[0], atol=1e-6)
