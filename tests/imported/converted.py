"""Keras layers as tf2onnx converts them: batch first, and a loop of one turn around a cell without a node."""

from __future__ import annotations

import numpy as np
from onnx import helper

from tests.imported.step_model import StepModel
from tests.imported.written import BOOL, INT64, Writer


def keyword_loop(features: int = 40, units: int = 96) -> StepModel:
    """A batch-first LSTM node, then a minimal gated unit in a ``Loop`` over the frames: one.

    The loop's body reads weights from the graph around it, and counts its turns, as TensorFlow's do.
    """
    w = Writer(opset=12)
    x = w.input("inputs", [1, 1, features])
    h, c, m = w.input("h", [1, units]), w.input("c", [1, units]), w.input("m", [1, units])
    first = w.op("Transpose", x, perm=[1, 0, 2])
    weights = w.drawn(1, 4 * units, features), w.drawn(1, 4 * units, units), w.drawn(1, 8 * units)
    y, yh, yc = w.op(
        "LSTM", first, *weights, "", w.unsqueeze(h, 0), w.unsqueeze(c, 0), outputs=3, hidden_size=units
    )
    frames = w.squeeze(y, 1)  # [1, 1, units]: time, batch, units
    outer = {k: w.drawn(units, units) for k in ("Wf", "Uf", "Wh", "Uh")}
    outer |= {k: w.drawn(units) for k in ("bf", "bh")}

    body = Writer(opset=12)
    body._count = 10_000
    turn, _ = body.input("turn", [], INT64), body.input("going", [], BOOL)
    at, state = body.input("at", [], INT64), body.input("state", [1, units])
    now = body.op("Gather", frames, turn)

    def gate(act: str, k: str, held: str) -> str:
        both = body.op("Add", body.op("MatMul", now, outer[f"W{k}"]), body.op("MatMul", held, outer[f"U{k}"]))
        return str(body.op(act, body.op("Add", both, outer[f"b{k}"])))

    forget = gate("Sigmoid", "f", state)
    update = gate("Tanh", "h", body.op("Mul", forget, state))
    rest = body.op("Sub", body.const(1, np.float32), forget)
    following = body.op("Add", body.op("Mul", rest, state), body.op("Mul", forget, update))
    body.output("next_at", body.op("Add", at, body.const(1)), [], INT64)
    body.output("next_state", following, [1, units])
    body.output("emitted", following, [1, units])
    # The condition comes first among the outputs.
    body.nodes.append(helper.make_node("Less", ["next_at", w.const(1)], ["still"]))
    body.outputs.insert(0, helper.make_tensor_value_info("still", BOOL, []))

    loop = [w.const(1), w.const(True, np.bool_), w.const(0), m]
    _, m, over_time = w.op("Loop", *loop, outputs=3, body=body.graph("while"))
    y = w.squeeze(w.op("Transpose", over_time, perm=[1, 0, 2]), 1)
    w.output("Identity", w.op("Softmax", w.dense(y, units, 10), axis=-1), [1, 10])
    for name, value in {"h_out": w.squeeze(yh, 0), "c_out": w.squeeze(yc, 0), "m_out": m}.items():
        w.output(name, value, [1, units])
    return StepModel(w.model(), {"h_out": "h", "c_out": "c", "m_out": "m"})


def keyword_scan(features: int = 40, units: int = 96) -> StepModel:
    """A GRU as a ``Scan`` over the frames of a call, of which there is one; it has its weights inside."""
    w = Writer(opset=11)
    x = w.input("x", [1, 1, features])
    h = w.input("h", [1, units])
    body = Writer(opset=11, seed=1)
    body._count = 10_000
    held, now = body.input("held", [1, units]), body.input("now", [1, features])
    gates = body.op("Add", body.op("MatMul", now, body.drawn(features, 2 * units)), body.drawn(2 * units))
    gates = body.op("Sigmoid", body.op("Add", gates, body.op("MatMul", held, body.drawn(units, 2 * units))))
    z, r = body.split(gates, 1, [units, units])
    update = body.op("MatMul", body.op("Mul", r, held), body.drawn(units, units))
    update = body.op("Add", update, body.op("MatMul", now, body.drawn(features, units)))
    update = body.op("Tanh", body.op("Add", update, body.drawn(units)))
    rest = body.op("Sub", body.const(1, np.float32), z)
    following = body.op("Add", body.op("Mul", z, held), body.op("Mul", rest, update))
    body.output("following", following, [1, units])
    body.output("scanned", following, [1, units])
    h, over_time = w.op(
        "Scan",
        h,
        x,
        outputs=2,
        body=body.graph("cell"),
        num_scan_inputs=1,
        scan_input_axes=[1],
        scan_output_axes=[1],
    )
    flat = w.op("Reshape", over_time, w.const([-1, units]))
    w.output("y", w.op("Softmax", w.dense(flat, units, 10), axis=-1), [1, 10])
    w.output("h_out", h, [1, units])
    return StepModel(w.model(), {"h_out": "h"})
