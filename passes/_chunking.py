"""Chunking: a linear system over time, run in all chunks of the sequence at once, twice.

``h_i = Σ_j a_ij · h_j⁻ + bias_i``, where ``·`` is a product element by element, or with a matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rnnc.build import Builder
from rnnc.dims import Dim
from rnnc.errors import Loc
from rnnc.loops.chunks import Chunks
from rnnc.loops.lifting import Operand
from rnnc.loops.slots import broadcast
from rnnc.passes._loop import LoopBuilder
from rnnc.passes._products import Entry, Matrix, Times, cast, dot, exact, matmul, power
from rnnc.plans.linear import Part
from rnnc.types import TensorType

#: Steps of a chunk: a power of two. Straight code for more takes more nodes than it saves rounds.
SIZE = 8
#: Up to how many rounds a loop is not worth chunks.
ROUNDS = 24
#: How large products may become for a plan to be chosen: of one chunk in float32, and of all in float64.
MOST_GROWTH, MOST_CARRIED = 1e18, 1e290


def levels(count: int) -> int:
    """How often so many steps are worth being put into chunks, and these into chunks: once at least."""
    found = 1
    while count > ROUNDS * SIZE**found:
        found += 1
    return found


@dataclass(frozen=True)
class System:
    """``h_i = Σ_j a_ij ∘ h_j⁻ + bias_i`` over so many ``steps``, from ``starts``."""

    a: list[list[Part]]
    bias: list[Part]
    starts: list[str]
    steps: Dim


class Chunking:
    """Adds values to the graph of ``b``: systems whose registers are of the type ``state``.

    ``times`` is the product of a coefficient and a register, and of two coefficients.
    """

    def __init__(self, b: Builder, state: TensorType, times: Times, locs: Sequence[Loc] = ()) -> None:
        self.b, self.graph, self.state, self.times, self.locs = b, b.graph, state, times, locs

    def scanned(self, value: str) -> Operand:
        """A value that differs from step to step."""
        kind = self.graph.type(value)
        return Operand(value, TensorType(kind.dtype, kind.shape[1:]), True)

    def fixed(self, value: str) -> Operand:
        """A value that is the same at every step."""
        return Operand(value, self.graph.type(value), False)

    def run(
        self, system: System, levels: int, wanted: Sequence[int], *, after: bool = True, reverse: bool = False
    ) -> list[str]:
        """The ``wanted`` registers of a system ``after`` every step, or before it, in chunks so many levels
        deep; in ``reverse``, the last step is the first."""
        b, n = self.b, range(len(system.a))
        chunks = Chunks(b, system.steps, SIZE, reverse=reverse)
        dtype = self.graph.type(system.starts[0]).dtype
        laid = [[self._laid(chunks, p) for p in row] for row in system.a]
        a = [[self._steps(p) for p in row] for row in laid]
        bias = [self._steps(self._laid(chunks, p)) for p in system.bias]

        def step(k: int, h: list[Entry]) -> list[Entry]:
            return [dot(b, [entry[k] for entry in a[i]], h, bias[i][k], self.times) for i in n]

        ends: list[Entry] = [entry[0] for entry in bias]
        for k in range(1, SIZE):
            ends = step(k, ends)
        starts = [cast(b, s, "f64") for s in system.starts]
        products, moved = self._products(laid), [self._end(e) for e in ends]
        if not any(isinstance(p, Operand) and p.stream for row in (*products, moved) for p in row):
            first = moved[0].value if isinstance(moved[0], Operand) else moved[0]
            moved[0] = self._end(self._at_every_step(first, chunks, "f64"))
        carried = System(products, moved, starts, chunks.count)
        before = self._before(carried, levels - 1)
        h: list[Entry] = [b("unsqueeze", cast(b, c, dtype), axes=(1,)) for c in before]
        kept = [] if after else [h]
        for k in range(SIZE if after else SIZE - 1):
            h = step(k, h)
            kept.append(h)
        shape = (chunks.count, 1, *self.state.shape)

        def whole(entry: Entry) -> str:
            if isinstance(entry, float) or self.graph.type(entry).rank < len(shape):
                entry = self._at_every_step(entry, chunks, dtype)
            return broadcast(b, entry, TensorType(dtype, shape))

        return [chunks.join(b("concat", *(whole(h[i]) for h in kept), axis=1)) for i in wanted]

    def _before(self, system: System, levels: int) -> list[str]:
        """All registers of a system before every step."""
        n = range(len(system.a))
        if levels:
            return self.run(system, levels, list(n), after=False)
        loop = LoopBuilder(self.b, "carry", self.locs)
        a: Matrix = [[loop.read(f"p{i}{j}", p) for j, p in enumerate(row)] for i, row in enumerate(system.a)]
        bias = [loop.read(f"h{i}", p) for i, p in enumerate(system.bias)]
        c: list[Entry] = [loop.state(f"c{i}", start) for i, start in enumerate(system.starts)]
        for i in n:
            loop.follow(f"c{i}", dot(loop.b, a[i], c, bias[i], self.times))
            loop.output(f"c{i}", str(c[i]))
        return list(loop.finish(system.steps)[0].values())

    def _laid(self, chunks: Chunks, part: Part) -> Part:
        """A part that differs from step to step, laid out: ``[count, SIZE, …]``."""
        if isinstance(part, float) or not part.stream:
            return part
        return self.scanned(chunks.lay(part.value))

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
                [p if isinstance(p, float) else self.fixed(p) for p in row]
                for row in power(b, fixed, SIZE, self.times)
            ]
        only = wide[0][0]
        if len(laid) == 1 and isinstance(only, Operand):
            return [[self.scanned(b("reduce_prod", only.value, axes=(1,)))]]
        a = [[self._steps(p) for p in row] for row in wide]
        total: Matrix = [[a[i][j][0] for j in n] for i in n]
        for k in range(1, SIZE):
            total = matmul(b, [[a[i][j][k] for j in n] for i in n], total, self.times)
        return [[self._end(p) for p in row] for row in total]

    def _at_every_step(self, entry: Entry, chunks: Chunks, dtype: str) -> str:
        """What is the same at every step, at one of each chunk, ``[count, 1, …]``: so it shows how many."""
        b = self.b
        zeros = b("cast", b("minimum", chunks.starts, 0), dtype=dtype)
        column = b("reshape", zeros, shape=(chunks.count, *(1,) * (self.state.rank + 1)))
        return b("add", column, entry)

    def _end(self, entry: Entry) -> Part:
        """An entry at the last step of each chunk as a part, in float64, of the system of chunks."""
        if isinstance(entry, float):
            return entry
        value = cast(self.b, entry, "f64")
        if self.graph.type(value).rank <= self.state.rank:
            return self.fixed(value)
        return self.scanned(self.b("squeeze", value, axes=(1,)))

    def _exact(self, part: Part) -> Part:
        """A part in float64; numbers that are not their own squares, or opposites of them, as values."""
        if isinstance(part, float):
            made = exact(self.b, part)
            return made if isinstance(made, float) else self.fixed(made)
        value = cast(self.b, part.value, "f64")
        return self.scanned(value) if part.stream else self.fixed(value)
