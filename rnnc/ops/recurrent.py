"""The recurrent ops of ONNX: whole loops as one node; in a stream graph, loops inside each step.

Layouts and gate orders are ONNX's: time first; ``d`` directions; gates ``iofc`` for lstm and ``zrh`` for
gru; ``b`` holds the biases of the input's product, then those of the state's. ``activations`` are ONNX's
names, for all directions one after another, by default sigmoid for gates and tanh elsewhere; ``alphas`` and
``betas`` are consumed in order by those that have such parameters, and what is missing takes its default.

Each sequence runs to its own of ``lengths``; later outputs are 0. Final states are those after a sequence's
last step, which for an empty one are the initial ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from array_api_compat import array_namespace

from rnnc.dims import Dim
from rnnc.errors import TypeMismatch
from rnnc.ops import activation
from rnnc.ops.declare import Onnx, SizeOf, Source, op, same_dim, same_dtype
from rnnc.types import TensorType, TupleType

Function = Callable[[Any], Any]

#: ONNX's activations: the defaults of their parameters, alpha first, and what they are.
ACTIVATIONS: dict[str, tuple[tuple[float, ...], Callable[..., Any]]] = {
    "Sigmoid": ((), activation.sigmoid.body),
    "Tanh": ((), activation.tanh.body),
    "Relu": ((), activation.relu.body),
    "Softsign": ((), activation.softsign.body),
    "Softplus": ((), activation.softplus.body),
    "Affine": ((1.0, 0.0), lambda x, a, b: a * x + b),
    "ScaledTanh": ((1.0, 1.0), lambda x, a, b: a * activation.tanh.body(b * x)),
    "HardSigmoid": ((0.2, 0.5), lambda x, a, b: activation.hard_sigmoid.body(x, alpha=a, beta=b)),
    "LeakyRelu": ((0.01,), lambda x, a: activation.leaky_relu.body(x, alpha=a)),
    "ThresholdedRelu": ((1.0,), lambda x, a: activation.thresholded_relu.body(x, alpha=a)),
    "Elu": ((1.0,), lambda x, a: activation.elu.body(x, alpha=a)),
}


def _bound(function: Callable[..., Any], parameters: list[float]) -> Function:
    return lambda x: function(x, *parameters)


def _functions(
    names: tuple[str, ...], alphas: tuple[float, ...], betas: tuple[float, ...]
) -> Iterator[Function]:
    """The activations by name, each with its parameters."""
    given = iter(alphas), iter(betas)
    for name in names:
        defaults, function = ACTIVATIONS[name]
        parameters = [next(values, default) for values, default in zip(given, defaults, strict=False)]
        yield _bound(function, parameters)


def _loop(
    x: Any, lengths: Any, backward: bool, states: tuple[Any, ...], step: Callable[..., Any]
) -> tuple[Any, ...]:
    """The first state after each step, then all states after the last."""
    xp = array_namespace(x, states[0])
    steps = x.shape[0]
    ys: list[Any] = [states[0]] * steps
    for t in reversed(range(steps)) if backward else range(steps):
        new = step(x[t, ...], *states)
        if lengths is not None:
            valid = xp.expand_dims(lengths > t, axis=-1)
            ys[t] = xp.where(valid, new[0], xp.zeros_like(new[0]))
            new = tuple(xp.where(valid, n, s) for n, s in zip(new, states, strict=True))
        else:
            ys[t] = new[0]
        states = new
    return (xp.stack([states[0], *ys])[1:, ...], *states)


def _run(
    x: Any,
    states: tuple[Any, ...],
    lengths: Any,
    direction: str,
    functions: list[Function],
    cell: Callable[..., Callable[..., Any]],
) -> tuple[Any, ...]:
    """All directions: ``cell(d, *functions)`` is the step of direction ``d``."""
    xp = array_namespace(x, states[0])
    count = states[0].shape[0]
    per = len(functions) // count
    found = []
    for d in range(count):
        step = cell(d, *functions[d * per : (d + 1) * per])
        found.append(
            _loop(x, lengths, direction == "reverse" or d == 1, tuple(s[d, ...] for s in states), step)
        )
    y, *finals = zip(*found, strict=True)
    return (xp.stack(y, axis=1), *(xp.stack(f, axis=0) for f in finals))


def _rule(gates: int, states: int, functions: int) -> Callable[..., TupleType]:
    """The type rule of an op with so many gates, states, and activations a direction."""

    def rule(
        x: TensorType,
        w: TensorType,
        r: TensorType,
        b: TensorType,
        *rest: TensorType,
        direction: str = "forward",
        activations: tuple[str, ...] = (),
        **_: Any,
    ) -> TupleType:
        if direction not in ("forward", "reverse", "bidirectional"):
            raise TypeMismatch(f"direction {direction!r}", hint="Use forward, reverse or bidirectional.")
        count = 2 if direction == "bidirectional" else 1
        unknown = set(activations) - ACTIVATIONS.keys()
        if unknown or len(activations) not in (0, functions * count):
            raise TypeMismatch(
                f"activations {', '.join(activations)}: {functions * count} are needed",
                hint=f"Known are {', '.join(ACTIVATIONS)}.",
            )
        if x.rank != 3 or r.rank != 3:
            raise TypeMismatch(f"{x} and {r} need three axes each")
        steps, batch, size = x.shape
        hidden = r.shape[2]
        wanted: list[tuple[TensorType, tuple[Dim, ...]]] = [
            (w, (count, gates * hidden, size)),
            (r, (count, gates * hidden, hidden)),
            (b, (count, 2 * gates * hidden)),
            *((h, (count, batch, hidden)) for h in rest[:states]),
        ]
        wanted += [(e, (batch,) if e.dtype == "i64" else (count, 3 * hidden)) for e in rest[states:]]
        for found, shape in wanted:
            text = ", ".join(map(str, shape))
            if found.rank != len(shape):
                raise TypeMismatch(f"{found} must be of shape [{text}]")
            for have, want in zip(found.shape, shape, strict=True):
                same_dim(have, want, f"{found} must be of shape [{text}]: {have} meets {want}")
        dtype = same_dtype(x, *(t for t, _ in wanted if t.dtype != "i64"))
        final = TensorType(dtype, (count, batch, hidden))
        return TupleType((TensorType(dtype, (steps, count, batch, hidden)), *[final] * states))

    return rule


def _onnx(op_type: str, inputs: tuple[str, ...], *attrs: str) -> Onnx:
    """The ONNX form, in which biases, initial states and peepholes that are left out are zeros."""
    own: dict[str, Source] = {name: name for name in ("direction", "activations", *attrs)}
    own |= {"activation_alpha": "alphas", "activation_beta": "betas", "hidden_size": SizeOf("r", 2)}
    return Onnx(op_type, inputs, own, zeros=frozenset({"b", "h0", "c0", "p"}))


_AXES = "t b i, d g i, d g h, d v, d b h"


@op(
    type=_rule(4, 2, 3),
    axes=f"{_AXES}, d b h, d p, b -> t d b h, d b h, d b h",
    onnx=_onnx("LSTM", ("x", "w", "r", "b", "lengths", "h0", "c0", "p"), "input_forget"),
    tolerance=1e-5,
)
def lstm(
    x: Any, w: Any, r: Any, b: Any, h0: Any, c0: Any, p: Any = None, lengths: Any = None, *,
    direction: str = "forward", activations: tuple[str, ...] = (), alphas: tuple[float, ...] = (),
    betas: tuple[float, ...] = (), input_forget: bool = False,
) -> Any:  # fmt: skip
    """Long short-term memory, gates in the order ``iofc``, with peepholes ``p`` in the order ``iof``.

    With ``input_forget`` the forget gate is one minus the input gate. Gives ``Y[T, d, B, H]``, and ``Y_h``
    and ``Y_c``, each ``[d, B, H]``.
    """

    def cell(d: int, f: Function, g: Function, h: Function) -> Callable[..., Any]:
        size = r.shape[-1]
        wt, rt, bias = w[d, ...].T, r[d, ...].T, b[d, : 4 * size] + b[d, 4 * size :]
        pi, po, pf = (0.0, 0.0, 0.0) if p is None else (p[d, k * size : (k + 1) * size] for k in range(3))

        def step(xt: Any, ht: Any, ct: Any) -> tuple[Any, Any]:
            sums = xt @ wt + ht @ rt + bias
            i, o, forget, c = (sums[:, k * size : (k + 1) * size] for k in range(4))
            i = f(i + pi * ct)
            forget = 1.0 - i if input_forget else f(forget + pf * ct)
            ct = forget * ct + i * g(c)
            return f(o + po * ct) * h(ct), ct

        return step

    names = activations or ("Sigmoid", "Tanh", "Tanh") * w.shape[0]
    return _run(x, (h0, c0), lengths, direction, list(_functions(names, alphas, betas)), cell)


@op(
    type=_rule(3, 1, 2),
    axes=f"{_AXES}, b -> t d b h, d b h",
    onnx=_onnx("GRU", ("x", "w", "r", "b", "lengths", "h0"), "linear_before_reset"),
    tolerance=1e-5,
)
def gru(
    x: Any, w: Any, r: Any, b: Any, h0: Any, lengths: Any = None, *,
    direction: str = "forward", activations: tuple[str, ...] = (), alphas: tuple[float, ...] = (),
    betas: tuple[float, ...] = (), linear_before_reset: bool = False,
) -> Any:  # fmt: skip
    """A gated recurrent unit, gates in the order ``zrh``.

    The reset gate multiplies the state, or, with ``linear_before_reset``, the state's product and bias. Gives
    ``Y[T, d, B, H]`` and ``Y_h[d, B, H]``.
    """

    def cell(d: int, f: Function, g: Function) -> Callable[..., Any]:
        size = r.shape[-1]
        wt, rt, wb, rb = w[d, ...].T, r[d, ...].T, b[d, : 3 * size], b[d, 3 * size :]

        def step(xt: Any, ht: Any) -> tuple[Any]:
            sums = xt @ wt + wb
            gates = f(sums[:, : 2 * size] + ht @ rt[:, : 2 * size] + rb[: 2 * size])
            z, reset = gates[:, :size], gates[:, size:]
            rh, bh = rt[:, 2 * size :], rb[2 * size :]
            update = reset * (ht @ rh + bh) if linear_before_reset else (reset * ht) @ rh + bh
            return ((1.0 - z) * g(sums[:, 2 * size :] + update) + z * ht,)

        return step

    names = activations or ("Sigmoid", "Tanh") * w.shape[0]
    return _run(x, (h0,), lengths, direction, list(_functions(names, alphas, betas)), cell)


@op(
    type=_rule(1, 1, 1),
    axes=f"{_AXES}, b -> t d b h, d b h",
    onnx=_onnx("RNN", ("x", "w", "r", "b", "lengths", "h0")),
    tolerance=1e-5,
)
def rnn(
    x: Any, w: Any, r: Any, b: Any, h0: Any, lengths: Any = None, *,
    direction: str = "forward", activations: tuple[str, ...] = (), alphas: tuple[float, ...] = (),
    betas: tuple[float, ...] = (),
) -> Any:  # fmt: skip
    """A plain recurrent layer: the activation of the products' sum.

    Gives ``Y[T, d, B, H]`` and ``Y_h[d, B, H]``.
    """

    def cell(d: int, f: Function) -> Callable[..., Any]:
        size = r.shape[-1]
        wt, rt, bias = w[d, ...].T, r[d, ...].T, b[d, :size] + b[d, size:]
        return lambda xt, ht: (f(xt @ wt + ht @ rt + bias),)

    names = activations or ("Tanh",) * w.shape[0]
    return _run(x, (h0,), lengths, direction, list(_functions(names, alphas, betas)), cell)
