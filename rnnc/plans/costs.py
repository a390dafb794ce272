"""Costs: what the values of a graph take to compute, by the figures of a profile, in µs on one thread.

No plan says what it costs: what it has added to the graph is priced, node by node. So what counts is what
will be written. Of a region's candidates each pays for what it needs that nothing but the region needs, and
that some other candidate does not; what all of them need decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from rnnc.dims import Poly, product
from rnnc.ir import SOURCES, Graph
from rnnc.ops import OPS
from rnnc.plans import Sizes
from rnnc.plans.profile import Profile, builtin
from rnnc.types import TensorType

#: What no node is written for.
FREE = frozenset({*SOURCES, "const", "delay", "item", "tuple"})
PRODUCTS = frozenset({"matmul", "gemm", "einsum", "conv"})
NATIVE = frozenset({"lstm", "gru", "rnn"})
#: Activations that onnxruntime makes part of a product's node.
FUSED = frozenset({"relu", "sigmoid", "tanh"})


def needs(graph: Graph, values: Iterable[str], without: str = "") -> set[str]:
    """All that the values are computed from, themselves included, not looking through ``without``."""
    found: set[str] = set()
    waiting = list(values)
    while waiting:
        v = waiting.pop()
        if v not in found and v != without:
            found.add(v)
            waiting += graph.operands(v)
    return found


def apart(graph: Graph, region: str, ends: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    """For each candidate, by the values that it ends in, those that it needs and not all others do."""
    anyway = needs(graph, graph.roots(), region)
    needed = {name: needs(graph, values, region) for name, values in ends.items()}
    if len(needed) > 1:
        anyway |= set.intersection(*needed.values())
    return {name: found - anyway for name, found in needed.items()}


@dataclass(frozen=True)
class Pricing:
    """Prices at the sizes that are expected. Bodies of loops are priced as ``written`` makes them."""

    profile: Profile
    sizes: Sizes
    written: Callable[[Graph], None] = lambda body: None

    def values(self, graph: Graph, values: Iterable[str]) -> float:
        """What computing all of them takes, each once."""
        known: dict[str, bool] = {}
        return sum(self.value(graph, v) for v in values if not _known(graph, v, known))

    def value(self, graph: Graph, v: str) -> float:
        """What one node takes."""
        node = graph[v]
        if node.op in FREE:
            return 0.0
        if node.op == "region":
            return self.loop(graph, v)
        if node.op in NATIVE:
            return self.native(graph, v)
        if node.op == "linear_attention":
            return self.memory(graph, v)
        if node.op in PRODUCTS:
            return self.profile.product(*self._factors(graph, v))
        if node.op == "add" and _into_gemm(graph, v):
            return 0.0
        kinds = [node.type] if isinstance(node.type, TensorType) else []
        kinds += [graph.type(o) for o in graph.operands(v) if isinstance(graph[o].type, TensorType)]
        count = max((self.sizes.of(product(k.shape)) for k in kinds), default=0)
        if node.op in FUSED and _alone_on_product(graph, v):
            return self.profile.elements(node.op, count)
        if _parted(graph, v):
            return self.profile.node("other", count)
        parts = {"split": len(node.attrs.get("sizes", ())), "concat": len(graph.operands(v))}
        us = self.profile.node(node.op, count, parts.get(node.op, 1))
        return us + (self._spans(graph, v) * self.profile.figure("span") if OPS[node.op].elementwise else 0.0)

    def _spans(self, graph: Graph, v: str) -> int:
        """Over how many runs of neighbours an operand that is smaller than the result is stretched.

        In loops, which are streams, what is the same at every step was stretched before.
        """
        whole, found = [self.sizes.of(d) for d in graph.type(v).shape], 0
        for o in graph.operands(v):
            own = [self.sizes.of(d) for d in graph.type(o).shape]
            own = [1] * (len(whole) - len(own)) + own
            before = graph.level == "stream" and graph[o].op in ("const", "input")
            if own == whole or max(own, default=1) == 1 or (before and graph.type(o).rank < len(whole)):
                continue
            same, run = own[-1] == whole[-1], 1
            for a, b in zip(own[::-1], whole[::-1], strict=True):
                if b > 1 and (a == b) != same:
                    break
                run *= b
            found = max(found, math.prod(whole) // run)
        return found

    def loop(self, graph: Graph, region: str) -> float:
        """A region as a Scan, with the choice whether to run it, if it may have no step."""
        steps = graph[region].attrs["steps"]
        start = self.profile.figure("scan") + (self.profile.figure("if") if isinstance(steps, Poly) else 0.0)
        face = graph[region].attrs["body"].interface
        types = [p.type for p in (*face.inputs, *face.outputs) if p.kind == "stream"]
        each, rounds = self.profile.figure("iteration") + self.body(graph, region), self.steps(graph, region)
        streams = sum(self.profile.streamed(self.sizes.of(product(t.shape)), rounds) for t in types)
        return start + rounds * each + streams

    def body(self, graph: Graph, region: str) -> float:
        """One step of a region, node by node."""
        body: Graph = graph[region].attrs["body"].copy()
        self.written(body)
        face, lengths = body.interface, 0.0
        if graph[region].attrs.get("ragged"):
            types = [s.type for s in face.states] + [o.type for o in face.outputs]
            lengths = sum(self.profile.node("where", self.sizes.of(product(t.shape))) for t in types)
        kept = {*body.finals.values(), *body.find("delay"), *(i.name for i in face.inputs)}
        copies = sum(self.profile.node("identity", 0) for v in body.outputs.values() if v in kept)
        return self.values(body, body) + lengths + copies

    def steps(self, graph: Graph, region: str) -> int:
        """How many steps a region is expected to run."""
        return self.sizes.of(graph[region].attrs["steps"])

    def native(self, graph: Graph, v: str) -> float:
        """A native op: its input's product over all steps, then the steps; more where it has no kernel."""
        op, attrs = graph[v].op, OPS[graph[v].op].complete(graph[v].attrs)
        own = builtin("cpu") if self.foreign(graph, v) else self.profile
        x, w, r = (graph.type(o).shape for o in graph.operands(v)[:3])
        steps, rows, inner, units = (self.sizes.of(d) for d in (*x, r[-1]))
        ways = 2 if attrs["direction"] == "bidirectional" else 1
        weights = self.sizes.of(w[1]) * inner
        acts: tuple[str, ...] = attrs.get("activations") or ()
        each = own.product(steps * rows, weights) + steps * own.step(op, rows, units, acts)
        away = self.profile.figure("copy") if own is not self.profile else 0.0
        return own.figure("call") + ways * each + away

    def memory(self, graph: Graph, v: str) -> float:
        """A matrix memory: in each step every sequence's vectors meet its matrix."""
        batch, steps, _ = (self.sizes.of(d) for d in graph.type(graph.operands(v)[0]).shape)
        weights = self.sizes.of(product(graph.type(graph.operands(v)[3]).shape[1:]))
        return self.profile.figure("call") + steps * self.profile.product(batch, weights)

    def foreign(self, graph: Graph, v: str) -> str:
        """Why a native op falls back to the CPU, if it does."""
        return self.profile.foreign(graph[v].op, {**graph[v].attrs, "peepholes": _peepholes(graph, v)})

    def _factors(self, graph: Graph, v: str) -> tuple[int, int]:
        """How many vectors a product has, and how many numbers each of them meets."""
        node, (x, w) = graph[v], (graph.type(o).shape for o in graph.operands(v)[:2])
        if node.op in ("matmul", "gemm") and x and w:
            inner, wide = self.sizes.of(x[-1]), self.sizes.of(w[-1]) if len(w) > 1 else 1
            return self.sizes.of(product(node.tensor.shape)) // max(wide, 1), inner * wide
        if node.op == "conv":
            every = self.sizes.of(product(node.tensor.shape))
            return every // max(self.sizes.of(w[0]), 1), self.sizes.of(product(w))
        return self.sizes.of(product(x[:-1])), self.sizes.of(product(w))


def _known(graph: Graph, v: str, known: dict[str, bool]) -> bool:
    """Whether a value is computed from weights alone, and so when the file is made."""
    for value in _below(graph, v, known):
        node = graph[value]
        below = graph.operands(value)
        known[value] = node.op in ("param", "const") or (
            bool(below) and node.op not in ("region", "delay") and all(known[o] for o in below)
        )
    return known[v]


def _below(graph: Graph, v: str, known: Mapping[str, bool]) -> Iterator[str]:
    """The value and those that it is computed from and that are not known yet, operands first."""
    waiting = [v]
    while waiting:
        top = waiting[-1]
        missing = [] if graph[top].op == "delay" else [o for o in graph.operands(top) if o not in known]
        if top in known:
            waiting.pop()
        elif missing:
            waiting += missing
        else:
            waiting.pop()
            yield top


def _peepholes(graph: Graph, v: str) -> bool:
    """Whether a native op has peepholes other than zeros."""
    extra = [o for o in graph.operands(v)[6:] if graph.type(o).floating] if graph[v].op == "lstm" else []
    sources = [graph[s] for s in needs(graph, extra) if not graph.operands(s)]
    return any(s.op != "const" or np.any(s.attrs["value"]) for s in sources)


def _alone_on_product(graph: Graph, v: str) -> bool:
    """Whether an activation alone reads a product, or its part of one that is taken apart."""
    (x,) = graph.operands(v)
    if graph[x].op == "item" and _parted(graph, *graph.operands(x)):
        return len(graph.uses(x)) == 1
    return graph[x].op in PRODUCTS and graph.type(x).rank == 2 and len(graph.uses(x)) == 1


def _parted(graph: Graph, v: str) -> bool:
    """Whether a value is a split of a product that has no other use: products of their own, written."""
    if graph[v].op != "split":
        return False
    (x,) = graph.operands(v)
    return graph[x].op in PRODUCTS and graph.type(x).rank == 2 and len(graph.uses(x)) == 1


def _into_gemm(graph: Graph, v: str) -> bool:
    """Whether a sum becomes part of the product that is one of its terms."""
    kind = graph.type(v)
    if kind.rank != 2 or not kind.floating:
        return False
    return any(
        graph[o].op == "matmul" and graph.type(o) == kind and len(graph.uses(o)) == 1
        for o in graph.operands(v)
    )
