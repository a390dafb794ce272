"""Lifting: an op that works on one step, made to work on all steps at once.

How an op takes time as a further first axis follows from its axes (:mod:`rnnc.ops.axes`): either the axis is
put in front of its operands, attributes that count axes moving by one, or the steps are folded into the batch
and unfolded again. A few ops whose axes cannot say it have a rule by hand. What cannot take a time axis at
all is left to the caller, who makes it a loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rnnc.build import Builder
from rnnc.dims import Dim
from rnnc.ir import Graph
from rnnc.ops.axes import leading
from rnnc.ops.declare import Op
from rnnc.types import TensorType, TupleType, Type


@dataclass(frozen=True)
class Operand:
    """An operand of an op to lift. A ``stream`` has time as its first axis already."""

    value: str
    type: Type
    stream: bool


#: Ops that onnxruntime ends the process in if their batch is empty, as it would be in a sequence of no steps.
NEVER_EMPTY = frozenset({"lstm", "gru", "rnn"})


def over_time(b: Builder, value: str, steps: Dim) -> str:
    """An invariant as a stream: the same at every step."""
    return b("expand", value, shape=(steps, *b.graph.type(value).shape))


def lift_op(
    b: Builder, op: Op, xs: Sequence[Operand], attrs: Mapping[str, Any], result: Type, steps: Dim
) -> str | None:
    """The value of ``op`` at every step, or ``None`` if the op cannot take a time axis.

    ``result`` is the type that it has at one step; at least one of ``xs`` is a stream.
    """
    if op.name in _BY_HAND:
        return _BY_HAND[op.name](b, xs, attrs, steps)
    how = leading(op, attrs, [slot for slot, x in enumerate(xs) if x.stream])
    if isinstance(how, str):
        return None
    items = result.items if isinstance(result, TupleType) else (result,)
    spare = op.name in NEVER_EMPTY and not isinstance(steps, int)
    values = []
    for slot, x in enumerate(xs):
        assert isinstance(x.type, TensorType)
        value, stream = x.value, x.stream
        if how.whole(slot) and not stream:
            value, stream = over_time(b, value, steps), True
        if stream and how.how == "fold":
            value = _merged(b, value, how.batch(slot), spare)
        elif stream:
            step_rank = b.graph.type(value).rank - 1
            gap = how.gap(slot, step_rank, items[0].rank)
            value = b("unsqueeze", value, axes=tuple(range(1, 1 + gap))) if gap else value
        values.append(value)
    if how.how == "ellipsis":
        return b(op, *values, **how.attrs(attrs, steps))
    folded = b(op, *values, **how.folded(attrs, steps))
    parts = b.items(folded) if isinstance(result, TupleType) else [folded]
    apart = [
        _parted(b, p, t, how.result_batch(k), steps, spare)
        for k, (p, t) in enumerate(zip(parts, items, strict=True))
    ]
    return b("tuple", *apart) if isinstance(result, TupleType) else apart[0]


def takes_time(op: Op, xs: Sequence[Operand], attrs: Mapping[str, Any], result: Type, steps: Dim) -> bool:
    """Whether :func:`lift_op` can. A rule by hand is tried in a graph of its own, and goes by types alone."""
    if op.name not in _BY_HAND:
        return not isinstance(leading(op, attrs, [slot for slot, x in enumerate(xs) if x.stream]), str)
    if op.name == "item":
        return True
    trial = Graph("trial")
    named = [replace(x, value=trial.add("input", type=x.type, name=f"v{k}")) for k, x in enumerate(xs)]
    return _BY_HAND[op.name](Builder(trial), named, attrs, steps) is not None


def _merged(b: Builder, value: str, at: int, spare: bool) -> str:
    """A stream of which each step's axis ``at`` is as long as all steps' together, with a ``spare`` one."""
    rank = b.graph.type(value).rank
    if at:
        value = b("transpose", value, perm=(*range(1, at + 1), 0, *range(at + 1, rank)))
    shape = b.graph.type(value).shape
    value = b("reshape", value, shape=(*shape[:at], shape[at] * shape[at + 1], *shape[at + 2 :]))
    return b("pad", value, axis=at, before=0, after=1) if spare else value


def _parted(b: Builder, value: str, step: TensorType, at: int, steps: Dim, spare: bool) -> str:
    """What :func:`_merged` merged, taken apart: a stream of values of type ``step``."""
    shape = step.shape
    value = b("slice", value, axis=at, start=0, stop=-1) if spare else value
    value = b("reshape", value, shape=(*shape[:at], steps, *shape[at:]))
    return b("transpose", value, perm=(at, *range(at), *range(at + 1, step.rank + 1))) if at else value


# -- rules by hand ------------------------------------------------------------------------------------------


def _gather(b: Builder, xs: Sequence[Operand], attrs: Mapping[str, Any], steps: Dim) -> str | None:
    """A stream of indices brings time to where the gathered axis was; both as streams would need a loop."""
    x, indices = xs
    axis = attrs["axis"]
    if x.stream:
        return None if indices.stream else b("gather", x.value, indices.value, axis=axis + 1)
    found = b("gather", x.value, indices.value, axis=axis)
    rest = range(axis + 1, b.graph.type(found).rank)
    return b("transpose", found, perm=(axis, *range(axis), *rest)) if axis else found


def _einsum(b: Builder, xs: Sequence[Operand], attrs: Mapping[str, Any], steps: Dim) -> str:
    """Time is one more letter."""
    left, _, right = attrs["equation"].replace(" ", "").partition("->")
    letter = next(c for c in "tsuvwxyzabcdefghijklmnopqr" if c not in left)
    terms = [letter * x.stream + t for x, t in zip(xs, left.split(","), strict=True)]
    return b("einsum", *(x.value for x in xs), equation=f"{','.join(terms)}->{letter}{right}")


def _size(b: Builder, xs: Sequence[Operand], attrs: Mapping[str, Any], steps: Dim) -> str:
    """A size is the same at every step."""
    return over_time(b, b("size", xs[0].value, axis=attrs["axis"] + 1), steps)


def _item(b: Builder, xs: Sequence[Operand], attrs: Mapping[str, Any], steps: Dim) -> str:
    """Each item of a lifted tuple has time."""
    return b("item", xs[0].value, **attrs)


def _tuple(b: Builder, xs: Sequence[Operand], attrs: Mapping[str, Any], steps: Dim) -> str:
    """A tuple has time in all its items or in none."""
    return b("tuple", *(x.value if x.stream else over_time(b, x.value, steps) for x in xs))


_BY_HAND: Mapping[str, Callable[[Builder, Sequence[Operand], Mapping[str, Any], Dim], str | None]] = {
    "gather": _gather,
    "einsum": _einsum,
    "size": _size,
    "item": _item,
    "tuple": _tuple,
}
