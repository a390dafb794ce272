"""Rules for ONNX's ops on shapes, and for those that only move elements, where ONNX says more than ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from rnnc.dims import Dim, Poly, product
from rnnc.errors import TypeMismatch
from rnnc.importer.calls import Call, array_of, rule
from rnnc.importer.items import (
    ARITHMETIC,
    Item,
    Known,
    Sizes,
    Value,
    arithmetic,
    gathered,
    joined,
    numbers,
    sized,
    sliced,
)
from rnnc.importer.protos import DTYPE_OF
from rnnc.ops.declare import broadcast_shapes


@rule("Constant")
def constant(call: Call) -> Sequence[Item] | None:
    """A tensor written into the node."""
    for name, value in call.attrs.items():
        match name:
            case "value":
                return [Known(array_of(value))]
            case "value_int" | "value_ints":
                return [Known(np.array(value, np.int64))]
            case "value_float" | "value_floats":
                return [Known(np.array(value, np.float32))]
    return None


@rule("Identity", "Dropout")
def identity(call: Call) -> Sequence[Item] | None:
    """The same tensor; of a dropout that is not training."""
    if call.node.op_type == "Dropout":
        training = numbers(call.item(2))
        if call.has(2) and training != [False]:
            return None
        if len(call.node.output) > 1 and call.node.output[1]:
            shape = tuple(call.type(0).shape)
            mask = call.build("expand", call.build.const(np.array(True)), shape=shape)
            return [call.item(0), Value(mask)]
    return [call.item(0)]


@rule("Shape")
def shape(call: Call) -> Sequence[Item]:
    """The sizes of a tensor."""
    dims = call.type(0).shape
    return [sized(dims[call.attrs.get("start", 0) : call.attrs.get("end", len(dims))])]


@rule("Size")
def size(call: Call) -> Sequence[Item]:
    """How many elements a tensor has."""
    return [sized([product(call.type(0).shape)], scalar=True)]


@rule(*ARITHMETIC)
def on_sizes(call: Call) -> Sequence[Item] | None:
    """Arithmetic on sizes."""
    if isinstance(call.item(0), Sizes) or isinstance(call.item(1), Sizes):
        found = arithmetic(call.node.op_type, call.item(0), call.item(1))
        return None if found is None else [found]
    return None


@rule("Equal")
def equal(call: Call) -> Sequence[Item] | None:
    """Sizes compared: one with a name is none below 1, and equal to itself."""
    x, y = call.item(0), call.item(1)
    a, b = call.sizes(0), call.sizes(1)
    if a is None or b is None or not (isinstance(x, Sizes) or isinstance(y, Sizes)):
        return None
    n = max(len(a), len(b))
    found = []
    for p, q in zip(a * n if len(a) == 1 else a, b * n if len(b) == 1 else b, strict=True):
        named = isinstance(p, Poly) or isinstance(q, Poly)
        below = any(isinstance(d, int) and d < 1 for d in (p, q))
        if named and p != q and not below:
            return None
        found.append(p == q)
    scalar = not call.type(0).shape and not call.type(1).shape
    return [Known(np.array(found[0] if scalar else found))]


@rule("Where")
def where(call: Call) -> Sequence[Item] | None:
    """Sizes chosen one by one."""
    chosen = numbers(call.item(0))
    a, b = call.sizes(1), call.sizes(2)
    if chosen is None or a is None or b is None:
        return None
    if not (isinstance(call.item(1), Sizes) or isinstance(call.item(2), Sizes)):
        return None
    n = max(len(chosen), len(a), len(b))
    if {len(chosen), len(a), len(b)} - {1, n}:
        return None
    parts = [p * n if len(p) == 1 else p for p in (tuple(chosen), a, b)]
    return [sized([p if c else q for c, p, q in zip(*parts, strict=True)])]


@rule("Cast")
def cast(call: Call) -> Sequence[Item] | None:
    """Sizes stay what they are among whole numbers; what has its type already is not converted."""
    to = DTYPE_OF.get(call.attrs["to"], "")
    sizes = call.item(0)
    if isinstance(sizes, Sizes) and to in ("i64", "i32", "f32", "f64"):
        return [Sizes(sizes.dims, sizes.scalar, to)]
    return [call.item(0)] if call.type(0).dtype == to else None


@rule("CastLike")
def cast_like(call: Call) -> Sequence[Item]:
    """Converted to the element type of another tensor."""
    return [Value(call.build("cast", call.value(0), dtype=call.type(1).dtype))]


@rule("Concat")
def concat(call: Call) -> Sequence[Item] | None:
    """Sizes behind one another; tensors without the empty ones, which have nothing to add."""
    if any(isinstance(i, Sizes) for i in call.inputs):
        found = joined(call.inputs)
        if found is not None:
            return [found]
    axis = call.attrs["axis"]
    some = [i for i in call.inputs if (s := call.reader.type(i).shape) and s[axis] != 0]
    if len(some) == len(call.inputs) or not some:
        return None
    rank = call.reader.type(some[0]).rank
    values = [call.reader.value(i) for i in some]
    return [some[0]] if len(some) == 1 else [Value(call.build("concat", *values, axis=axis % rank))]


@rule("Gather")
def gather(call: Call) -> Sequence[Item] | None:
    """Sizes, one by one; a single place along an axis as a slice."""
    found = gathered(call.item(0), call.item(1), call.attrs["axis"])
    if found is not None:
        return [found]
    at = call.item(1)
    if (
        not isinstance(at, Known)
        or at.array.size != 1
        or at.array.ndim > 1
        or isinstance(call.item(0), Known)
    ):
        return None
    x = call.type(0)
    axis, k = call.attrs["axis"] % x.rank, int(at.array.reshape(-1)[0])
    room = x.shape[axis]
    if isinstance(room, int):
        if not -room <= k < room:
            raise TypeMismatch(f"the index {k} is outside axis {axis} of {x}")
        k %= room
    value = call.build("slice", call.value(0), axis=axis, start=k, stop=k + 1 if k != -1 else None)
    return [Value(call.build("squeeze", value, axes=(axis,)) if at.array.ndim == 0 else value)]


@rule("Slice")
def slice_(call: Call) -> Sequence[Item] | None:
    """A slice along several axes as one along each."""
    found = sliced(*(call.item(k) for k in range(5)))
    if found is not None:
        return [found]
    x = call.type(0)
    starts, ends = call.sizes(1), call.sizes(2)
    axes = call.sizes(3) if call.has(3) else tuple(range(len(starts or ())))
    steps = call.sizes(4) if call.has(4) else (1,) * len(starts or ())
    if starts is None or ends is None or axes is None or steps is None:
        return None
    if isinstance(call.item(0), Known):
        return _looked_up(call, starts, ends, axes, steps)
    value = call.value(0)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if isinstance(axis, Poly) or isinstance(step, Poly):
            return None
        cut = _range(x.shape[axis], start, end, step)
        if cut is None:
            return None
        if cut != (0, None, 1):
            more: dict[str, Any] = {} if cut[2] == 1 else {"step": cut[2]}
            value = call.build("slice", value, axis=axis % x.rank, start=cut[0], stop=cut[1], **more)
    return [Value(value)]


def _looked_up(
    call: Call, starts: Sequence[Dim], ends: Sequence[Dim], axes: Sequence[Dim], steps: Sequence[Dim]
) -> Sequence[Item] | None:
    """The first elements of a table, as many as a size with a name says, looked up by their numbers."""
    if len(ends) != 1 or not isinstance(ends[0], Poly) or (*starts, *steps) != (0, 1):
        return None
    if not isinstance(axes[0], int):
        return None
    axis = axes[0] % call.type(0).rank
    return [Value(call.build("gather", call.value(0), call.build("arange", stop=ends[0]), axis=axis))]


def _range(room: Dim, start: Dim, stop: Dim, step: int) -> tuple[int, int | None, int] | None:
    """Start and stop as our slice has them: inside the axis where that is known, open at its end."""
    if stop == room and step > 0:
        stop = 2**62
    if isinstance(start, Poly) and isinstance(start - room, int):
        start = start - room
    if isinstance(stop, Poly) and isinstance(stop - room, int):
        stop = stop - room
    if isinstance(start, Poly) or isinstance(stop, Poly):
        return None
    if isinstance(room, int):
        taken = range(room)[slice(start, stop if abs(stop) < 2**31 or step < 0 else None, step)]
        if step < 0:
            first, last = taken.start, taken.stop
            return (first, None if last < 0 else last, step) if len(taken) else (0, 0, 1)
        return taken.start, None if taken.stop >= room else max(taken.stop, taken.start), step
    far = 2**31
    if step > 0:
        return (0 if start <= -far else start), (None if stop >= far else stop), step
    return (-1 if start >= far else start), (None if stop <= -far else stop), step


@rule("Split")
def split(call: Call) -> Sequence[Item] | None:
    """Parts along an axis, equal ones where no sizes are given."""
    x, count = call.type(0), len(call.node.output)
    if call.attrs.get("num_outputs", count) != count:
        raise TypeMismatch(f"it has {count} outputs, and not as many as it says")
    axis = call.attrs["axis"] % x.rank
    sizes = call.sizes(1) if call.has(1) else None
    if sizes is None:
        room = x.shape[axis]
        if call.has(1) or not isinstance(room, int):
            return None
        part = -(-room // count)
        sizes = (*[part] * (count - 1), room - part * (count - 1))
    fixed = [d for d in sizes if isinstance(d, int)]
    if isinstance(x.shape[axis], Poly) and len(fixed) == len(sizes):
        return [Value(v) for v in _slices(call, axis, fixed)]
    return call.reader.results(call.build("split", call.value(0), axis=axis, sizes=tuple(sizes)))


def _slices(call: Call, axis: int, sizes: Sequence[int]) -> Iterator[str]:
    """Parts of fixed sizes along an axis whose own size is not fixed."""
    at = 0
    for size in sizes:
        yield call.build("slice", call.value(0), axis=axis, start=at, stop=at + size)
        at += size


@rule("Reshape")
def reshape(call: Call) -> Sequence[Item] | None:
    """Another shape, in which 0 keeps a size and -1 is what is left."""
    shape, x = call.sizes(1), call.type(0)
    if shape is None:
        return None
    sizes = call.item(0)
    if isinstance(sizes, Sizes):
        return [Sizes(sizes.dims, not shape, sizes.dtype)] if len(shape) < 2 else None
    dims = [x.shape[i] if d == 0 and not call.attrs["allowzero"] else d for i, d in enumerate(shape)]
    if dims.count(-1) == 1:
        at = dims.index(-1)
        rest = product(d for i, d in enumerate(dims) if i != at)
        try:
            whole = product(x.shape)
            dims[at] = whole // rest if isinstance(whole, Poly) else _quotient(whole, rest)
        except (ValueError, ZeroDivisionError):
            return None
    return [Value(_reshaped(call, tuple(dims)))]


def _quotient(whole: int, part: Dim) -> int:
    if isinstance(part, Poly) or whole % part:
        raise ValueError
    return whole // part


def _reshaped(call: Call, shape: tuple[Dim, ...]) -> str:
    """In the plainest op that says it: nothing at all, axes of size 1 put in or taken out, or a reshape."""
    before = call.type(0).shape
    if shape == before:
        return call.value(0)
    if tuple(d for d in before if d != 1) == tuple(d for d in shape if d != 1):
        out, into = _ones(before, shape)
        if not out or not into:
            value = call.build("squeeze", call.value(0), axes=out) if out else call.value(0)
            return call.build("unsqueeze", value, axes=into) if into else value
    return call.build("reshape", call.value(0), shape=shape)


def _ones(before: tuple[Dim, ...], after: tuple[Dim, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes of size 1 of ``before`` that ``after`` lacks, and the other way round."""
    i = j = 0
    out, into = [], []
    while i < len(before) or j < len(after):
        if i < len(before) and j < len(after) and before[i] == after[j]:
            i, j = i + 1, j + 1
        elif i < len(before) and before[i] == 1:
            out.append(i)
            i += 1
        else:
            into.append(j)
            j += 1
    return tuple(out), tuple(into)


@rule("Flatten")
def flatten(call: Call) -> Sequence[Item]:
    """Two axes of what were more."""
    x = call.type(0)
    axis = call.attrs["axis"] + (x.rank if call.attrs["axis"] < 0 else 0)
    return [Value(_reshaped(call, (product(x.shape[:axis]), product(x.shape[axis:]))))]


@rule("Squeeze", "Unsqueeze")
def squeeze(call: Call) -> Sequence[Item] | None:
    """Sizes as a list or by themselves; all axes of size 1 where none is named."""
    x = call.item(0)
    if isinstance(x, Sizes):
        return [Sizes(x.dims, not x.scalar, x.dtype)] if len(x.dims) == 1 else None
    if call.node.op_type == "Unsqueeze" or call.has(1):
        return None
    ones = tuple(i for i, d in enumerate(call.type(0).shape) if d == 1)
    return [Value(call.build("squeeze", call.value(0), axes=ones)) if ones else x]


@rule("Transpose")
def transpose(call: Call) -> Sequence[Item]:
    """The axes in another order, by default the opposite one; the same order is the same tensor."""
    rank = call.type(0).rank
    perm = tuple(call.attrs.get("perm", range(rank)[::-1]))
    if perm == tuple(range(rank)):
        return [call.item(0)]
    return [Value(call.build("transpose", call.value(0), perm=perm))]


@rule("Expand")
def expand(call: Call) -> Sequence[Item] | None:
    """Repeated along axes of size 1, to a shape that may itself have such axes."""
    sizes = call.sizes(1)
    if sizes is None:
        return None
    shape = broadcast_shapes(call.type(0).shape, sizes)
    if shape == call.type(0).shape:
        return [call.item(0)]
    return [Value(call.build("expand", call.value(0), shape=shape))]


@rule("ConstantOfShape")
def constant_of_shape(call: Call) -> Sequence[Item] | None:
    """One number everywhere."""
    sizes = call.sizes(0)
    if sizes is None:
        return None
    fill = array_of(call.attrs["value"]).reshape(()) if "value" in call.attrs else np.zeros((), np.float32)
    return [Value(call.build("expand", call.build.const(fill), shape=tuple(sizes)))]


@rule("Range")
def range_(call: Call) -> Sequence[Item] | None:
    """Whole numbers in even steps, in any element type."""
    ends = [call.sizes(k) for k in range(3)]
    if any(e is None for e in ends):
        return None
    (start,), (stop,), (step,) = (e or () for e in ends)
    room = stop - start
    if isinstance(step, Poly) or step < 1 or (step > 1 and not isinstance(room, Poly)):
        return None
    try:
        count = room // step if step > 1 else room
    except ValueError:  # it does not come out even
        return None
    dtype = call.type(0).dtype
    found = call.build("arange", stop=count)
    found = found if dtype == "i64" else call.build("cast", found, dtype=dtype)
    found = call.build("mul", found, call.reader.value(sized([step], dtype=dtype))) if step > 1 else found
    first = call.reader.value(sized([start], dtype=dtype))
    return [Value(found if start == 0 else call.build("add", found, first))]
