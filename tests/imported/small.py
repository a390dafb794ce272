"""Step models of a few nodes, called very often: a sample or a token a call."""

from __future__ import annotations

from tests.imported.step_model import StepModel
from tests.imported.written import INT64, Writer


def amplifier(units: int = 24) -> StepModel:
    """A guitar amplifier: an LSTM of one layer for every sample, a dense layer, and the sample added."""
    w = Writer(opset=9)
    x = w.input("x", [1, 1])
    h, c = (w.input(name, [1, 1, units]) for name in ("h", "c"))
    weights = w.drawn(1, 4 * units, 1), w.drawn(1, 4 * units, units), w.drawn(1, 8 * units)
    _, h, c = w.op("LSTM", w.unsqueeze(x, 0), *weights, "", h, c, outputs=3, hidden_size=units)
    w.output("y", w.op("Add", w.dense(w.squeeze(h, 0), units, 1), x), [1, 1])
    w.output("h_out", h, [1, 1, units])
    w.output("c_out", c, [1, 1, units])
    return StepModel(w.model(), {"h_out": "h", "c_out": "c"})


def tagger(words: int = 5000, size: int = 100, units: int = 128, tags: int = 17) -> StepModel:
    """A tagger: a token's embedding, a plain RNN, and a label with its logits; the batch has a name."""
    w = Writer(opset=14)
    token = w.input("token", ["batch"], INT64)
    h = w.input("h", [1, "batch", units])
    x = w.op("Gather", w.drawn(words, size), token)
    weights = w.drawn(1, units, size), w.drawn(1, units, units), w.drawn(1, 2 * units)
    y, h = w.op("RNN", w.unsqueeze(x, 0), *weights, "", h, outputs=2, hidden_size=units)
    logits = w.dense(w.squeeze(y, 0, 1), units, tags)
    w.output("logits", w.op("LogSoftmax", logits, axis=-1), ["batch", tags])
    w.output("tag", w.op("ArgMax", logits, axis=1, keepdims=0), ["batch"], INT64)
    w.output("h_out", h, [1, "batch", units])
    return StepModel(w.model(), {"h_out": "h"}, tokens=words)
