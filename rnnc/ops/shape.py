"""Moving elements about: joining, taking apart, reshaping and looking up."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device

from rnnc.dims import Dim, Poly, dim, product
from rnnc.errors import TypeMismatch
from rnnc.ops.declare import (
    FAR,
    AtAxis,
    Axes,
    Axis,
    Dtype,
    Linear,
    Lit,
    Onnx,
    Perm,
    Shape,
    Size,
    Sizes,
    Tensor,
    axis_of,
    broadcast_shapes,
    op,
    same_dim,
    same_dtype,
)
from rnnc.types import DTYPES, TensorType, TupleType


def _at(x: TensorType, axis: int, size: Dim) -> TensorType:
    """``x`` with another size along one axis."""
    return TensorType(x.dtype, (*x.shape[:axis], size, *x.shape[axis + 1 :]))


def _joined(*xs: TensorType, axis: int) -> TensorType:
    first = xs[0]
    axis = axis_of(first, axis, "concat")
    size: Dim = first.shape[axis]
    for x in xs[1:]:
        if x.rank != first.rank:
            raise TypeMismatch(f"concat of {first} and {x}: all need the same number of axes")
        for i, (a, b) in enumerate(zip(first.shape, x.shape, strict=True)):
            if i != axis:
                same_dim(a, b, f"concat of {first} and {x} along axis {axis}: {a} meets {b}")
        size = size + x.shape[axis]
    same_dtype(*xs)
    return _at(first, axis, size)


@op(type=_joined, axes="(*s)+ -> *s", onnx=Onnx("Concat", attrs={"axis": "axis"}), linear=(0,))
def concat(*xs: Any, axis: Axis) -> Any:
    """All operands behind one another along ``axis``."""
    return array_namespace(*xs).concat(xs, axis=axis)


def _cut(x: TensorType, *, axis: int, start: int, stop: int | None, step: int = 1) -> TensorType:
    axis = axis_of(x, axis, "slice")
    size = x.shape[axis]
    if step == 0:
        raise TypeMismatch("a slice with step 0")
    if isinstance(size, int):
        return _at(x, axis, len(range(size)[start:stop:step]))
    begin = start if start >= 0 else size + start
    if abs(step) == 1 and stop is None:  # to the last element, or back to the first
        return _at(x, axis, size - begin if step == 1 else begin + 1)
    if step == 1 and stop is not None:
        end = stop if stop >= 0 else size + stop
        return _at(x, axis, end - begin)
    raise TypeMismatch(f"a slice of axis {axis} of {x} with step {step}: how many it takes depends on {size}")


@op(
    type=_cut,
    axes="*s -> *s",
    onnx=Onnx("Slice", ("x", Tensor("start"), Tensor("stop", open="step"), Tensor("axis"), Tensor("step"))),
    linear=(0,),
)
def slice_(x: Any, *, axis: Axis, start: int, stop: int | None, step: int = 1) -> Any:
    """The elements ``start:stop:step`` along ``axis``, as Python counts; with ``stop=None``, to the end.

    Of an axis whose size has a name, ``start`` and ``stop`` must lie inside.
    """
    if step > 0:
        return x[(slice(None),) * axis + (slice(start, stop, step),)]
    xp = array_namespace(x)
    chosen = list(range(x.shape[axis])[start:stop:step])
    return xp.take(x, xp.asarray(chosen, dtype=xp.int64, device=device(x)), axis=axis)


def _parts(x: TensorType, *, axis: int, sizes: tuple[Dim, ...]) -> TupleType:
    axis = axis_of(x, axis, "split")
    total: Dim = 0
    for size in sizes:
        total = total + size
    same_dim(
        x.shape[axis], total, f"parts of {' + '.join(map(str, sizes))} are not the {x.shape[axis]} of {x}"
    )
    return TupleType(tuple(_at(x, axis, size) for size in sizes))


@op(
    type=_parts, axes="*s -> (*s)+", onnx=Onnx("Split", ("x", Tensor("sizes")), {"axis": "axis"}), linear=(0,)
)
def split(x: Any, *, axis: Axis, sizes: Sizes) -> Any:
    """Consecutive parts of ``sizes`` along ``axis``, as a tuple."""
    ends = np.cumsum([0, *sizes]).tolist()
    return tuple(x[(slice(None),) * axis + (slice(a, b),)] for a, b in pairwise(ends))


def _reshaped(x: TensorType, *, shape: tuple[Dim, ...]) -> TensorType:
    before, after = product(x.shape), product(shape)
    same_dim(
        before,
        after,
        f"cannot reshape {x} to [{', '.join(map(str, shape))}]: {before} elements are not {after}",
    )
    return TensorType(x.dtype, tuple(shape))


@op(type=_reshaped, axes="*s -> *s", linear=(0,),
    onnx=Onnx("Reshape", ("x", Tensor("shape")), {"allowzero": Lit(1)}))  # fmt: skip
def reshape(x: Any, *, shape: Shape) -> Any:
    """The same elements, in the same order, with another shape."""
    return array_namespace(x).reshape(x, tuple(shape))


def _permuted(x: TensorType, *, perm: tuple[int, ...]) -> TensorType:
    if sorted(perm) != list(range(x.rank)):
        raise TypeMismatch(f"{perm} is not an order of the {x.rank} axes of {x}")
    return TensorType(x.dtype, tuple(x.shape[p] for p in perm))


@op(type=_permuted, axes="*s -> *s", onnx=Onnx("Transpose", attrs={"perm": "perm"}), linear=(0,))
def transpose(x: Any, *, perm: Perm) -> Any:
    """The axes in another order: axis ``perm[i]`` becomes axis ``i``."""
    return array_namespace(x).permute_dims(x, perm)


def _unsqueezed(x: TensorType, *, axes: tuple[int, ...]) -> TensorType:
    rank = x.rank + len(axes)
    if len(set(axes)) < len(axes) or not all(0 <= a < rank for a in axes):
        raise TypeMismatch(f"{axes} are not different axes of a result with {rank} axes")
    rest = iter(x.shape)
    return TensorType(x.dtype, tuple(1 if i in axes else next(rest) for i in range(rank)))


@op(type=_unsqueezed, axes="*s -> *s", onnx=Onnx("Unsqueeze", ("x", Tensor("axes"))), linear=(0,))
def unsqueeze(x: Any, *, axes: Axes) -> Any:
    """New axes of size 1, at ``axes`` of the result."""
    xp = array_namespace(x)
    for axis in sorted(axes):
        x = xp.expand_dims(x, axis=axis)
    return x


def _squeezed(x: TensorType, *, axes: tuple[int, ...]) -> TensorType:
    for axis in axes:
        found = x.shape[axis_of(x, axis, "squeeze")]
        same_dim(found, 1, f"squeeze of axis {axis} of {x}: its size is {found}, not 1")
    return TensorType(x.dtype, tuple(d for i, d in enumerate(x.shape) if i not in axes))


@op(type=_squeezed, axes="*s -> *s", onnx=Onnx("Squeeze", ("x", Tensor("axes"))), linear=(0,))
def squeeze(x: Any, *, axes: Axes) -> Any:
    """Without ``axes``, which have size 1."""
    return array_namespace(x).squeeze(x, axis=tuple(axes))


def _expanded(x: TensorType, *, shape: tuple[Dim, ...]) -> TensorType:
    found = TensorType(x.dtype, broadcast_shapes(x.shape, tuple(shape)))
    if found.shape != tuple(shape):
        raise TypeMismatch(f"cannot expand {x} to [{', '.join(map(str, shape))}]")
    return found


@op(type=_expanded, axes="... -> ...", onnx=Onnx("Expand", ("x", Tensor("shape"))), linear=(0,))
def expand(x: Any, *, shape: Shape) -> Any:
    """Repeated to ``shape`` along axes of size 1 and missing leading axes."""
    return array_namespace(x).broadcast_to(x, tuple(shape))


def _padded(x: TensorType, *, axis: int, before: int, after: int, value: float = 0.0) -> TensorType:
    axis = axis_of(x, axis, "pad")
    if before < 0 or after < 0:
        raise TypeMismatch(f"pad by {before} and {after}: neither can be negative", hint="Use slice to cut.")
    return _at(x, axis, x.shape[axis] + before + after)


_FILL = Tensor("value", "x", scalar=True)
_PADS = (
    Onnx(
        "Pad", ("x", Tensor((AtAxis("before", "axis"), AtAxis("after", "axis"))), _FILL), since=13, until=17
    ),
    Onnx("Pad", ("x", Tensor(("before", "after")), _FILL, Tensor("axis")), since=18),
)


@op(type=_padded, axes="*s -> *s", onnx=_PADS)
def pad(x: Any, *, axis: Axis, before: int, after: int, value: float = 0.0) -> Any:
    """``before`` and ``after`` elements of ``value`` put around along ``axis``."""
    xp = array_namespace(x)

    def block(n: int) -> Any:
        return xp.full((*x.shape[:axis], n, *x.shape[axis + 1 :]), value, dtype=x.dtype, device=device(x))

    return xp.concat([block(before), x, block(after)], axis=axis)


def _looked_up(x: TensorType, indices: TensorType, *, axis: int) -> TensorType:
    axis = axis_of(x, axis, "gather")
    _whole(indices)
    return TensorType(x.dtype, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


def _whole(indices: TensorType) -> None:
    if indices.dtype not in ("i64", "i32"):
        raise TypeMismatch(f"{indices} cannot be indices, which are i64 or i32", hint='Use cast(x, "i64").')


@op(type=_looked_up, axes="axis *n, *i -> *i *n | *s, *i -> *s", onnx=Onnx("Gather", attrs={"axis": "axis"}),
    linear=(0,))  # fmt: skip
def gather(x: Any, indices: Any, *, axis: Axis) -> Any:
    """The elements of ``x`` at ``indices`` along ``axis``; negative ones count from the end."""
    xp = array_namespace(x, indices)
    flat = xp.reshape(xp.where(indices < 0, indices + x.shape[axis], indices), (-1,))
    return xp.reshape(xp.take(x, flat, axis=axis), (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


def _marked(indices: TensorType, *, depth: int, dtype: str = "f32") -> TensorType:
    _whole(indices)
    if depth < 1:
        raise TypeMismatch(f"one_hot of depth {depth}: there must be at least one element")
    return TensorType(dtype, (*indices.shape, depth))


_ONE_HOT_INPUTS = ("indices", Tensor("depth", scalar=True), Tensor(Lit((0, 1)), "dtype"))


@op(type=_marked, axes="*s -> *s n", onnx=Onnx("OneHot", _ONE_HOT_INPUTS, {"axis": Lit(-1)}))
def one_hot(indices: Any, *, depth: int, dtype: Dtype = "f32") -> Any:
    """1 at each index along a new last axis of size ``depth``, else 0; negative ones count from the end."""
    xp = array_namespace(indices)
    indices = xp.expand_dims(xp.where(indices < 0, indices + depth, indices), axis=-1)
    marks = indices == xp.arange(depth, dtype=indices.dtype, device=device(indices))
    return xp.astype(marks, getattr(xp, DTYPES[dtype]))


def _size(x: TensorType, *, axis: int) -> TensorType:
    axis_of(x, axis, "size")
    return TensorType("i64", (1,))


@op(type=_size, axes="*s -> n", onnx=Onnx("Shape", attrs={"start": "axis", "end": Linear("axis", plus=1)}))
def size(x: Any, *, axis: Axis) -> Any:
    """How many elements ``x`` has along ``axis``, as a tensor of one element."""
    xp = array_namespace(x)
    return xp.asarray([x.shape[axis]], dtype=xp.int64, device=device(x))


def _ending(x: TensorType, *, n: int) -> TensorType:
    axis_of(x, 0, "tail")
    if n < 1:
        raise TypeMismatch(f"the last {n} elements of {x}: at least one must be asked for")
    size = x.shape[0]
    return _at(x, 0, min(size, n) if isinstance(size, int) else dim(f"tail{n}_{_word(size)}"))


def _word(size: Poly) -> str:
    """A dim as part of a name."""
    return "".join(c if c.isalnum() or c == "_" else {"+": "p", "-": "m", "*": "x"}[c] for c in str(size))


_TAIL_INPUTS = ("x", Tensor(Linear("n", scale=-1)), Tensor(Lit(FAR)), Tensor(Lit(0)))


@op(type=_ending, axes="t *s -> n *s", onnx=Onnx("Slice", _TAIL_INPUTS), linear=(0,))
def tail(x: Any, *, n: int) -> Any:
    """The last ``n`` elements along the first axis, or all if there are fewer."""
    return x[max(0, x.shape[0] - n) :]


def _spaced(x: TensorType, *, k: int) -> TensorType:
    axis_of(x, 0, "every")
    if k < 1:
        raise TypeMismatch(f"every {k} elements of {x}: the distance must be at least 1")
    size = x.shape[0]
    return _at(x, 0, -(-size // k) if isinstance(size, int) else dim(f"every{k}_{_word(size)}"))


_EVERY_INPUTS = ("x", Tensor(Lit(0)), Tensor(Lit(FAR)), Tensor(Lit(0)), Tensor("k"))


@op(type=_spaced, axes="t *s -> n *s", onnx=Onnx("Slice", _EVERY_INPUTS), linear=(0,))
def every(x: Any, *, k: int) -> Any:
    """The elements 0, ``k``, ``2k``, … along the first axis: one for each ``k`` of them, begun ones too."""
    return x[::k]


def _counted(*, stop: Dim) -> TensorType:
    return TensorType("i64", (stop,))


_RANGE_INPUTS = (Tensor(Lit(0), scalar=True), Tensor("stop", scalar=True), Tensor(Lit(1), scalar=True))


@op(type=_counted, axes="-> n", onnx=Onnx("Range", _RANGE_INPUTS))
def arange(*, stop: Size) -> Any:
    """The numbers from 0 up to, and without, ``stop``: a NumPy array, since no operand says which library."""
    assert isinstance(stop, int)
    return np.arange(stop, dtype=np.int64)
