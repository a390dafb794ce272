"""Ops along time that choose, join, count or sum frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rnnc.ir import Array
from rnnc.stripping.looping import known
from rnnc.stripping.places import UNTOLD, CannotStream, Place, Stripped, grows, growth
from rnnc.stripping.strip import Found, Stripping, along


def _time_of(xs: Sequence[Stripped], axis: int) -> Place | None:
    """The place of the first operand that has time along that axis."""
    return next((x.place for x in xs if x.place and x.place.axis == axis), None)


@along("slice")
def slice_(s: Stripping, value: str, xs: Sequence[Stripped]) -> Found | None:
    """Without its first frames a value is ahead, without its last what it was; its last alone is final."""
    attrs = s.old[value].attrs
    place = _time_of(xs, attrs["axis"])
    if place is None:
        return None
    start, stop, step = attrs["start"], attrs["stop"], attrs.get("step", 1)
    if step != 1:
        raise CannotStream("it turns time around" if step < 0 else "it takes every so many frames")
    if place.outer != 1:
        raise CannotStream("time shares an axis with others")
    (x,) = xs
    if start < 0:
        return _tail(s, x, place, -start, stop)
    if stop is not None and stop >= 0:
        raise CannotStream("it takes frames of fixed numbers")
    left = place.lead - start
    if start and place.past and (left if place.past == UNTOLD else True):
        raise CannotStream("it takes some of what is before the first step")
    return Stripped(x.value, replace(place, lead=left, past="" if left == 0 else place.past))


def _tail(s: Stripping, x: Stripped, place: Place, count: int, stop: int | None) -> Found:
    """The last frames, known at the end: those of this step and, if they are more, of steps before."""
    if stop is not None or place.frames > count:
        if stop is None:
            return Stripped(s.b("slice", x.value, axis=place.axis, start=-count, stop=None), None, final=True)
        raise CannotStream("it takes frames before the last ones")
    older = count - place.frames
    if not older:
        return Stripped(x.value, None, final=True)
    return Stripped(window(s, x, place, older, 0), None, final=True)


def window(
    s: Stripping, x: Stripped, place: Place, older: int, newer: int, first: Array | None = None
) -> str:
    """The frames of a step with so many older and newer ones around, along the axis of time.

    Before the first step they are what the place says, or ``first``.
    """
    n, axis, b = place.frames, place.axis, s.b
    back, ahead = -(-older // n), -(-newer // n)
    older_ones = s.past(x.value, back, init=first) if first is not None else _history(s, x, place, back)
    parts = [*reversed(older_ones), x.value, *(s.ahead(x.value, ahead) if ahead else [])]
    whole = b("concat", *parts, axis=axis) if len(parts) > 1 else x.value
    start, extra = back * n - older, ahead * n - newer
    if start or extra:
        whole = b("slice", whole, axis=axis, start=start, stop=-extra or None)
    return whole


def _history(s: Stripping, x: Stripped, place: Place, steps: int) -> list[str]:
    """A value at each of the steps before, the nearest first, begun with what is before the first step."""
    if not steps:
        return []
    if not place.past:
        return s.past(x.value, steps)
    if place.past == UNTOLD:
        raise CannotStream("it reads what is before the first step")
    have, n, axis = place.lead, place.frames, place.axis
    if have < steps * n:
        raise CannotStream("it needs more of what is before the first step than there is")
    found, value = [], x.value
    for k in range(1, steps + 1):
        init = s.b("slice", place.past, axis=axis, start=have - k * n, stop=have - (k - 1) * n)
        value = s.b("delay", value, init, k=1)
        found.append(value)
    return found


@along("concat")
def concat(s: Stripping, value: str, xs: Sequence[Stripped]) -> Found | None:
    """Frames in front of a stream are what is before its first step."""
    axis = s.old[value].attrs["axis"]
    place = _time_of(xs, axis)
    if place is None:
        return None
    if len(xs) != 2 or xs[0].place or not xs[1].place or xs[0].final or place.lead or place.outer != 1:
        raise CannotStream("it joins sequences end to end")
    lead = s.old.type(s.old.operands(value)[0]).shape[axis]
    if not isinstance(lead, int):
        raise CannotStream("it joins sequences end to end")
    return Stripped(xs[1].value, replace(place, lead=lead, past="" if _zeros(s, xs[0]) else xs[0].value))


def _zeros(s: Stripping, x: Stripped) -> bool:
    """Whether a value is known to be zeros."""
    try:
        return known(s, x.value) is None
    except CannotStream:
        return False


@along("pad")
def pad(s: Stripping, value: str, xs: Sequence[Stripped]) -> Found | None:
    """Zeros in front of a stream are what is before its first step; those behind it are past the last."""
    attrs = s.old[value].attrs
    place = _time_of(xs, attrs["axis"])
    if place is None:
        return None
    if attrs.get("value", 0.0) != 0 or place.outer != 1 or place.past:
        raise CannotStream("it puts other things than zeros around time")
    return Stripped(xs[0].value, replace(place, lead=place.lead + attrs["before"]))


@along("cumsum")
def cumsum(s: Stripping, value: str, xs: Sequence[Stripped]) -> Found | None:
    """A running sum goes on from that of the step before."""
    axis = s.old[value].attrs["axis"]
    place = _time_of(xs, axis)
    if place is None:
        return None
    if place.outer != 1 or place.lead:
        raise CannotStream("time shares an axis with others")
    b, (x,) = s.b, xs
    inner = x.value if place.frames == 1 else b("cumsum", x.value, axis=axis)
    kind = s.new.type(inner)
    last = kind.with_shape(*kind.shape[:axis], 1, *kind.shape[axis + 1 :])
    source = s.state(value, last)
    before = b("delay", source, source, k=1)
    found = b("add", inner, before)
    end = found if place.frames == 1 else b("slice", found, axis=axis, start=-1, stop=None)
    s.new.connect(end, before, 0)
    s.follows(end)
    return Stripped(found, place)


@along("arange")
def arange(s: Stripping, value: str, xs: Sequence[Stripped]) -> Found | None:
    """The numbers of the frames, counted."""
    d = s.old.type(value).shape[0]
    frames = growth(d)
    if not isinstance(frames, int):
        raise CannotStream("it counts frames of several sequences")
    b = s.b
    source = s.state(value, s.old.type(value).with_shape(1))
    before = b("delay", source, source, k=1)  # how many frames there were before
    end = b("add", before, frames)
    s.new.connect(end, before, 0)
    s.follows(end)
    found = b("add", before, b("arange", stop=frames)) if frames > 1 else before
    return Stripped(found, Place(0, frames))


@along("expand")
def expand(s: Stripping, value: str, xs: Sequence[Stripped]) -> Found | None:
    """The same at every step, if it was so before; else frame by frame."""
    if xs[0].place is not None:
        return None
    kind = s.old.type(value)
    axis = next(a for a, d in enumerate(kind.shape) if grows(d))
    frames = growth(kind.shape[axis])
    if not isinstance(frames, int):
        raise CannotStream("time shares an axis with others")
    return Stripped(s.same(value, [xs[0].value]), Place(axis, frames))
