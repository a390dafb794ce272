"""Linear chunks: a linear recurrence, run in all chunks of the sequence at once, then from chunk to chunk.

r: (f32[T, B, 3], f32[B, 3]) = region(a, b, h.init) {…}        h = a ∘ h⁻ + b
⟶
%0: (…) = region(…) {steps = 32, …}        in every chunk, h from zeros, and the product p of all a so far
%1: (…) = region(…) {steps = every32_T, …} the state c before each chunk, from where the one before it ended
%2: f32[32, every32_T, B, 3] = …           h + p ∘ c

Two loops of K and T/K rounds replace one of T. States that depend on one another (a complex one as a pair of
real ones, one of several steps back) have a matrix of products. Where ``a`` is the same at every step, its
powers take the place of running products: in float64, and when the file is made, if ``a`` is a weight.

Nothing is divided by a product, and no logarithm is taken: decays may be 0, or change sign, or be so small
that their products vanish. Products of factors above 1 grow over one chunk at most; where it is not known how
far, they could overflow while the state does not, so the plan is not chosen unless it is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, log2
from typing import Any, ClassVar

from rnnc.build import Builder
from rnnc.ir import Graph
from rnnc.loops.chunks import Chunks
from rnnc.loops.lifting import Operand
from rnnc.loops.regions import operands
from rnnc.passes._loop import LoopBuilder
from rnnc.passes._products import Entry, Matrix, dot, powers, reach, shape_of
from rnnc.plans import Plan, Sizes
from rnnc.plans.intervals import Intervals
from rnnc.plans.linear import Outside, Part, Recurrence, read_recurrence
from rnnc.types import TensorType

#: How large the products within a chunk may become, for the plan to be chosen.
MOST_GROWTH = 1e18


def growth(found: Recurrence) -> float:
    """At most by how much one step multiplies the registers, as far as the graph tells."""
    outer = Intervals(found.graph)
    inputs = zip(found.body.interface.inputs, operands(found.graph, found.region).inputs, strict=True)
    inside = Intervals(found.body, {i.name: outer.of(v) for i, v in inputs})
    rows = found.coefficients(inside.of)
    return max(sum(max(-low, high) for low, high in row.values()) for row in rows)


def chunk_size(count: int) -> int:
    """A good size of chunks for so many steps: a power of two near the square root, for both loops cost
    alike."""
    return 1 << min(6, max(2, round(log2(max(count, 1)) / 2)))


@dataclass(frozen=True)
class LinearChunks(Plan):
    """Two short loops over chunks of ``size`` steps, a power of two, run a linear recurrence."""

    name: ClassVar[str] = "linear-chunks"
    size: int = 32

    def read(self, graph: Graph, region: str) -> Recurrence:
        return read_recurrence(graph, region)

    def risk(self, graph: Graph, region: str, sizes: Sizes) -> str:
        most, size = (
            growth(read_recurrence(graph, region)),
            chunk_size(sizes.of(graph[region].attrs["steps"])),
        )
        if most > 1 and size * log(most) > log(MOST_GROWTH):
            return f"products of {size} steps could overflow, for each may grow {most:.3g} times"
        return ""

    def emit(self, graph: Graph, region: str, match: Any) -> str:
        return _Emission(graph, match, self.size).run()


@dataclass(frozen=True)
class _Lanes:
    """What all chunks are when each starts from zeros.

    ``states`` are the registers after every step, where they are results, and ``ends`` after the last one;
    ``products``, of the coefficients so far, say what they take of the registers before the chunk, and
    ``last``, what they take of them in the end.
    """

    states: list[Entry]
    ends: list[Operand]
    products: Matrix
    last: list[list[Part]]


class _Emission:
    """One recurrence on its way into two loops.

    ``a`` and ``bias`` are its coefficients: what each register takes of each one, and besides.
    """

    def __init__(self, graph: Graph, found: Recurrence, size: int) -> None:
        self.b = b = Builder(graph, like=found.region)
        self.graph, self.found, self.out = graph, found, Outside(b, found)
        self.locs = graph[found.region].locs
        attrs, lengths = graph[found.region].attrs, self.out.roles.lengths
        self.reverse: bool = attrs.get("reverse", False)
        self.lengths = [lengths] if lengths else []
        self.chunks = Chunks(b, attrs["steps"], size, reverse=self.reverse and not lengths)
        rows = self.out.rows()
        self.a = [[self._laid(row.terms.get(r, 0.0)) for r in found.registers] for row in rows]
        self.bias = [self._laid(row.bias) for row in rows]
        self.changing = any(isinstance(p, Operand) and p.stream for row in self.a for p in row)

    def run(self) -> str:
        """The results of the region, as one tuple."""
        face, finals = self.found.body.interface, []
        for path, y in self._states().items():
            run = self.b("reverse", y) if self.reverse and not self.lengths else y
            depth, init = face.state(path).depth, self.out.inits[path]
            finals.append(self.b("final", run, init, *self.lengths, k=depth))
            self.out.learn(path, self._by_length(y))
        outputs = [self.out.sequence(self.found.body.outputs[o.name]) for o in face.outputs]
        return self.b("tuple", *outputs, *finals)

    def _by_length(self, v: str) -> str:
        """A sequence that runs backwards from the ends of its own sequences, or in time again."""
        return self.b("reverse", v, *self.lengths) if self.reverse and self.lengths else v

    def _laid(self, part: Part) -> Part:
        """A coefficient with as many axes as the state; one that changes, laid out in chunks."""
        if isinstance(part, float):
            return part
        value, kind = part.value, part.type
        assert isinstance(kind, TensorType)
        if missing := self.found.state.rank - kind.rank:
            value = self.b("unsqueeze", value, axes=tuple(range(part.stream, part.stream + missing)))
        if part.stream:
            return self._scanned(self.chunks.lay(self._by_length(value)))
        return Operand(value, self.graph.type(value), False)

    def _scanned(self, value: str) -> Operand:
        """A value that a loop reads step by step."""
        kind = self.graph.type(value)
        return Operand(value, TensorType(kind.dtype, kind.shape[1:]), True)

    # -- the two loops --------------------------------------------------------------------------------------
    def _states(self) -> dict[str, str]:
        """Each state after every step, in the order in which the steps run."""
        lanes = self._lanes()
        before = self._carry(lanes)
        found = {}
        for i, (path, slot) in enumerate(self.found.registers):
            if slot == 0:
                y = dot(self.b, lanes.products[i], before, lanes.states[i])
                assert isinstance(y, str), "a state that is a number at every step depends on no register"
                found[path] = self.chunks.join(y)
        return found

    def _lanes(self) -> _Lanes:
        """All chunks at once, from zeros."""
        loop, n = LoopBuilder(self.b, "lanes", self.locs), range(len(self.a))
        a: Matrix = [[loop.read(f"a{i}{j}", p) for j, p in enumerate(row)] for i, row in enumerate(self.a)]
        bias = [loop.read(f"b{i}", p) for i, p in enumerate(self.bias)]
        h: list[Entry] = [loop.state(f"h{i}", self._zeros()) for i in n]
        for i in n:
            loop.follow(f"h{i}", dot(loop.b, a[i], h, bias[i]))
        kept = self._multiply(loop) if self.changing else []
        newest = [i for i, (_, slot) in enumerate(self.found.registers) if slot == 0]
        for path in [*(f"h{i}" for i in newest), *(f"p{i}{j}" for i, j in kept if i in newest)]:
            loop.output(path, loop.body.finals[path])
        every, end = loop.finish(self.chunks.size)
        states: list[Entry] = [every.get(f"h{i}", 0.0) for i in n]
        ends = [self._scanned(end[f"h{i}"]) for i in n]
        if not self.changing:
            return _Lanes(states, ends, *self._powers())
        products: Matrix = [[self._rounded(every.get(f"p{i}{j}", 0.0)) for j in n] for i in n]
        last = [[self._scanned(end[f"p{i}{j}"]) if (i, j) in kept else 0.0 for j in n] for i in n]
        return _Lanes(states, ends, products, last)

    def _multiply(self, loop: LoopBuilder) -> list[tuple[int, int]]:
        """Let the lanes multiply their coefficients, beginning with the identity; the entries that may not
        be 0 afterwards."""
        a: Matrix = [
            [loop.read(f"e{i}{j}", self._exact(p)) for j, p in enumerate(row)] for i, row in enumerate(self.a)
        ]
        n, paths = range(len(a)), reach(a)
        shape = shape_of(loop.b, a)[-self.found.state.rank :]
        held = [(i, j) for i in n for j in n if paths[i][j] or i == j]
        p: Matrix = [[0.0 for _ in n] for _ in n]
        for i, j in held:
            p[i][j] = loop.state(f"p{i}{j}", self.chunks.filled(float(i == j), "f64", shape))
        for i, j in held:
            loop.follow(f"p{i}{j}", dot(loop.b, a[i], [row[j] for row in p]))
        return [(i, j) for i, j in held if paths[i][j]]

    def _zeros(self) -> str:
        return self.chunks.filled(0.0, self.found.state.dtype, self.found.state.shape)

    def _powers(self) -> tuple[Matrix, list[list[Part]]]:
        """The products after every step of a chunk, and after its last, of coefficients that never change."""
        a: Matrix = [[p.value if isinstance(p, Operand) else p for p in row] for row in self.a]
        found = powers(self.b, a, self.chunks.size, self.found.state)

        def last(entry: Entry) -> Part:
            if isinstance(entry, float):
                return entry
            value = self.b("gather", entry, self.b.const(self.chunks.size - 1, "i64"), axis=0)
            return Operand(value, self.graph.type(value), False)

        def lane(entry: Entry) -> Entry:
            rounded = self._rounded(entry)
            return rounded if isinstance(rounded, float) else self.b("unsqueeze", rounded, axes=(1,))

        lanes = [[lane(e) for e in row] for row in found]
        return lanes, [[last(e) for e in row] for row in found]

    def _carry(self, lanes: _Lanes) -> list[Entry]:
        """From chunk to chunk: each register before each of them.

        In float64, as the products are: where coefficients change little, so do the products, and an error
        that all of them have in common would grow with the number of chunks.
        """
        loop, n = LoopBuilder(self.b, "carry", self.locs), range(len(self.a))
        p: Matrix = [[loop.read(f"p{i}{j}", lanes.last[i][j]) for j in n] for i in n]
        ends = [loop.read(f"h{i}", self._exact(end)) for i, end in enumerate(lanes.ends)]
        starts = [self._cast(self.out.start(r), "f64") for r in self.found.registers]
        c: list[Entry] = [loop.state(f"c{i}", start) for i, start in enumerate(starts)]
        for i in n:
            loop.follow(f"c{i}", dot(loop.b, p[i], c, ends[i]))
            loop.output(f"c{i}", str(c[i]))
        every, _ = loop.finish(self.chunks.count)
        return [self._rounded(v) for v in every.values()]

    # -- precision ------------------------------------------------------------------------------------------
    def _exact(self, part: Part) -> Part:
        """A coefficient in float64."""
        if isinstance(part, float):
            return part
        value = self._cast(part.value, "f64")
        assert isinstance(part.type, TensorType)
        return Operand(value, TensorType("f64", part.type.shape), part.stream)

    def _rounded(self, entry: Entry) -> Entry:
        """An entry with the precision of the states."""
        return entry if isinstance(entry, float) else self._cast(entry, self.found.state.dtype)

    def _cast(self, value: str, dtype: str) -> str:
        return value if self.graph.type(value).dtype == dtype else self.b("cast", value, dtype=dtype)
