"""Rules for ONNX's recurrent ops: LSTM, GRU and RNN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnc.dims import Dim
from rnnc.importer.calls import Call, rule
from rnnc.importer.items import Item, Known, Value

#: How many gates each has, how many states, and what ours is called.
CELLS = {"LSTM": (4, 2, "lstm"), "GRU": (3, 1, "gru"), "RNN": (1, 1, "rnn")}
#: The activations of one direction where none are named.
DEFAULTS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}


@rule(*CELLS)
def recurrent(call: Call) -> Sequence[Item] | None:
    """A recurrent op, time first, with what is left out in place: biases and states of zeros."""
    kind = call.node.op_type
    gates, states, op = CELLS[kind]
    if call.attrs.get("clip"):
        return None
    b, batch_first = call.build, bool(call.attrs.get("layout"))
    x = _turned(call, call.value(0)) if batch_first else call.value(0)
    steps, batch, _ = b.graph.type(x).shape
    count, hidden = call.type(2).shape[0], call.type(2).shape[2]
    dtype = call.type(0).dtype
    operands = [x, call.value(1), call.value(2), _or_zeros(call, 3, (count, 2 * gates * hidden), dtype)]
    for k in range(states):
        start = _or_zeros(call, 5 + k, (count, batch, hidden), dtype)
        operands.append(_turned(call, start) if batch_first and call.has(5 + k) else start)
    lengths = _lengths(call, 4, steps)
    if kind == "LSTM" and (call.has(7) or lengths):
        operands.append(_or_zeros(call, 7, (count, 3 * hidden), dtype))
    operands += [lengths] if lengths else []
    y, *finals = b.items(b(op, *operands, **_attrs(call, kind)))
    if batch_first:
        y = b("transpose", y, perm=(2, 0, 1, 3))
        finals = [_turned(call, f) for f in finals]
    return [Value(v) for v in (y, *finals)]


def _turned(call: Call, value: str) -> str:
    return call.build("transpose", value, perm=(1, 0, 2))


def _or_zeros(call: Call, k: int, shape: tuple[Dim, ...], dtype: str) -> str:
    """An operand, or zeros where it is left out."""
    if call.has(k):
        return call.value(k)
    zero = call.build.const(0.0, dtype)
    return call.build("expand", zero, shape=shape)


def _lengths(call: Call, k: int, steps: Dim) -> str:
    """The lengths of the sequences as a value; none where all are whole."""
    item = call.item(k)
    if not call.has(k) or (isinstance(item, Known) and (item.array == steps).all()):
        return ""
    graph, below = call.build.graph, call.value(k)
    while graph[below].op in ("cast", "expand"):
        below = graph.operands(below)[0]
    if graph[below].op == "size":
        (x,) = graph.operands(below)
        if graph.type(x).shape[graph[below].attrs["axis"]] == steps:
            return ""
    return call.build("cast", call.value(k), dtype="i64")


def _attrs(call: Call, kind: str) -> dict[str, Any]:
    """The attributes, those at their default left out."""
    attrs = call.attrs
    found: dict[str, Any] = {}
    if attrs.get("direction", "forward") != "forward":
        found["direction"] = attrs["direction"]
    count = 2 if attrs.get("direction") == "bidirectional" else 1
    # ONNX's own defaults name one too many for an RNN.
    names = tuple(_spelled(a) for a in attrs.get("activations") or ())[: len(DEFAULTS[kind]) * count]
    if names and names != DEFAULTS[kind] * count:
        found["activations"] = names
    for name, ours in (("activation_alpha", "alphas"), ("activation_beta", "betas")):
        if attrs.get(name):
            found[ours] = tuple(float(np.float32(v)) for v in attrs[name])
    for name in ("input_forget", "linear_before_reset"):
        if attrs.get(name):
            found[name] = True
    return found


def _spelled(activation: str) -> str:
    """An activation's name as the specification writes it: ``tanh`` is ``Tanh``."""
    from rnnc.ops.recurrent import ACTIVATIONS

    return next((a for a in ACTIVATIONS if a.lower() == activation.lower()), activation)
