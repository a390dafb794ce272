"""Convolution over one or two axes of space."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from array_api_compat import array_namespace

from rnnc.dims import Dim, names, substitute
from rnnc.errors import TypeMismatch
from rnnc.ops.declare import Onnx, op, same_dim, same_dtype
from rnnc.ops.shape import pad
from rnnc.types import TensorType


def _each(given: Sequence[int], default: int, count: int) -> tuple[int, ...]:
    return tuple(given) or (default,) * count


def windows(size: Dim, kernel: int, *, stride: int, padding: int, dilation: int) -> Dim:
    """How many positions a window takes along one axis."""
    room = size + padding - dilation * (kernel - 1) - 1
    if isinstance(room, int):
        if room < 0:
            raise TypeMismatch(f"a window of {dilation * (kernel - 1) + 1} does not fit {size} elements")
        return room // stride + 1
    fixed = substitute(room, dict.fromkeys(names(room), 0))
    assert isinstance(fixed, int)
    try:
        return (room - fixed) // stride + fixed // stride + 1 if stride != 1 else room + 1
    except ValueError:
        raise TypeMismatch(
            f"a window with stride {stride} along an axis of size {size}, known only when running",
            hint=f"Where it is time, let {stride} frames be one step: --block {stride}.",
        ) from None


def _convolved(
    x: TensorType,
    w: TensorType,
    b: TensorType | None = None,
    *,
    strides: tuple[int, ...] = (),
    pads: tuple[int, ...] = (),
    dilations: tuple[int, ...] = (),
    group: int = 1,
) -> TensorType:
    n = x.rank - 2
    if n not in (1, 2) or w.rank != x.rank:
        raise TypeMismatch(f"conv of {x} with {w}: both need three axes, or both four")
    strides, dilations, pads = _each(strides, 1, n), _each(dilations, 1, n), _each(pads, 0, 2 * n)
    if (len(strides), len(dilations), len(pads)) != (n, n, 2 * n):
        raise TypeMismatch(f"conv of {x} needs {n} strides, {n} dilations and {2 * n} pads")
    out, inner, kernel = w.shape[0], w.shape[1], w.shape[2:]
    same_dim(
        x.shape[1], inner * group, f"conv of {x} with {w}: {x.shape[1]} channels meet {group} times {inner}"
    )
    spans = [k for k in kernel if isinstance(k, int)]
    if not isinstance(out, int) or out % group or len(spans) < n:
        raise TypeMismatch(
            f"conv with {w} in {group} groups: its sizes must be numbers, the first a multiple of {group}"
        )
    if b is not None:
        same_dim(b.shape[0] if b.rank == 1 else b.rank, out, f"conv with {w} needs {out} biases, not {b}")
    space = [
        windows(size, k, stride=strides[i], padding=pads[i] + pads[n + i], dilation=dilations[i])
        for i, (size, k) in enumerate(zip(x.shape[2:], spans, strict=True))
    ]
    return TensorType(same_dtype(x, w), (x.shape[0], out, *space))


@op(type=_convolved, axes="b c *s~, o i *k, o -> b o *s~", tolerance=1e-5, onnx=Onnx("Conv", attrs={
    "strides": "strides", "pads": "pads", "dilations": "dilations", "group": "group"}))  # fmt: skip
def conv(x: Any, w: Any, b: Any = None, *, strides: tuple[int, ...] = (), pads: tuple[int, ...] = (),
         dilations: tuple[int, ...] = (), group: int = 1) -> Any:  # fmt: skip
    """Windows of ``x[B, C, *S]`` times ``w[O, C/group, *K]``, plus ``b[O]``.

    ``strides``, ``dilations`` and ``pads`` (all the begins, then all the ends) are by axis of space; without
    them windows move by one, are dense, and stay inside. Each of the ``group`` parts of the channels gives
    its own part of the result. The kernel is not flipped.
    """
    n = x.ndim - 2
    strides, dilations, pads = _each(strides, 1, n), _each(dilations, 1, n), _each(pads, 0, 2 * n)
    for i in range(n):
        x = pad.body(x, axis=2 + i, before=pads[i], after=pads[n + i])
    batch, channels, *space = x.shape
    out, inner, *kernel = w.shape
    moves = [
        (s - d * (k - 1) - 1) // t + 1 for s, d, k, t in zip(space, dilations, kernel, strides, strict=True)
    ]
    xp = array_namespace(x, w)
    w = xp.reshape(w, (group, out // group, inner, *kernel))
    y: Any = 0.0
    for offset in itertools.product(*map(range, kernel)):
        starts = [o * d for o, d in zip(offset, dilations, strict=True)]
        window = tuple(slice(a, a + m * t, t) for a, m, t in zip(starts, moves, strides, strict=True))
        seen = xp.reshape(x[(slice(None), slice(None), *window)], (batch, group, channels // group, -1))
        y = y + w[(..., *offset)] @ seen
    y = xp.reshape(y, (batch, out, *moves))
    return y if b is None else y + xp.reshape(b, (-1, *(1,) * n))
