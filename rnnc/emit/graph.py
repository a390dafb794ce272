"""Graphs: the values of a function graph as the nodes and tensors of one ONNX graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rnnc.emit.names import node_hints
from rnnc.emit.nodes import write_node
from rnnc.emit.places import place
from rnnc.emit.reads import needed, reads
from rnnc.emit.scope import Scope
from rnnc.emit.shapes import Sizes
from rnnc.ir import SOURCES, Array, Graph
from rnnc.types import TensorType

#: What a tensor holds: a value, or one item of a value that is a tuple.
Key = str | tuple[str, int]


@dataclass(frozen=True, eq=False)
class Fixed:
    """A source whose value is known: it becomes an initializer of each graph that reads it."""

    name: str
    array: Array


class Writer:
    """Writes the values of ``graph`` into ``scope``.

    ``sources`` says what its inputs, states and weights are: tensors that exist, or :class:`Fixed` ones.
    """

    def __init__(self, graph: Graph, scope: Scope, sizes: Sizes, sources: Mapping[str, str | Fixed]) -> None:
        self.graph, self.scope, self.sizes, self.sources = graph, scope, sizes, sources
        self.hints: dict[str, str] = {}
        self._tensors: dict[Key, str] = {}

    def write(self, targets: Iterable[tuple[str, str]]) -> None:
        """Write all that the targets need: pairs of a value and the name that its tensor is to have.

        A value that is no computation, or that already has a name, reaches its target through ``Identity``.
        """
        targets = list(targets)
        found = set(needed(self.graph, [v for v, _ in targets]))
        order = [v for v in self.graph.order() if v in found]
        self.hints = node_hints(self.graph, order)
        copies: list[tuple[str, str]] = []
        for value, tensor in targets:
            key = self.key(value)
            if key in self._tensors or (isinstance(key, str) and self.graph[key].op in (*SOURCES, "const")):
                copies.append((value, tensor))
            else:
                self._tensors[key] = tensor
        for v in order:
            self._write_value(v)
        for value, tensor in copies:
            types = {tensor: self.graph.type(value)}
            self.scope.node("Identity", [self.tensor(value)], types, name=tensor, doc=self.doc(value))

    def tensor(self, value: str) -> str:
        """The name of the tensor that ``value`` is."""
        key = self.key(value)
        if key not in self._tensors:
            found = self.fixed(value) or self.sources.get(value)
            match found:
                case Fixed(name=name, array=array) if name:
                    self._tensors[key] = self.scope.initializer(name, array)
                case Fixed(array=array):
                    self._tensors[key] = self.scope.constant(array, self.hints.get(value, "const"))
                case str():
                    self._tensors[key] = found
                case None:
                    self._tensors[key] = self.scope.tensors(self.hints.get(value, value))
        return self._tensors[key]

    def fixed(self, value: str) -> Fixed | None:
        """The value itself, if it is known."""
        node = self.graph[value]
        if node.op == "const":
            return Fixed("" if value.startswith("%") else value, node.attrs["value"])
        found = self.sources.get(value)
        return found if isinstance(found, Fixed) else None

    def key(self, value: str) -> Key:
        """What the tensor of ``value`` holds. Taking an item, also of a tuple just made, is no node."""
        node = self.graph[value]
        if node.op != "item":
            return value
        (source,) = self.graph.operands(value)
        k: int = node.attrs["k"]
        return self.key(self.graph.operands(source)[k]) if self.graph[source].op == "tuple" else (source, k)

    def outputs(self, value: str) -> dict[str, TensorType]:
        """The tensors that the node of ``value`` computes, with their types."""
        kind = self.graph[value].type
        if isinstance(kind, TensorType):
            return {self.tensor(value): kind}
        for user, _ in self.graph.uses(value):
            if user in self.hints:
                self.tensor(user)
        names = {}
        for k, t in enumerate(kind.items):
            if (value, k) not in self._tensors:
                self._tensors[value, k] = self.scope.tensors(f"{self.hints[value]}_{k}")
            names[self._tensors[value, k]] = t
        return names

    def doc(self, value: str) -> str:
        """The place in the source that ``value`` comes from."""
        locs = self.graph[value].locs
        return place(locs[0]) if locs else ""

    def node(self, value: str) -> None:
        """Write the node of ``value``."""
        names = [self.tensor(o) if o else "" for o in reads(self.graph, value)]
        operands = list(zip(names, map(self.graph.type, self.graph.operands(value)), strict=True))
        outputs, name, doc = self.outputs(value), self.hints[value], self.doc(value)
        write_node(self.scope, self.sizes, self.graph[value], operands, outputs, name=name, doc=doc)

    def _write_value(self, value: str) -> None:
        if self.graph[value].op in (*SOURCES, "const", "item", "tuple"):
            return
        self.node(value)
        if self.scope is self.sizes.scope:
            for tensor, kind in self.outputs(value).items():
                self.sizes.sees(tensor, kind)
