"""Step: a stream graph becomes the function of one step.

A delay becomes a read of the oldest slot of its init, and each state's next value is computed: the new value
enters its register and the oldest leaves. ``last`` is the identity, since the step at hand is the last so
far.

Before::

    net sum(stream x: f32[B], state y: f32[B]) -> (y) {
      y1: f32[B] = delay(y, y.init) {k = 1}
      y: f32[B] = add(x, y1)
    }

After::

    function sum(stream x: f32[B], state y: f32[B]) -> (y) {
      y: f32[B] = add(x, y.init)
    }
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rnnc.build import Builder
from rnnc.errors import FormError
from rnnc.ir import Graph
from rnnc.loops.slots import push, read
from rnnc.pipeline import ACYCLIC, STREAMING, TYPED, Pass
from rnnc.rewrite import sweep


@dataclass(frozen=True)
class Step(Pass):
    """One step as a function of the inputs and the states."""

    name: ClassVar[str] = "step"
    needs: ClassVar[frozenset[str]] = frozenset({TYPED, STREAMING})
    gives: ClassVar[frozenset[str]] = frozenset({ACYCLIC})

    def apply(self, graph: Graph) -> None:
        step(graph)


def step(graph: Graph) -> None:
    """Turn a stream graph, which may be the body of a region, into its function of one step."""
    for path, value in graph.finals.items():
        b, state = Builder(graph, like=value), graph.interface.state(path)
        graph.finals[path] = push(b, value, state.source, state.depth)
    for value in graph.find("delay"):
        node = graph[value]
        if node.attrs["k"] < 0:
            raise FormError(
                f"{graph.name} looks ahead by {-node.attrs['k']}: it cannot run one step at a time",
                hint='Compile it with form="sequence".',
                loc=next(iter(node.locs), None),
            )
        init = graph.operands(value)[1]
        b, k = Builder(graph, like=value), node.attrs["k"]
        graph.replace(value, read(b, init, node.tensor, k, k - 1))
    for value in graph.find("last"):
        graph.replace(value, graph.operands(value)[0])
    sweep(graph)
    graph.level = "function"
