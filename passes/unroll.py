"""Unroll: a stream graph becomes a function of a fixed number of steps, without loops.

What is on no cycle is still computed for all steps at once; only what is on a cycle is written out step by
step. With ``separate``, all of it is: the steps then meet only where sequences come in and go out, so that
each step can have inputs and outputs of its own (:mod:`rnnc.loops.ends`).

Before::

    net sum(stream x: f32[B], state y: f32[B]) -> (y) {
      y1: f32[B] = delay(y, y.init) {k = 1}
      y: f32[B] = add(x, y1)
    }

After ``unroll{steps=2}``::

    function sum(stream x: f32[2, B] of f32[B], state y: f32[B] = y_1) -> (y of f32[B]) {
      %0: f32[B] = gather(x, 0) {axis = 0}
      %1: f32[B] = gather(x, 1) {axis = 0}
      y_0: f32[B] = add(%0, y.init)
      y_1: f32[B] = add(%1, y_0)
      %2: f32[2*B] = concat(y_0, y_1) {axis = 0}
      y: f32[2, B] = reshape(%2) {shape = (2, B)}
    }
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rnnc.build import Builder
from rnnc.errors import FormError
from rnnc.ir import SOURCES, Graph
from rnnc.loops.looping import components, is_loop, untie
from rnnc.loops.regions import over_time
from rnnc.loops.straightline import Straight, Written, refuse_too_many, stack, unroll_region
from rnnc.passes.lift import lengths_of, lift
from rnnc.pipeline import ACYCLIC, STREAMING, TYPED, Pass
from rnnc.rewrite import sweep
from rnnc.timing import timing


@dataclass(frozen=True)
class Unroll(Pass):
    """So many steps, in straight-line code. ``lengths`` is as for ``lift``, and not for ``separate``
    steps."""

    name: ClassVar[str] = "unroll"
    needs: ClassVar[frozenset[str]] = frozenset({TYPED, STREAMING})
    gives: ClassVar[frozenset[str]] = frozenset({ACYCLIC})
    steps: int = 1
    separate: bool = False
    lengths: bool = False

    def apply(self, graph: Graph) -> None:
        if self.steps < 1:
            raise FormError(f"{graph.name} cannot be unrolled by {self.steps}", hint="Unroll 1 step or more.")
        if self.separate and self.lengths:
            raise FormError("separate steps have no lengths", hint="Leave out one of the two.")
        if self.separate:
            _separate(graph, self.steps)
        else:
            looped = sum(len(c) for c in components(graph) if is_loop(graph, c))
            refuse_too_many(graph, looped, self.steps)
            lift(graph, self.steps, lengths_of(graph) if self.lengths else None)
            for region in graph.find("region"):
                open_region(graph, region)


def open_region(graph: Graph, region: str) -> None:
    """Replace a region by straight-line code."""
    results = unroll_region(graph, region)
    for item, _ in graph.uses(region):
        graph.replace(item, graph.operands(results)[graph[item].attrs["k"]])
    graph.erase(region)
    graph.erase(results)


def _separate(graph: Graph, steps: int) -> None:
    """Write out all steps of a stream graph in place."""
    before, kinds = graph.copy(), timing(graph)
    moving = [v for v in graph.order() if kinds[v] != "invariant" and graph[v].op not in SOURCES]
    refuse_too_many(graph, len(moving), steps)
    b = Builder(graph)
    times = [b.const(t, "i64") for t in range(steps)]
    written: dict[str, Written] = {v: v for v in graph if kinds.get(v) == "invariant"}
    for source in graph.interface.inputs:
        if source.kind == "stream" and source.name in graph:
            graph.retype(source.name, over_time(source.type, steps))
            written[source.name] = [b("gather", source.name, t, axis=0) for t in times]
    run = Straight(graph, before, written, steps)
    for output in graph.interface.outputs:
        value = before.outputs[output.name]
        b = Builder(graph, like=value)
        if output.kind == "final":
            graph.outputs[output.name] = run.at(value, steps - 1)
        else:
            graph.outputs[output.name] = stack(b, [run.at(value, t) for t in range(steps)])
    graph.finals = {path: run.state(path) for path in before.finals}
    untie(graph, moving)
    for value in reversed(moving):
        graph.erase(value)
    sweep(graph)
    graph.level = "function"
