"""Steps written out for a fixed length, made a loop again: any length is then what the step makes of it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import rnnc
from rnnc.errors import FormError
from tests.test_stripping import ints, node, run, weight

F = TensorProto.FLOAT
STEPS = 6


def unrolled(steps: int, *, folded: bool, stacked: bool = True, odd: bool = False) -> onnx.ModelProto:
    """A tanh layer of ``steps`` steps; ``folded`` leaves the first product, which is zero, out.

    The second step reads the weight by another name, as where an exporter shares equal ones.
    """
    nodes, outputs = [node("Identity", "w", "same")], []
    for t in range(steps):
        nodes += [
            node("Gather", f"x t{t}", f"x{t}", axis=0),
            node("MatMul", f"x{t} {'same' if t == 1 else 'w'}", f"a{t}"),
        ]
        before = f"h{t - 1}" if t else "h"
        if t or not folded:
            nodes += [node("MatMul", f"{before} u", f"b{t}"), node("Add", f"a{t} b{t}", f"s{t}")]
        last = f"s{t}" if t or not folded else f"a{t}"
        nodes.append(node("Relu" if odd and t == 3 else "Tanh", last, f"h{t}"))
        outputs.append(f"y{t}")
    if stacked:
        nodes += [node("Unsqueeze", f"h{t} zero", f"y{t}") for t in range(steps)]
        nodes += [node("Concat", " ".join(outputs), "ys", axis=0), node("MatMul", "ys v", "y")]
    else:
        nodes.append(node("MatMul", f"h{steps - 1} v", "y"))
    numbers = [numpy_helper.from_array(np.array(t), f"t{t}") for t in range(steps)]
    start = numpy_helper.from_array(np.full((2, 32), 0.0 if folded else 0.25, np.float32), "h")
    weights = [weight("w", 4, 32), weight("u", 32, 32), weight("v", 32, 3), ints("zero", 0), start, *numbers]
    graph = helper.make_graph(
        nodes,
        "unrolled",
        [helper.make_tensor_value_info("x", F, [steps, 2, 4])],
        [helper.make_tensor_value_info("y", F, [steps, 2, 3] if stacked else [2, 3])],
        weights,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 8
    onnx.checker.check_model(made)
    return made


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("stacked", [False, True])
def test_copies_of_a_step_are_a_loop(tmp_path, folded: bool, stacked: bool) -> None:
    rng = np.random.default_rng(1)
    compiled = None
    for steps in (STEPS, 4, 17):
        made = _seeded(steps, folded=folded, stacked=stacked)
        if compiled is None:
            onnx.save(made, tmp_path / "u.onnx")
            compiled = rnnc.compile(rnnc.from_onnx(tmp_path / "u.onnx", {}, time={"x": 0}))
            assert len(compiled.proto.graph.node) < 16
        x = rng.uniform(-1, 1, (steps, 2, 4)).astype(np.float32)
        np.testing.assert_allclose(run(compiled.proto, x)[0], run(made, x)[0], atol=1e-5)


def test_the_loop_carries_the_state_not_its_product(tmp_path) -> None:
    onnx.save(unrolled(STEPS, folded=True), tmp_path / "u.onnx")
    compiled = rnnc.compile(rnnc.from_onnx(tmp_path / "u.onnx", {}, time={"x": 0}))
    assert "rnn: can run as one ONNX RNN" in compiled.explain()


def _seeded(steps: int, **options) -> onnx.ModelProto:
    """The model with the same weights at every length."""
    made = unrolled(steps, **options)
    for tensor in made.graph.initializer:
        if tensor.name in "wuv":
            shape = tuple(tensor.dims)
            rng = np.random.default_rng([ord(tensor.name)])
            array = rng.uniform(-0.2, 0.2, shape).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return made


def test_one_step_unlike_the_others_is_no_loop(tmp_path) -> None:
    onnx.save(unrolled(STEPS, folded=False, odd=True), tmp_path / "u.onnx")
    with pytest.raises(FormError, match="takes frames of fixed numbers"):
        rnnc.from_onnx(tmp_path / "u.onnx", {}, time={"x": 0})
