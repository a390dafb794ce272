"""A rule for recurrent layers as PyTorch computes them: the op ``Recurrent`` of the domain ``rnnc``.

No file holds this op: it stands for ``torch.nn``'s LSTM, GRU and RNN while a module is read
(:mod:`rnnc.pytorch.recurrent`), one node for each layer and direction, so that their weights keep their names
and their equations need no exporter. Its inputs are ``x [T, B, in]``, PyTorch's ``weight_ih`` and
``weight_hh``, then ``bias_ih`` and ``bias_hh`` if ``bias``, ``weight_hr`` if ``projected``, and the initial
states ``[B, hidden]`` if ``states``; its results the output ``[T, B, out]`` and the final states.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnc.build import Builder
from rnnc.dims import Dim
from rnnc.importer.calls import Call, rule
from rnnc.importer.items import Item, Known, Value
from rnnc.ir import Graph, Input, Interface, Output, State
from rnnc.loops.regions import region_type
from rnnc.types import TensorType

#: Of each kind, the op of ours, where in PyTorch's order its gates are, its states, and its attributes.
KINDS: dict[str, tuple[str, tuple[int, ...], int, dict[str, Any]]] = {
    "LSTM": ("lstm", (0, 3, 1, 2), 2, {}),
    "GRU": ("gru", (1, 0, 2), 1, {"linear_before_reset": True}),
    "RNN_TANH": ("rnn", (0,), 1, {}),
    "RNN_RELU": ("rnn", (0,), 1, {"activations": ("Relu",)}),
}


@rule("Recurrent", domain="rnnc")
def recurrent(call: Call) -> Sequence[Item]:
    """One layer in one direction, as a recurrent op, or as a loop where its output is a projection."""
    op, order, count, attrs = KINDS[call.attrs["kind"]]
    places = iter(range(len(call.inputs)))
    x, w, r = (next(places) for _ in range(3))
    biases = [next(places), next(places)] if call.attrs["bias"] else []
    projection = next(places) if call.attrs["projected"] else 0
    flags = {"reverse": True} if call.attrs["reverse"] else {}
    batch = call.type(x).shape[1]
    width, size = call.type(w).shape[0], call.type(r).shape[1]
    hidden = width // len(order) if isinstance(width, int) else size
    starts = [*places]
    if projection:
        befores = [call.value(k) for k in starts] or [_zeros(call, (batch, d)) for d in (size, hidden)]
        found = _projected(call, (w, r, projection), biases, befores, flags)
        return [Value(v) for v in found]
    b = call.build
    direction = {"direction": "reverse"} if flags else {}
    bias = _laid(call, biases, order) if biases else _zeros(call, (1, 2 * len(order) * hidden))
    befores = [b("unsqueeze", call.value(k), axes=(0,)) for k in starts]
    befores = befores or [_zeros(call, (1, batch, hidden))] * count
    operands = (call.value(x), _laid(call, [w], order), _laid(call, [r], order), bias, *befores)
    y, *finals = b.items(b(op, *operands, name=_name(call), **attrs, **direction))
    return [Value(b("squeeze", y, axes=(1,))), *(Value(b("squeeze", v, axes=(0,))) for v in finals)]


def _name(call: Call) -> str:
    return call.build.graph.fresh(call.attrs["path"])


def _zeros(call: Call, shape: tuple[Dim, ...]) -> str:
    return call.build("expand", call.build.const(0.0, call.type(0).dtype), shape=shape)


def _laid(call: Call, places: Sequence[int], order: tuple[int, ...]) -> str:
    """Weights or biases one behind another, the rows of PyTorch's gates in the order of ours."""
    items = [call.item(k) for k in places]
    known = [i for i in items if isinstance(i, Known)]
    if len(known) == len(items):
        array = np.concatenate([np.split(i.array, len(order))[k] for i in known for k in order])[None]
        name = known[0].name.replace("bias_ih", "bias")
        own = call.reader.items.setdefault(f"{name} {order}", Known(array, name))
        return call.reader.value(own)
    b, parts = call.build, []
    for k in places:
        rows = call.type(k).shape[0]
        assert isinstance(rows, int)
        gates = b.items(b("split", call.value(k), axis=0, sizes=(rows // len(order),) * len(order)))
        parts += [gates[g] for g in order]
    return b("unsqueeze", b("concat", *parts, axis=0) if len(parts) > 1 else parts[0], axes=(0,))


def _projected(
    call: Call,
    weights: tuple[int, int, int],
    biases: Sequence[int],
    starts: Sequence[str],
    flags: dict[str, Any],
) -> list[str]:
    """h, c = P(σ(o)∘tanh(c)), σ(f)∘c⁻ + σ(i)∘tanh(g);  i, f, g, o = W x + R h⁻ + b, as a loop."""
    b = call.build
    w, r, p = (b("transpose", call.value(k), perm=(1, 0)) for k in weights)
    gates = b("matmul", call.value(0), w)
    for k in biases:
        gates = b("add", gates, call.value(k))
    steps = call.type(0).shape[0]
    body = _lstmp(b, gates, (r, p), starts)
    region = b.graph.add(
        "region",
        *(gates, r, p, *starts),
        type=region_type(body, steps),
        name=_name(call),
        locs=b.locs,
        body=body,
        steps=steps,
        **flags,
    )
    return b.items(region)


def _lstmp(b: Builder, gates: str, weights: tuple[str, str], starts: Sequence[str]) -> Graph:
    """One step of an LSTM with projection, the product of its input computed before."""
    body = Graph("loop")
    inner = Builder(body, locs=b.locs)
    kinds = [b.graph.type(v) for v in (gates, *weights)]
    kinds[0] = TensorType(kinds[0].dtype, kinds[0].shape[1:])
    names = ("x", "R", "P")
    x, r, p = (body.add("input", type=k, name=n) for n, k in zip(names, kinds, strict=True))
    states = [State(n, b.graph.type(s)) for n, s in zip("hc", starts, strict=True)]
    delays = []
    for s in states:
        source = body.add("init", type=s.type, name=s.source)
        delays.append(body.add("delay", source, source, type=s.type, name=f"{s.path}1", k=1))
    h, c = delays
    hidden = states[1].type.shape[1]
    parts = inner.items(inner("split", inner("add", x, inner("matmul", h, r)), axis=1, sizes=(hidden,) * 4))
    i, f, o = (inner("sigmoid", parts[k]) for k in (0, 1, 3))
    cell = inner("add", inner("mul", f, c), inner("mul", i, inner("tanh", parts[2])), name="c")
    out = inner("matmul", inner("mul", o, inner("tanh", cell)), p, name="h")
    for s, delay, value in zip(states, delays, (out, cell), strict=True):
        body.connect(value, delay, 0)
        body.finals[s.path] = value
    body.outputs["y"] = out
    inputs = (Input("x", kinds[0]), *(Input(n, k, "given") for n, k in zip("RP", kinds[1:], strict=True)))
    body.interface = Interface(inputs, (Output("y", states[0].type),), tuple(states))
    return body.freeze()
