"""Convolution along time: what a window reaches back to is kept, what it reaches ahead to is looked up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rnnc.stripping.frames import window
from rnnc.stripping.places import UNTOLD, CannotStream, Place, Stripped
from rnnc.stripping.strip import Found, Stripping, along


@along("conv")
def conv(s: Stripping, value: str, xs: Sequence[Stripped]) -> Found | None:
    """Windows over the frames of a step and those around it.

    The frame ``f`` of the result sees the frames ``f * stride - lead`` to ``f * stride - lead + span`` of the
    sequence, with the padding in front counted to the lead.
    """
    x = xs[0]
    if x.place is None or x.place.axis < 2 or any(o.place for o in xs[1:]):
        return None
    node, place = s.old[value], x.place
    attrs: dict[str, Any] = dict(node.attrs)
    w = s.old.type(s.old.operands(value)[1]).shape
    n, j = len(w) - 2, place.axis - 2
    strides = list(attrs.get("strides") or (1,) * n)
    dilations = list(attrs.get("dilations") or (1,) * n)
    pads = list(attrs.get("pads") or (0,) * 2 * n)
    kernel = w[place.axis]
    assert isinstance(kernel, int)
    if place.frames % strides[j]:
        raise CannotStream(f"it makes one frame of {strides[j]}, and a step has {place.frames}")
    span, lead = dilations[j] * (kernel - 1), place.lead + pads[j]
    # Windows that end before the first frame are before the first step of the result too.
    early = max(0, lead - span) if place.frames == strides[j] == 1 else 0
    lead -= early
    if place.past and lead > (place.lead if place.past != UNTOLD else 0):
        raise CannotStream("it reads further back than what is before the first step")
    newer = span - lead - strides[j] + 1
    pads[j] = pads[n + j] = 0
    if place.frames == 1 and dilations[j] > 1 and not place.past and newer <= 0:
        seen = _every(s, x, place, dilations[j], lead, kernel)
        dilations[j] = 1
    else:
        seen = _seen(s, x, place, lead, newer)
    given = {"strides": tuple(strides), "dilations": tuple(dilations), "pads": tuple(pads)}
    usual = {"strides": (1,) * n, "dilations": (1,) * n, "pads": (0,) * 2 * n}
    attrs = {k: v for k, v in attrs.items() if k not in given}
    attrs |= {k: v for k, v in given.items() if v != usual[k]}
    name = "" if value.startswith("%") else value
    found = s.b("conv", seen, *(o.value for o in xs[1:]), name=name, **attrs)
    after = Place(place.axis, place.frames // strides[j])
    return Stripped(found, replace(after, lead=early, past=UNTOLD) if early else after)


def _seen(s: Stripping, x: Stripped, place: Place, lead: int, newer: int) -> str:
    """All frames that the windows of one step see."""
    whole = window(s, x, place, max(0, lead), max(0, newer))
    start, cut = max(0, -lead), max(0, -newer)
    if start or cut:
        whole = s.b("slice", whole, axis=place.axis, start=start, stop=-cut or None)
    return whole


def _every(s: Stripping, x: Stripped, place: Place, dilation: int, lead: int, kernel: int) -> str:
    """The frames that one window with gaps sees, without the gaps."""
    older = [lead - i * dilation for i in range(kernel)]
    if older[-1] < 0:
        raise CannotStream("its windows reach ahead")
    past = [x.value, *(s.past(x.value, older[0]) if older[0] else [])]
    return s.b("concat", *(past[k] for k in older), axis=place.axis)
