"""Denoisers and detectors of stacked GRUs, in both reset forms."""

from __future__ import annotations

from tests.imported.step_model import StepModel
from tests.imported.written import Writer


def gru(w: Writer, x: str, h: str, n: int, units: int, reset_after: bool) -> tuple[str, str]:
    """``x [B, n]`` and ``h [1, B, H]`` through a GRU node: ``[B, H]`` and the next h."""
    weights = w.drawn(1, 3 * units, n), w.drawn(1, 3 * units, units), w.drawn(1, 6 * units)
    after = {"linear_before_reset": int(reset_after)} if reset_after else {}
    y, h = w.op("GRU", w.unsqueeze(x, 0), *weights, "", h, outputs=2, hidden_size=units, **after)
    return w.squeeze(y, 0, 1), h


def noise_suppressor(features: int = 42, bands: int = 22) -> StepModel:
    """Like RNNoise: dense layers and three GRUs of 24, 48 and 96 units, that reset after the product."""
    w = Writer(opset=14)
    x = w.input("features", [1, features])
    sizes = {"vad": 24, "noise": 48, "denoise": 96}
    h = {k: w.input(f"{k}_state", [1, 1, n]) for k, n in sizes.items()}
    dense = w.op("Tanh", w.dense(x, features, 24))
    vad, h_vad = gru(w, dense, h["vad"], 24, 24, True)
    noise, h_noise = gru(w, w.op("Concat", dense, vad, x, axis=1), h["noise"], 48 + features, 48, True)
    last, h_denoise = gru(w, w.op("Concat", vad, noise, x, axis=1), h["denoise"], 72 + features, 96, True)
    w.output("gains", w.op("Sigmoid", w.dense(last, 96, bands)), [1, bands])
    w.output("vad", w.op("Sigmoid", w.dense(vad, 24, 1)), [1, 1])
    for name, value in {"vad": h_vad, "noise": h_noise, "denoise": h_denoise}.items():
        w.output(f"{name}_state_out", value, [1, 1, sizes[name]])
    return StepModel(w.model(), {f"{k}_state_out": f"{k}_state" for k in sizes})


def wake_word(units: int = 64, bands: int = 40) -> StepModel:
    """A wake word detector of opset 7, whose weights are inputs too: two GRUs that reset before products."""
    w = Writer(opset=7)
    x = w.input("mel", [1, bands])
    states = w.input("h_in", [2, 1, units])
    y, n, found = x, bands, []
    for layer in range(2):
        y, h = gru(w, y, w.slice(states, 0, layer, layer + 1), n, units, False)
        found.append(h)
        n = units
    w.output("scores", w.op("Softmax", w.dense(y, units, 12), axis=1), [1, 12])
    w.output("h_out", w.op("Concat", *found, axis=0), [2, 1, units])
    return StepModel(w.model(), {"h_out": "h_in"})
