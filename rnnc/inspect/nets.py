"""Nets: the recurrences of a stream graph as they are written, through which values and which delays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import networkx as nx
import numpy as np

from rnnc.inspect.loops import NAMED, Carried
from rnnc.ir import Array, Graph
from rnnc.types import DTYPES

#: Ops that a first value is taken out of a state by.
MOVES = frozenset({"slice", "squeeze", "unsqueeze", "reshape", "expand"})


@dataclass(frozen=True)
class Recurrence:
    """A cycle: its named values in the order of a step, its delays, and where the first of these is written.

    Without values it is no cycle, but a value that is only remembered.
    """

    values: tuple[str, ...]
    delays: tuple[Carried, ...]
    source: str


def recurrences(graph: Graph) -> tuple[Recurrence, ...]:
    """Every cycle of a stream graph, and what is remembered besides, in the order of the source."""
    place = {v: n for n, v in enumerate(graph.order())}
    found: list[list[str]] = []
    for component in nx.strongly_connected_components(graph.nx):
        members = sorted(component, key=place.__getitem__)
        if any(graph[v].op == "delay" for v in members):
            found.append(members)
    found.sort(key=lambda members: place[members[-1]])
    found.sort(key=lambda members: min(graph[v].locs[:1] for v in members if graph[v].op == "delay"))
    return tuple(_recurrence(graph, members) for members in found)


def _recurrence(graph: Graph, members: list[str]) -> Recurrence:
    delays = [v for v in members if graph[v].op == "delay"]
    cycle = len(members) > 1 or members[0] in graph.operands(members[0])
    values = [v for v in members if cycle and graph[v].op != "delay" and not v.startswith("%")]
    locs = [loc for v in delays for loc in graph[v].locs[:1]]
    return Recurrence(tuple(values[:NAMED]), tuple(_carried(graph, delays)), str(locs[0]) if locs else "")


def _carried(graph: Graph, delays: Iterable[str]) -> Iterable[Carried]:
    """What each delay holds; ``name`` is the value that it delays."""
    for v in delays:
        node, (operand, init) = graph[v], graph.operands(v)[:2]
        while graph[init].op in MOVES:
            init = graph.operands(init)[0]
        array: Array | None = graph[init].attrs.get("value")
        state = next((s for s in graph.interface.states if s.source == init), None)
        if state is not None:
            array = np.zeros(()) if state.init is None else np.asarray(state.init)
        alike = array is not None and array.size > 0 and bool((array == array.flat[0]).all())
        first = init if array is None else str(array.flat[0].item()) if alike else "array"
        shape = ", ".join(map(str, node.tensor.shape))
        yield Carried(operand, f"{DTYPES[node.tensor.dtype]}[{shape}]", first, node.attrs["k"])
