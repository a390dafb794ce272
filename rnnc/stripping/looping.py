"""Loops over time: native recurrent ops and regions, whose states are carried from step to step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import networkx as nx
import numpy as np

from rnnc.dims import Poly
from rnnc.ir import Array
from rnnc.loops.regions import operands
from rnnc.machine.evaluate import Function
from rnnc.machine.library import Library
from rnnc.ops import OPS
from rnnc.stripping.places import STEPS, CannotStream, Place, Stripped, grows, growth
from rnnc.stripping.strip import Found, Stripping, along
from rnnc.types import TensorType, Type

#: How many states each native op has.
STATES = {"lstm": 2, "gru": 1, "rnn": 1}


@along(*STATES)
def native(s: Stripping, value: str, xs: Sequence[Stripped]) -> Found | None:
    """One direction after another, each going on from where it was; one that looks ahead in reverse."""
    node = s.old[value]
    reads = OPS[node.op].operands
    x, *rest = xs
    if x.place is None or x.place.axis != 0:
        return None
    if len(xs) == len(reads) and reads[-1] == "lengths":
        raise CannotStream("its sequences have lengths of their own")
    if x.place.outer != 1 or x.place.lead:
        raise CannotStream("time shares an axis with others")
    if any(o.place for o in rest):
        raise CannotStream("its weights or initial states change with time")
    direction = node.attrs.get("direction", "forward")
    if direction != "bidirectional":
        return _one_way(s, value, x, [o.value for o in rest], dict(node.attrs))
    ways = []
    for d, way in enumerate(("forward", "reverse")):
        own = [s.b("slice", o.value, axis=0, start=d, stop=d + 1) for o in rest]
        attrs = _of_direction(node.attrs, d) | ({"direction": way} if d else {})
        ways.append(_one_way(s, value, x, own, attrs))
    joined = [
        s.b("concat", *(w[k].value for w in ways), axis=1 if k == 0 else 0) for k in range(len(ways[0]))
    ]
    places = [ways[0][0].place, *[None] * (len(joined) - 1)]
    return tuple(Stripped(v, p, final=p is None) for v, p in zip(joined, places, strict=True))


def _of_direction(attrs: Any, d: int) -> dict[str, Any]:
    """The attributes of one of two directions."""
    found = {n: a for n, a in attrs.items() if n not in ("direction", "activations")}
    if attrs.get("activations"):
        half = len(attrs["activations"]) // 2
        found["activations"] = attrs["activations"][d * half : (d + 1) * half]
    if found.get("alphas") or found.get("betas"):
        raise CannotStream("the activations of its two directions have parameters")
    return found


def _one_way(
    s: Stripping, value: str, x: Stripped, rest: Sequence[str], attrs: dict[str, Any]
) -> tuple[Stripped, ...]:
    node, b = s.old[value], s.b
    w, r, bias, *states = rest
    count, backward = STATES[node.op], attrs.get("direction") == "reverse"
    starts, others = states[:count], states[count:]
    name = s.old.operands(value)[0] if value.startswith("%") else value
    befores = [carried(s, start, f"{name}.{'hc'[k]}", backward) for k, start in enumerate(starts)]
    y, *finals = b.items(b(node.op, x.value, w, r, bias, *(v for v, _ in befores), *others, **attrs))
    for (before, path), after in zip(befores, finals, strict=True):
        s.new.connect(after, before, 0)
        if path:
            s.new.finals[path] = after
    assert x.place is not None
    ends = [Stripped(f, None, final=True) for f in finals]
    if backward and any(_read(s, value, k + 1) for k in range(count)):
        raise CannotStream("the last state of a loop that runs in reverse is that of the first step")
    return (Stripped(y, Place(0, x.place.frames)), *ends)


def _read(s: Stripping, value: str, k: int) -> bool:
    """Whether an item of a value is read by anything that is needed."""
    roots = set(s.old.roots())
    items = [v for v, _ in s.old.uses(value) if s.old[v].attrs.get("k") == k]
    return any(s.old.uses(v) or v in roots for v in items)


def carried(s: Stripping, start: str, path: str, backward: bool) -> tuple[str, str]:
    """A state's value before a step, of which the one after is yet to come, and its path.

    A state of the interface goes on as that; any other starts from what is known of it.
    """
    kind = s.new.type(start)
    if s.new[start].op == "init":
        return s.b("delay", start, start, k=1), ""
    init = known(s, start)
    if backward:
        zero = s.b.const(0 if init is None else init, kind.dtype)
        return s.b("delay", start, zero, k=-1), ""
    source = s.state(path, kind, 1, init)
    return s.b("delay", source, source, k=1), s.states[-1].path


def known(s: Stripping, value: str) -> Array | None:
    """The elements of an initial value, one along the axes that it only repeats along; ``None`` for zeros."""
    below = {value, *nx.ancestors(s.new.nx, value)}
    if any(s.new[v].op in ("input", "init") for v in below):
        raise CannotStream(
            "it starts from what is not known before: name its input with --state or --constant"
        )
    sizes = dict.fromkeys((n for v in below for n in _names(s.new[v].type)), 2)
    params = {v: np.asarray(s.old.interface.params[v]) for v in below if s.new[v].op == "param"}
    part = s.new.copy()
    part.outputs, part.finals = {"start": value}, {}
    array: Array = Function(part)(params, Library(), sizes)[value]
    for axis, d in enumerate(s.new.type(value).shape):
        if isinstance(d, Poly):
            one = array.take([0], axis)
            if not (array == one).all():
                raise CannotStream("its states start from values that differ within the batch")
            array = one
    return array if array.any() else None


def _names(type: Type) -> set[str]:
    """The sizes of a type that have names."""
    return set(type.names()) if isinstance(type, TensorType) else set()


@along("region")
def region(s: Stripping, value: str, xs: Sequence[Stripped]) -> Found | None:
    """A loop over time runs as many of its steps as a step has frames, and goes on at the next."""
    node, roles = s.old[value], operands(s.old, value)
    attrs = node.attrs
    if not grows(attrs["steps"]):
        return None
    frames = growth(attrs["steps"])
    body = attrs["body"]
    if not isinstance(frames, int) or frames * STEPS != attrs["steps"] or roles.lengths:
        raise CannotStream("it does not run one round for each frame")
    inputs, inits = xs[: len(roles.inputs)], xs[len(roles.inputs) :]
    for declared, x in zip(body.interface.inputs, inputs, strict=True):
        fits = x.place == Place(0, frames) if declared.kind == "stream" else x.place is None
        if not fits or x.final:
            raise CannotStream("it reads frames in another order than it runs")
    if any(x.place or x.final for x in inits):
        raise CannotStream("its initial states change with time")
    backward = bool(attrs.get("reverse"))
    states = body.interface.states
    befores = [
        carried(s, x.value, f"{value.strip('%')}.{st.path}", backward)
        for x, st in zip(inits, states, strict=True)
    ]
    new = s.same(value, [*(x.value for x in inputs), *(v for v, _ in befores)])
    items = s.b.items(new)
    outputs, finals = items[: len(items) - len(states)], items[len(items) - len(states) :]
    for (before, path), after in zip(befores, finals, strict=True):
        s.new.connect(after, before, 0)
        if path:
            s.new.finals[path] = after
    return (
        *(Stripped(v, Place(0, frames)) for v in outputs),
        *(Stripped(v, None, final=True) for v in finals),
    )
