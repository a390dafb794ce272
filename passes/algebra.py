"""Algebra: the rules by which an equation of a model becomes a shorter one.

    %0: f32[B, 3] = neg(y1)                             %0: f32[B, 3] = sub(x, y1)
    %1: f32[B, 3] = add(%0, x)                  ->      y: f32[B, 3] = sigmoid(%0)
    %2: f32[B, 3] = mul(%1, 1.0)
    y: f32[B, 3] = sigmoid(%2)

Every rule holds for all floats, up to the sign of a zero. So ``x * 0`` and ``x - x`` stay, which are NaN
where ``x`` is NaN or infinite, and so do sums, which round otherwise when regrouped. ``1 - sigmoid(a)``
becomes ``sigmoid(-a)`` where that ``sigmoid(a)`` is not needed itself: as many nodes, but the sign now sits
on an affine form, where recognition reads it and hoisting moves it out of the loop, and small results keep
their digits.

Measure: each rule lowers, in this order, the number of ops that compute, the operands of ``concat``, the
number of ``expand``, ``neg`` and constants, and the cost of an op (``pow`` above ``mul``, ``maximum`` above
``relu``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rnnc.ir import Graph
from rnnc.ops import OPS
from rnnc.ops.activation import relu, sigmoid
from rnnc.ops.arithmetic import abs_, cast, maximum, neg, pow_, reciprocal, where
from rnnc.ops.compare import logical_not
from rnnc.ops.declare import broadcast_shapes
from rnnc.ops.shape import concat, expand, reshape, slice_, split, squeeze, transpose
from rnnc.ops.structural import delay, item, tuple_
from rnnc.pipeline import Pass
from rnnc.rewrite import Rules, Value, Var, apply_rules, rewrite, ruleset
from rnnc.types import FLOATS

#: Applied twice, these are as applied once.
IDEMPOTENT = ("abs", "relu", "floor", "ceil", "round", "sign")

#: Element types that each of these holds exactly.
WIDER = {"f64": FLOATS, "f32": {"f32", "f16"}, "i64": {"i64", "i32", "i16", "i8", "u32", "u16", "u8", "bool"}}

#: Ops that keep the elements and their order.
RESHAPING = ("reshape", "squeeze", "unsqueeze")


# -- what some rules give ----------------------------------------------------------------------------------


def broadcasts(root: Value, x: Value, y: Value, z: Value | None = None) -> bool:
    """Whether the shapes that are left still give the result's."""
    shapes = [v.type.shape for v in (x, y, z) if v is not None]
    return broadcast_shapes(*shapes) == root.type.shape


def bounds(v: Value) -> tuple[int, int] | None:
    """Where a slice begins and ends, from the front; ``None`` if that depends on a size with a name."""
    size = v.operands[0].type.shape[v.attr("axis")]
    if not isinstance(size, int) or v.attr("step") != 1:
        return None
    start, stop, _ = slice(v.attr("start"), v.attr("stop")).indices(size)
    return start, max(start, stop)


def extents(xs: tuple[Value, ...], axis: int) -> list[tuple[int, int]]:
    """Where each operand of a concat lies in it, as far as the sizes are known."""
    found: list[tuple[int, int]] = []
    at = 0
    for x in xs:
        size = x.type.shape[axis]
        if not isinstance(size, int):
            break
        found.append((at, at + size))
        at += size
    return found


def between(xs: tuple[Value, ...], axis: int, start: int, stop: int) -> Value | None:
    """What a concat holds from ``start`` to ``stop``: whole operands, or a part of one."""
    places = extents(xs, axis)
    inside = [x for x, (b, e) in zip(xs, places, strict=False) if start <= b < e <= stop]
    if inside and sum(x.type.shape[axis] for x in inside) == stop - start:
        found: Value = inside[0] if len(inside) == 1 else concat(*inside, axis=axis)
        return found
    for x, (b, e) in zip(xs, places, strict=False):
        if b <= start < stop <= e:
            part: Value = slice_(x, axis=axis, start=start - b, stop=stop - b)
            return part
    return None


def slice_of_concat(root: Value, xs: tuple[Value, ...], a: int) -> Value | None:
    """The operands that the slice covers, or a slice of the one that covers it."""
    if len(extents(xs, a)) < len(xs):
        # Behind an operand of unknown size, only what is counted from the front is known.
        start, stop = root.attr("start"), root.attr("stop")
        return between(xs, a, start, stop) if start >= 0 and stop is not None and stop > start else None
    found = bounds(root)
    return None if found is None else between(xs, a, *found)


def slice_of_slice(root: Value, x: Value, a: int) -> Value | None:
    """One slice, with both offsets."""
    outer, inner = bounds(root), bounds(root.operands[0])
    if outer is None or inner is None:
        return None
    found: Value = slice_(x, axis=a, start=inner[0] + outer[0], stop=inner[0] + outer[1])
    return found


def slice_of_expand(root: Value, x: Value, a: int) -> Value | None:
    """What is repeated along an axis is cut by repeating it less often."""
    own = a - root.type.rank + x.type.rank
    if own >= 0 and x.type.shape[own] != 1:
        return None
    found: Value = expand(x, shape=root.type.shape)
    return found


def flat(xs: tuple[Value, ...], a: int) -> Value | None:
    """A concat of concats along one axis, as one."""
    nested = [x.op == "concat" and x.attr("axis") == a and x.used_once for x in xs]
    if not any(nested):
        return None
    parts = [part for x, n in zip(xs, nested, strict=True) for part in (x.operands if n else (x,))]
    found: Value = concat(*parts, axis=a)
    return found


def joined(xs: tuple[Value, ...], a: int) -> Value | None:
    """A concat of which neighbours are neighbouring slices of one value, each such run as one slice."""
    runs: list[list[Value]] = []
    for x in xs:
        if runs and follows(x, runs[-1][-1], a):
            runs[-1].append(x)
        else:
            runs.append([x])
    if len(runs) == len(xs):
        return None
    parts = [run[0] if len(run) == 1 else spanned(run, a) for run in runs]
    found: Value = parts[0] if len(parts) == 1 else concat(*parts, axis=a)
    return found


def follows(x: Value, before: Value, axis: int) -> bool:
    """Whether ``x`` goes on where the value before it, a slice of the same, ends."""
    if {x.op, before.op} != {"slice"} or x.operands != before.operands or axis != x.attr("axis"):
        return False
    here, there = bounds(x), bounds(before)
    return x.attr("axis") == before.attr("axis") and bool(here and there and there[1] == here[0])


def spanned(run: list[Value], axis: int) -> Value:
    """One slice in place of a run of neighbouring ones."""
    first, last = bounds(run[0]), bounds(run[-1])
    assert first is not None and last is not None
    found: Value = slice_(run[0].operands[0], axis=axis, start=first[0], stop=last[1])
    return found


def whole(xs: tuple[Value, ...], a: int) -> Value | None:
    """A concat of all parts of a split, in their order."""
    if any(x.op != "item" or x.attr("k") != k for k, x in enumerate(xs)):
        return None
    parts = {x.operands[0].name for x in xs}
    cut = xs[0].operands[0]
    if len(parts) > 1 or cut.op != "split" or cut.attr("axis") != a or len(cut.attr("sizes")) != len(xs):
        return None
    return cut.operands[0]


def item_of_concat(xs: tuple[Value, ...], a: int, s: tuple[int, ...], k: int) -> Value | None:
    """A part of a split of a concat, where it is made of whole operands."""
    start = sum(s[:k])
    if len(extents(xs, a)) < len(xs):
        return None
    found = between(xs, a, start, start + s[k])
    return None if found is not None and found.op == "slice" else found


# -- the rules ----------------------------------------------------------------------------------------------


@ruleset
def ARITHMETIC(x: Var, y: Var, d: Var, e: Var) -> Rules:
    """Numbers."""
    yield rewrite(x + 0).to(x)
    yield rewrite(x - 0).to(x)
    yield rewrite(0 - x).to(-x)
    yield rewrite(x * 1).to(x)
    yield rewrite(x * -1).to(-x)
    yield rewrite(x / 1).to(x)
    yield rewrite(x / -1).to(-x)
    yield rewrite(1 / x).to(reciprocal(x))
    yield rewrite(x**1).to(x)
    yield rewrite(x**2).to(x * x)
    yield rewrite(pow_(x, -1)).to(reciprocal(x))
    yield rewrite(x * 0).to(0).when(lambda root: not root.type.floating)
    yield rewrite(x - x).to(0).when(lambda root: not root.type.floating)

    yield rewrite(neg(neg(x))).to(x)
    yield rewrite(neg(x - y)).to(y - x)
    yield rewrite(x + neg(y)).to(x - y)
    yield rewrite(x - neg(y)).to(x + y)
    yield rewrite(neg(x) * neg(y)).to(x * y)
    yield rewrite(neg(x) / neg(y)).to(x / y)
    yield rewrite(abs_(neg(x))).to(abs_(x))
    yield rewrite(neg(x) * neg(x)).to(x * x)
    yield rewrite(1 - sigmoid(x)).to(sigmoid(neg(x))).when(lambda root: root.operands[1].used_once)
    yield rewrite(maximum(x, 0)).to(relu(x))

    yield rewrite(where(True, x, y)).to(x)
    yield rewrite(where(False, x, y)).to(y)
    yield rewrite(where(d, x, x)).to(x)
    yield rewrite(where(logical_not(d), x, y)).to(where(d, y, x))
    yield rewrite(logical_not(logical_not(x))).to(x)

    yield rewrite(cast(x, dtype=d)).to(x).when(lambda x, d: x.type.dtype == d)
    yield (
        rewrite(cast(cast(x, dtype=d), dtype=e))
        .to(cast(x, dtype=e))
        .when(lambda x, d: x.type.dtype in WIDER.get(d, ()))
    )
    for f in (OPS[name] for name in IDEMPOTENT):
        yield rewrite(f(f(x))).to(f(x))


@ruleset
def SHAPES(x: Var, a: Var, p: Var, q: Var, s: Var, k: Var, *xs: Var) -> Rules:
    """The places of elements."""
    yield rewrite(transpose(x, perm=p)).to(x).when(lambda p: p == tuple(range(len(p))))
    yield rewrite(transpose(transpose(x, perm=p), perm=q)).to(
        lambda x, p, q: transpose(x, perm=tuple(p[axis] for axis in q))
    )
    yield rewrite(reshape(x, shape=s)).to(x).when(lambda x, s: x.type.shape == s)
    for f in (OPS[name] for name in RESHAPING):
        yield rewrite(reshape(f(x), shape=s)).to(reshape(x, shape=s))
        yield rewrite(f(reshape(x))).to(lambda root, x: reshape(x, shape=root.type.shape))
        for g in (OPS[name] for name in RESHAPING):
            yield rewrite(f(g(x))).to(x).when(lambda root, x: root.type == x.type)
    yield rewrite(expand(x, shape=s)).to(x).when(lambda x, s: x.type.shape == s)
    yield rewrite(expand(expand(x), shape=s)).to(expand(x, shape=s))
    yield rewrite(slice_(expand(x), axis=a)).to(slice_of_expand)
    yield (
        rewrite(squeeze(expand(x), axes=p))
        .to(lambda root, x: expand(x, shape=root.type.shape))
        .when(lambda root, x, p: x.type.rank <= root.type.rank and p == tuple(range(len(p))))
    )

    yield rewrite(slice_(x, axis=a, start=0, stop=None, step=1)).to(x)
    yield (
        rewrite(slice_(x, axis=a, step=1))
        .to(x)
        .when(lambda root, x, a: root.type == x.type and isinstance(x.type.shape[a], int))
    )
    yield rewrite(slice_(slice_(x, axis=a, step=1), axis=a, step=1)).to(slice_of_slice)
    yield rewrite(slice_(concat(*xs, axis=a), axis=a, step=1)).to(slice_of_concat)
    yield rewrite(concat(x)).to(x)
    yield rewrite(concat(*xs, axis=a)).to(flat)
    yield rewrite(concat(*xs, axis=a)).to(joined)
    yield rewrite(concat(*xs, axis=a)).to(whole)
    yield rewrite(item(split(x, sizes=s), k=0)).to(x).when(lambda s: len(s) == 1)
    yield rewrite(item(split(concat(*xs, axis=a), axis=a, sizes=s), k=k)).to(item_of_concat)
    yield rewrite(item(tuple_(*xs), k=k)).to(lambda xs, k: xs[k])


@ruleset
def BROADCASTS(x: Var, y: Var, z: Var) -> Rules:
    """An operand need not be expanded to what broadcasting expands it to."""
    for f in (f for f in OPS.values() if f.elementwise and f.arity() == (2, 2)):
        yield rewrite(f(expand(x), y)).to(f(x, y)).when(broadcasts)
        yield rewrite(f(x, expand(y))).to(f(x, y)).when(broadcasts)
    yield rewrite(where(expand(x), y, z)).to(where(x, y, z)).when(broadcasts)
    yield rewrite(where(x, expand(y), z)).to(where(x, y, z)).when(broadcasts)
    yield rewrite(where(x, y, expand(z))).to(where(x, y, z)).when(broadcasts)


@ruleset
def DELAYS(x: Var, y: Var, k: Var) -> Rules:
    """Registers that hold one value for ever: of a value that never changes, and of their own content."""
    yield rewrite(delay(x, x, k=k)).to(x).when(lambda k: abs(k) == 1)
    yield rewrite(delay(x, expand(y), k=k)).to(delay(x, y, k=k))
    yield rewrite(delay(x, y, k=k)).to(y).when(lambda root, x, k: x.name == root.name and abs(k) == 1)


RULES = (*ARITHMETIC, *SHAPES, *BROADCASTS, *DELAYS)


@dataclass(frozen=True)
class Algebra(Pass):
    """The rules below, wherever they apply, until none does."""

    name: ClassVar[str] = "algebra"

    def apply(self, graph: Graph) -> None:
        algebra(graph)


def algebra(graph: Graph) -> None:
    """Apply every rule of this file until none fits."""
    apply_rules(graph, RULES)
