"""Histories: registers to which each step appends, as what a convolution over time has seen.

    seen = concat(held, x)          held = delay(next, init)          next = the last n of seen

is a loop that computes nothing. What it holds is a window of the line of all that was appended, behind what
it starts from. One that grows at its front is such a loop in the opposite order.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from rnnc.build import Builder
from rnnc.dims import Dim
from rnnc.ir import Graph
from rnnc.loops.looping import components
from rnnc.loops.slots import whole
from rnnc.rewrite import sweep


@dataclass(frozen=True)
class History:
    """A delay that holds the last elements, along ``axis``, of what it held and the ``parts`` of a step."""

    delay: str
    axis: int
    parts: tuple[str, ...]


#: A run of elements of a value along the axis.
Piece = tuple[str, int, int]


def history(graph: Graph, members: Collection[str]) -> History | None:
    """The history that a loop is, if it is one."""
    found = _moved(graph, members)
    if not found:
        return None
    delay, axis, pieces = found
    (first, start, stop), *rest = pieces
    appended = sum(end - begin for _, begin, end in rest)
    all_of = all(
        (0, graph.type(v).shape[axis]) == (begin, end) and v not in members for v, begin, end in rest
    )
    if first != delay or start != appended or stop != graph.type(delay).shape[axis] or not all_of:
        return None
    return History(delay, axis, tuple(v for v, _, _ in rest))


def _moved(graph: Graph, members: Collection[str]) -> tuple[str, int, list[Piece]] | None:
    """The one delay of a loop that only moves elements along an axis, and the pieces that it delays."""
    delays = [m for m in members if graph[m].op == "delay"]
    moves = [m for m in members if graph[m].op in ("concat", "slice")]
    axes = {graph[m].attrs["axis"] for m in moves}
    if len(delays) != 1 or len(moves) + 1 < len(members) or len(axes) != 1:
        return None
    (delay,), (axis,) = delays, axes
    found = _pieces(graph, graph.operands(delay)[0], axis, {*members} - {delay})
    return (delay, axis, found) if found and graph[delay].attrs["k"] == 1 else None


def turn(graph: Graph) -> None:
    """Let every history that grows at its front by one element grow at its end, and be read backwards."""
    for members in [m for m in components(graph) if len(m) > 1]:
        found = _moved(graph, members)
        if not found or len(found[2]) != 2:
            continue
        delay, axis, ((x, *_), (last, start, stop)) = found
        size = graph.type(delay).shape[axis]
        if x in members or graph.type(x).shape[axis] != 1 or (last, start, stop + 1) != (delay, 0, size):
            continue
        packed, init = graph.operands(delay)
        b = Builder(graph, like=delay)
        begin = backwards(b, whole(b, init, graph.type(delay), 1), axis)
        held = graph.add("delay", begin, begin, type=graph.type(delay), like=delay, k=1)
        line = b("concat", b("slice", held, axis=axis, start=1, stop=None), x, axis=axis)
        graph.connect(line, held, 0)
        graph.finals |= {k: backwards(b, line, axis) for k, v in graph.finals.items() if v == packed}
        graph.replace(delay, backwards(b, held, axis))
    sweep(graph)


def backwards(b: Builder, value: str, axis: int) -> str:
    """A value in the opposite order along an axis."""
    return b("slice", value, axis=axis, start=-1, stop=None, step=-1)


def _pieces(graph: Graph, value: str, axis: int, inside: set[str]) -> list[Piece] | None:
    """What ``value`` is made of along the axis, behind concats and slices; ``None`` if that is not known."""
    node, size = graph[value], graph.type(value).shape[axis]
    if not isinstance(size, int):
        return None
    if value not in inside:
        return [(value, 0, size)]
    parts = [_pieces(graph, o, axis, inside) for o in graph.operands(value)]
    if any(p is None for p in parts):
        return None
    joined = [piece for p in parts for piece in p or ()]
    if node.op == "concat":
        return joined
    if node.attrs.get("step", 1) != 1:
        return None
    total = sum(stop - start for _, start, stop in joined)
    return _cut(joined, *slice(node.attrs["start"], node.attrs["stop"]).indices(total)[:2])


def _cut(pieces: list[Piece], start: int, stop: int) -> list[Piece]:
    """What lies between two places of pieces side by side."""
    found, at = [], 0
    for value, begin, end in pieces:
        size = end - begin
        a, b = max(start - at, 0), min(stop - at, size)
        if a < b:
            found.append((value, begin + a, begin + b))
        at += size
    return found


def timeline(b: Builder, v: str, init: str, axis: int) -> str:
    """All steps of ``v`` side by side along ``axis``, which counts time, behind ``init``, which has none."""
    return b("concat", init, merged(b, v, axis), axis=axis - 1)


def merged(b: Builder, v: str, axis: int) -> str:
    """All steps of ``v`` side by side along ``axis``; the result has no axis of time."""
    shape: tuple[Dim, ...] = b.graph.type(v).shape
    moved = b("transpose", v, perm=(*range(1, axis), 0, *range(axis, len(shape))))
    return b("reshape", moved, shape=(*shape[1:axis], shape[0] * shape[axis], *shape[axis + 1 :]))
