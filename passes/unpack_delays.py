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
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rnnc.build import Builder
from rnnc.ir import Graph, Node, state_type
from rnnc.loops import slots
from rnnc.loops.bodies import edit_body
from rnnc.passes._registers import number
from rnnc.passes.algebra import algebra
from rnnc.pipeline import Pass
from rnnc.rewrite import sweep
from rnnc.types import TensorType

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
    while packed := [d for d in graph.find("delay") if _undone(graph, d)]:
        for delay in packed:
            _unpack(graph, delay)
        algebra(graph)
        sweep(graph)


def _undone(graph: Graph, delay: str) -> bool:
    """Whether a reader of ``delay`` undoes the op that computes what is delayed."""
    packed = graph.operands(delay)[0]
    node = graph[packed]
    if node.op not in UNDONE_BY or _only_moves(graph, packed):
        return False
    readers = [graph[user] for user in graph.nx.succ[delay]]
    undoing = [r for r in readers if r.op in UNDONE_BY[node.op]]
    return any(node.op != "concat" or r.attrs["axis"] == node.attrs["axis"] for r in undoing)


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
    delays = []
    at = 0
    for part in graph.operands(packed):
        if node.op == "concat":
            size = number(graph.type(part).shape[node.attrs["axis"]])
            start = _cut(build, init, node.tensor.rank - node.attrs["axis"], at, at + size)
            at += size
        else:
            start = _moved_back(build, init, node, graph.type(part), abs(k))
        delays.append(build("delay", part, start, k=k))
    graph.replace(delay, build(node.op, *delays, **node.attrs))


def _cut(b: Builder, init: str, axis: int, start: int, stop: int) -> str:
    """The part of an initial value along an axis, counted from the last, from 1 on."""
    have = b.graph.type(init)
    if have.rank < axis or have.shape[-axis] == 1:
        return init
    return b("slice", init, axis=have.rank - axis, start=start, stop=stop)


def _moved_back(b: Builder, init: str, node: Node, to: TensorType, k: int) -> str:
    """The initial value of which the op of ``node`` makes ``init``."""
    if b.graph.type(init).rank == 0:
        return init
    init = slots.whole(b, init, node.tensor, k)
    if node.op != "transpose":
        return b("reshape", init, shape=state_type(to, k).shape)
    inverse = [node.attrs["perm"].index(axis) for axis in range(to.rank)]
    return b("transpose", init, perm=(0, *(axis + 1 for axis in inverse)) if k > 1 else tuple(inverse))
