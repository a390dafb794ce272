"""Pending: nodes whose results have no type of ours, kept until one of them gives a tensor that has.

A sequence, an optional, text, a number of four bits, a tensor of unknown rank: what is between such nodes is
theirs, and all of them together become one piece.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from onnx import GraphProto, NodeProto

from rnnc import foreign
from rnnc.importer.items import Item, Pending


@dataclass
class Part:
    """Nodes in order, and what they read from elsewhere, by the names that the nodes have for it."""

    node: list[NodeProto] = field(default_factory=list)
    reads: dict[str, Item] = field(default_factory=dict)

    def names(self) -> set[str]:
        """The names that are taken."""
        return {*self.reads, *(n for node in foreign.all_nodes(self) for n in node.output)}

    def add(self, pending: Pending) -> str:
        """Take over the nodes of ``pending``; the name that its result has here."""
        kept = {id(node) for node in self.node}
        names: dict[str, str] = {}
        for name, item in pending.reads.items():
            names[name] = self.read(name, item)
        for node in pending.nodes:
            if id(node) in kept:
                continue
            taken = self.names()
            names |= {n: free(n, taken) for n in node.output if n}
            self.node.append(renamed(node, names))
        return names.get(pending.name, pending.name)

    def read(self, name: str, item: Item) -> str:
        """Read something from elsewhere; the name that it has here."""
        same = next((n for n, i in self.reads.items() if i is item or i == item), None)
        if same is None:
            same = free(name, self.names())
            self.reads[same] = item
        return same


def free(name: str, taken: set[str]) -> str:
    """``name``, or one like it that is not taken."""
    found, n = name, 1
    while found in taken:
        n += 1
        found = f"{name}_{n}"
    return found


def gathered(node: NodeProto, items: Mapping[str, Item]) -> Part:
    """A node with all that must go with it. ``items`` are what it reads, inside its own graphs too."""
    part, names = Part(), dict[str, str]()
    for name, item in items.items():
        names[name] = part.add(item) if isinstance(item, Pending) else part.read(name, item)
    part.node.append(renamed(node, names))
    return part


def renamed(node: NodeProto, names: Mapping[str, str]) -> NodeProto:
    """A node in which tensors are called as ``names`` says; the same node if nothing changes."""
    changed = {n: new for n, new in names.items() if n != new}
    if not changed or changed.keys().isdisjoint({*node.input, *node.output, *captured(node)}):
        return node
    new = NodeProto()
    new.CopyFrom(node)
    new.input[:] = [changed.get(n, n) for n in node.input]
    new.output[:] = [changed.get(n, n) for n in node.output]
    for attribute in new.attribute:
        for graph in [attribute.g] if attribute.HasField("g") else attribute.graphs:
            own = set(defined(graph))
            _rename_graph(graph, {n: to for n, to in changed.items() if n not in own})
    return new


def _rename_graph(graph: GraphProto, names: Mapping[str, str]) -> None:
    nodes = [renamed(node, names) for node in graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    for output in graph.output:
        output.name = names.get(output.name, output.name)


def defined(graph: GraphProto) -> Iterator[str]:
    """The tensors that a graph gives names to."""
    yield from (i.name for i in graph.input)
    yield from (t.name for t in graph.initializer)
    yield from (n for node in graph.node for n in node.output)


def captured(node: NodeProto) -> Iterator[str]:
    """The tensors that the graphs inside a node read from around them, in order."""
    for attribute in node.attribute:
        for graph in [attribute.g] if attribute.HasField("g") else attribute.graphs:
            own = {i.name for i in graph.input} | {t.name for t in graph.initializer}
            seen = dict[str, None]()
            for inner in graph.node:
                seen.update(dict.fromkeys(n for n in (*inner.input, *captured(inner)) if n and n not in own))
                own.update(inner.output)
            seen.update(dict.fromkeys(o.name for o in graph.output if o.name not in own))
            yield from seen
