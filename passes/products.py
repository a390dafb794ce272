"""Products: a convolution that has few windows in each step becomes one product for all steps.

    y: f32[T, 5, 2] = conv(x, w) {strides = (2,)}
    ⟶
    %0: f32[T, 3, 3] = slice(x) {axis = 2, start = 0, stop = 3}
    %1: f32[T, 3, 3] = slice(x) {axis = 2, start = 2, stop = 5}
    %2: f32[T, 6, 3] = concat(%0, %1) {axis = 1}
    %3: f32[2*T, 9] = reshape(%2) {shape = (2*T, 9)}
    %4: f32[2*T, 5] = matmul(%3, …)                            w, a column for each of its outputs
    y: f32[T, 5, 2] = …                                        %4 with the windows last

onnxruntime convolves one step after another, and reads all weights for each. Where a step has no more windows
than :data:`FEW`, a product of all windows of all steps is several times as fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from rnnc.build import Builder
from rnnc.dims import Dim, Poly
from rnnc.ir import Array, Graph
from rnnc.passes._registers import number
from rnnc.pipeline import ACYCLIC, Pass
from rnnc.rewrite import attribute, sweep

#: So many windows in a step are few.
FEW = 8


@dataclass(frozen=True)
class Products(Pass):
    """Convolutions of many steps, each of few windows, as products."""

    name: ClassVar[str] = "products"
    needs: ClassVar[frozenset[str]] = frozenset({ACYCLIC})

    def apply(self, graph: Graph) -> None:
        for value in graph.find("conv"):
            _multiply(graph, value)
        sweep(graph)


@dataclass(frozen=True)
class Windows:
    """The windows that a convolution has in a step: where they begin, and how they lie."""

    sizes: tuple[int, ...]
    kernel: tuple[int, ...]
    places: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]

    @staticmethod
    def of(graph: Graph, value: str) -> Windows | None:
        """Those of a convolution in one group, if there are few in each of many steps."""
        x, w, *_ = graph.operands(value)
        (count, _, *places), sizes = graph.type(value).shape, graph.type(x).shape[1:]
        if not isinstance(count, Poly) or attribute(graph[value], "group") != 1:
            return None
        if not all(isinstance(d, int) for d in (*places, *sizes)):
            return None
        n = len(places)
        strides, dilations = (attribute(graph[value], k) or (1,) * n for k in ("strides", "dilations"))
        pads = attribute(graph[value], "pads") or (0,) * (2 * n)
        space, kernel, at = (tuple(map(number, s)) for s in (sizes[1:], graph.type(w).shape[2:], places))
        found = Windows(space, kernel, at, strides, dilations, pads)
        return found if 0 < prod(found.places) <= FEW else None

    def taps(self) -> Array:
        """Which tap of the kernel each element of space meets in each window; past the last if it meets none.

        Elements, and windows, are counted as they lie in memory.
        """
        found = np.full((prod(self.sizes), prod(self.places)), prod(self.kernel))
        for p, place in enumerate(np.ndindex(self.places)):
            for k, tap in enumerate(np.ndindex(self.kernel)):
                at = [
                    a * s + t * d - before
                    for a, s, t, d, before in zip(
                        place, self.strides, tap, self.dilations, self.pads, strict=False
                    )
                ]
                if all(0 <= i < size for i, size in zip(at, self.sizes, strict=True)):
                    found[np.ravel_multi_index(at, self.sizes), p] = k
        return found


def _multiply(graph: Graph, value: str) -> None:
    """Make a product of a convolution, if it has few windows in each of many steps."""
    windows = Windows.of(graph, value)
    if windows is None:
        return
    b, count, out = Builder(graph, like=value), *graph.type(value).shape[:2]
    # All elements of a step by a matrix with zeros where a window has none, if these are not most of it.
    dense = prod(windows.sizes) * prod(windows.places) <= 2 * prod(windows.kernel)
    found = (_dense if dense else _sparse)(b, value, windows, count, number(out))
    graph.replace(value, b("reshape", found, shape=graph.type(value).shape))


def _dense(b: Builder, value: str, windows: Windows, count: Dim, out: int) -> str:
    """All of a step times one matrix: ``[count, out·places]``."""
    x, w, *bias = b.graph.operands(value)
    inner, size, places = number(b.graph.type(w).shape[1]), prod(windows.sizes), prod(windows.places)
    flat = b("reshape", w, shape=(out, inner, prod(windows.kernel)))
    spread = b("gather", b("pad", flat, axis=2, before=0, after=1), b.const(windows.taps(), "i64"), axis=2)
    weights = b("reshape", b("transpose", spread, perm=(1, 2, 0, 3)), shape=(inner * size, out * places))
    found = b("matmul", b("reshape", x, shape=(count, inner * size)), weights)
    if bias:
        wide = b("expand", b("unsqueeze", bias[0], axes=(1,)), shape=(out, places))
        found = b("add", found, b("reshape", wide, shape=(out * places,)))
    return found


def _sparse(b: Builder, value: str, windows: Windows, count: Dim, out: int) -> str:
    """The windows of all steps, one a row, times the kernel: ``[count, out, places]``."""
    x, w, *bias = b.graph.operands(value)
    n = len(windows.places)
    for axis in range(n):
        before, after = windows.pads[axis], windows.pads[n + axis]
        x = b("pad", x, axis=2 + axis, before=before, after=after) if before or after else x
    parts = []
    for place in np.ndindex(windows.places):
        part = x
        for axis, at in enumerate(place):
            start, step = at * windows.strides[axis], windows.dilations[axis]
            stop = start + step * (windows.kernel[axis] - 1) + 1
            if (start, stop, step) != (0, b.graph.type(x).shape[2 + axis], 1):
                part = b("slice", part, axis=2 + axis, start=start, stop=stop, step=step)
        parts.append(part)
    seen = b("concat", *parts, axis=1) if len(parts) > 1 else x
    size = number(b.graph.type(w).shape[1]) * prod(windows.kernel)
    rows = b("reshape", seen, shape=(count * len(parts), size))
    found = b("matmul", rows, b("transpose", b("reshape", w, shape=(out, size)), perm=(1, 0)))
    found = b("add", found, bias[0]) if bias else found
    return b("transpose", b("reshape", found, shape=(count, len(parts), out)), perm=(0, 2, 1))
