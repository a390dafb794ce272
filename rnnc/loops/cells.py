"""The recurrent ops of ONNX as the equations of one step, as their declarations mean them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rnnc.build import Builder
from rnnc.dims import Dim
from rnnc.ir import Graph
from rnnc.ops import OPS
from rnnc.ops.recurrent import ACTIVATIONS

Function = Callable[[str], str]

#: ONNX's activations that are an op of ours, with the names of their parameters, alpha first.
_OPS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "Sigmoid": ("sigmoid", ()),
    "Tanh": ("tanh", ()),
    "Relu": ("relu", ()),
    "Softsign": ("softsign", ()),
    "Softplus": ("softplus", ()),
    "HardSigmoid": ("hard_sigmoid", ("alpha", "beta")),
    "LeakyRelu": ("leaky_relu", ("alpha",)),
    "ThresholdedRelu": ("thresholded_relu", ("alpha",)),
    "Elu": ("elu", ("alpha",)),
}

#: The activations of one direction where none are named.
_USUAL = {"lstm": ("Sigmoid", "Tanh", "Tanh"), "gru": ("Sigmoid", "Tanh"), "rnn": ("Tanh",)}


def equations(graph: Graph, value: str) -> list[str]:
    """The results of a recurrent op that runs one step: its output, then its states, each direction alone."""
    node, b = graph[value], Builder(graph, like=value)
    op = OPS[node.op]
    operands = dict(zip(op.operands, graph.operands(value), strict=False))
    states = {"lstm": ("h0", "c0"), "gru": ("h0",), "rnn": ("h0",)}[node.op]
    attrs = op.complete(node.attrs)
    count = graph.type(operands["w"]).shape[0]
    assert isinstance(count, int)
    functions = _functions(
        b, attrs["activations"] or _USUAL[node.op] * count, attrs["alphas"], attrs["betas"]
    )
    each = len(functions) // count
    x = b("squeeze", operands["x"], axes=(0,))
    found: list[tuple[str, ...]] = []
    for d in range(count):
        own = {name: _part(b, v, d, count) for name, v in operands.items() if name not in ("x", *states)}
        before = [_part(b, operands[s], d, count) for s in states]
        cell = _CELLS[node.op](b, own, functions[d * each : (d + 1) * each], attrs)
        found.append(cell(x, *before))
    parts = [_together(b, [f[k] for f in found]) for k in range(len(states))]
    return [b("unsqueeze", parts[0], axes=(0,)), *parts]


def _part(b: Builder, value: str, d: int, count: int) -> str:
    """What belongs to one direction."""
    if count > 1:
        value = b("slice", value, axis=0, start=d, stop=d + 1)
    return b("squeeze", value, axes=(0,))


def _together(b: Builder, values: list[str]) -> str:
    """The directions along a new first axis."""
    parts = [b("unsqueeze", v, axes=(0,)) for v in values]
    return parts[0] if len(parts) == 1 else b("concat", *parts, axis=0)


def _functions(
    b: Builder, names: tuple[str, ...], alphas: tuple[float, ...], betas: tuple[float, ...]
) -> list[Function]:
    """The activations by name, each with its parameters, which are consumed in order."""
    given = iter(alphas), iter(betas)
    found = []
    for name in names:
        defaults, _ = ACTIVATIONS[name]
        found.append(_bound(b, name, [next(v, d) for v, d in zip(given, defaults, strict=False)]))
    return found


def _bound(b: Builder, name: str, parameters: list[float]) -> Function:
    if name in _OPS:
        op, names = _OPS[name]
        attrs: dict[str, Any] = dict(zip(names, parameters, strict=True))
        return lambda x: b(op, x, **attrs)
    alpha, beta = parameters
    if name == "Affine":
        return lambda x: b("add", b("mul", x, alpha), beta)
    return lambda x: b("mul", b("tanh", b("mul", x, beta)), alpha)  # ScaledTanh


Own = Mapping[str, str]
Cell = Callable[..., tuple[str, ...]]


def _sums(b: Builder, x: str, w: str, bias: str, size: Dim, gates: int) -> list[str]:
    """Each gate's part of a product and what is added to it."""
    whole = b("add", b("matmul", x, b("transpose", w, perm=(1, 0))), bias)
    return b.items(b("split", whole, axis=1, sizes=(size,) * gates)) if gates > 1 else [whole]


def _biases(b: Builder, own: Own, gates: int, size: Dim) -> list[str]:
    """The biases of the input's product, and those of the state's."""
    return b.items(b("split", own["b"], axis=0, sizes=(gates * size, gates * size)))


def _lstm(b: Builder, own: Own, functions: list[Function], attrs: Mapping[str, object]) -> Cell:
    size = b.graph.type(own["r"]).shape[1]
    f, g, h = functions
    peepholes = b.items(b("split", own["p"], axis=0, sizes=(size,) * 3)) if "p" in own else []

    def step(x: str, before: str, c: str) -> tuple[str, ...]:
        wb, rb = _biases(b, own, 4, size)
        by_x, by_h = _sums(b, x, own["w"], wb, size, 4), _sums(b, before, own["r"], rb, size, 4)
        i, o, forget, update = (b("add", p, q) for p, q in zip(by_x, by_h, strict=True))

        def seen(sum_: str, k: int, cell: str) -> str:
            return b("add", sum_, b("mul", peepholes[k], cell)) if peepholes else sum_

        i = f(seen(i, 0, c))
        forget = b("sub", 1.0, i) if attrs["input_forget"] else f(seen(forget, 2, c))
        new = b("add", b("mul", forget, c), b("mul", i, g(update)))
        return b("mul", f(seen(o, 1, new)), h(new)), new

    return step


def _gru(b: Builder, own: Own, functions: list[Function], attrs: Mapping[str, object]) -> Cell:
    size = b.graph.type(own["r"]).shape[1]
    f, g = functions

    def step(x: str, before: str) -> tuple[str, ...]:
        wb, rb = _biases(b, own, 3, size)
        zx, rx, hx = _sums(b, x, own["w"], wb, size, 3)
        if attrs["linear_before_reset"]:
            zh, rh, hh = _sums(b, before, own["r"], rb, size, 3)
            z, r = f(b("add", zx, zh)), f(b("add", rx, rh))
            update = g(b("add", hx, b("mul", r, hh)))
        else:
            gates = b("slice", own["r"], axis=0, start=0, stop=_twice(size))
            inner = b("slice", own["r"], axis=0, start=_twice(size), stop=None)
            gate_bias, inner_bias = b.items(b("split", rb, axis=0, sizes=(2 * size, size)))
            zh, rh = _sums(b, before, gates, gate_bias, size, 2)
            z, r = f(b("add", zx, zh)), f(b("add", rx, rh))
            (hh,) = _sums(b, b("mul", r, before), inner, inner_bias, size, 1)
            update = g(b("add", hx, hh))
        return (b("add", b("mul", b("sub", 1.0, z), update), b("mul", z, before)),)

    return step


def _twice(size: Dim) -> int:
    assert isinstance(size, int)
    return 2 * size


def _rnn(b: Builder, own: Own, functions: list[Function], attrs: Mapping[str, object]) -> Cell:
    size = b.graph.type(own["r"]).shape[1]

    def step(x: str, before: str) -> tuple[str, ...]:
        wb, rb = _biases(b, own, 1, size)
        (by_x,), (by_h,) = _sums(b, x, own["w"], wb, size, 1), _sums(b, before, own["r"], rb, size, 1)
        return (functions[0](b("add", by_x, by_h)),)

    return step


_CELLS: Mapping[str, Callable[..., Cell]] = {"lstm": _lstm, "gru": _gru, "rnn": _rnn}
