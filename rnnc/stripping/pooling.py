"""Pooling along time: the largest, or the mean, of a frame and those around it.

Pools are kept as the file has them; only their padding and strides along time are told anew.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnnc import foreign
from rnnc.ir import Array
from rnnc.stripping.frames import window
from rnnc.stripping.places import CannotStream, Place, Stripped
from rnnc.stripping.strip import Found, Stripping, along
from rnnc.types import parse_type

POOLS = ("MaxPool", "AveragePool")


@along("opaque")
def pool(s: Stripping, value: str, xs: Sequence[Stripped]) -> Found | None:
    """Windows over the frames of a step and those before it."""
    node, x = s.old[value], xs[0]
    if node.attrs["what"] not in POOLS or x.place is None or x.place.axis < 2:
        return None
    place, piece = x.place, node.attrs["piece"]
    if len(node.attrs["results"]) > 1:
        raise CannotStream("it tells where the largest frames are")
    given = foreign.attributes(piece)
    kernel, n, j = given["kernel_shape"], len(given["kernel_shape"]), place.axis - 2
    strides = list(given.get("strides") or [1] * n)
    dilations = list(given.get("dilations") or [1] * n)
    pads = list(given.get("pads") or [0] * 2 * n)
    if given.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID") or given.get("ceil_mode"):
        raise CannotStream("how it is padded along time depends on the length")
    if place.frames % strides[j]:
        raise CannotStream(f"it makes one frame of {strides[j]}, and a step has {place.frames}")
    span, lead = dilations[j] * (kernel[j] - 1), place.lead + pads[j]
    newer = span - lead - strides[j] + 1
    if newer > 0:
        raise CannotStream("its windows reach ahead")
    mean = node.attrs["what"] == "AveragePool"
    if mean and pads[j] and not given.get("count_include_pad"):
        raise CannotStream("its first windows count fewer frames than the others")
    if pads[j] and not mean and (place.lead or place.past):
        raise CannotStream("it works on what is before the first step")
    seen = window(s, x, place, lead, 0, first=None if mean or not pads[j] else _least(s, x))
    if newer < 0:
        seen = s.b("slice", seen, axis=place.axis, start=0, stop=newer)
    pads[j] = pads[n + j] = 0
    kind = parse_type(node.attrs["results"][0])
    frames = place.frames // strides[j]
    shape = (*kind.shape[: place.axis], frames, *kind.shape[place.axis + 1 :])
    attrs = dict(node.attrs) | {
        "piece": foreign.with_attribute(piece, "pads", pads),
        "results": (str(kind.with_shape(*shape)),),
    }
    return Stripped(s.b("opaque", seen, **attrs), Place(place.axis, frames))


def _least(s: Stripping, x: Stripped) -> Array:
    """What is never the largest."""
    return np.array(-np.inf, s.new.type(x.value).numpy)
