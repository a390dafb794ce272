"""Share delays: one register where several hold the same.

    y1: f32[B, 3] = delay(y, 0.0) {k = 1}               y1: f32[B, 3] = delay(y, 0.0) {k = 1}
    y2: f32[B, 3] = delay(y, 0.0) {k = 2}       ->      y2: f32[B, 3] = delay(y1, 0.0) {k = 1}

    a1: f32[B, 3] = delay(a, 0.0) {k = 1}               a3: f32[B, 3] = delay(a, 0.0) {k = 3}
    a3: f32[B, 3] = delay(a1, 0.0) {k = 2}      ->

Of the delays of one value whose registers agree before the run, equal ones become one, and a deeper one
goes on from the one before it, so that together they hold no more than the deepest. A delay that only
another delay reads is one register with it. Measure: first the values held, then the number of delays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rnnc.build import Builder
from rnnc.ir import Graph
from rnnc.loops.bodies import edit_body
from rnnc.passes._registers import agree, behind, depth, older
from rnnc.pipeline import Pass
from rnnc.rewrite import sweep, used_once


@dataclass(frozen=True)
class ShareDelays(Pass):
    """Equal delays, delays of one value, and delays of delays; descends into regions."""

    name: ClassVar[str] = "share-delays"

    def apply(self, graph: Graph) -> None:
        share_delays(graph)


def share_delays(graph: Graph) -> None:
    """Share until nothing more can be."""
    sweep(graph)
    for region in graph.find("region"):
        edit_body(graph, region, share_delays)
    edits = -1
    while edits < len(graph.edits):
        edits = len(graph.edits)
        for delay in graph.find("delay"):
            if delay in graph:
                _join(graph, delay)
        for value in [v for v in graph if len(_delays(graph, v)) > 1]:
            _chain(graph, value)
        sweep(graph)


def _delays(graph: Graph, value: str) -> list[str]:
    """The delays of a value, by depth."""
    found = [user for user, slot in graph.uses(value) if slot == 0 and graph[user].op == "delay"]
    return sorted(found, key=lambda d: depth(graph, d))


def _join(graph: Graph, outer: str) -> None:
    """Make a delay, and the delay that only it reads, one."""
    inner = graph.operands(outer)[0]
    j, k = (graph[d].attrs.get("k", 0) for d in (inner, outer))
    if graph[inner].op != "delay" or j * k < 0 or not used_once(graph, inner):
        return
    value, newer = graph.operands(inner)
    if value == outer:
        return
    build = Builder(graph, (outer, inner))
    init = behind(build, (newer, abs(j)), (graph.operands(outer)[1], abs(k)), graph.type(inner))
    graph.replace(outer, build("delay", value, init, k=j + k))
    graph.erase(inner)


def _chain(graph: Graph, value: str) -> None:
    """Let every delay of ``value`` read the deepest one before it that agrees with it."""
    delays = _delays(graph, value)
    # From the deepest on, so that what a delay is to read is still a delay of ``value`` when it is compared.
    for n, delay in reversed(list(enumerate(delays))):
        k = graph[delay].attrs["k"]
        before = [d for d in delays[:n] if graph[d].attrs["k"] * k > 0 and agree(graph, d, delay)]
        if not before or value in delays:
            continue
        rest = k - graph[before[-1]].attrs["k"]
        if rest == 0:
            graph.replace(delay, before[-1])
            continue
        build = Builder(graph, delay)
        done = depth(graph, before[-1])
        init = older(build, graph.operands(delay)[1], graph.type(delay), done, abs(k))
        graph.replace(delay, build("delay", before[-1], init, k=rest))
