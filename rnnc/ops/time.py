"""Moving about along time, the first axis of values in function graphs; batch is the second.

These are what delays and lookahead become when a graph is lifted over time. ``lengths[B]`` says where each
sequence ends; what lies behind is padding, which they carry along without a meaning. ONNX has no form for
them: ``lower-time`` turns them into concat, slice and gather.
"""

from __future__ import annotations

from typing import Any

from array_api_compat import array_namespace, device

from rnnc.errors import TypeMismatch
from rnnc.ops.declare import Axis, axis_of, broadcast_shapes, op, same_dtype
from rnnc.types import TensorType


def _check(v: TensorType, init: TensorType | None, lengths: TensorType | None, k: int) -> None:
    if v.rank < 1 or (lengths is not None and v.rank < 2):
        raise TypeMismatch(f"{v} has no axis of time, or none of batch")
    if lengths is not None and (lengths.dtype, lengths.rank) != ("i64", 1):
        raise TypeMismatch(f"lengths are i64[B], not {lengths}")
    if init is not None:
        same_dtype(v, init)
        slots = v.shape[1:] if abs(k) == 1 else (abs(k), *v.shape[1:])
        if broadcast_shapes(slots, init.shape) != slots:
            raise TypeMismatch(f"{init} does not fit {abs(k)} steps of {v}")


def _shifted(v: TensorType, init: TensorType, lengths: TensorType | None = None, *, k: int) -> TensorType:
    if k == 0:
        raise TypeMismatch("a shift by 0 steps is the value itself")
    _check(v, init, lengths, k)
    return v


def _finals(v: TensorType, init: TensorType, lengths: TensorType | None = None, *, k: int) -> TensorType:
    if k < 1:
        raise TypeMismatch(f"the final {k} values: at least one must be asked for")
    _check(v, init, lengths, k)
    return TensorType(v.dtype, v.shape[1:] if k == 1 else (k, *v.shape[1:]))


def _reversed(v: TensorType, lengths: TensorType | None = None) -> TensorType:
    _check(v, None, lengths, 1)
    return v


def _slots(init: Any, v: Any, k: int) -> Any:
    """``init`` as ``k`` values, oldest first."""
    xp = array_namespace(v, init)
    one = v.shape[1:]
    if k == 1:
        return xp.expand_dims(xp.broadcast_to(init, one), axis=0)
    return xp.flip(xp.broadcast_to(init, (k, *one)), axis=0)


def _pick(v: Any, steps: Any) -> Any:
    """``v[steps[i, b], b]`` for each ``i`` and ``b``."""
    xp = array_namespace(v)
    batch = v.shape[1]
    flat = steps * batch + xp.arange(batch, dtype=steps.dtype, device=device(v))
    found = xp.take(xp.reshape(v, (v.shape[0] * batch, *v.shape[2:])), xp.reshape(flat, (-1,)), axis=0)
    return xp.reshape(found, (steps.shape[0], *v.shape[1:]))


def _count(v: Any, n: int) -> Any:
    """``0 … n-1`` as a column."""
    xp = array_namespace(v)
    return xp.expand_dims(xp.arange(n, dtype=xp.int64, device=device(v)), axis=-1)


@op(type=_reversed, axes="t *s, b -> t *s", linear=(0,), lowered="lower-time")
def reverse(v: Any, lengths: Any = None) -> Any:
    """``v`` from the last step to the first, each sequence within its own length; padding stays in place."""
    xp = array_namespace(v)
    if lengths is None:
        return xp.flip(v, axis=0)
    t = _count(v, v.shape[0])
    return _pick(v, xp.where(t < lengths, lengths - 1 - t, t))


@op(type=_shifted, axes="t *s, ..., b -> t *s", linear=(0, 1), lowered="lower-time")
def shift(v: Any, init: Any, lengths: Any = None, *, k: int) -> Any:
    """``delay`` over all of time: ``v`` moved to ``k`` steps later (``k`` > 0) or ``-k`` earlier (``k`` < 0).

    ``init`` fills what becomes free, in the order of ``delay``. A sequence looks ahead up to its own length.
    """
    if k < 0:
        return reverse.body(shift.body(reverse.body(v, lengths), init, k=-k), lengths)
    return array_namespace(v, init).concat([_slots(init, v, k), v], axis=0)[: v.shape[0], ...]


@op(type=_finals, axes="t *s, ..., b -> *s", linear=(0, 1), lowered="lower-time")
def final(v: Any, init: Any, lengths: Any = None, *, k: int) -> Any:
    """The last ``k`` values of each sequence, newest first; where it has fewer, ``init`` has the older ones.

    That is a state of depth ``k`` after the run: for ``k`` = 1 without a first axis.
    """
    xp = array_namespace(v, init)
    full = xp.concat([_slots(init, v, k), v], axis=0)
    if lengths is None:
        found = xp.flip(full[v.shape[0] :, ...], axis=0)
    else:
        found = _pick(full, k - 1 - _count(v, k) + lengths)
    return found[0, ...] if k == 1 else found


def _windowed(v: TensorType, init: TensorType, *, axis: int) -> TensorType:
    axis = axis_of(v, axis, "window")
    if axis == 0:
        raise TypeMismatch(f"a window along axis 0 of {v}, which is time")
    same_dtype(v, init)
    before, after = init.shape[axis - 1 : axis], v.shape[1:]
    if not before or init.shape != (*after[: axis - 1], *before, *after[axis:]):
        raise TypeMismatch(f"{init} does not fit before {v} along axis {axis}")
    return TensorType(v.dtype, (*v.shape[:axis], before[0] + v.shape[axis], *v.shape[axis + 1 :]))


@op(type=_windowed, axes="t *s~, *i -> t *s~", linear=(0, 1), lowered="lower-time")
def window(v: Any, init: Any, *, axis: Axis) -> Any:
    """Each step of ``v`` behind what came before it along ``axis``.

    That is as many elements as ``init`` has: the last ones of ``init`` and the steps before.
    """
    xp = array_namespace(v, init)
    at, steps, wide = axis - 1, v.shape[0], init.shape[axis - 1] + v.shape[axis]
    lead, rest = init.shape[:at], init.shape[axis:]
    moved = xp.permute_dims(v, (*range(1, axis), 0, *range(axis, v.ndim)))
    line = xp.concat([init, xp.reshape(moved, (*lead, steps * v.shape[axis], *rest))], axis=at)
    places = _count(v, steps) * v.shape[axis] + xp.arange(wide, dtype=xp.int64, device=device(v))
    found = xp.reshape(xp.take(line, xp.reshape(places, (-1,)), axis=at), (*lead, steps, wide, *rest))
    return xp.permute_dims(found, (at, *range(at), *range(axis, found.ndim)))
