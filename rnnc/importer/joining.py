"""Rules for ONNX's ops that put elements around, between or over others: as pieces joined along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnc.dims import Dim, Poly
from rnnc.importer.calls import Call, rule
from rnnc.importer.items import Item, Known, Value, numbers


@rule("Tile")
def tile(call: Call) -> Sequence[Item] | None:
    """Repeated along each axis; as often as a size with a name says where there is one element."""
    counts, sizes, x = numbers(call.item(1)), call.sizes(1), call.type(0)
    if counts is None and sizes is not None:
        shape = tuple(d if n == 1 else n for d, n in zip(x.shape, sizes, strict=True))
        fits = all(n == 1 or d == 1 for d, n in zip(x.shape, sizes, strict=True))
        return [Value(call.build("expand", call.value(0), shape=shape))] if fits else None
    if counts is None or prod_of(counts) > 64:
        return None
    value = call.value(0)
    for axis, n in enumerate(counts):
        value = call.build("concat", *[value] * n, axis=axis) if n != 1 else value
    return [Value(value)] if all(counts) else None


def prod_of(counts: Sequence[Any]) -> int:
    """The product of known numbers."""
    return int(np.prod([int(n) for n in counts], dtype=object)) if counts else 1


@rule("Pad")
def pad(call: Call) -> Sequence[Item] | None:
    """Elements of one value put around, or taken away, along each axis; of a reflection, slices."""
    pads, x = numbers(call.item(1)), call.type(0)
    axes = numbers(call.item(3)) if call.has(3) else list(range(x.rank))
    fill = numbers(call.item(2)) if call.has(2) else [0]
    if pads is None or axes is None or fill is None or x.dtype == "bool":
        return None
    if call.attrs["mode"] == "reflect":
        return _reflected(call, [int(n) for n in pads], [int(a) % x.rank for a in axes])
    if call.attrs["mode"] != "constant":
        return None
    value, n = call.value(0), len(axes)
    for i, axis in enumerate(axes):
        before, after, at = int(pads[i]), int(pads[n + i]), int(axis) % x.rank
        if before < 0 or after < 0:
            value = call.build("slice", value, axis=at, start=max(0, -before), stop=min(0, after) or None)
        if before > 0 or after > 0:
            fit = fill[0] if x.floating else int(fill[0])
            value = call.build("pad", value, axis=at, before=max(0, before), after=max(0, after), value=fit)
    return [Value(value)]


def _reflected(call: Call, pads: Sequence[int], axes: Sequence[int]) -> Sequence[Item] | None:
    """Along each axis, what lies next to its ends once more, in the opposite order."""
    b, value = call.build, call.value(0)
    for before, after, axis in zip(pads, pads[len(axes) :], axes, strict=False):
        size = b.graph.type(value).shape[axis]
        if not (isinstance(size, int) and 0 <= before < size and 0 <= after < size):
            return None
        ends = [(before, 0), (size - 2, size - 2 - after if size - 2 >= after else None)]
        first, last = (b("slice", value, axis=axis, start=i, stop=j, step=-1) for i, j in ends)
        parts = [first] * bool(before) + [value] + [last] * bool(after)
        value = b("concat", *parts, axis=axis) if len(parts) > 1 else value
    return [Value(value)]


@rule("ScatterND", "ScatterElements", "Scatter")
def scatter(call: Call) -> Sequence[Item] | None:
    """Elements written over a range that is known, as what is before it, they, and what is behind it."""
    x, updates = call.type(0), call.type(2)
    at = call.item(1)
    if not isinstance(at, Known) or call.attrs.get("reduction", "none") != "none":
        return None
    found = _written(call, at.array, x.shape, updates.shape)
    if found is None:
        return None
    cuts, shape = found
    new = call.value(2)
    if shape != updates.shape:
        new = call.build("reshape", new, shape=shape)
    return [Value(_put(call, call.value(0), new, cuts))]


#: A range of elements along an axis.
Cut = tuple[int, int, int]


def _put(call: Call, value: str, new: str, cuts: Sequence[Cut]) -> str:
    """``value`` with ``new`` where all the ranges meet."""
    if not cuts:
        return new
    (axis, start, stop), *rest = cuts
    room = call.build.graph.type(value).shape[axis]
    if rest:
        new = _put(call, call.build("slice", value, axis=axis, start=start, stop=stop), new, rest)
    parts = [call.build("slice", value, axis=axis, start=0, stop=start)] if start else []
    parts.append(new)
    if stop != room:
        parts.append(call.build("slice", value, axis=axis, start=stop, stop=None))
    return parts[0] if len(parts) == 1 else call.build("concat", *parts, axis=axis)


def _written(
    call: Call, at: np.ndarray[Any, Any], x: tuple[Dim, ...], new: tuple[Dim, ...]
) -> tuple[list[Cut], tuple[Dim, ...]] | None:
    """The ranges along axes where a scatter writes all, in order, and the shape of that; ``None`` if none."""
    if call.node.op_type == "ScatterND":
        if any(isinstance(d, Poly) for d in x) or at.ndim < 1:
            return None
        shape = tuple(int(d) for d in x)  # type: ignore[arg-type]
        marks = np.zeros(shape[: at.shape[-1]], bool)
        flat = at.reshape(-1, at.shape[-1])
        if not flat.size or not (np.abs(flat) <= np.array(marks.shape)).all():
            return None
        places = np.ravel_multi_index(tuple((flat % np.array(marks.shape)).T), marks.shape)
        if (np.diff(places) <= 0).any():
            return None
        marks.reshape(-1)[places] = True
    else:
        axis = call.attrs["axis"] % len(x)
        along = np.moveaxis(at, axis, 0).reshape(at.shape[axis], -1)
        room = x[axis]
        whole = all(a == b for i, (a, b) in enumerate(zip(x, new, strict=True)) if i != axis)
        if not whole or not isinstance(room, int) or (along != along[:, :1]).any():
            return None
        line = along[:, 0] % room
        return None if (np.diff(line) != 1).any() else ([(axis, int(line[0]), int(line[-1]) + 1)], new)
    ranges = [(int(i.min()), int(i.max()) + 1) for i in np.nonzero(marks)]
    if not marks[tuple(slice(*r) for r in ranges)].all():
        return None
    cuts = [(axis, *r) for axis, r in enumerate(ranges) if r != (0, shape[axis])]
    return cuts, (*(stop - start for start, stop in ranges), *shape[marks.ndim :])
