"""Bind: the states before the run become constants, and those after it are forgotten: the sequence form.

A constant keeps the small shape of the state's own initial value wherever a delay reads it, since a delay
broadcasts its init; only where something else reads it is it expanded.

Before::

    net sum(stream x: f32[B], state y: f32[B] {init = 1.0}) -> (y) {
      y1: f32[B] = delay(y, y.init) {k = 1}
      y: f32[B] = add(x, y1)
    }

After::

    net sum(stream x: f32[B], bound state y: f32[B] {init = 1.0}) -> (y) {
      y1: f32[B] = delay(y, 1.0) {k = 1}
      y: f32[B] = add(x, y1)
    }
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rnnc.build import Builder
from rnnc.ir import Array, Graph, Node
from rnnc.loops.slots import broadcast
from rnnc.pipeline import Pass


@dataclass(frozen=True)
class Bind(Pass):
    """Initial states as constants, no final states."""

    name: ClassVar[str] = "bind"

    def apply(self, graph: Graph) -> None:
        graph.finals.clear()
        for state in graph.interface.states:
            if state.source in graph:
                init = np.zeros((), state.type.numpy) if state.init is None else state.init
                _settle(graph, state.source, init, slots=state.depth > 1)


def _settle(graph: Graph, value: str, array: Array, slots: bool) -> None:
    """Erase ``value``, whose users read instead the constant ``array``, which broadcasts to its type.

    ``slots`` says whether the first axis of ``value`` counts slots.
    """
    b, full = Builder(graph, like=value), ""
    for user, slot in graph.uses(value):
        node = graph[user]
        if slots and (part := _part(node, array, graph.type(value).rank)) is not None:
            _settle(graph, user, part, slots=node.op == "slice")
        elif node.op == "delay" and slot == 1:
            graph.connect(b.const(array), user, slot)
        else:
            full = full or broadcast(b, b.const(array), graph.type(value))
            graph.connect(full, user, slot)
    if value in graph.outputs.values():
        graph.replace(value, full or broadcast(b, b.const(array), graph.type(value)))
    if value in graph:
        graph.erase(value)


def _part(node: Node, array: Array, rank: int) -> Array | None:
    """What becomes of ``array``, which stands for ``rank`` axes, in a node that takes slots from the first
    one."""
    spread = array.ndim < rank or array.shape[0] == 1
    attrs: dict[str, Any] = dict(node.attrs)
    if node.op == "slice" and attrs["axis"] == 0:
        return array if spread else array[attrs["start"] : attrs["stop"] : attrs.get("step", 1)]
    if node.op == "squeeze" and attrs["axes"] == (0,):
        return array if array.ndim < rank else array[0]
    return None
