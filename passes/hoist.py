"""Hoist: sums and products regrouped, so that what a loop need not compute leaves it.

    y1: f32[B, 3] = delay(y, y.init) {k = 1}            y1: f32[B, 3] = delay(y, y.init) {k = 1}
    %0: f32[B, 3] = matmul(x, Wxy)                      %0: f32[B, 3] = matmul(x, Wxy)
    %1: f32[B, 3] = matmul(y1, Wyy)                     %1: f32[B, 3] = add(%0, by)
    %2: f32[B, 3] = add(%0, %1)                 ->      %2: f32[B, 3] = matmul(y1, Wyy)
    %3: f32[B, 3] = add(%2, by)                         %3: f32[B, 3] = add(%1, %2)
    y: f32[B, 3] = tanh(%3)                             y: f32[B, 3] = tanh(%3)

A loop is a strongly connected component; what is not in it is computed before or after it, for all steps at
once. Four things are done to the values inside, each only where fewer values are left inside than before:

- the terms of a sum that are outside are added up first, and so are the factors of a product;
- products with one weight become one: ``a @ W + b @ W`` is ``(a + b) @ W``;
- a product with a joined operand, ``concat(x, y1) @ W``, or a summed one, ``(x + y1) @ W``, comes apart
  into what is inside and what is outside, where the latter joins other terms from outside, or the former is
  less work;
- a scale that is the same at every step moves into the weight: ``(y1 * c) @ W``, ``(y1 @ W) * c``,
  ``-(y1 @ W)``.

**Floats are regrouped here**, so that results differ by rounding. Measure: the values inside loops, and
then the sizes of the products inside.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

import networkx as nx

from rnnc.build import Builder
from rnnc.dims import product
from rnnc.ir import Graph
from rnnc.ops.declare import OPS
from rnnc.passes._registers import number
from rnnc.passes._sums import SIGNS, Term, by_feature, chain, plain, top, total, tree
from rnnc.pipeline import Pass
from rnnc.rewrite import prune, sweep, used_once
from rnnc.timing import Timing, timing

#: What may be regrouped as it is: products, and what is like them.
GROUPS = {name for name, op in OPS.items() if op.elementwise and op.associative and name not in SIGNS}


@dataclass(frozen=True)
class Hoist(Pass):
    """Work moved out of loops by regrouping sums and products."""

    name: ClassVar[str] = "hoist"

    def apply(self, graph: Graph) -> None:
        if graph.level == "stream":
            hoist(graph)


def hoist(graph: Graph) -> None:
    """Regroup until no loop gets smaller."""
    sweep(graph)
    while _round(graph):
        pass


def _round(graph: Graph) -> bool:
    """Make all changes of the first kind that changes anything; whether there is one."""
    when = timing(graph)
    rank = {v: i for i, v in enumerate(graph.order())}
    components = [c for c in nx.strongly_connected_components(graph.nx) if len(c) > 1]
    found = [Loop(graph, c, when) for c in sorted(components, key=lambda c: min(map(rank.__getitem__, c)))]
    for change in (
        Loop.split_joined,
        Loop.split_summed,
        Loop.regroup_sums,
        Loop.regroup_products,
        Loop.scale,
    ):
        edits = len(graph.edits)
        for loop in found:
            change(loop)
        if len(graph.edits) > edits:
            return True
    return False


class Loop:
    """A strongly connected component, and the ways to make it smaller.

    ``inside`` are its values; it is kept up to date while one of the ways is gone.
    """

    def __init__(self, graph: Graph, inside: set[str], when: dict[str, Timing]) -> None:
        self.graph, self.inside, self.when = graph, inside, when

    # -- reading --------------------------------------------------------------------------------------------
    def find(self, *ops: str) -> list[str]:
        """The values inside that these ops compute."""
        return [v for op in ops for v in self.graph.find(op) if v in self.inside]

    def split(self, terms: Sequence[Term]) -> tuple[list[Term], list[Term]]:
        """The terms inside, and those outside."""
        return [t for t in terms if t[1] in self.inside], [t for t in terms if t[1] not in self.inside]

    def tree(self, root: str, ops: Collection[str] = SIGNS) -> tuple[list[str], list[Term]]:
        """The values inside that compute ``root`` by ``ops`` and serve nothing else, and what they read."""
        return tree(self.graph, root, ops, self.inside)

    def top(self, value: str, ops: Collection[str] = SIGNS) -> str:
        """The root of the tree of ``ops`` inside that ``value`` is a part of; itself if of none."""
        return top(self.graph, value, ops, self.inside)

    def weight(self, product: str) -> str:
        """The matrix of a product with one that is the same at every step; else nothing."""
        w = self.graph.operands(product)[1] if self.graph[product].op == "matmul" else ""
        return w if w and self.when.get(w) == "invariant" and self.graph.type(w).rank == 2 else ""

    def multiplied(self, value: str) -> bool:
        """Whether all that becomes of ``value`` is products with such matrices."""
        uses = self.graph.uses(value)
        return value not in self.graph.roots() and all(slot == 0 and self.weight(u) for u, slot in uses)

    # -- changing -------------------------------------------------------------------------------------------
    def replace(self, old: str, new: str) -> None:
        """Put ``new`` in the place of ``old``, a value inside, and forget what only that needed."""
        operands = self.graph.operands(old)
        self.inside.add(self.graph.replace(old, new))
        prune(self.graph, operands)

    def split_joined(self) -> None:
        """``concat(x, y1) @ W`` is ``x @ W[:n] + y1 @ W[n:]``."""
        for joined in self.find("concat"):
            if joined not in self.graph:
                continue
            graph, node = self.graph, self.graph[joined]
            parts = graph.operands(joined)
            outside = [p for p in parts if p not in self.inside]
            if not outside or node.attrs["axis"] != node.tensor.rank - 1 or not self.multiplied(joined):
                continue
            for user in dict.fromkeys(u for u, _ in graph.uses(joined)):
                b, w = Builder(graph, (user, joined)), self.weight(user)
                halves = [_product(b, joined, w, {i for i, p in enumerate(parts) if (p in outside) == there})
                          for there in (True, False)]  # fmt: skip
                self.replace(user, b("add", *halves))

    def split_summed(self) -> None:
        """``(x + y1) @ W`` is ``x @ W + y1 @ W``, if ``x @ W`` can join other terms outside."""
        for summed in self.find(*SIGNS):
            graph = self.graph
            if summed not in graph or not self.multiplied(summed) or self.top(summed) != summed:
                continue
            users = list(dict.fromkeys(u for u, _ in graph.uses(summed)))
            inside, outside = self.split(self.tree(summed)[1])
            if not inside or not outside or not all(self._meets_outside(u) for u in users):
                continue
            if any(max(graph.type(v).rank for _, v in half) < 2 for half in (outside, inside)):
                continue  # a lone vector has no product with a matrix
            b = Builder(graph, (summed, *users))
            halves = [plain(b, total(b, half)) for half in (outside, inside)]
            for user in users:
                b, w = Builder(graph, (summed, user)), self.weight(user)
                self.replace(user, b("add", *(b("matmul", h, w) for h in halves)))

    def _meets_outside(self, product: str) -> bool:
        """Whether ``product`` is a term of a sum that has one from outside."""
        root = self.top(product)
        return root != product and bool(self.split(self.tree(root)[1])[1])

    def regroup_sums(self) -> None:
        """Terms from outside are added up first, and products with one weight become one."""
        for root in self.find(*SIGNS):
            graph = self.graph
            if root not in graph or self.top(root) != root:
                continue
            nodes, terms = self.tree(root)
            inside, outside = self.split(terms)
            same = self._same_weights(inside)
            alone = [t for t in inside if not any(t in group for group in same)]
            signs = [1] * bool(outside) + [s for s, _ in alone] + [max(s for s, _ in group) for group in same]
            after = len(signs) - 1 + (max(signs) < 0) + sum(len(group) for group in same)
            if after >= len(nodes) + sum(len(group) for group in same):
                continue
            b = Builder(graph, nodes)
            streams = [t for t in outside if self.when[t[1]] == "stream"]
            kept = [total(b, part) for part in (streams, [t for t in outside if t not in streams]) if part]
            first = [(1, plain(b, total(b, kept)))] if kept else []
            factored = []
            for group in same:
                sign, operand = total(b, [(s, graph.operands(v)[0]) for s, v in group])
                factored.append((sign, b("matmul", operand, self.weight(group[0][1]))))
            self.replace(root, plain(b, total(b, [*first, *alone, *factored])))

    def _same_weights(self, terms: Sequence[Term]) -> list[list[Term]]:
        """Those products among ``terms`` that share a weight, two or more of them, and serve nothing else."""
        groups: dict[tuple[str, object], list[Term]] = {}
        for t in terms:
            if (w := self.weight(t[1])) and used_once(self.graph, t[1]):
                groups.setdefault((w, self.graph.type(self.graph.operands(t[1])[0])), []).append(t)
        return [group for group in groups.values() if len(group) > 1]

    def regroup_products(self) -> None:
        """Factors from outside are multiplied first."""
        for root in self.find(*sorted(GROUPS)):
            graph = self.graph
            if root not in graph or self.top(root, {graph[root].op}) != root:
                continue
            op = graph[root].op
            nodes, terms = self.tree(root, {op})
            inside, outside = self.split(terms)
            if len(outside) < 2:
                continue
            b = Builder(graph, nodes)
            outside.sort(key=lambda t: self.when[t[1]] == "stream")
            values = [chain(b, op, [v for _, v in outside]), *(v for _, v in inside)]
            self.replace(root, chain(b, op, values))

    def scale(self) -> None:
        """``(y1 * c) @ W`` is ``y1 @ (c[:, None] * W)``, ``(y1 @ W) * c`` is ``y1 @ (W * c)``."""
        for value in self.find("matmul"):
            graph, w = self.graph, self.weight(value)
            if not w:
                continue
            b = Builder(graph, value)
            operand = graph.operands(value)[0]
            if operand in self.inside and used_once(graph, operand):
                found = self._scaled(b, operand, w, of_rows=True)
                if found:
                    self.replace(value, b("matmul", *found))
                    continue
            if used_once(graph, value):
                user = graph.uses(value)[0][0]
                if graph[user].op == "sub" and graph.operands(user)[1] == value:
                    negative = b("matmul", operand, b("neg", w))
                    self.replace(user, b("add", graph.operands(user)[0], negative))
                elif user in self.inside and (found := self._scaled(b, user, w, of_rows=False)):
                    self.replace(user, b("matmul", operand, found[1]))

    def _scaled(self, b: Builder, value: str, w: str, *, of_rows: bool) -> tuple[str, str] | None:
        """What ``value`` is a multiple of, and ``w`` with its rows or columns multiplied instead."""
        graph, op, operands = self.graph, self.graph[value].op, self.graph.operands(value)
        if op == "neg":
            return operands[0], b("neg", w)
        if op == "mul" and operands[0] not in self.inside:
            operands = operands[::-1]
        if op not in ("mul", "div") or self.when.get(operands[1]) != "invariant":
            return None
        scaled, by = operands
        size, shape = graph.type(w).shape[not of_rows], graph.type(by).shape
        if graph.type(scaled) != graph.type(value) or not by_feature(shape, size):
            return None
        column = (product(shape), 1) if of_rows else (product(shape),)
        return scaled, b(op, w, b("reshape", by, shape=column))


def _product(b: Builder, joined: str, w: str, which: set[int]) -> str:
    """The product of some parts of a concat with the rows of ``w`` that are theirs."""
    axis = b.graph[joined].attrs["axis"]
    parts: list[str] = []
    rows: list[str] = []
    at = 0
    for i, part in enumerate(b.graph.operands(joined)):
        size = number(b.graph.type(part).shape[axis])
        if i in which:
            parts.append(part)
            rows.append(b("slice", w, axis=0, start=at, stop=at + size))
        at += size
    if len(parts) > 1:
        return b("matmul", b("concat", *parts, axis=axis), b("concat", *rows, axis=0))
    return b("matmul", parts[0], rows[0])
