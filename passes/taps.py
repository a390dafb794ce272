"""Taps: a weighted sum of one stream at several delays as one causal convolution over time.

    %0: f32[T, B, 3] = shift(x, x1.init) {k = 1}        %0: f32[1, B, 3] = unsqueeze(x1.init) {axes = (0,)}
    %1: f32[T, B, 3] = shift(%0, x2.init) {k = 1}       ...
    %2: f32[T, B, 5] = matmul(x, W0)                    %3: f32[T+2, B, 3] = concat(%1, %0, x) {axis = 0}
    %3: f32[T, B, 5] = matmul(%0, W1)           ->      %4: f32[B, 3, T+2] = transpose(%3) {perm = (1, 2, 0)}
    %4: f32[T, B, 5] = matmul(%1, W2)                   ...
    %5: f32[T, B, 5] = add(%2, %3)                      %9: f32[B, 5, T+1] = conv(%4, %8) {pads = (1, 0)}
    y: f32[T, B, 5] = add(%5, %4)                       %10: f32[T+1, B, 5] = transpose(%9) {perm = (2, 0, 1)}
                                                        y: f32[T, B, 5] = slice(%10) {axis = 0, start = 1,
                                                        ...}

What a shift starts from is put before the stream, so that the first windows see the past (and what one
ahead ends with, behind it). Weights that multiply each feature make a convolution of each channel for
itself. It is done from three taps on, where the shifts agree on what is outside the stream, and where no
more taps are missing between the first and the last than there are. **The sum is regrouped**, so that
results differ by rounding.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import reduce
from math import gcd
from typing import ClassVar

import numpy as np

from rnnc.build import Builder
from rnnc.dims import Poly, product
from rnnc.ir import Attr, Graph, state_type
from rnnc.loops import slots
from rnnc.passes._registers import number, slot_keys
from rnnc.passes._sums import SIGNS, Term, by_feature, chain, plain, top, total, tree
from rnnc.pipeline import ACYCLIC, Pass
from rnnc.rewrite import sweep, used_once
from rnnc.types import TensorType

#: From how many taps on a convolution is made.
LEAST = 3


@dataclass(frozen=True)
class Taps(Pass):
    """Sums over shifts of one value become convolutions."""

    name: ClassVar[str] = "taps"
    needs: ClassVar[frozenset[str]] = frozenset({ACYCLIC})

    def apply(self, graph: Graph) -> None:
        sweep(graph)
        for root in graph.find("add") + graph.find("sub"):
            if root in graph and top(graph, root, SIGNS, graph) == root:
                _convolve(graph, root)
        sweep(graph)


@dataclass(frozen=True)
class Past:
    """A value some steps ago: what is moved, by how much, and what is outside, the step next to it first."""

    value: str
    offset: int = 0
    inits: tuple[tuple[str, int], ...] = ()

    def keys(self, graph: Graph) -> list[Hashable]:
        """What identifies each step outside."""
        slot = step_type(graph, self.value)
        return [key for init, k in self.inits for key in slot_keys(graph, init, slot, k)]


@dataclass(frozen=True)
class Tap:
    """One term of the sum: a value at some delay times a weight, a matrix or one number a feature."""

    sign: int
    term: str
    past: Past
    weight: str
    matrix: bool


def step_type(graph: Graph, stream: str) -> TensorType:
    """The type of one step of a stream."""
    return TensorType(graph.type(stream).dtype, graph.type(stream).shape[1:])


def past(graph: Graph, value: str) -> Past:
    """``value`` as an earlier or later step of something, seen through shifts in one direction."""
    if graph[value].op != "shift" or len(graph.operands(value)) > 2:
        return Past(value)
    moved, init = graph.operands(value)
    k = graph[value].attrs["k"]
    below = past(graph, moved)
    if below.offset * k < 0:
        return Past(moved, k, ((init, abs(k)),))
    return Past(below.value, below.offset + k, (*below.inits, (init, abs(k))))


def _tap(graph: Graph, term: Term) -> Tap | None:
    """A term of a sum as a tap, if it is one."""
    sign, value = term
    operands = graph.operands(value)
    if graph[value].op in ("matmul", "mul") and used_once(graph, value):
        stream, weight = operands
        if graph[value].op == "mul" and graph.type(stream).rank != 3:
            stream, weight = weight, stream
        have, by = graph.type(stream), graph.type(weight)
        matrix = graph[value].op == "matmul"
        fits = by.rank == 2 if matrix else have.shape and by_feature(by.shape, have.shape[-1])
        if fits and have.rank == 3 and by.rank < 3:
            return Tap(sign, value, past(graph, stream), weight, matrix)
    if graph.type(value).rank == 3:
        return Tap(sign, value, past(graph, value), "", False)
    return None


def _convolve(graph: Graph, root: str) -> None:
    """Make a convolution of the taps of one value in the sum ``root``, if there are enough."""
    nodes, terms = tree(graph, root, SIGNS, graph)
    groups: dict[tuple[str, bool, Hashable], list[Tap]] = {}
    for tap in (_tap(graph, t) for t in terms):
        if tap is not None:
            width = tap.matrix and graph.type(tap.weight).shape
            groups.setdefault((tap.past.value, tap.matrix, width), []).append(tap)
    for (value, _, _), taps in groups.items():
        if _pays(graph, value, taps):
            b = Builder(graph, (*nodes, *(t.term for t in taps)))
            rest = [t for t in terms if not any(t == (tap.sign, tap.term) for tap in taps)]
            result = _convolution(b, value, taps)
            graph.replace(root, plain(b, total(b, [(1, result), *rest])))
            return


def _pays(graph: Graph, value: str, taps: list[Tap]) -> bool:
    """Whether there are enough taps, close enough together, that agree on what is outside the stream."""
    kind = graph.type(value)
    offsets = {t.past.offset for t in taps}
    if len(offsets) < LEAST or kind.rank != 3 or not isinstance(kind.shape[0], Poly):
        return False
    if not isinstance(kind.shape[2], int) or 2 * len(offsets) < len(_window(offsets)):
        return False
    for side in (1, -1):
        keys = [t.past.keys(graph) for t in taps if t.past.offset * side > 0]
        longest = max(keys, key=len, default=[])
        if any(k != longest[: len(k)] for k in keys):
            return False
    return True


def _window(offsets: set[int]) -> range:
    """The delays that the kernel has a place for, the oldest first."""
    oldest, newest = max(offsets), min(offsets)
    return range(oldest, newest - 1, -(reduce(gcd, (oldest - o for o in offsets)) or 1))


def _convolution(b: Builder, value: str, taps: list[Tap]) -> str:
    """The sum of all taps of ``value``."""
    window = _window({t.past.offset for t in taps})
    seen = b("transpose", _extended(b, value, taps, window), perm=(1, 2, 0))
    features = number(b.graph.type(value).shape[2])
    kernel = _kernel(b, value, taps, window)
    group = 1 if taps[0].matrix else features
    # onnxruntime refuses to convolve without a single window, as there is if T = 0: there is one more.
    attrs: dict[str, Attr] = {"group": group} if group > 1 else {}
    if window.step < -1:
        attrs["dilations"] = (-window.step,)
    found = b("conv", seen, kernel, pads=(1, 0), **attrs)
    return b("slice", b("transpose", found, perm=(2, 0, 1)), axis=0, start=1, stop=None)


def _extended(b: Builder, value: str, taps: list[Tap], window: range) -> str:
    """The stream from the first step that the first window sees to the last that the last one sees."""
    before, after = (max((t.past for t in taps), key=lambda p: p.offset * side) for side in (1, -1))
    parts = [
        *(_reversed(b, init, k) for init, k in reversed(_outside(b, before) if before.offset > 0 else [])),
        value,
        *(init for init, _ in (_outside(b, after) if after.offset < 0 else [])),
    ]
    extended = b("concat", *parts, axis=0) if len(parts) > 1 else value
    start, stop = max(0, -window[0]), min(0, -window[-1])
    if start or stop:
        extended = b("slice", extended, axis=0, start=start, stop=stop or None)
    return extended


def _outside(b: Builder, past: Past) -> list[tuple[str, int]]:
    """Stacks of steps outside the stream, and how many each holds: the whole state where it is all there."""
    slot, keys = step_type(b.graph, past.value), past.keys(b.graph)
    match keys[0]:
        case (str(state), 0) if b.graph.type(state) == state_type(slot, len(keys)) and len(keys) > 1:
            if keys == [(state, i) for i in range(len(keys))]:
                return [(state, len(keys))]
    stacks = [(slots.whole(b, init, slot, k), k) for init, k in past.inits]
    return [(b("unsqueeze", v, axes=(0,)) if k == 1 else v, k) for v, k in stacks]


def reversed_outside(b: Builder, past: Past) -> str:
    """All steps before a stream, the oldest first."""
    parts = [_reversed(b, init, k) for init, k in reversed(_outside(b, past))]
    return b("concat", *parts, axis=0) if len(parts) > 1 else parts[0]


def _reversed(b: Builder, stack: str, k: int) -> str:
    """Steps in the opposite order."""
    return b("slice", stack, axis=0, start=k - 1, stop=None, step=-1) if k > 1 else stack


def _kernel(b: Builder, value: str, taps: list[Tap], window: range) -> str:
    """The weights of all taps, from the oldest on, zeros where there is none: ``[out, in, places]``."""
    graph, dtype, features = b.graph, b.graph.type(value).dtype, number(b.graph.type(value).shape[2])
    places = []
    for offset in window:
        weights = [_weight(b, t, features, dtype) for t in taps if t.past.offset == offset]
        places.append(chain(b, "add", weights) if weights else "")
    shape = next(graph.type(p).shape for p in places if p)
    zeros = "" if all(places) else b.const(np.zeros([number(d) for d in shape]), dtype)
    return b("concat", *(p or zeros for p in places), axis=2)


def _weight(b: Builder, tap: Tap, features: int, dtype: str) -> str:
    """The weight of one tap, as one place of the kernel."""
    if tap.matrix:
        weight = b("unsqueeze", b("transpose", tap.weight, perm=(1, 0)), axes=(2,))
    elif tap.weight:
        flat = b("reshape", tap.weight, shape=(product(b.graph.type(tap.weight).shape), 1, 1))
        weight = slots.broadcast(b, flat, TensorType(dtype, (features, 1, 1)))
    else:
        weight = b.const(np.ones((features, 1, 1)), dtype)
    return plain(b, (tap.sign, weight))
