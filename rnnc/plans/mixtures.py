"""Mixtures: a state's new value as ``keep ∘ old + gate ∘ new``, however the source wrote it.

``polynomial`` multiplies out what a value is made of by ``+``, ``-`` and ``∘``, so that ``(1-z)∘n + z∘h``,
``n + z∘(h-n)`` and ``h - (1-z)∘(h-n)`` are one sum of products: ``n - z∘n + z∘h``. ``readings`` finds the
factors again, which may be numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from rnnc.ir import Graph

#: Products of values, each by the values' names in order, and the number before each.
Polynomial = Mapping[tuple[str, ...], float]

#: What would have more products than this is not multiplied out.
MOST_PRODUCTS = 16


#: The polynomial of an input that is something simple outside of the loop; ``None`` where it is not.
Outside = Callable[[str], "Polynomial | None"]


@dataclass(frozen=True)
class Mixture:
    """``keep ∘ old + gate ∘ new``, each a sum of products without ``old``."""

    keep: Polynomial
    gate: Polynomial
    new: Polynomial

    @property
    def convex(self) -> bool:
        """Whether ``keep + gate`` is 1, as far as float32 can tell."""
        total = _plus(self.keep, self.gate, 1)
        return set(total) == {()} and bool(np.float32(total[()]) == 1)


def number(graph: Graph, value: str) -> float | None:
    """The number that all elements of a constant are; ``None`` if they differ, or it is no constant."""
    array = graph[value].attrs.get("value") if graph[value].op == "const" else None
    if not isinstance(array, np.ndarray) or not array.size or np.any(array != array.flat[0]):
        return None
    return float(array.flat[0])


def polynomial(
    graph: Graph, value: str, atoms: Collection[str] = (), outside: Outside = lambda _: None
) -> Polynomial:
    """What ``value`` is as a sum of products; neither ``atoms`` nor what other ops make is looked into.

    Those ops are ``+``, ``-``, ``∘`` and ``where``, whose condition counts as 0 or 1: ``where(m, a, b)`` is
    ``m∘a + b - m∘b``. ``σ(-a)`` is ``1 - σ(a)``, where the graph has that ``σ(a)`` too.
    """
    return _Reading(graph, frozenset(atoms) - {value}, outside, _mirrors(graph)).of(value)


@dataclass(frozen=True)
class _Reading:
    """What a polynomial of a graph's values stops at."""

    graph: Graph
    atoms: frozenset[str] = frozenset()
    outside: Outside = lambda _: None
    mirrors: Mapping[str, str] = field(default_factory=dict)

    def of(self, value: str) -> Polynomial:
        """The polynomial of a value."""
        graph = self.graph
        node, args = graph[value], graph.operands(value)
        alone: Polynomial = {(value,): 1}
        known = number(graph, value)
        if known is not None:
            return _plus({}, {(): known}, 1)
        if value in self.atoms:
            return alone
        match node.op:
            case "input":
                return self.outside(value) or alone
            case "neg":
                return _plus({}, self.of(args[0]), -1)
            case "add" | "sub":
                a, b = map(self.of, args)
                return _plus(a, b, 1 if node.op == "add" else -1)
            case "mul":
                a, b = map(self.of, args)
                return _times(a, b) if len(a) * len(b) <= MOST_PRODUCTS else alone
            case "where":
                mask: Polynomial = {(args[0],): 1.0}
                a, b = map(self.of, args[1:])
                return _plus(_plus(_times(mask, a), b, 1), _times(mask, b), -1)
        return {(): 1, (self.mirrors[value],): -1} if value in self.mirrors else alone


def readings(found: Polynomial, is_old: Callable[[str], bool]) -> Iterator[Mixture]:
    """Every way in which a sum of products is a mixture of something with what ``is_old``."""
    keep: dict[tuple[str, ...], float] = {}
    rest: dict[tuple[str, ...], float] = {}
    for factors, times in found.items():
        others = tuple(f for f in factors if not is_old(f))
        if len(factors) - len(others) > 1:
            return
        (rest if len(others) == len(factors) else keep)[others] = times
    if not keep or not rest:
        return
    pairs: list[tuple[Polynomial, Polynomial]] = []
    for one, other in products(rest):
        alone: Polynomial = {(one,): 1.0}
        pairs += [(other, alone), (alone, other)] if any(other) else [(other, alone)]
    pairs.append(({(): 1.0}, rest))
    for k, (gate, new) in enumerate(pairs):
        if (gate, new) not in pairs[:k]:
            yield Mixture(keep, gate, new)


def products(found: Polynomial) -> Iterator[tuple[str, Polynomial]]:
    """Every way in which a sum of products is one value times something."""
    for one in dict.fromkeys(f for factors in found for f in factors):
        if all(one in factors for factors in found):
            yield one, {_without(p, one): n for p, n in found.items()}


def _without(factors: tuple[str, ...], one: str) -> tuple[str, ...]:
    at = factors.index(one)
    return factors[:at] + factors[at + 1 :]


def _plus(a: Polynomial, b: Polynomial, times: float) -> Polynomial:
    total = {p: a.get(p, 0) + times * b.get(p, 0) for p in [*a, *b]}
    return {p: n for p, n in total.items() if n}


def _times(a: Polynomial, b: Polynomial) -> Polynomial:
    total: Polynomial = {}
    for (p, m), (q, n) in product(a.items(), b.items()):
        total = _plus(total, {tuple(sorted(p + q)): m * n}, 1)
    return total


def _mirrors(graph: Graph) -> dict[str, str]:
    """Each ``σ(-a)`` that follows a ``σ(a)``, with that."""
    seen: dict[frozenset[tuple[tuple[str, ...], float]], str] = {}
    found: dict[str, str] = {}
    for v in graph.find("sigmoid"):
        inner = _Reading(graph).of(graph.operands(v)[0])
        opposite = seen.get(frozenset(_plus({}, inner, -1).items()))
        if opposite:
            found[v] = opposite
        else:
            seen.setdefault(frozenset(inner.items()), v)
    return found
