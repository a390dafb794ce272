"""Small step models, each with one thing about its states that others lack; no library is needed for them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.imported.step_model import StepModel
from tests.imported.written import INT64, Writer

#: Every model, by name.
ODD: dict[str, Callable[[], StepModel]] = {}


def odd(build: Callable[[Writer], StepModel]) -> Callable[[Writer], StepModel]:
    """Register a model that is written with opset 17."""
    ODD[build.__name__] = lambda: build(Writer(opset=17))
    return build


def model(w: Writer, *pairs: tuple[str, str], **more: object) -> StepModel:
    """What has been written, with its states."""
    return StepModel(w.model(), dict(pairs), **more)  # type: ignore[arg-type]


def ring(w: Writer, x: str, held: str, axis: int, size: int, each: int = 1) -> str:
    """What is held, less its oldest elements, and ``x`` behind it."""
    return str(w.op("Concat", w.slice(held, axis, each, size), x, axis=axis))


@odd
def newest_first(w: Writer) -> StepModel:
    """A history that grows at its front."""
    x, held = w.input("x", [1, 3, 1]), w.input("h", [1, 3, 4])
    seen = w.op("Concat", x, held, axis=2)
    w.output("y", w.op("Conv", seen, w.drawn(2, 3, 5)), [1, 2, 1])
    w.output("h_out", w.slice(seen, 2, 0, 4), [1, 3, 4])
    return model(w, ("h_out", "h"))


@odd
def turned_history(w: Writer) -> StepModel:
    """A history with its features last, turned for the convolution; the batch has a name."""
    x, held = w.input("x", ["B", 1, 3]), w.input("h", ["B", 4, 3])
    seen = w.op("Concat", held, x, axis=1)
    y = w.op("Conv", w.op("Transpose", seen, perm=[0, 2, 1]), w.drawn(2, 3, 5))
    w.output("y", w.op("Transpose", y, perm=[0, 2, 1]), ["B", 1, 2])
    w.output("h_out", w.slice(seen, 1, 1, 5), ["B", 4, 3])
    return model(w, ("h_out", "h"))


@odd
def named_batch(w: Writer) -> StepModel:
    """A convolution's history and a GRU's state, of a batch with a name; two frames a step."""
    x, held, h = w.input("x", ["B", 3, 2]), w.input("cache", ["B", 3, 4]), w.input("h", [1, "B", 5])
    seen = w.op("Concat", held, x, axis=2)
    frames = w.op("Transpose", w.op("Relu", w.op("Conv", seen, w.drawn(4, 3, 5), w.drawn(4))), perm=[2, 0, 1])
    y, h = w.op(
        "GRU", frames, w.drawn(1, 15, 4), w.drawn(1, 15, 5), w.drawn(1, 30), "", h, outputs=2, hidden_size=5
    )
    w.output("y", w.squeeze(y, 1), [2, "B", 5])
    w.output("cache_out", w.slice(seen, 2, 2, 6), ["B", 3, 4])
    w.output("h_out", h, [1, "B", 5])
    return model(w, ("cache_out", "cache"), ("h_out", "h"))


@odd
def batch_named_anew(w: Writer) -> StepModel:
    """A batch that has another name in every tensor, as converters give them, and one that is a number."""
    x, h, c = w.input("x", ["-1", 1, 3]), w.input("h", ["unk__7", 4]), w.input("c", ["unk__8", 4])
    weights = w.drawn(1, 16, 3), w.drawn(1, 16, 4), w.drawn(1, 32)
    turned = w.op("Transpose", x, perm=[1, 0, 2])
    states = w.unsqueeze(h, 0), w.unsqueeze(c, 0)
    y, h, c = w.op("LSTM", turned, *weights, "", *states, outputs=3, hidden_size=4)
    w.output("y", w.squeeze(y, 1), [1, "unk__9", 4])
    w.output("h_out", w.squeeze(h, 0), ["unk__10", 4])
    w.output("c_out", w.squeeze(c, 0), ["unk__11", 4])
    return model(w, ("h_out", "h"), ("c_out", "c"))


@odd
def both_ways(w: Writer) -> StepModel:
    """A bidirectional LSTM of one step, both directions of which go on."""
    x, h, c = w.input("x", [1, 1, 3]), w.input("h", [2, 1, 4]), w.input("c", [2, 1, 4])
    weights = w.drawn(2, 16, 3), w.drawn(2, 16, 4), w.drawn(2, 32)
    y, h, c = w.op("LSTM", x, *weights, "", h, c, outputs=3, hidden_size=4, direction="bidirectional")
    w.output("y", w.op("Reshape", y, w.const([1, 8])), [1, 8])
    w.output("h_out", h, [2, 1, 4])
    w.output("c_out", c, [2, 1, 4])
    return model(w, ("h_out", "h"), ("c_out", "c"))


@odd
def cells_shown(w: Writer) -> StepModel:
    """An LSTM over three frames a step, with peepholes; what it held before and holds now also goes out."""
    x, s = w.input("x", [3, 1, 2]), w.input("s", [1, 2, 4])
    h, c = (w.op("Transpose", w.slice(s, 1, k, k + 1), perm=[1, 0, 2]) for k in range(2))
    weights = w.drawn(1, 16, 2), w.drawn(1, 16, 4), w.drawn(1, 32)
    y, h1, c1 = w.op("LSTM", x, *weights, "", h, c, w.drawn(1, 12), outputs=3, hidden_size=4)
    w.output("y", y, [3, 1, 1, 4])
    w.output("moved", w.op("Sub", c1, c), [1, 1, 4])
    both = w.op("Concat", h1, c1, axis=0)
    w.output("s_out", w.op("Transpose", both, perm=[1, 0, 2]), [1, 2, 4])
    return model(w, ("s_out", "s"))


def _leaky(of: Writer, held: str, now: str, rate: str) -> str:
    return str(of.op("Tanh", of.op("Add", of.op("Mul", held, rate), now)))


@odd
def fresh_scan(w: Writer) -> StepModel:
    """A scan over the bins of a frame, anew in every step, and one over its frames that goes on."""
    x, h = w.input("x", [2, 5, 3]), w.input("h", [5, 3])
    rate = w.const(0.5, np.float32)
    outer = x
    for name, start, size, axis in (
        ("bins", w.op("Expand", w.const(0.0, np.float32), w.const([2, 3])), [2, 3], 1),
        ("frames", h, [5, 3], 0),
    ):
        body = Writer(opset=17)
        body._count = 1000 * len(name)
        held, now = body.input(f"held_{name}", size), body.input(f"now_{name}", size)
        following = _leaky(body, held, now, rate)
        body.output(f"following_{name}", following, size)
        body.output(f"scanned_{name}", following, size)
        h, outer = w.op(
            "Scan", start, outer, outputs=2, body=body.graph(name), num_scan_inputs=1,
            scan_input_axes=[axis], scan_output_axes=[axis],
        )  # fmt: skip
    w.output("y", outer, [2, 5, 3])
    w.output("h_out", h, [5, 3])
    return model(w, ("h_out", "h"))


@odd
def attention(w: Writer) -> StepModel:
    """Attention over the last frames, whose keys and values are histories."""
    x = w.input("x", [1, 1, 4])
    keys, values = w.input("k", [1, 3, 4]), w.input("v", [1, 3, 4])
    q, k, v = (w.op("MatMul", x, w.drawn(4, 4)) for _ in range(3))
    keys, values = (w.op("Concat", held, new, axis=1) for held, new in ((keys, k), (values, v)))
    scores = w.op("MatMul", q, w.op("Transpose", keys, perm=[0, 2, 1]))
    w.output("y", w.op("MatMul", w.op("Softmax", scores, axis=-1), values), [1, 1, 4])
    w.output("k_out", w.slice(keys, 1, 1, 4), [1, 3, 4])
    w.output("v_out", w.slice(values, 1, 1, 4), [1, 3, 4])
    return model(w, ("k_out", "k"), ("v_out", "v"))


@odd
def pooled(w: Writer) -> StepModel:
    """The largest and the mean of the last samples."""
    x, held = w.input("x", [1, 2, 1]), w.input("h", [1, 2, 3])
    seen = w.op("Concat", held, x, axis=2)
    both = (w.op(kind, seen, kernel_shape=[4]) for kind in ("MaxPool", "AveragePool"))
    w.output("y", w.op("Concat", *both, axis=1), [1, 4, 1])
    w.output("h_out", w.slice(seen, 2, 1, 4), [1, 2, 3])
    return model(w, ("h_out", "h"))


@odd
def counted(w: Writer) -> StepModel:
    """A number of the step, which chooses a row of a table, and where in a ring a frame is written."""
    x, at, held = w.input("x", [1, 3]), w.input("at", [1], INT64), w.input("held", [4, 3])
    place = w.op("Mod", at, w.const([4]))
    held = w.op("ScatterND", held, w.unsqueeze(place, 1), x)
    y = w.op("Add", w.op("ReduceSum", held, w.const([0]), keepdims=1), w.op("Gather", w.drawn(4, 3), place))
    w.output("y", y, [1, 3])
    w.output("at_out", w.op("Add", at, w.const([1])), [1], INT64)
    w.output("held_out", held, [4, 3])
    return model(w, ("at_out", "at"), ("held_out", "held"))


@odd
def fed_back(w: Writer) -> StepModel:
    """What an LSTM gives goes through a layer and back into it, so that its loop is more than itself."""
    x, y1, s = w.input("x", [1, 3]), w.input("y1", [1, 2]), w.input("s", [2, 1, 4])
    seen = w.unsqueeze(w.op("Concat", x, y1, axis=1), 0)
    h, c = (w.slice(s, 0, k, k + 1) for k in range(2))
    weights = w.drawn(1, 16, 5), w.drawn(1, 16, 4), w.drawn(1, 32)
    y, h, c = w.op("LSTM", seen, *weights, "", h, c, outputs=3, hidden_size=4)
    y = w.op("Tanh", w.dense(w.squeeze(y, 0, 1), 4, 2))
    w.output("y", y, [1, 2])
    w.output("y1_out", y, [1, 2])
    w.output("s_out", w.op("Concat", h, c, axis=0), [2, 1, 4])
    return model(w, ("y1_out", "y1"), ("s_out", "s"))


@odd
def chunked(w: Writer) -> StepModel:
    """Eight samples a step, strided convolutions with less history than a step, each in the other's cache."""
    x, held = w.input("x", [1, 1, 8]), w.input("h", [1, 3])
    first, second = w.slice(held, 1, 0, 2), w.slice(held, 1, 2, 3)
    seen = w.op("Concat", w.unsqueeze(first, 1), x, axis=2)
    y = w.op("Conv", seen, w.drawn(1, 1, 4), strides=[2])  # four of them
    again = w.op("Concat", w.unsqueeze(second, 1), y, axis=2)
    w.output("y", w.op("Conv", again, w.drawn(2, 1, 2)), [1, 2, 4])
    tails = w.squeeze(w.slice(x, 2, 6, 8), 1), w.squeeze(w.slice(y, 2, 3, 4), 1)
    w.output("h_out", w.op("Concat", *tails, axis=1), [1, 3])
    return model(w, ("h_out", "h"))


@odd
def written_apart(w: Writer) -> StepModel:
    """Two layers' histories in one tensor, which each layer writes by ``ScatterElements``."""
    x, held = w.input("x", [1, 2, 1]), w.input("h", [2, 2, 3])
    y, kept = x, held
    for layer in range(2):
        own = w.slice(held, 0, layer, layer + 1)
        following = ring(w, y, own, 2, 3)
        at = w.const(np.full((1, 2, 3), layer))
        kept = w.op("ScatterElements", kept, at, following, axis=0)
        y = w.op("Tanh", w.op("Conv", following, w.drawn(2, 2, 3)))
    w.output("y", y, [1, 2, 1])
    w.output("h_out", kept, [2, 2, 3])
    return model(w, ("h_out", "h"))
