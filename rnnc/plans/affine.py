"""Affine forms: what a value of a region's body is as a sum of products with weights, plus a bias.

``Forms(graph, region).of(v)`` writes a body value ``v: [B, n]`` as ``Σ source @ matrix + bias``. A source is
a state's previous value, a stream computed outside the region, or a body value that is not affine in
anything; so every value has a form, and the reader of a form decides which sources it can use. Split, slice,
concat and products are seen through, inside the region and, down to one product, outside of it: fused and
separate weights, and either operand order of a sum, have one form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Literal

from rnnc.ir import Graph
from rnnc.loops.regions import outer_inputs
from rnnc.plans.matrix import Bias, Full, Make, Matrix, Pick, Placed, constant, spread
from rnnc.types import TensorType


@dataclass(frozen=True)
class Source:
    """What a term reads: a ``state`` by path, a ``stream`` by its outer value, or a ``value`` of the body."""

    kind: Literal["state", "stream", "value"]
    name: str


@dataclass(frozen=True, eq=False)
class Form:
    """``Σ source @ matrix + bias``, ``cols`` features wide."""

    cols: int
    terms: Mapping[Source, Matrix] = field(default_factory=dict)
    bias: Bias = field(default_factory=lambda: Bias(1))

    def __add__(self, other: Form) -> Form:
        """The sum; a single feature without terms is added to all."""
        n = max(self.cols, other.cols)
        terms = dict(self.terms)
        for source, m in other.terms.items():
            terms[source] = terms[source].plus(m) if source in terms else m
        return Form(n, terms, self.bias.plus(other.bias, n))

    def scaled(self, by: Bias) -> Form:
        """Every feature times the matching element of ``by``."""
        terms = {s: m.scaled(by) for s, m in self.terms.items()}
        return Form(self.cols, terms, self.bias.times(by, self.cols))

    def multiplied(self, by: float) -> Form:
        """Every feature so many times."""
        return self if by == 1 else self.scaled(constant(by))

    def wide(self, cols: int) -> Form:
        """A single feature repeated ``cols`` times; a form of so many as it is."""
        return self if self.cols == cols else self.times(spread(cols))

    def negated(self) -> Form:
        """The form of the opposite."""
        return self.multiplied(-1)

    def columns(self, start: int, stop: int) -> Form:
        """Features ``start`` to ``stop``; a term that does not reach them is left out."""
        cut = {s: m.columns(start, stop) for s, m in self.terms.items()}
        kept = {s: m for s, m in cut.items() if m is not None}
        return Form(stop - start, kept, self.bias.wide(self.cols).columns(start, stop))

    def times(self, w: Matrix) -> Form:
        """The form times a matrix."""
        return Form(w.cols, {s: m.then(w) for s, m in self.terms.items()}, self.bias.through(w))


Weight = Callable[[str], "Matrix | None"]


class Forms:
    """The affine forms of the values of one region's body, each computed once.

    ``atoms`` are body values that are sources even if they could be looked into.
    """

    def __init__(self, graph: Graph, region: str, atoms: frozenset[str] = frozenset()) -> None:
        self.graph, self.atoms = graph, atoms
        self.body: Graph = graph[region].attrs["body"]
        inputs = self.body.interface.inputs
        self.outer = outer_inputs(graph, region)
        self.kinds = {i.name: i.kind for i in inputs}
        self.registers = {
            d: path
            for d in self.body.find("delay")
            for path, value in self.body.finals.items()
            if self.body.operands(d) == (value, f"{path}.init") and self.body[d].attrs["k"] == 1
        }
        self._forms: dict[str, Form] = {}
        self._outer: dict[str, Form] = {}
        self._known: dict[str, bool] = {}

    def of(self, v: str) -> Form:
        """The form of a body value; of its last axis, all others being batch."""
        if v not in self._forms:
            self._forms[v] = self._compute(v)
        return self._forms[v]

    def opaque(self, v: str) -> Form:
        """The form that says no more than that it is the body value ``v``."""
        return itself(Source("value", v), self.body[v].tensor)

    def _compute(self, v: str) -> Form:
        node = self.body[v]
        if v in self.atoms:
            return self.opaque(v)
        if v in self.registers:
            return itself(Source("state", self.registers[v]), node.tensor)
        if node.op == "input":
            return self.of_stream(self.outer[v])
        if node.op == "const":
            return vector(node.tensor, self._made_from(v)) or self.opaque(v)
        return _through(self.body, v, self.of, self._weight) or self.opaque(v)

    def _weight(self, w: str) -> Matrix | None:
        node = self.body[w]
        if node.op == "input" and self.kinds[w] == "given":
            return self._outer_weight(self.outer[w])
        return matrix(node.tensor, self._made_from(w)) if node.op == "const" else None

    def _made_from(self, const: str) -> Make:
        """How to have a constant of the body in the outer graph."""
        value = self.body[const].attrs["value"]
        return lambda b: b.const(value)

    # -- outside of the region ------------------------------------------------------------------------------
    def of_stream(self, v: str) -> Form:
        """The form of a value of the outer graph, through sums and slices down to one product."""
        if v not in self._outer:
            self._outer[v] = self._compute_outer(v)
        return self._outer[v]

    def _compute_outer(self, v: str) -> Form:
        if self.invariant(v):
            found = vector(self.graph.type(v), lambda b: v)
            if found:
                return found
        return _through(self.graph, v, self.of_stream, self._outer_weight, self._placed) or self._source(v)

    def invariant(self, v: str) -> bool:
        """Whether a value of the outer graph is computed from weights and constants alone."""
        if v not in self._known:
            node, operands = self.graph[v], self.graph.operands(v)
            free = node.op in ("param", "const") or (
                bool(operands) and node.op != "region" and isinstance(node.type, TensorType)
            )
            self._known[v] = free and all(map(self.invariant, operands))
        return self._known[v]

    def _placed(self, x: str) -> Form:
        """The factor of an outer product: parts side by side, themselves not looked into."""
        node = self.graph[x]
        if node.op == "concat" and node.attrs["axis"] == node.tensor.rank - 1:
            return side_by_side([self._placed(o) for o in self.graph.operands(x)])
        return self._source(x)

    def _source(self, v: str) -> Form:
        return itself(Source("stream", v), self.graph.type(v))

    def _outer_weight(self, w: str) -> Matrix | None:
        return matrix(self.graph.type(w), lambda b: w) if self.invariant(w) else None


def _through(
    graph: Graph,
    v: str,
    of: Callable[[str], Form],
    weight: Weight,
    factor: Callable[[str], Form] | None = None,
) -> Form | None:
    """The form of a value made by an op that keeps affine things affine, else ``None``."""
    node, args = graph[v], graph.operands(v)
    last = node.tensor.rank - 1
    match node.op:
        case "add":
            return _sum(node.tensor, of(args[0]), of(args[1]))
        case "sub":
            return _sum(node.tensor, of(args[0]), of(args[1]).negated())
        case "neg":
            return of(args[0]).negated()
        case "mul":
            for a, by in (args, args[::-1]):
                form, scale = of(a), of(by)
                if not scale.terms and scale.cols in (1, form.cols) and form.cols == _width(node.tensor):
                    return form.scaled(scale.bias)
        case "matmul" | "gemm":
            found = weight(args[1])
            if found:
                product = (factor or of)(args[0]).times(found)
                return product + of(args[2]) if node.op == "gemm" else product
        case "slice" if node.attrs["axis"] == last and node.attrs.get("step", 1) == 1:
            whole = of(args[0])
            start, stop, _ = slice(node.attrs["start"], node.attrs["stop"]).indices(whole.cols)
            return whole.columns(start, stop)
        case "item" if graph[args[0]].op == "split" and graph[args[0]].attrs["axis"] == last:
            sizes, k = graph[args[0]].attrs["sizes"], node.attrs["k"]
            start = sum(sizes[:k])
            return of(graph.operands(args[0])[0]).columns(start, start + sizes[k])
        case "expand":
            same = of(args[0])
            return None if same.terms else Form(_width(node.tensor), {}, same.bias.wide(_width(node.tensor)))
        case "concat" if node.attrs["axis"] == last:
            return side_by_side([of(a) for a in args])
    return None


def _sum(kind: TensorType, a: Form, b: Form) -> Form | None:
    """The sum, unless a term would have to stretch over features."""
    n = _width(kind)
    return a + b if all(f.cols == n or not f.terms for f in (a, b)) else None


def side_by_side(parts: list[Form]) -> Form:
    """The forms of a concat's operands as one."""
    total = sum(p.cols for p in parts)
    starts = [sum(p.cols for p in parts[:i]) for i in range(len(parts))]
    placed = [
        p.times(Placed(p.cols, total, Pick(p.cols, p.cols), at)) for p, at in zip(parts, starts, strict=True)
    ]
    return reduce(Form.__add__, placed)


def _width(kind: TensorType) -> int:
    n = kind.shape[-1] if kind.shape else 1
    return n if isinstance(n, int) else 1


def itself(source: Source, kind: TensorType) -> Form:
    """The form of a source: the source itself."""
    return Form(_width(kind), {source: Pick(_width(kind), _width(kind))})


def vector(kind: TensorType, make: Make) -> Form | None:
    """The form of an invariant that is the same for every sequence: a bias. Else ``None``."""
    if any(d != 1 for d in kind.shape[:-1]):
        return None
    n = _width(kind)
    flat: Make = make if kind.rank == 1 else lambda b: b("reshape", make(b), shape=(n,))
    return Form(n, {}, Bias(n, flat))


def matrix(kind: TensorType, make: Make) -> Matrix | None:
    """An invariant of rank 2 as a matrix."""
    if kind.rank != 2 or not all(isinstance(d, int) for d in kind.shape):
        return None
    return Full(int(str(kind.shape[0])), int(str(kind.shape[1])), make)
