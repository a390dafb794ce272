"""Merge-loops: loops over the same steps become one loop, which pays once for each of its rounds.

Two loops can be one where neither waits for the whole of the other: no path leads from one to the other, but
for outputs of the first that the second reads step by step. Loops in opposite directions stay two.

Before::

    %2: (f32[T, B, 3], f32[B, 3]) = region(f, %0, n.init) {steps = T, body = net loop(…) -> (n) {…}}
    %3: (f32[T, B, 2], f32[B, 2]) = region(f, %1, c.init) {steps = T, body = net loop(…) -> (c) {…}}

After::

    %4: (f32[T, B, 3], f32[T, B, 2], f32[B, 3], f32[B, 2]) = region(f, %0, %1, n.init, c.init) {steps = T,
        body = net loop(…) -> (n, c) {…}}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, ClassVar

import networkx as nx

from rnnc.build import Builder
from rnnc.ir import Graph, Input, Interface, Output, State
from rnnc.loops.bodies import shrink
from rnnc.loops.naming import free
from rnnc.loops.regions import operands, region_type
from rnnc.pipeline import ACYCLIC, Pass


@dataclass(frozen=True)
class MergeLoops(Pass):
    """Makes one loop of those that can run side by side, once it is decided that they run as loops."""

    name: ClassVar[str] = "merge-loops"
    needs: ClassVar[frozenset[str]] = frozenset({ACYCLIC})

    def apply(self, graph: Graph) -> None:
        while pair := _pair(graph):
            shrink(graph, _merged(graph, *pair))


def _pair(graph: Graph) -> tuple[str, str] | None:
    """Two loops that can be one, the first of which does not wait for the second."""
    order = [v for v in graph.order() if graph[v].op == "region" and not graph[v].attrs.get("alternatives")]
    for first, second in combinations(order, 2):
        if _alike(graph, first, second) and not _waits(graph, first, second):
            return first, second
    return None


def _alike(graph: Graph, first: str, second: str) -> bool:
    """Whether two loops run over the same steps of the same sequences, in the same direction."""
    a, b = (graph[r].attrs for r in (first, second))
    alike = a["steps"] == b["steps"] and a.get("reverse", False) == b.get("reverse", False)
    return bool(alike) and operands(graph, first).lengths == operands(graph, second).lengths


def _waits(graph: Graph, first: str, second: str) -> bool:
    """Whether ``second`` reads anything that all of ``first`` must have run for."""
    direct = _scanned(graph, first, second)
    roles = operands(graph, second)
    others = [v for v in graph.nx.pred[second] if v not in direct or v in (*roles.inits, roles.lengths)]
    face = graph[second].attrs["body"].interface
    others += [v for i, v in zip(face.inputs, roles.inputs, strict=True) if i.kind == "given" and v in direct]
    return any(first == v or first in nx.ancestors(graph.nx, v) for v in others)


def _scanned(graph: Graph, first: str, second: str) -> set[str]:
    """The outputs of ``first`` that ``second`` reads step by step."""
    body = graph[second].attrs["body"]
    streams = {
        v
        for i, v in zip(body.interface.inputs, operands(graph, second).inputs, strict=True)
        if i.kind == "stream"
    }
    outputs = len(graph[first].attrs["body"].interface.outputs)
    return {
        v
        for v in graph.nx.succ[first]
        if graph[v].op == "item" and graph[v].attrs["k"] < outputs and v in streams
    }


def _merged(graph: Graph, first: str, second: str) -> str:
    """One loop in the place of two."""
    union = _Union(graph)
    places = union.take(first, {})
    inside = {item: union.body.outputs[places["output", k]] for item, k in _outputs(graph, first)}
    later = union.take(second, inside)
    new = union.finish(first, second)
    b, results = Builder(graph, like=(first, second)), union.results()
    for region, at in ((first, places), (second, later)):
        face = graph[region].attrs["body"].interface
        for item in [user for user, _ in graph.uses(region)]:
            k = graph[item].attrs["k"]
            n = len(face.outputs)
            key = ("output", at["output", k]) if k < n else ("final", at["final", k - n])
            graph.replace(item, b("item", new, k=results.index(key)))
    for region in (second, first):
        graph.erase(region)
    return new


def _outputs(graph: Graph, region: str) -> list[tuple[str, int]]:
    """The items of a region that are its outputs, each with the number of the output."""
    n = len(graph[region].attrs["body"].interface.outputs)
    items = [(user, int(graph[user].attrs["k"])) for user, _ in graph.uses(region)]
    return [(user, k) for user, k in items if k < n]


class _Union:
    """A loop with the bodies of several."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.body = graph, Graph("loop")
        self.inputs: dict[Input, str] = {}
        self.states: dict[State, str] = {}
        self.outputs: list[Output] = []

    def take(self, region: str, known: Mapping[str, str]) -> dict[tuple[str, int], str]:
        """Add the body of ``region``, in which outer values that are ``known`` inside are not read anew.

        Its outputs and its states, by number, under the names that they have here.
        """
        old: Graph = self.graph[region].attrs["body"]
        roles, body, inside = operands(self.graph, region), self.body, dict[str, str]()
        places: dict[tuple[str, int], str] = {}
        for i, value in zip(old.interface.inputs, roles.inputs, strict=True):
            if i.kind == "stream" and value in known:
                inside[i.name] = known[value]
                continue
            inside[i.name] = body.add("input", type=i.type, name=i.name, locs=old[i.name].locs)
            self.inputs[replace(i, name=inside[i.name])] = value
        for k, (s, value) in enumerate(zip(old.interface.states, roles.inits, strict=True)):
            path = free(s.path, {v.removesuffix(".init") for v in body if v.endswith(".init")})
            state = replace(s, path=path)
            inside[s.source] = body.add("init", type=s.tensor, name=state.source)
            self.states[state] = value
            places["final", k] = path
        for v in (v for v in old.order() if v not in inside):
            node, parts = old[v], old.operands(v)
            parts = (parts[1], parts[1]) if node.op == "delay" else parts
            inside[v] = body.add(
                node.op, *(inside[o] for o in parts), type=node.type, name=v, locs=node.locs, **node.attrs
            )
        for delay in old.find("delay"):
            body.connect(inside[old.operands(delay)[0]], inside[delay], 0)
        for k, s in enumerate(old.interface.states):
            body.finals[places["final", k]] = inside[old.finals[s.path]]
        for k, o in enumerate(old.interface.outputs):
            name = free(o.name, body.outputs)
            self.outputs.append(replace(o, name=name))
            body.outputs[name] = inside[old.outputs[o.name]]
            places["output", k] = name
        return places

    def finish(self, first: str, second: str) -> str:
        """Add the loop, which is otherwise like the two."""
        node, body = self.graph[first], self.body
        body.interface = Interface(tuple(self.inputs), tuple(self.outputs), tuple(self.states))
        lengths = operands(self.graph, first).lengths
        attrs: dict[str, Any] = {**node.attrs, "body": body.freeze()}
        kind = region_type(body, node.attrs["steps"])
        values = [*self.inputs.values(), *self.states.values(), *([lengths] if lengths else [])]
        return self.graph.add("region", *values, type=kind, like=(first, second), **attrs)

    def results(self) -> list[tuple[str, str]]:
        """What each item of the loop is."""
        return [("output", o.name) for o in self.outputs] + [("final", s.path) for s in self.states]
