"""Windows: a convolution of what each step has seen becomes one convolution over the sequence.

    %0: f32[T, B, C, 5] = window(x, h.init) {axis = 3}      %0: f32[B, C, T] = …        x with time last
    %1: f32[T*B, C, 5] = reshape(%0) {shape = …}     ->     %1: f32[B, C, T+4] = concat(h.init, %0) {axis = 2}
    y: f32[T*B, O, 1] = conv(%1, w)                         %2: f32[B, O, T+1] = conv(%1, w) {pads = (1, 0)}
                                                            y: f32[T*B, O, 1] = …       %2 with time first

Evenly spaced steps that are joined, ``concat(shift(x, …) {k = 4}, shift(x, …) {k = 2}, x)``, are a
window as well: a convolution of each channel for itself then is one along the line, with dilations.

Each window overlaps those beside it, and so would be computed with, and held, as often as it is long. Of what
lies between a history and its readers, what appends a step to its window makes a longer window, and a slice a
shorter one; the state after the run is the end of the line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rnnc.build import Builder
from rnnc.ir import Graph
from rnnc.loops.histories import timeline
from rnnc.loops.slots import whole
from rnnc.ops.shape import concat, reshape, slice_, transpose
from rnnc.ops.time import final, window
from rnnc.passes._registers import number
from rnnc.passes.algebra import bounds, slice_of_slice
from rnnc.passes.taps import past, reversed_outside, step_type
from rnnc.pipeline import ACYCLIC, Pass
from rnnc.rewrite import Rules, Value, Var, apply_rules, attribute, rewrite, ruleset, sweep


@dataclass(frozen=True)
class Windows(Pass):
    """Windows made as long as they are read, and convolutions over them."""

    name: ClassVar[str] = "windows"
    needs: ClassVar[frozenset[str]] = frozenset({ACYCLIC})

    def apply(self, graph: Graph) -> None:
        if graph.find("window"):
            apply_rules(graph, RULES)
        for value in graph.find("conv"):
            _convolve(graph, value)
        sweep(graph)


def appended(xs: tuple[Value, ...], a: int) -> Value | None:
    """The last of what a step's window has before the step, and then the step: the end of the window."""
    past, *step = xs
    if past.op != "slice" or past.attr("axis") != a or past.operands[0].op != "window":
        return None
    seen = past.operands[0]
    v, held = seen.operands
    own = v.operands if v.op == "concat" and v.attr("axis") == a and len(step) > 1 else (v,)
    found = bounds(past)
    if seen.attr("axis") != a or tuple(step) != own or found is None or found[1] != held.type.shape[a - 1]:
        return None
    end: Value = slice_(seen, axis=a, start=found[0], stop=None) if found[0] else seen
    return end


def shorter(root: Value, x: Value, y: Value, a: int) -> Value | None:
    """The end of a window: one that begins later."""
    held, cut = y.type.shape[a - 1], bounds(root)
    if cut is None or not isinstance(held, int) or cut[1] != root.operands[0].type.shape[a]:
        return None
    start = cut[0]
    if not 0 < start <= held:
        return None
    if start == held:
        return x
    found: Value = window(x, slice_(y, axis=a - 1, start=start, stop=held), axis=a)
    return found


def follows(x: Value, y: Value, z: Value, a: int) -> bool:
    """Whether ``y`` is what is left of ``z`` when a step of ``x`` has been appended to it."""
    return (
        y.op == "slice"
        and y.attr("axis") == a - 1
        and y.operands == (z,)
        and bounds(y) == (x.type.shape[a], z.type.shape[a - 1])
    )


def last(x: Value, z: Value, a: int) -> Value:
    """The state after the run of a history that starts from ``z``: the end of the line of all that it saw."""
    n = z.type.shape[a - 1]
    shape = x.type.shape
    moved = transpose(x, perm=(*range(1, a), 0, *range(a, len(shape))))
    line = concat(z, reshape(moved, shape=(*shape[1:a], shape[0] * shape[a], *shape[a + 1 :])), axis=a - 1)
    found: Value = slice_(line, axis=a - 1, start=-number(n), stop=None)
    return found


def is_backwards(x: Value, a: int) -> bool:
    """Whether a value is all of another in the opposite order along the axis."""
    return x.op == "slice" and (x.attr("axis"), *(x.attr(n) for n in ("start", "stop", "step"))) == (
        a,
        -1,
        None,
        -1,
    )


def backwards(x: Value, a: int) -> Value:
    """A value in the opposite order along the axis."""
    found: Value = slice_(x, axis=a, start=-1, stop=None, step=-1)
    return found


def joined_backwards(xs: tuple[Value, ...], a: int) -> Value | None:
    """What is joined of single elements and of what is in the opposite order, as that of all."""
    turned = [is_backwards(x, a) for x in xs]
    if not any(turned) or not all(t or x.type.shape[a] == 1 for x, t in zip(xs, turned, strict=True)):
        return None
    parts = [x.operands[0] if t else x for x, t in zip(xs, turned, strict=True)]
    return backwards(concat(*parts[::-1], axis=a), a)


def cut_backwards(root: Value, x: Value, a: int) -> Value | None:
    """A slice of what is in the opposite order, as that of a slice."""
    size, found = x.type.shape[a], bounds(root)
    if not is_backwards(root.operands[0], a) or found is None or not isinstance(size, int):
        return None
    if "window" not in (x.op, *(o.op for o in x.operands)):
        return None
    return backwards(slice_(x, axis=a, start=size - found[1], stop=size - found[0]), a)


@ruleset
def RULES(x: Var, y: Var, z: Var, a: Var, *xs: Var) -> Rules:
    """What is beside windows. Measure: the sizes of windows and of what is made of them."""
    yield rewrite(concat(*xs, axis=a)).to(appended)
    yield rewrite(concat(*xs, axis=a)).to(joined_backwards)
    yield rewrite(slice_(slice_(x, axis=a), axis=a, step=1)).to(cut_backwards)
    yield rewrite(slice_(slice_(x, axis=a, step=1), axis=a, step=1)).to(slice_of_slice)
    yield rewrite(slice_(window(x, y, axis=a), axis=a)).to(shorter)
    yield rewrite(final(window(x, y, axis=a), z, k=1)).to(last).when(follows)


def _seen(graph: Graph, value: str) -> tuple[str, str, int] | None:
    """The stream, what stands before it, and the axis, if ``value`` is windows, or two steps of a stream."""
    if graph[value].op == "window":
        v, held = graph.operands(value)
        return v, held, graph[value].attrs["axis"]
    parts = graph.operands(value)
    if graph[value].op != "concat" or len(parts) != 2 or graph[parts[0]].op != "shift":
        return None
    (past, v), axis = parts, graph[value].attrs["axis"]
    moved, init, *ragged = graph.operands(past)
    if graph[past].attrs["k"] != 1 or ragged or not axis:
        return None
    end = Value(graph, moved)
    if moved != v:
        size, own = graph.type(v).shape[axis], (end.op, end.operands and end.operands[0].name)
        if own != ("slice", v) or end.attr("axis") != axis or (bounds(end) or (0, 0))[1] != size:
            return None
    b = Builder(graph, like=value)
    return v, whole(b, init, step_type(graph, moved), 1), axis


def _tapped(graph: Graph, value: str) -> tuple[str, str, int, int] | None:
    """The stream, what stands before it, the axis, and how many steps lie between two taps.

    So it is if ``value`` joins evenly spaced steps of a stream, each of one element.
    """
    parts, axis = graph.operands(value), graph[value].attrs.get("axis")
    if graph[value].op != "concat" or len(parts) < 2 or not axis:
        return None
    v = parts[-1]
    pasts = [past(graph, p) for p in parts[:-1]]
    apart = pasts[-1].offset
    offsets = [apart * k for k in range(len(pasts), 0, -1)]
    if apart < 1 or any(p.value != v for p in pasts) or [p.offset for p in pasts] != offsets:
        return None
    longest = pasts[0].keys(graph)
    if graph.type(v).shape[axis] != 1 or any(p.keys(graph) != longest[: p.offset] for p in pasts):
        return None
    b = Builder(graph, like=value)
    held, k = reversed_outside(b, pasts[0]), pasts[0].offset
    shape = graph.type(held).shape
    moved = b("transpose", held, perm=(*range(1, axis), 0, *range(axis, len(shape))))
    return v, b("reshape", moved, shape=(*shape[1:axis], k, *shape[axis + 1 :])), axis, apart


def _convolve(graph: Graph, value: str) -> None:
    """Let a convolution of windows see the line that they are windows of, if it moves along it evenly."""
    folded, *weights = graph.operands(value)
    seen = graph.operands(folded)[0] if graph[folded].op == "reshape" else folded
    whole_line = graph.operands(seen)[0] if graph[seen].op == "slice" else seen
    found_seen = _seen(graph, whole_line)
    # Taps that a convolution all mixes are one product, which costs less; each channel's own are none.
    grouped = (attribute(graph[value], "group") or 1) > 1 and seen == whole_line
    spaced = _tapped(graph, whole_line) if grouped and found_seen is None else None
    if spaced is not None:
        found_seen = spaced[:3]
    if found_seen is None:
        return
    v, held, at = found_seen
    turned = whole_line != seen
    if turned and not is_backwards(Value(graph, seen), at):
        return
    (steps, batch, *rest), kind = graph.type(seen).shape, graph.type(value)
    axis, n = at - 3, kind.rank - 2
    if axis < 0 or graph.type(folded).shape != (steps * batch, *rest):
        return
    given = {name: attribute(graph[value], name) for name in ("strides", "dilations", "pads", "group")}
    strides, pads = list(given["strides"] or (1,) * n), list(given["pads"] or (0,) * (2 * n))
    size, each = number(graph.type(v).shape[axis + 3]), number(kind.shape[axis + 2])
    if pads[axis] or pads[n + axis] or (each > 1 and size != each * strides[axis]):
        return
    strides[axis] = size if each == 1 else strides[axis]
    if turned and each > 1:
        return
    if spaced:
        dilations = list(given["dilations"] or (1,) * n)
        reach = (number(graph.type(weights[0]).shape[axis + 2]) - 1) * dilations[axis] + 1
        if reach != graph.type(whole_line).shape[at]:
            return
        dilations[axis] *= spaced[3]
        given["dilations"] = tuple(dilations)
    # onnxruntime refuses to convolve without a single window, as there is if T = 0: there is one more.
    pads[axis] = strides[axis]
    b = Builder(graph, like=(value, seen))
    line = timeline(b, v, held, axis + 3)
    if turned:
        weights[0] = b("slice", weights[0], axis=axis + 2, start=-1, stop=None, step=-1)
    found = b("conv", line, *weights, **given | {"strides": tuple(strides), "pads": tuple(pads)})
    found = b("slice", found, axis=axis + 2, start=1, stop=None)
    shape = graph.type(found).shape
    parted = b("reshape", found, shape=(*shape[: axis + 2], steps, each, *shape[axis + 3 :]))
    rank, at = len(shape) + 1, axis + 2
    moved = b("transpose", parted, perm=(at, *range(at), *range(at + 1, rank)))
    graph.replace(value, b("reshape", moved, shape=kind.shape))
