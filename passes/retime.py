"""Retime: delays moved across ops, where that leaves fewer registers or less work.

    c1: f32[B, 3] = delay(c, c.init) {k = 1}            %0: f32[B, 3] = tanh(c.init)
    %0: f32[B, 3] = tanh(c1)                    ->      %1: f32[B, 3] = delay(%2, %0) {k = 1}
    ...                                                 ...
    %1: f32[B, 3] = tanh(c)                             %2: f32[B, 3] = tanh(c)

What is computed of a delayed value, and was computed of that value before it was delayed, is remembered
instead of computed again. And an op that is all that reads two or more registers becomes one register, of
its result:

    a1: f32[B, 3] = delay(a, a.init) {k = 1}            %0: f32[B, 3] = add(a.init, b.init)
    b1: f32[B, 3] = delay(b, b.init) {k = 1}    ->      %1: f32[B, 3] = add(a, b)
    %0: f32[B, 3] = add(a1, b1)                         %2: f32[B, 3] = delay(%1, %0) {k = 1}

The new register starts from the op of what the old ones start from, so that it always holds that of the
states. Moving a delay the other way, towards operands, would need an initial value of which the op makes
the old one; there is none in general. Measure: first the ops that compute, then the delays.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import ClassVar

from rnnc.build import Builder
from rnnc.ir import Graph
from rnnc.ops.declare import OPS
from rnnc.passes._registers import elements, through
from rnnc.passes.share import signature
from rnnc.pipeline import Pass
from rnnc.rewrite import prune, sweep
from rnnc.timing import timing
from rnnc.types import TensorType


@dataclass(frozen=True)
class Retime(Pass):
    """Delays moved forward across ops."""

    name: ClassVar[str] = "retime"

    def apply(self, graph: Graph) -> None:
        if graph.level == "stream":
            retime(graph)


def retime(graph: Graph) -> None:
    """Move delays until no move saves anything."""
    sweep(graph)
    while _move(graph):
        pass


def _move(graph: Graph) -> bool:
    """Make the first move that saves something; whether there was one."""
    when = timing(graph)
    computed = {_key(graph, v, graph.operands(v)): v for v in graph}
    for v in graph.order():
        operands = graph.operands(v)
        delays = {o for o in operands if graph[o].op == "delay"}
        steps = {int(graph[d].attrs["k"]) for d in delays}
        if (
            OPS[graph[v].op].structural
            or len(steps) != 1
            or not isinstance(graph[v].type, TensorType)
            or any(when[o] != "invariant" for o in operands if o not in delays)
        ):
            continue
        k = steps.pop()
        now = [graph.operands(o)[0] if o in delays else o for o in operands]
        init = [graph.operands(o)[1] if o in delays else None for o in operands]
        same = computed.get(_key(graph, v, now))
        if same == v or (same is None and not _merges(graph, v, delays)):
            continue
        build = Builder(graph, (v, *sorted(delays)))
        start = through(build, v, list(zip(operands, init, strict=True)), abs(k))
        if start is None:
            continue
        value = same or build(graph[v].op, *now, **graph[v].attrs)
        graph.replace(v, build("delay", value, start, k=k))
        prune(graph, delays)
        return True
    return False


def _key(graph: Graph, value: str, operands: Iterable[str]) -> Hashable:
    """What ``value`` would be on other operands: equal keys, equal values."""
    return signature(graph, value), *(sorted if OPS[graph[value].op].commutative else tuple)(operands)


def _merges(graph: Graph, value: str, delays: set[str]) -> bool:
    """Whether several registers, which serve only ``value``, would become one that is no larger."""
    alone = all(set(graph.nx.succ[d]) == {value} and d not in graph.roots() for d in delays)
    size = sum(elements(graph.type(d)) for d in delays)
    return len(delays) > 1 and alone and elements(graph.type(value)) <= size
