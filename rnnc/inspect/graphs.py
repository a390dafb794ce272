"""Graphs as they are looked at: the nodes of an ONNX graph in an order in which they can run, read once.

A :class:`Body` is a graph, the model's own or one inside a node; an :class:`Item` is a node, with the bodies
inside it and the tensors of the graph around that these read. All of it takes time and memory in proportion
to the model.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import onnx

from rnnc.errors import FileError
from rnnc.inspect.sizes import Sizes, attributes

#: Ops that loop over time by themselves.
NATIVE = ("LSTM", "GRU", "RNN", "DynamicQuantizeLSTM")
#: A matrix memory's op, which loops over time as well.
MEMORY = "LinearAttention"
LOOPS = frozenset({*NATIVE, MEMORY, "Scan", "Loop"})

#: Domains whose ops are known by their bare names.
KNOWN = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})

#: No message quotes more of a name.
NAME = 60


@dataclass(slots=True, eq=False)
class Item:
    """A node. ``place`` is its place in the file's list, ``reads`` its inputs and what its bodies read.

    ``op`` has the domain before it where that is a stranger's.
    """

    node: onnx.NodeProto
    op: str
    place: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    reads: tuple[str, ...]
    bodies: list[Body] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The node's name, or that of its first output where it has none."""
        return str(self.node.name) or next((o for o in self.outputs if o), "") or f"{self.op} {self.place}"

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes as Python values."""
        return attributes(self.node)

    def input(self, slot: int) -> str:
        """The tensor in a slot; "" where there is none."""
        return self.inputs[slot] if slot < len(self.inputs) else ""

    @property
    def loops(self) -> bool:
        """Whether the op loops over time by itself."""
        return self.op in LOOPS

    @property
    def branch(self) -> bool:
        """Whether it runs one of its bodies, once."""
        return bool(self.bodies) and not self.loops

    @property
    def free(self) -> bool:
        """Whether it is only a way to write down a constant."""
        return self.op == "Constant"


@dataclass(eq=False)
class Body:
    """A graph: ``items`` in an order in which they can run, ``free`` the outer tensors that it reads."""

    graph: onnx.GraphProto
    sizes: Sizes
    items: list[Item]
    free: frozenset[str]

    @cached_property
    def inputs(self) -> list[str]:
        """Its inputs that are no weights."""
        fixed = {t.name for t in self.graph.initializer}
        return [i.name for i in self.graph.input if i.name not in fixed]

    @cached_property
    def outputs(self) -> list[str]:
        """Its outputs."""
        return [o.name for o in self.graph.output]

    @cached_property
    def writers(self) -> dict[str, Item]:
        """The item that gives each tensor."""
        return {o: item for item in self.items for o in item.outputs if o}

    def everything(self) -> Iterator[tuple[Item, Body]]:
        """All items, those inside others after them, each with the body that it stands in."""
        for item in self.items:
            yield item, self
            for body in item.bodies:
                yield from body.everything()


def body_of(graph: onnx.GraphProto, outer: Sizes | None = None) -> Body:
    """A graph, read; :class:`FileError` if its nodes need one another in a circle, or need what is not there.

    What is not there may still be a tensor of the graph around: then it is in ``free``.
    """
    _readable([*(t.name for t in graph.initializer), *(i.name for i in (*graph.input, *graph.output))])
    sizes = Sizes(graph, outer)
    known = {*sizes.constants, *(i.name for i in graph.input)}
    items = [_item(node, place, sizes) for place, node in enumerate(graph.node)]
    writers: dict[str, int] = {}
    for item in items:
        for output in item.outputs:
            if output and writers.setdefault(output, item.place) != item.place:
                raise FileError(f"two nodes give {short(output)}: {_both(items, writers[output], item)}")
    needed = {t for item in items for t in item.reads} | {o.name for o in graph.output}
    free = frozenset(needed - known - writers.keys() - {""})
    return Body(graph, sizes, _ordered(items, writers), free)


def whole(graph: onnx.GraphProto) -> Body:
    """A model's own graph, read; nothing is around it."""
    body = body_of(graph)
    if body.free:
        missing = min(body.free)
        reader = next((i.name for i in body.items if missing in i.reads), "")
        by = f"the node {short(reader)} reads" if reader else "the file gives"
        raise FileError(f"{by} {short(missing)}, which nothing computes")
    return body


def short(name: str, most: int = NAME) -> str:
    """A name as messages show it: in one line, and not longer than a line."""
    told = "".join(c if c.isprintable() else "?" for c in name[: most + 1])
    return told if len(name) <= most else f"{told[: most - 1]}…"


def _readable(names: Iterable[str | bytes]) -> None:
    """Names are text; what is none, a reader of the file gives as bytes."""
    wrong = next((n for n in names if isinstance(n, bytes)), None)
    if wrong is not None:
        raise FileError(f"the file has a name that is not UTF-8: {short(repr(wrong))}")


def _item(node: onnx.NodeProto, place: int, sizes: Sizes) -> Item:
    inputs, outputs = tuple(node.input), tuple(node.output)
    _readable([node.op_type, node.domain, node.name, *inputs, *outputs])
    op = str(node.op_type if node.domain in KNOWN else f"{node.domain}.{node.op_type}")
    item = Item(node, op, place, inputs, outputs, inputs)
    graphs = []
    for a in node.attribute:
        if a.type == onnx.AttributeProto.GRAPH:
            graphs.append(a.g)
        elif a.type == onnx.AttributeProto.GRAPHS:
            graphs += a.graphs
    if graphs:
        item.bodies = [body_of(g, sizes) for g in graphs]
        item.reads = tuple(dict.fromkeys([*inputs, *(t for b in item.bodies for t in sorted(b.free))]))
    return item


def _ordered(items: list[Item], writers: dict[str, int]) -> list[Item]:
    """The items, each after those that it reads from, as near to the order of the file as can be."""
    if all(writers.get(t, -1) < item.place for item in items for t in item.reads):
        return items
    waits = [0] * len(items)
    readers: list[list[int]] = [[] for _ in items]
    for item in items:
        for t in set(item.reads):
            if t in writers:
                waits[item.place] += 1
                readers[writers[t]].append(item.place)
    ready = deque(i for i, n in enumerate(waits) if not n)
    found = []
    while ready:
        done = ready.popleft()
        found.append(items[done])
        for reader in readers[done]:
            waits[reader] -= 1
            if not waits[reader]:
                ready.append(reader)
    if len(found) < len(items):
        circle = _circle(items, writers, waits)
        raise FileError(f"the nodes need one another in a circle: {circle}")
    return found


def _circle(items: list[Item], writers: dict[str, int], waits: list[int]) -> str:
    """One circle among the items that wait, for readers."""
    at = next(i for i, n in enumerate(waits) if n)
    path: dict[int, None] = {}
    while at not in path:
        path[at] = None
        at = next(writers[t] for t in items[at].reads if t in writers and waits[writers[t]])
    names = [short(items[i].name) for i in [*list(path)[list(path).index(at) :], at]]
    names = names if len(names) < 9 else [*names[:4], "…", *names[-4:]]
    return " reads ".join(names)


def _both(items: list[Item], first: int, second: Item) -> str:
    return f"{short(items[first].name)} and {short(second.name)}"
