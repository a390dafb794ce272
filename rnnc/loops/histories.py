"""Histories: registers to which each step appends, as what a convolution over time has seen.

    seen = concat(held, x)          held = delay(next, init)          next = the last n of seen

is a loop that computes nothing. What it holds is a window of the line of all that was appended, behind what
it starts from.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from rnnc.build import Builder
from rnnc.dims import Dim
from rnnc.ir import Graph


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
    delays = [m for m in members if graph[m].op == "delay"]
    moves = [m for m in members if graph[m].op in ("concat", "slice")]
    axes = {graph[m].attrs["axis"] for m in moves}
    if len(delays) != 1 or len(moves) + 1 < len(members) or len(axes) != 1:
        return None
    (delay,), (axis,) = delays, axes
    found = _pieces(graph, graph.operands(delay)[0], axis, {*members} - {delay})
    if not found or found[0][0] != delay or graph[delay].attrs["k"] != 1:
        return None
    (_, start, stop), *rest = found
    appended = sum(end - begin for _, begin, end in rest)
    whole = all((0, graph.type(v).shape[axis]) == (begin, end) and v not in members for v, begin, end in rest)
    if start != appended or stop != graph.type(delay).shape[axis] or not whole:
        return None
    return History(delay, axis, tuple(v for v, _, _ in rest))


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
