"""Fuse-gates: sums of products that share their operands become one wide sum, which is split afterwards.

Gates are such sums. Those that multiply the same values have their weights joined, their biases too, and if
their activations agree they become neighbours, so that one activation serves them all. What else the gates of
a loop sum is joined too if it comes from outside the loop, where that is done for all steps at once; what is
of the loop itself is added after the split. Run it on streams: what ``lift``, ``step`` or ``unroll`` makes of
them then has one product where there were many.

Before::

    net f(stream x: f32[B, 3], param U: f32[3, 2], param V: f32[3, 2]) -> (y) {
      %0: f32[B, 2] = matmul(x, U)
      %1: f32[B, 2] = sigmoid(%0)
      %2: f32[B, 2] = matmul(x, V)
      y: f32[B, 2] = mul(%1, %2)
    }

After::

    net f(stream x: f32[B, 3], param U: f32[3, 2], param V: f32[3, 2]) -> (y) {
      %0: f32[3, 4] = concat(U, V) {axis = 1}
      %1: f32[B, 4] = matmul(x, %0)
      %2: (f32[B, 2], f32[B, 2]) = split(%1) {axis = 1, sizes = (2, 2)}
      %3: f32[B, 2] = item(%2) {k = 0}
      %4: f32[B, 2] = sigmoid(%3)
      %5: f32[B, 2] = item(%2) {k = 1}
      y: f32[B, 2] = mul(%4, %5)
    }
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar

import networkx as nx

from rnnc.addition import is_product, is_term, terms, total
from rnnc.build import Builder
from rnnc.dims import Dim
from rnnc.ir import Graph, Node
from rnnc.loops.slots import broadcast
from rnnc.ops import OPS
from rnnc.pipeline import TYPED, Pass
from rnnc.rewrite import sweep, used_once
from rnnc.timing import timing
from rnnc.types import TensorType


@dataclass(frozen=True)
class FuseGates(Pass):
    """One product for all gates that read the same values."""

    name: ClassVar[str] = "fuse-gates"
    needs: ClassVar[frozenset[str]] = frozenset({TYPED})

    def apply(self, graph: Graph) -> None:
        # Loops first: what their gates join lies outside, where it may be a gate in turn.
        for of_loops in (True, False):
            while group := _first_group(graph, of_loops):
                _fuse(graph, group)
                sweep(graph)


@dataclass(frozen=True)
class Gate:
    """A sum of features, and what becomes of its terms.

    Its products with matrices are fused, those of its loop, ``inner``, and the ``outer`` ones; so are the
    terms ``joined``, which depend on no other gate; the terms ``rest`` are added afterwards. ``activation``
    is the op that alone reads it.
    """

    root: str
    outer: tuple[str, ...]
    inner: tuple[str, ...]
    joined: tuple[str, ...]
    rest: tuple[str, ...]
    activation: str


def _first_group(graph: Graph, of_loops: bool) -> list[Gate]:
    """Gates of one loop, or outside of all, in the order in which they are to lie; none if no more agree."""
    loops = {v: i for i, c in enumerate(nx.strongly_connected_components(graph.nx)) if len(c) > 1 for v in c}
    fixed = _fixed(graph)
    groups: dict[Any, list[Gate]] = {}
    for root in graph.order():
        loop = loops.get(root)
        if graph[root].op not in ("add", "matmul") or root in fixed or (loop is not None) != of_loops:
            continue
        if is_term(graph, root) and loops.get(graph.uses(root)[0][0]) == loop:
            continue
        gate = _gate(graph, root, loops, fixed)
        if gate.inner or (gate.outer and not of_loops):
            lefts = tuple(graph.operands(p)[0] for p in (*gate.outer, *gate.inner))
            kind = graph.type(root)
            groups.setdefault((loop, lefts, kind.dtype, kind.shape[:-1]), []).append(gate)
    return next((_arranged(graph, gates) for gates in groups.values() if len(gates) > 1), [])


def _fixed(graph: Graph) -> set[str]:
    """The values that can be joined once and for all: in streams, those that are the same at every step."""
    if graph.level == "stream":
        return {v for v, t in timing(graph).items() if t == "invariant"}
    found: set[str] = set()
    for v in graph.order():
        if graph[v].op not in ("input", "init") and found.issuperset(graph.operands(v)):
            found.add(v)
    return found


def _gate(graph: Graph, root: str, loops: Mapping[str, int], fixed: set[str]) -> Gate:
    """The sum ``root`` as a gate, though maybe without a product."""
    loop = loops.get(root)
    outer: list[str] = []
    inner: list[str] = []
    joined: list[str] = []
    rest: list[str] = []
    for term in terms(graph, root):
        outside = loop is not None and loops.get(term) != loop
        if _is_weighted(graph, term, graph.type(root), fixed) and (term == root or used_once(graph, term)):
            (outer if outside or loop is None else inner).append(term)
        else:
            (joined if outside or term in fixed else rest).append(term)
    for products in (outer, inner):
        products.sort(key=graph.operands)
    activation = "" if rest else _activation(graph, root)
    return Gate(root, tuple(outer), tuple(inner), tuple(joined), tuple(rest), activation)


def _is_weighted(graph: Graph, value: str, type: TensorType, fixed: set[str]) -> bool:
    """Whether ``value`` is a product of what changes with a matrix that does not."""
    return is_product(graph, value, type) and value not in fixed and graph.operands(value)[1] in fixed


def _activation(graph: Graph, value: str) -> str:
    """The element-wise op of one operand that alone reads ``value``; else nothing."""
    if not used_once(graph, value):
        return ""
    ((user, _),) = graph.uses(value)
    return user if OPS[graph[user].op].elementwise and len(graph.operands(user)) == 1 else ""


def _arranged(graph: Graph, gates: list[Gate]) -> list[Gate]:
    """The gates with those next to one another whose activations agree."""
    keys = [_key(graph, g) for g in gates]
    return [g for _, g in sorted(zip(keys, gates, strict=True), key=lambda kg: keys.index(kg[0]))]


def _key(graph: Graph, gate: Gate) -> tuple[Any, ...]:
    """What agreeing activations have in common; a gate without one agrees with none."""
    if not gate.activation:
        return (gate.root,)
    node = graph[gate.activation]
    return node.op, tuple(sorted(node.attrs.items()))


# -- fusing -------------------------------------------------------------------------------------------------


def _fuse(graph: Graph, gates: list[Gate]) -> None:
    """Replace the gates, or their activations, by parts of one wide sum."""
    b = Builder(graph, like=[g.root for g in gates])
    outer, inner = (_products(b, ps) for ps in ([g.outer for g in gates], [g.inner for g in gates]))
    wide = total(b, [*outer, *_joined(b, gates), *inner])
    runs = [list(run) for _, run in groupby(gates, key=lambda g: _key(graph, g))]
    now: dict[str, str] = {}  # the new names of values that may be terms of gates to come
    for run, part in zip(runs, _split(b, wide, [sum(_widths(graph, run)) for run in runs]), strict=True):
        if len(run) == 1:
            (gate,) = run
            rest = [now.get(term, term) for term in gate.rest]
            now[gate.root] = graph.replace(gate.root, total(Builder(graph, like=gate.root), [part, *rest]))
            continue
        node: Node = graph[run[0].activation]
        b = Builder(graph, like=[g.activation for g in run])
        active = b(node.op, part, **node.attrs)
        for gate, value in zip(run, _split(b, active, _widths(graph, run)), strict=True):
            now[gate.activation] = graph.replace(gate.activation, value)


def _widths(graph: Graph, gates: Sequence[Gate]) -> list[Dim]:
    return [graph.type(g.root).shape[-1] for g in gates]


def _split(b: Builder, value: str, sizes: Sequence[Dim]) -> list[str]:
    """The consecutive features of ``value``."""
    if len(sizes) == 1:
        return [value]
    return b.items(b("split", value, axis=b.graph.type(value).rank - 1, sizes=tuple(sizes)))


def _products(b: Builder, products: Sequence[Sequence[str]]) -> list[str]:
    """One wide product for each value that all gates multiply; ``products`` are each gate's, in one order."""
    found = []
    for group in zip(*products, strict=True):
        left = b.graph.operands(group[0])[0]
        found.append(b("matmul", left, b("concat", *(b.graph.operands(p)[1] for p in group), axis=1)))
    return found


def _joined(b: Builder, gates: Sequence[Gate]) -> list[str]:
    """The terms that the gates join, side by side; what is the same for the whole batch, as one vector."""
    graph, found = b.graph, []
    kinds = [graph.type(g.root) for g in gates]
    biases = [[t for t in g.joined if all(d == 1 for d in graph.type(t).shape[:-1])] for g in gates]
    wholes = [[t for t in g.joined if t not in bs] for g, bs in zip(gates, biases, strict=True)]
    for part, sizes in ((wholes, [k.shape for k in kinds]), (biases, [k.shape[-1:] for k in kinds])):
        if any(part):
            sides = [_spread(b, ts, TensorType(kinds[0].dtype, s)) for ts, s in zip(part, sizes, strict=True)]
            found.append(b("concat", *sides, axis=len(sizes[0]) - 1))
    return found


def _spread(b: Builder, values: list[str], to: TensorType) -> str:
    """The sum of values with exactly the type ``to``; zeros if there are none."""
    flat = [_flat(b, v, to.rank) for v in values] or [b.const(0, to.dtype)]
    return broadcast(b, total(b, flat), to)


def _flat(b: Builder, value: str, rank: int) -> str:
    """``value`` without leading axes of size 1 that are more than ``rank``."""
    more = b.graph.type(value).rank - rank
    return b("squeeze", value, axes=tuple(range(more))) if more > 0 else value
