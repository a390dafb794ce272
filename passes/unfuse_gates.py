"""Unfuse: gates get products of their own, where an activation then is part of the product's node.

Before, in the body of a region::

    %0: f32[B, 6] = gemm(h1, U, x)
    %1: (f32[B, 3], f32[B, 3]) = split(%0) {axis = 1, sizes = (3, 3)}
    %2: f32[B, 3] = item(%1) {k = 0}
    z: f32[B, 3] = sigmoid(%2)
    %3: f32[B, 3] = item(%1) {k = 1}
    n: f32[B, 3] = tanh(%3)

After, where ``U0`` and ``U1``, ``x0`` and ``x1`` are cut from ``U`` and ``x`` outside of the region::

    %0: f32[B, 3] = gemm(h1, U0, x0)
    z: f32[B, 3] = sigmoid(%0)
    %1: f32[B, 3] = gemm(h1, U1, x1)
    n: f32[B, 3] = tanh(%1)

onnxruntime runs a ``gemm`` and the activation that alone reads it as one node: two a step in place of four.
Gates of one activation stay one product. What is added to a gate after the split becomes part of what its
product adds to; if that is a product itself, as in a single step, it is parted too. All this is done only
where it leaves fewer nodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from rnnc.build import Builder
from rnnc.ir import Graph, Input
from rnnc.loops.bodies import shrink
from rnnc.loops.regions import operands, outer_inputs, region_type
from rnnc.pipeline import TYPED, Pass
from rnnc.rewrite import sweep, used_once
from rnnc.types import TensorType

#: Activations that onnxruntime makes part of a product's node.
FUSED = ("relu", "sigmoid", "tanh")

#: Neighbouring features, from where to where.
Span = tuple[int, int]


@dataclass(frozen=True)
class UnfuseGates(Pass):
    """One product for each activation, in the bodies of regions.

    With ``outside``, outside of them too, where a parted product has weights of its own for each time that it
    is written.
    """

    name: ClassVar[str] = "unfuse-gates"
    needs: ClassVar[frozenset[str]] = frozenset({TYPED})
    outside: bool = False

    def apply(self, graph: Graph) -> None:
        if self.outside:
            for cut in graph.find("split"):
                _split_product(graph, cut, Outside(graph))
        for region in graph.find("region"):
            if not operands(graph, region).alternatives:
                _unfuse(graph, region)
        sweep(graph)


@dataclass(frozen=True)
class Gate:
    """Some features of a split product: the ``item``, what is ``added`` to it, and the op that reads that."""

    span: Span
    item: str
    added: str = ""
    activation: str = ""

    @property
    def result(self) -> str:
        """The value that the gate's own node is to be."""
        return self.activation or self.item


def _unfuse(graph: Graph, region: str) -> None:
    """Unfuse the products of one region that are better apart."""
    node, roles = graph[region], operands(graph, region)
    body: Graph = node.attrs["body"].copy()
    cutter = Cutter(graph, body, outer_inputs(graph, region))
    with body.editing(graph.by):
        for cut in body.find("split"):
            _split_product(body, cut, cutter)
    if not body.edits:
        return
    new = graph.add(
        "region",
        *roles.inputs,
        *(outside for _, outside in cutter.made.values()),
        *roles.inits,
        *([roles.lengths] if roles.lengths else []),
        type=region_type(body, node.attrs["steps"]),
        like=region,
        **{**node.attrs, "body": body.freeze()},
    )
    graph.record(body, new)
    shrink(graph, graph.replace(region, new))


def _split_product(body: Graph, cut: str, cutter: Cutter | Outside) -> None:
    """Put a product for every group of gates in the place of the one that ``cut`` takes apart."""
    (product,) = body.operands(cut)
    if body[product].op != "gemm" or not used_once(body, product) or body[cut].attrs["axis"] != 1:
        return
    if not all(isinstance(size, int) for size in body[cut].attrs["sizes"]):
        return
    groups = _groups(body, list(_gates(body, cut)))
    before = 2 + sum(bool(g.activation) for group in groups for g in group)
    x, w, c = body.operands(product)
    after = sum(map(_nodes, groups)) + (len(groups) - 1) * cutter.products(c)
    if after >= before or not (cutter.cuts(w) and cutter.cuts(c)):
        return
    for group in groups:
        b = Builder(body, like=[g.result for g in group])
        spans = _merged([g.span for g in group])
        plus = cutter.part(c, spans)
        if group[0].added:
            plus = b("add", plus, group[0].added)
        found = b("gemm", x, cutter.part(w, spans), plus)
        if group[0].activation:
            found = b(body[group[0].activation].op, found)
        parts = [found]
        if len(group) > 1:
            sizes = tuple(stop - start for start, stop in (g.span for g in group))
            parts = b.items(b("split", found, axis=1, sizes=sizes))
        for gate, part in zip(group, parts, strict=True):
            body.replace(gate.result, part)
    sweep(body)


def _gates(body: Graph, cut: str) -> Iterator[Gate]:
    """What becomes of every part of a split that something reads."""
    ends = np.cumsum(body[cut].attrs["sizes"])
    for item in sorted(body.nx.succ[cut], key=lambda v: body[v].attrs["k"]):
        k = body[item].attrs["k"]
        span = int(ends[k]) - body[cut].attrs["sizes"][k], int(ends[k])
        reader, added = _only_reader(body, item), ""
        if reader and body[reader].op == "add" and body[reader].type == body[item].type:
            (added,) = [v for v in body.operands(reader) if v != item]
            reader = "" if cut in body.operands(added) else _only_reader(body, reader)
        active = bool(reader) and body[reader].op in FUSED
        yield Gate(span, item, added, reader) if active else Gate(span, item)


def _only_reader(body: Graph, value: str) -> str:
    """The value that alone reads this one; nothing if there are more."""
    return body.uses(value)[0][0] if used_once(body, value) else ""


def _groups(body: Graph, gates: list[Gate]) -> list[list[Gate]]:
    """The gates that are one product: of one activation, or of none, with nothing added."""
    found: dict[str, list[Gate]] = {}
    for g in gates:
        key = g.activation if g.added else body[g.activation].op if g.activation else ""
        found.setdefault(key, []).append(g)
    return list(found.values())


def _nodes(group: list[Gate]) -> int:
    """How many nodes a group takes, without what is added: its product, and the split of what it gives."""
    return 1 + (len(group) > 1)


def _merged(spans: list[Span]) -> tuple[Span, ...]:
    """The spans in order, neighbours as one."""
    found: list[Span] = []
    for start, stop in spans:
        if found and found[-1][1] == start:
            found[-1] = found[-1][0], stop
        else:
            found.append((start, stop))
    return tuple(found)


# -- cutting ------------------------------------------------------------------------------------------------


@dataclass
class Cutter:
    """Cuts features of what a body is given, outside of it: ``made`` holds new inputs, and their values."""

    graph: Graph
    body: Graph
    outside: dict[str, str]
    made: dict[tuple[str, tuple[Span, ...]], tuple[str, str]] = field(default_factory=dict)

    def cuts(self, value: str) -> bool:
        """Whether ``value``, of the body, can be cut."""
        return self.body[value].op in ("input", "const")

    def products(self, value: str) -> int:
        """How many products of the body are parted with ``value``."""
        return 0

    def part(self, value: str, spans: tuple[Span, ...]) -> str:
        """The features of ``value`` within ``spans``; one feature stands for all."""
        kind = self.body.type(value)
        if not kind.rank or kind.shape[-1] == 1:
            return value
        if self.body[value].op == "const":
            array = self.body[value].attrs["value"]
            return Builder(self.body, value).const(np.concatenate([array[..., a:b] for a, b in spans], -1))
        if (value, spans) not in self.made:
            self.made[value, spans] = self._input(value, spans)
        return self.made[value, spans][0]

    def _input(self, value: str, spans: tuple[Span, ...]) -> tuple[str, str]:
        """A new input of the body, and the value outside that it is."""
        inputs = self.body.interface.inputs
        old = next(i for i in inputs if i.name == value)
        shape = (*old.type.shape[:-1], sum(stop - start for start, stop in spans))
        kind = TensorType(old.type.dtype, shape)
        name = self.body.add("input", type=kind, name=value, like=value)
        new = Input(name, kind, old.kind, old.loc)
        self.body.interface = replace(self.body.interface, inputs=(*inputs, new))
        outside = self.outside[value]
        return name, features(Builder(self.graph, outside), outside, spans)


@dataclass(frozen=True)
class Outside:
    """Cuts features of values where they are."""

    graph: Graph

    def cuts(self, value: str) -> bool:
        """Whether ``value`` is a weight, or a product and what is added to it that nothing else reads."""
        if self.graph[value].op == "gemm":
            _, w, c = self.graph.operands(value)
            return used_once(self.graph, value) and self.cuts(w) and self.cuts(c)
        return self._fixed(value)

    def _fixed(self, value: str) -> bool:
        """Whether a value is made of weights."""
        below = self.graph.operands(value)
        return self.graph[value].op in ("param", "const") or (bool(below) and all(map(self._fixed, below)))

    def products(self, value: str) -> int:
        """How many products are parted with ``value``."""
        gemm = self.graph[value].op == "gemm"
        return 1 + self.products(self.graph.operands(value)[2]) if gemm else 0

    def part(self, value: str, spans: tuple[Span, ...]) -> str:
        """The features of ``value`` within ``spans``."""
        return features(Builder(self.graph, value), value, spans)


def features(b: Builder, value: str, spans: tuple[Span, ...]) -> str:
    """The features of ``value`` within ``spans``; sums and products that nothing else needs are cut first."""
    kind, op, args = b.graph.type(value), b.graph[value].op, b.graph.operands(value)
    if not kind.rank or kind.shape[-1] == 1:
        return value
    if op == "add" and used_once(b.graph, value):
        return b("add", *(features(b, v, spans) for v in args))
    if op == "matmul" and used_once(b.graph, value) and b.graph.type(args[1]).rank == 2:
        return b("matmul", args[0], features(b, args[1], spans))
    if op == "gemm":
        x, w, c = args
        return b("gemm", x, features(b, w, spans), features(b, c, spans))
    parts = [b("slice", value, axis=kind.rank - 1, start=start, stop=stop) for start, stop in spans]
    return parts[0] if len(parts) == 1 else b("concat", *parts, axis=kind.rank - 1)
