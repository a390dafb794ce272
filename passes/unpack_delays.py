"""Unpack delays: a state packed from parts comes apart where it is read apart.

    s: f32[B, 6] = concat(h, c) {axis = 1}              h1: f32[B, 3] = delay(h, %0) {k = 1}
    s1: f32[B, 6] = delay(s, s.init) {k = 1}    ->      y: f32[B, 3] = tanh(h1)
    h1: f32[B, 3] = slice(s1) {axis = 1, ...}
    y: f32[B, 3] = tanh(h1)

where ``%0`` is the same slice of ``s.init``. A delay moves from the result of an op that only moves
elements to its operands, if what reads the delay undoes that op: a slice or split along the axis of a
``concat``, a reshape after a reshape, a transpose after a transpose. The rules of ``algebra`` then take the
two away, and may bring together what is to be moved next. Measure: the ops that only move elements between
values and their delays.

In a loop that does nothing but move elements, as a history to which each step appends, a delay could go round
for ever. There a ``concat`` comes apart only where it is cut, so that each register holds one operand.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar

from rnnc.build import Builder
from rnnc.ir import Graph
from rnnc.loops.bodies import edit_body
from rnnc.loops.parts import cut_back
from rnnc.ops.shape import slice_, transpose
from rnnc.passes._registers import number
from rnnc.passes.algebra import RULES, algebra
from rnnc.pipeline import Pass
from rnnc.rewrite import Rules, Var, apply_rules, rewrite, ruleset, sweep

#: What undoes, at least in part, the op that moved the elements.
UNDONE_BY = {
    "concat": {"slice", "split"},
    "transpose": {"transpose"},
    "reshape": {"reshape", "squeeze", "unsqueeze"},
    "squeeze": {"reshape", "squeeze", "unsqueeze"},
    "unsqueeze": {"reshape", "squeeze", "unsqueeze"},
}

#: Ops whose result is elements of their operand.
MOVES = {"delay", "slice", "split", "item", *UNDONE_BY}


@dataclass(frozen=True)
class UnpackDelays(Pass):
    """Delays of moved elements, as moved delays; descends into regions."""

    name: ClassVar[str] = "unpack-delays"

    def apply(self, graph: Graph) -> None:
        unpack_delays(graph)


def unpack_delays(graph: Graph) -> None:
    """Move delays towards the parts until every one is read as it is held."""
    sweep(graph)
    for region in graph.find("region"):
        edit_body(graph, region, unpack_delays)
    _cut_picks(graph)
    while packed := [d for d in graph.find("delay") if _undone(graph, d)]:
        for delay in packed:
            if _undone(graph, delay):  # not after another has moved
                _unpack(graph, delay)
        apply_rules(graph, (*CUTS, *RULES))
        sweep(graph)


@ruleset
def CUTS(x: Var, a: Var, p: Var) -> Rules:
    """What is cut after it was turned is turned after it was cut. Measure: the turned elements."""
    yield rewrite(slice_(transpose(x, perm=p), axis=a)).to(
        lambda root, x, p, a: transpose(
            slice_(x, axis=p[a], start=root.attr("start"), stop=root.attr("stop"), step=root.attr("step")),
            perm=p,
        )
    )


def _cut_picks(graph: Graph) -> None:
    """Write one element taken along an axis of what is held as a slice without that axis."""
    for value in graph.find("gather"):
        x, indices = graph.operands(value)
        at, axis = graph[indices], graph[value].attrs["axis"]
        size = graph.type(x).shape[axis]
        if at.op == "const" and not at.tensor.rank and isinstance(size, int) and _held(graph, x):
            b, k = Builder(graph, value), int(at.attrs["value"]) % size
            graph.replace(value, b("squeeze", b("slice", x, axis=axis, start=k, stop=k + 1), axes=(axis,)))
    algebra(graph)


def _held(graph: Graph, value: str) -> bool:
    """Whether a value is elements of what a delay holds, and of nothing else."""
    while graph[value].op in MOVES - {"delay", "concat"}:
        value = graph.operands(value)[0]
    return graph[value].op == "delay"


def _undone(graph: Graph, delay: str) -> bool:
    """Whether a reader of ``delay`` undoes the op that computes what is delayed."""
    packed = graph.operands(delay)[0]
    node = graph[packed]
    if node.op not in UNDONE_BY:
        return False
    readers = [user for user in graph.nx.succ[delay] if graph[user].op in UNDONE_BY[node.op]]
    if node.op == "concat":
        readers = [r for r in readers if graph[r].attrs["axis"] == node.attrs["axis"]]
        return bool(readers) and (_between_parts(graph, packed, readers) or not _only_moves(graph, packed))
    if node.op == "transpose" and (below := graph.operands(packed)[0]) and graph[below].op == "concat":
        cuts = (graph[u].attrs["axis"] for u in graph.nx.succ[delay] if graph[u].op == "slice")
        if any(node.attrs["perm"][axis] == graph[below].attrs["axis"] for axis in cuts):
            return True
    return any(r != packed for r in readers)


def _between_parts(graph: Graph, joined: str, cuts: list[str]) -> bool:
    """Whether ``cuts``, slices and splits of a concat, all begin and end where operands of it do."""
    axis = graph[joined].attrs["axis"]
    sizes = [graph.type(v).shape[axis] for v in graph.operands(joined)]
    if not all(isinstance(d, int) for d in sizes):
        return False
    ends = set(accumulate((number(d) for d in sizes), initial=0))
    return all(set(_ends(graph, c)) <= ends for c in cuts)


def _ends(graph: Graph, cut: str) -> list[int]:
    """Where a slice or split begins and ends along its axis; -1 if that cannot be told."""
    attrs = graph[cut].attrs
    if graph[cut].op == "split":
        return list(accumulate((number(d) for d in attrs["sizes"]), initial=0))
    size = graph.type(graph.operands(cut)[0]).shape[attrs["axis"]]
    if not isinstance(size, int) or attrs.get("step", 1) != 1:
        return [-1]
    return list(slice(attrs["start"], attrs["stop"]).indices(size)[:2])


def _only_moves(graph: Graph, value: str) -> bool:
    """Whether a loop through ``value`` does nothing but move elements: a delay could move in it for ever."""
    seen: set[str] = set()
    waiting = [value]
    while waiting:
        v = waiting.pop()
        if v not in seen and graph[v].op in MOVES:
            seen.add(v)
            waiting += graph.operands(v)[:1] if graph[v].op == "delay" else graph.operands(v)
            if value in waiting:
                return True
    return False


def _unpack(graph: Graph, delay: str) -> None:
    """Put the op that ``delay`` reads behind delays of its operands."""
    packed, init = graph.operands(delay)
    build, node, k = Builder(graph, delay), graph[packed], graph[delay].attrs["k"]
    parts = zip(graph.operands(packed), cut_back(build, init, packed, abs(k)), strict=True)
    delays = [build("delay", part, start, k=k) for part, start in parts]
    graph.replace(delay, build(node.op, *delays, **node.attrs))
