"""Linear chunks: a linear recurrence, run in all chunks of the sequence at once, twice.

r: (f32[T, B, 3], f32[B, 3]) = region(a, b, h.init) {…}        h = a ∘ h⁻ + b
⟶
%0: …                       in every chunk, step after step, h from zeros, and the product p of all a
%1: (…) = region(…) {steps = every8_T, …}                      c ← p ∘ c + h, the state before each chunk
%2: …                       in every chunk h again, from c

A loop of T rounds becomes straight code for the 8 steps of a chunk and a loop of T/8 rounds, which is a
linear recurrence itself: where steps are many, it is run in chunks of chunks. States that depend on one
another (a complex one as a pair of real ones, one of several steps back) have a matrix of products. What lies
between chunks is float64: where coefficients change little, so do their products, and an error that all of
them have in common would grow with the number of chunks.

Nothing is divided by a product, and no logarithm is taken: decays may be 0, or change sign, or be so small
that their products vanish. Products of factors above 1 grow: where it is not known how far, they could
overflow while the state does not, so the plan is not chosen unless it is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Any, ClassVar

from rnnc.build import Builder
from rnnc.ir import Graph
from rnnc.loops.regions import operands
from rnnc.passes._chunking import MOST_CARRIED, MOST_GROWTH, SIZE, Chunking, System, levels
from rnnc.passes._products import elementwise
from rnnc.plans import Plan, Sizes
from rnnc.plans.intervals import Intervals
from rnnc.plans.linear import Outside, Part, Recurrence, read_recurrence
from rnnc.types import TensorType


def growth(found: Recurrence) -> float:
    """At most by how much one step multiplies the registers, as far as the graph tells."""
    outer = Intervals(found.graph)
    inputs = zip(found.body.interface.inputs, operands(found.graph, found.region).inputs, strict=True)
    inside = Intervals(found.body, {i.name: outer.of(v) for i, v in inputs})
    rows = found.coefficients(inside.of)
    return max(sum(max(-low, high) for low, high in row.values()) for row in rows)


@dataclass(frozen=True)
class LinearChunks(Plan):
    """Chunks of chunks, so many ``levels`` deep, run a linear recurrence."""

    name: ClassVar[str] = "linear-chunks"
    levels: int = 1

    def read(self, graph: Graph, region: str) -> Recurrence:
        return read_recurrence(graph, region)

    def risk(self, graph: Graph, region: str, sizes: Sizes) -> str:
        most = growth(read_recurrence(graph, region))
        whole = SIZE ** levels(sizes.of(graph[region].attrs["steps"]))
        for size, limit in ((SIZE, MOST_GROWTH), (whole, MOST_CARRIED)):
            if most > 1 and size * log(most) > log(limit):
                return f"products of {size} steps could overflow, for each may grow {most:.3g} times"
        return ""

    def emit(self, graph: Graph, region: str, match: Any) -> str:
        return _Emission(graph, match).run(self.levels)


class _Emission:
    """One recurrence on its way into chunks."""

    def __init__(self, graph: Graph, found: Recurrence) -> None:
        self.b = Builder(graph, like=found.region)
        self.graph, self.found, self.out = graph, found, Outside(self.b, found)
        self.chunking = Chunking(self.b, found.state, elementwise, graph[found.region].locs)
        attrs, lengths = graph[found.region].attrs, self.out.roles.lengths
        self.reverse: bool = attrs.get("reverse", False)
        self.lengths = [lengths] if lengths else []

    def run(self, levels: int) -> str:
        """The results of the region, as one tuple."""
        found, face, finals = self.found, self.found.body.interface, []
        rows = self.out.rows()
        system = System(
            [[self._aligned(row.terms.get(r, 0.0)) for r in found.registers] for row in rows],
            [self._aligned(row.bias) for row in rows],
            [self.out.start(r) for r in found.registers],
            self.graph[found.region].attrs["steps"],
        )
        newest = [i for i, (_, slot) in enumerate(found.registers) if slot == 0]
        backward = self.reverse and not self.lengths
        states = self.chunking.run(system, levels, newest, reverse=backward)
        for i, y in zip(newest, states, strict=True):
            path = found.registers[i][0]
            run = self.b("reverse", y) if backward else y
            finals.append(self.b("final", run, self.out.inits[path], *self.lengths, k=face.state(path).depth))
            self.out.learn(path, self._by_length(y))
        outputs = [self.out.sequence(found.body.outputs[o.name]) for o in face.outputs]
        return self.b("tuple", *outputs, *finals)

    def _by_length(self, v: str) -> str:
        """A sequence that runs backwards from the ends of its own sequences, or in time again."""
        return self.b("reverse", v, *self.lengths) if self.reverse and self.lengths else v

    def _aligned(self, part: Part) -> Part:
        """A coefficient with as many axes as the state, in the order in which the steps run."""
        if isinstance(part, float):
            return part
        value, kind = part.value, part.type
        assert isinstance(kind, TensorType)
        if missing := self.found.state.rank - kind.rank:
            value = self.b("unsqueeze", value, axes=tuple(range(part.stream, part.stream + missing)))
        run = self.chunking
        return run.scanned(self._by_length(value)) if part.stream else run.fixed(value)
