"""Lower-time: moving along time becomes concat, slice and gather, which ONNX has.

A shift puts its init in front and cuts as much off the end, which is right for sequences shorter than the
shift too, empty ones included. Where each sequence has its own length, steps are picked from time and batch
folded into one axis.

Before::

    function f(stream x: f32[T, B], state y: f32[B] = %0) -> (y) {
      y: f32[T, B] = shift(x, y.init) {k = 1}
      %0: f32[B] = final(x, y.init) {k = 1}
    }

After::

    function f(stream x: f32[T, B], state y: f32[B] = %4) -> (y) {
      %0: f32[1, B] = unsqueeze(y.init) {axes = (0,)}
      %1: f32[T+1, B] = concat(%0, x) {axis = 0}
      y: f32[T, B] = slice(%1) {axis = 0, start = 0, stop = -1}
      %2: f32[tail1_T, B] = tail(x) {n = 1}
      %3: f32[tail1_T+1, B] = concat(%2, %0) {axis = 0}
      %4: f32[B] = gather(%3, 0) {axis = 0}
    }
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from rnnc.build import Builder
from rnnc.ir import Graph
from rnnc.loops.histories import timeline
from rnnc.loops.slots import whole
from rnnc.pipeline import ACYCLIC, LOWERED, TYPED, Pass
from rnnc.types import TensorType


@dataclass(frozen=True)
class LowerTime(Pass):
    """``shift``, ``final``, ``reverse`` and ``window`` in terms of ops that ONNX has."""

    name: ClassVar[str] = "lower-time"
    needs: ClassVar[frozenset[str]] = frozenset({TYPED, ACYCLIC})
    gives: ClassVar[frozenset[str]] = frozenset({LOWERED})

    def apply(self, graph: Graph) -> None:
        for op, rule in _RULES.items():
            for value in graph.find(op):
                b = Builder(graph, like=value)
                graph.replace(value, rule(b, *graph.operands(value), **graph[value].attrs))


def _shift(b: Builder, v: str, init: str, lengths: str | None = None, *, k: int) -> str:
    slots = _slots(b, v, init, abs(k))
    if k > 0:
        return _cut(b, b("concat", _flip(b, slots, k), v, axis=0), 0, -k)
    padded = b("concat", v, slots, axis=0)
    if lengths is None:
        return _cut(b, padded, -k, None)
    # Step t+j is the sequence's own before its end; after it come the slots, which start at row T.
    t = b("add", _column(b, v), b.const(-k, "i64"))
    size = b("size", v, axis=0)
    row = b("where", b("less", t, lengths), t, b("add", b("sub", t, lengths), size))
    # Padding may look beyond all slots.
    last = b("add", size, b.const(-k - 1, "i64"))
    return _pick(b, padded, b("minimum", row, last))


def _final(b: Builder, v: str, init: str, lengths: str | None = None, *, k: int) -> str:
    if lengths is None:
        newest = _flip(b, b("tail", v, n=k), k)
        every = b("concat", newest, _slots(b, v, init, k), axis=0)
        return b("gather", every, b.const(0, "i64"), axis=0) if k == 1 else _cut(b, every, 0, k)
    # Slot i is the step i before the end; where there is none, slots of the init follow from row T on.
    i = b.const([[j] for j in range(k)] if k > 1 else 0, "i64")
    back = b("sub", b("sub", lengths, b.const(1, "i64")), i)
    beyond = b("sub", b("sub", b("size", v, axis=0), b.const(1, "i64")), back)
    row = b("where", b("less", back, b.const(0, "i64")), beyond, back)
    return _pick(b, b("concat", v, _slots(b, v, init, k), axis=0), row)


def _reverse(b: Builder, v: str, lengths: str | None = None) -> str:
    if lengths is None:
        return b("slice", v, axis=0, start=-1, stop=None, step=-1)
    t = _column(b, v)
    back = b("sub", b("sub", lengths, b.const(1, "i64")), t)
    return _pick(b, v, b("where", b("less", t, lengths), back, t))


def _window(b: Builder, v: str, init: str, *, axis: int) -> str:
    steps, size = b.graph.type(v).shape[0], b.graph.type(v).shape[axis]
    wide = b.graph.type(init).shape[axis - 1] + size
    each = size if isinstance(size, int) else b("size", v, axis=axis)
    first = b("mul", b("unsqueeze", b("arange", stop=steps), axes=(1,)), each)
    places = b("add", first, b("arange", stop=wide))
    found = b("gather", timeline(b, v, init, axis), places, axis=axis - 1)
    rank = b.graph.type(found).rank
    return b("transpose", found, perm=(axis - 1, *range(axis - 1), *range(axis, rank)))


_RULES: Mapping[str, Callable[..., str]] = {
    "shift": _shift,
    "final": _final,
    "reverse": _reverse,
    "window": _window,
}


def _slots(b: Builder, v: str, init: str, k: int) -> str:
    """The init as ``k`` steps of ``v``, newest first."""
    kind = b.graph.type(v)
    slots = whole(b, init, TensorType(kind.dtype, kind.shape[1:]), k)
    return b("unsqueeze", slots, axes=(0,)) if k == 1 else slots


def _flip(b: Builder, v: str, k: int) -> str:
    """At most ``k`` steps in the opposite order."""
    return v if k == 1 else b("slice", v, axis=0, start=-1, stop=None, step=-1)


def _cut(b: Builder, v: str, start: int, stop: int | None) -> str:
    return b("slice", v, axis=0, start=start, stop=stop)


def _column(b: Builder, v: str) -> str:
    """The numbers of the steps of ``v``, as a column."""
    steps: Any = b.graph.type(v).shape[0]
    return b("unsqueeze", b("arange", stop=steps), axes=(1,))


def _pick(b: Builder, v: str, rows: str) -> str:
    """``v[rows[…, n], n]`` for every sequence ``n`` of the batch."""
    steps, batch, *rest = b.graph.type(v).shape
    width = b.const(1, "i64") if batch == 1 else b("size", v, axis=1)
    places = b("add", b("mul", rows, width), b("arange", stop=batch))
    return b("gather", b("reshape", v, shape=(steps * batch, *rest)), places, axis=0)
