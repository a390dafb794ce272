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
from rnnc.dims import Dim
from rnnc.ir import Graph
from rnnc.loops.chunks import Chunks
from rnnc.loops.lifting import Operand
from rnnc.loops.regions import operands
from rnnc.loops.slots import broadcast
from rnnc.passes._loop import LoopBuilder
from rnnc.passes._products import Entry, Matrix, cast, dot, exact, matmul, power
from rnnc.plans import Plan, Sizes
from rnnc.plans.intervals import Intervals
from rnnc.plans.linear import Outside, Part, Recurrence, read_recurrence
from rnnc.types import TensorType

#: Steps of a chunk: a power of two. Straight code for more takes more nodes than it saves rounds.
SIZE = 8
#: Up to how many rounds a loop is not worth chunks.
ROUNDS = 24
#: How large products may become for the plan to be chosen: of one chunk in float32, and of all in float64.
MOST_GROWTH, MOST_CARRIED = 1e18, 1e290


def growth(found: Recurrence) -> float:
    """At most by how much one step multiplies the registers, as far as the graph tells."""
    outer = Intervals(found.graph)
    inputs = zip(found.body.interface.inputs, operands(found.graph, found.region).inputs, strict=True)
    inside = Intervals(found.body, {i.name: outer.of(v) for i, v in inputs})
    rows = found.coefficients(inside.of)
    return max(sum(max(-low, high) for low, high in row.values()) for row in rows)


def levels(count: int) -> int:
    """How often so many steps are worth being put into chunks, and these into chunks: once at least."""
    found = 1
    while count > ROUNDS * SIZE**found:
        found += 1
    return found


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


@dataclass(frozen=True)
class _System:
    """``h_i = Σ_j a_ij ∘ h_j⁻ + bias_i`` over so many ``steps``, from ``starts``."""

    a: list[list[Part]]
    bias: list[Part]
    starts: list[str]
    steps: Dim


class _Emission:
    """One recurrence on its way into chunks."""

    def __init__(self, graph: Graph, found: Recurrence) -> None:
        self.b = Builder(graph, like=found.region)
        self.graph, self.found, self.out = graph, found, Outside(self.b, found)
        self.locs = graph[found.region].locs
        attrs, lengths = graph[found.region].attrs, self.out.roles.lengths
        self.reverse: bool = attrs.get("reverse", False)
        self.lengths = [lengths] if lengths else []

    def run(self, levels: int) -> str:
        """The results of the region, as one tuple."""
        found, face, finals = self.found, self.found.body.interface, []
        rows = self.out.rows()
        system = _System(
            [[self._aligned(row.terms.get(r, 0.0)) for r in found.registers] for row in rows],
            [self._aligned(row.bias) for row in rows],
            [self.out.start(r) for r in found.registers],
            self.graph[found.region].attrs["steps"],
        )
        newest = [i for i, (_, slot) in enumerate(found.registers) if slot == 0]
        backward = self.reverse and not self.lengths
        states = self._chunked(system, levels, newest, after=True, reverse=backward)
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
        return self._scanned(self._by_length(value)) if part.stream else self._fixed(value)

    def _scanned(self, value: str) -> Operand:
        """A value that differs from step to step."""
        kind = self.graph.type(value)
        return Operand(value, TensorType(kind.dtype, kind.shape[1:]), True)

    def _fixed(self, value: str) -> Operand:
        """A value that is the same at every step."""
        return Operand(value, self.graph.type(value), False)

    # -- chunks ---------------------------------------------------------------------------------------------
    def _chunked(
        self, system: _System, levels: int, wanted: list[int], *, after: bool, reverse: bool = False
    ) -> list[str]:
        """The ``wanted`` registers of a system ``after`` every step, or before it."""
        b, n = self.b, range(len(system.a))
        chunks = Chunks(b, system.steps, SIZE, reverse=reverse)
        dtype = self.graph.type(system.starts[0]).dtype
        laid = [[self._laid(chunks, p) for p in row] for row in system.a]
        a = [[self._steps(p) for p in row] for row in laid]
        bias = [self._steps(self._laid(chunks, p)) for p in system.bias]

        def step(k: int, h: list[Entry]) -> list[Entry]:
            return [dot(b, [entry[k] for entry in a[i]], h, bias[i][k]) for i in n]

        ends: list[Entry] = [entry[0] for entry in bias]
        for k in range(1, SIZE):
            ends = step(k, ends)
        starts = [cast(b, s, "f64") for s in system.starts]
        products, moved = self._products(laid), [self._end(e) for e in ends]
        if not any(isinstance(p, Operand) and p.stream for row in (*products, moved) for p in row):
            first = moved[0].value if isinstance(moved[0], Operand) else moved[0]
            moved[0] = self._end(self._at_every_step(first, chunks, "f64"))
        carried = _System(products, moved, starts, chunks.count)
        before = self._before(carried, levels - 1)
        h: list[Entry] = [b("unsqueeze", cast(b, c, dtype), axes=(1,)) for c in before]
        kept = [] if after else [h]
        for k in range(SIZE if after else SIZE - 1):
            h = step(k, h)
            kept.append(h)
        shape = (chunks.count, 1, *self.found.state.shape)

        def whole(entry: Entry) -> str:
            if isinstance(entry, float) or self.graph.type(entry).rank < len(shape):
                entry = self._at_every_step(entry, chunks, dtype)
            return broadcast(b, entry, TensorType(dtype, shape))

        return [chunks.join(b("concat", *(whole(h[i]) for h in kept), axis=1)) for i in wanted]

    def _before(self, system: _System, levels: int) -> list[str]:
        """All registers of a system before every step."""
        n = range(len(system.a))
        if levels:
            return self._chunked(system, levels, list(n), after=False)
        loop = LoopBuilder(self.b, "carry", self.locs)
        a: Matrix = [[loop.read(f"p{i}{j}", p) for j, p in enumerate(row)] for i, row in enumerate(system.a)]
        bias = [loop.read(f"h{i}", p) for i, p in enumerate(system.bias)]
        c: list[Entry] = [loop.state(f"c{i}", start) for i, start in enumerate(system.starts)]
        for i in n:
            loop.follow(f"c{i}", dot(loop.b, a[i], c, bias[i]))
            loop.output(f"c{i}", str(c[i]))
        return list(loop.finish(system.steps)[0].values())

    def _laid(self, chunks: Chunks, part: Part) -> Part:
        """A part that differs from step to step, laid out: ``[count, SIZE, …]``."""
        if isinstance(part, float) or not part.stream:
            return part
        return self._scanned(chunks.lay(part.value))

    def _steps(self, part: Part) -> list[Entry]:
        """A part at every step of all chunks, ``[count, 1, …]`` where it differs."""
        if isinstance(part, float) or not part.stream:
            return [part if isinstance(part, float) else part.value] * SIZE
        return [*self.b.items(self.b("split", part.value, axis=1, sizes=(1,) * SIZE))]

    def _products(self, laid: list[list[Part]]) -> list[list[Part]]:
        """What all steps of each chunk take together, in float64."""
        b, n = self.b, range(len(laid))
        parts = [p for row in laid for p in row if isinstance(p, Operand)]
        wide = [[self._exact(p) for p in row] for row in laid]
        if not any(p.stream for p in parts):
            fixed: Matrix = [[p.value if isinstance(p, Operand) else p for p in row] for row in wide]
            return [
                [p if isinstance(p, float) else self._fixed(p) for p in row] for row in power(b, fixed, SIZE)
            ]
        only = wide[0][0]
        if len(laid) == 1 and isinstance(only, Operand):
            return [[self._scanned(b("reduce_prod", only.value, axes=(1,)))]]
        a = [[self._steps(p) for p in row] for row in wide]
        total: Matrix = [[a[i][j][0] for j in n] for i in n]
        for k in range(1, SIZE):
            total = matmul(b, [[a[i][j][k] for j in n] for i in n], total)
        return [[self._end(p) for p in row] for row in total]

    def _at_every_step(self, entry: Entry, chunks: Chunks, dtype: str) -> str:
        """What is the same at every step, at one of each chunk, ``[count, 1, …]``: so it shows how many."""
        b = self.b
        zeros = b("cast", b("minimum", chunks.starts, 0), dtype=dtype)
        column = b("reshape", zeros, shape=(chunks.count, *(1,) * (self.found.state.rank + 1)))
        return b("add", column, entry)

    def _end(self, entry: Entry) -> Part:
        """An entry at the last step of each chunk as a part, in float64, of the system of chunks."""
        if isinstance(entry, float):
            return entry
        value = cast(self.b, entry, "f64")
        if self.graph.type(value).rank <= self.found.state.rank:
            return self._fixed(value)
        return self._scanned(self.b("squeeze", value, axes=(1,)))

    def _exact(self, part: Part) -> Part:
        """A part in float64; numbers that are not their own squares, or opposites of them, as values."""
        if isinstance(part, float):
            made = exact(self.b, part)
            return made if isinstance(made, float) else self._fixed(made)
        value = cast(self.b, part.value, "f64")
        return self._scanned(value) if part.stream else self._fixed(value)
