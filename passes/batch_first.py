"""Batch-first: sequences come and go as ``[B, T, …]``; inside, and in the states, nothing changes.

Before::

    function f(stream x: f32[T, B, 3]) -> (y) {
      y: f32[T, B, 3] = tanh(x)
    }

After::

    function f(stream x: f32[B, T, 3]) -> (y = %1) {
      %0: f32[T, B, 3] = transpose(x) {perm = (1, 0, 2)}
      y: f32[T, B, 3] = tanh(%0)
      %1: f32[B, T, 3] = transpose(y) {perm = (1, 0, 2)}
    }
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rnnc.build import Builder
from rnnc.dims import dim
from rnnc.ir import Graph
from rnnc.pipeline import Pass
from rnnc.types import TensorType


@dataclass(frozen=True)
class BatchFirst(Pass):
    """The batch as first axis of sequences at the edge. One step, having no axis of time, stays as it is."""

    name: ClassVar[str] = "batch-first"

    def apply(self, graph: Graph) -> None:
        turned: set[str] = set()
        for source in graph.interface.inputs:
            if (
                source.kind == "stream"
                and source.name in graph
                and _is_sequence(graph, source.name, source.type)
            ):
                uses, kind = graph.uses(source.name), graph.type(source.name)
                time, batch, *rest = kind.shape
                graph.retype(source.name, TensorType(kind.dtype, (batch, time, *rest)))
                inner = _swapped(graph, source.name)
                for user, slot in uses:
                    graph.connect(inner, user, slot)
                turned.add(source.name)
        for output in graph.interface.outputs:
            value = graph.outputs.get(output.name)
            if value is None or value in turned:  # an input given out as it came has the batch first already
                continue
            if output.kind == "stream" and _is_sequence(graph, value, output.type):
                graph.outputs[output.name] = _swapped(graph, value)


def _is_sequence(graph: Graph, value: str, step: TensorType) -> bool:
    """Whether a value has the axes of time and batch in front."""
    return step.shape[:1] == (dim("B"),) and graph.type(value).rank == step.rank + 1


def _swapped(graph: Graph, value: str) -> str:
    """The value with its first two axes exchanged."""
    rank = graph.type(value).rank
    return Builder(graph, like=value)("transpose", value, perm=(1, 0, *range(2, rank)))
