"""Matrix memories: regions whose state is a matrix of keys by values, written to and read by vectors.

    S = a ∘ (S⁻ - p (rᵀ S⁻)) + p vᵀ        y = qᵀ S        ∘ with a decay of a key, or of all

They are found by multiplying out what the state becomes, however it is written: as a sum of the state itself,
of what is erased (what a vector reads from the state, put back by an outer product) and of what is written.
All vectors are computed outside of the loop; there, an outer product of whole sequences is looked through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Literal

import networkx as nx

from rnnc.errors import Loc
from rnnc.ir import Graph
from rnnc.loops.regions import outer_inputs
from rnnc.plans import Refused

#: A value of the graph around a region, or a constant of its body.
Outer = str


@dataclass(frozen=True)
class Term:
    """One term of a matrix or, without its first vector, of a vector: ``sign · factors · what``.

    ``state`` is the matrix before the step; ``read`` is ``rᵀ S⁻`` (vectors ``r`` and along which axis), or,
    put back, ``p (rᵀ S⁻)`` (``p``, ``r`` and the axis); ``vector`` is ``v``, or, written, ``p vᵀ``.
    ``factors`` multiply matrices, before anything is read from them, and ``scales`` the vectors that are put
    back or written.
    """

    what: Literal["state", "read", "vector"]
    vectors: tuple[Outer, ...] = ()
    sign: int = 1
    factors: tuple[str, ...] = ()
    scales: tuple[str, ...] = ()


@dataclass(frozen=True)
class Memory:
    """A region that is a matrix memory. ``keys`` is the axis of its state, 1 or 2, along which keys lie.

    ``decay`` are the factors of the state, values of the body. ``key`` writes ``value``, times ``beta``; with
    ``erases``, ``key`` also reads what it takes away first.
    """

    graph: Graph
    region: str
    keys: int
    query: Outer
    key: Outer
    value: Outer
    decay: tuple[str, ...]
    beta: Outer | None
    erases: bool


def read_memory(graph: Graph, region: str) -> Memory:
    """The region as a matrix memory; :class:`Refused`, with the place in the source, if it is none."""
    return _Reading(graph, region).memory()


def outer_product(graph: Graph, v: str) -> tuple[str, str] | None:
    """The vectors along the last two axes of a value that is an outer product of vectors."""
    if (found := _einsum(graph, v)) and len(found[0]) == 2:
        terms, result = found
        front, last = result[:-2], result[-2:]
        for (x, one), (y, other) in permutations(zip(terms, graph.operands(v), strict=True)):
            if (x, y) == (front + last[:1], front + last[1:]) and len(last) == 2:
                return one, other
    return None


def _einsum(graph: Graph, v: str) -> tuple[list[str], str] | None:
    """The letters of an einsum's operands and result."""
    if graph[v].op != "einsum" or "." in graph[v].attrs["equation"]:
        return None
    left, _, right = graph[v].attrs["equation"].replace(" ", "").partition("->")
    return left.split(","), right


class _Reading:
    """One region on its way to being a memory."""

    def __init__(self, graph: Graph, region: str) -> None:
        self.graph, self.region = graph, region
        self.body: Graph = graph[region].attrs["body"]
        face = self.body.interface
        if len(face.states) != 1 or face.states[0].depth > 1:
            raise Refused(f"the loop has {len(face.states)} states, not one matrix")
        self.state = face.states[0]
        if self.state.type.rank != 3 or self.state.type.dtype != "f32":
            raise Refused(
                f"state {self.state.path} is {self.state.type}, not a float32 matrix", self.state.loc
            )
        self.outer: dict[str, Outer] = outer_inputs(graph, region)
        self.new = self.body.finals[self.state.path]
        delays = self.body.find("delay")
        for d in delays:
            if self.body.operands(d) != (self.new, self.state.source) or self.body[d].attrs["k"] != 1:
                raise Refused(f"{d} is not the state one step ago", self._loc(d))
        self.held = set(delays).union(*(nx.descendants(self.body.nx, d) for d in delays)) if delays else set()

    def memory(self) -> Memory:
        """The memory."""
        keys, query = self._query()
        terms = self.matrix(self.new)
        state = self._only([t for t in terms if t.what == "state"], "keeps the state")
        written = self._only([t for t in terms if t.what == "vector"], "is written to")
        erased = [t for t in terms if t.what == "read"]
        if state.sign < 0 or written.factors:
            raise Refused("the state changes its sign, or decays what is written", self._loc(self.new))
        key, value = written.vectors if keys == 1 else written.vectors[::-1]
        beta = written.scales
        if erased:
            one = self._only(erased, "erases")
            put, reader, axis = one.vectors
            if axis != str(keys) or one.sign * written.sign > 0 or one.factors != state.factors:
                raise Refused("what is erased is not what the key reads", self._loc(self.new))
            if put != key or one.scales != written.scales:
                raise Refused("it is not erased where it is written", self._loc(self.new))
            if not beta and key != reader:
                beta = tuple(o for o in self._scaled(key) if o != reader)
                if len(beta) != 1 or len(self._scaled(key)) != 2:
                    raise Refused("the key is no multiple of what reads the state", self._loc(self.new))
            key = reader
        if len(beta) > 1 or written.sign < 0:
            raise Refused("what is written has several scales, or a sign", self._loc(self.new))
        return Memory(
            self.graph, self.region, keys, query, key, value, state.factors,
            beta[0] if beta else None, bool(erased),
        )  # fmt: skip

    def _query(self) -> tuple[int, Outer]:
        """Along which axis the state is read after each step, and by which vector."""
        found = {self._read_of(v) for v in self.body.outputs.values()}
        if len(found) != 1:
            raise Refused("it is not read by one query a step", self._loc(self.new))
        ((matrix, query, axis),) = found
        if matrix != self.new:
            raise Refused("the state itself is needed outside of the loop", self._loc(self.new))
        return axis, self._vector_outside(query)

    def _only(self, terms: list[Term], verb: str) -> Term:
        if len(terms) != 1:
            raise Refused(f"the step {verb} {len(terms)} times", self._loc(self.new))
        return terms[0]

    def _scaled(self, v: Outer) -> tuple[str, ...]:
        """The two factors of a product outside."""
        return self.graph.operands(v) if self.graph[v].op == "mul" else ()

    # -- multiplying out ------------------------------------------------------------------------------------
    def matrix(self, v: str) -> list[Term]:
        """A matrix as a sum of terms."""
        if self.body[v].op == "delay":
            return [Term("state")]
        if v in self.outer:
            pair = outer_product(self.graph, self.outer[v])
            if pair is None:
                raise Refused("what is written is no outer product of two vectors", self._loc(v))
            return [Term("vector", pair)]
        if self.body[v].op == "einsum":
            return self._put(v)
        return self._linear(v, self.matrix, lambda t, by: replace(t, factors=_with(t.factors, by)))

    def _put(self, v: str) -> list[Term]:
        """An outer product of a vector with what may have been read from the state."""
        pair = outer_product(self.body, v)
        if pair is None:
            raise Refused("the state goes through einsum, which mixes elements", self._loc(v))
        inner = [w for w in pair if w in self.held]
        if len(inner) > 1:
            raise Refused("two values that depend on the state are multiplied", self._loc(v))
        if not inner:
            return [Term("vector", (self._vector_outside(pair[0]), self._vector_outside(pair[1])))]
        at = pair.index(inner[0])
        by, terms = self._vector_outside(pair[1 - at]), []
        for t in self.vector(inner[0]):
            if t.what == "read":
                reader, axis = t.vectors
                if axis == str(at + 1):
                    raise Refused("what is read is put back along the other axis", self._loc(v))
                terms.append(replace(t, vectors=(by, reader, axis)))
            else:
                terms.append(replace(t, vectors=(t.vectors[0], by) if at == 0 else (by, t.vectors[0])))
        return terms

    def vector(self, v: str) -> list[Term]:
        """A vector as a sum of terms."""
        if v not in self.held:
            return [Term("vector", (self._vector_outside(v),))]
        if self.body[v].op == "einsum":
            matrix, reader, axis = self._read_of(v)
            terms = self.matrix(matrix)
            if any(t.what != "state" for t in terms):
                raise Refused("what is read is not the state one step ago", self._loc(v))
            return [replace(t, what="read", vectors=(self._vector_outside(reader), str(axis))) for t in terms]
        return self._linear(
            v, self.vector, lambda t, by: replace(t, scales=_with(t.scales, self.outside(by)))
        )

    def _linear(
        self, v: str, of: Callable[[str], list[Term]], times: Callable[[Term, str], Term]
    ) -> list[Term]:
        """Sums, differences, and products with what does not depend on the state."""
        args = self.body.operands(v)
        match self.body[v].op:
            case "add":
                return [*of(args[0]), *of(args[1])]
            case "sub":
                return [*of(args[0]), *_negative(of(args[1]))]
            case "neg":
                return _negative(of(args[0]))
            case "mul":
                for scale, by in (args, args[::-1]):
                    if scale not in self.held and by in self.held and self._is_factor(scale):
                        return [times(t, scale) for t in of(by)]
        raise Refused(f"the state goes through {self.body[v].op}", self._loc(v))

    def _is_factor(self, v: str) -> bool:
        """Whether a value has one feature along one of the last two axes, and is known outside."""
        shape = self.body.type(v).shape
        return (v in self.outer or self.body[v].op == "const") and (len(shape) < 2 or 1 in shape[1:])

    def _read_of(self, v: str) -> tuple[str, str, int]:
        """What ``v`` reads from a matrix: that, the vector, and the axis along which they meet."""
        found = _einsum(self.body, v)
        if found is not None and len(found[0]) == 2:
            terms, result = found
            for (x, matrix), (y, vector) in permutations(zip(terms, self.body.operands(v), strict=True)):
                if len(x) == 3 and x[:1] == y[:1] == result[:1] and len(y) == 2 and y[1] in x[1:]:
                    axis = x.index(y[1])
                    if result == x.replace(y[1], ""):
                        return matrix, vector, axis
        raise Refused("the state itself is needed outside of the loop", self._loc(v))

    def outside(self, v: str) -> Outer:
        """A value that the loop only reads, as it is called outside."""
        if v not in self.outer:
            raise Refused(f"{v} is computed within the loop", self._loc(v))
        return self.outer[v]

    def _vector_outside(self, v: str) -> Outer:
        if self.body.type(v).rank != 2:
            raise Refused(f"{v} is {self.body.type(v)}, not a vector for each sequence", self._loc(v))
        return self.outside(v)

    def _loc(self, v: str) -> Loc | None:
        return next(iter(self.body[v].locs), None)


def _negative(terms: Iterable[Term]) -> list[Term]:
    return [replace(t, sign=-t.sign) for t in terms]


def _with(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(sorted((*names, name)))
