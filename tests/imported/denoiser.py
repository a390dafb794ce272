"""Mask denoisers like DTLN's two halves, as tf2onnx writes them, with states packed as [1, layers, H, 2]."""

from __future__ import annotations

from tests.imported.step_model import StepModel
from tests.imported.written import Writer

LAYERS = 2


def unpacked(w: Writer, states: str, layer: int) -> tuple[str, str]:
    """h and c ``[1, H]`` of a layer, by slices whose axes are dropped."""
    of_layer = w.squeeze(w.slice(states, 1, layer, layer + 1), 1)
    h, c = (w.squeeze(w.slice(of_layer, 2, k, k + 1), 2) for k in range(2))
    return h, c


def packed(w: Writer, states: list[tuple[str, str]]) -> str:
    """The states of all layers in one tensor."""
    layers = [w.op("Concat", *(w.unsqueeze(s, 2) for s in pair), axis=2) for pair in states]
    return str(w.op("Concat", *(w.unsqueeze(s, 1) for s in layers), axis=1))


def lstm_node(w: Writer, x: str, h: str, c: str, n: int, units: int) -> tuple[str, tuple[str, str]]:
    """``x [1, 1, n]``, batch first, through an LSTM node; the output alike, and h and c ``[1, H]``."""
    weights = w.drawn(1, 4 * units, n), w.drawn(1, 4 * units, units), w.drawn(1, 8 * units)
    first = w.op("Transpose", x, perm=[1, 0, 2])
    y, yh, yc = w.op(
        "LSTM", first, *weights, "", w.unsqueeze(h, 0), w.unsqueeze(c, 0), outputs=3, hidden_size=units
    )
    back = w.op("Transpose", w.squeeze(y, 1), perm=[1, 0, 2])
    return back, (w.squeeze(yh, 0), w.squeeze(yc, 0))


def lstm_gates(w: Writer, x: str, h: str, c: str, n: int, units: int) -> tuple[str, tuple[str, str]]:
    """The same by products and gates, in the order of Keras."""
    now = w.squeeze(x, 1)
    products = w.op(
        "Add", w.op("MatMul", now, w.drawn(n, 4 * units)), w.op("MatMul", h, w.drawn(units, 4 * units))
    )
    i, f, g, o = w.split(w.op("Add", products, w.drawn(4 * units)), 1, [units] * 4)
    kept = w.op("Mul", w.op("Sigmoid", f), c)
    fresh = w.op("Mul", w.op("Sigmoid", i), w.op("Tanh", g))
    c = w.op("Add", kept, fresh)
    h = w.op("Mul", w.op("Sigmoid", o), w.op("Tanh", c))
    return w.unsqueeze(h, 1), (h, c)


def time_dense(w: Writer, x: str, n: int, m: int) -> str:
    """A dense layer on ``[1, 1, n]``, flattened and put back."""
    flat = w.op("Reshape", x, w.const([-1, n]))
    y = w.op("Add", w.op("MatMul", flat, w.drawn(n, m)), w.drawn(m))
    return str(w.op("Reshape", y, w.const([1, 1, m])))


def mask_denoiser(units: int = 128, bins: int = 257) -> StepModel:
    """The first half: magnitudes to a mask, with LSTM nodes."""
    w = Writer(opset=11)
    x = w.input("magnitude", [1, 1, bins])
    states = w.input("states", [1, LAYERS, units, 2])
    y, n, found = x, bins, []
    for layer in range(LAYERS):
        h, c = unpacked(w, states, layer)
        y, pair = lstm_node(w, y, h, c, n, units)
        found.append(pair)
        n = units
    w.output("mask", w.op("Sigmoid", time_dense(w, y, units, bins)), [1, 1, bins])
    w.output("states_out", packed(w, found), [1, LAYERS, units, 2])
    return StepModel(w.model(), {"states_out": "states"})


def feature_denoiser(units: int = 128, frame: int = 512, features: int = 256) -> StepModel:
    """The second half: samples to samples through learned features, normed, with decomposed cells."""
    w = Writer(opset=13)
    x = w.input("frame", [1, 1, frame])
    states = w.input("states", [1, LAYERS, units, 2])
    encoded = w.op(
        "Conv",
        w.op("Transpose", x, perm=[0, 2, 1]),
        w.drawn(features, frame, 1, gain=frame**-0.5),
        kernel_shape=[1],
    )
    encoded = w.op("Transpose", encoded, perm=[0, 2, 1])
    mean = w.op("ReduceMean", encoded, axes=[-1], keepdims=1)
    centred = w.op("Sub", encoded, mean)
    variance = w.op("ReduceMean", w.op("Mul", centred, centred), axes=[-1], keepdims=1)
    scale = w.op("Sqrt", w.op("Add", variance, w.const(1e-7, "float32")))
    y = w.op("Add", w.op("Mul", w.op("Div", centred, scale), w.drawn(features)), w.drawn(features))
    n, found = features, []
    for layer in range(LAYERS):
        h, c = unpacked(w, states, layer)
        y, pair = lstm_gates(w, y, h, c, n, units)
        found.append(pair)
        n = units
    masked = w.op("Mul", w.op("Sigmoid", time_dense(w, y, units, features)), encoded)
    decoded = w.op(
        "Conv",
        w.op("Transpose", masked, perm=[0, 2, 1]),
        w.drawn(frame, features, 1, gain=features**-0.5),
        kernel_shape=[1],
    )
    w.output("out", w.op("Transpose", decoded, perm=[0, 2, 1]), [1, 1, frame])
    w.output("states_out", packed(w, found), [1, LAYERS, units, 2])
    return StepModel(w.model(), {"states_out": "states"})
