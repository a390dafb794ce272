"""Mixtures: a state's new value as ``keep ∘ old + gate ∘ new``, however the source wrote it.

``polynomial`` multiplies out what a value is made of by ``+``, ``-`` and ``∘``, so that ``(1-z)∘n + z∘h``,
``n + z∘(h-n)`` and ``h - (1-z)∘(h-n)`` are one sum of products: ``n - z∘n + z∘h``. ``readings`` finds the
factors again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np

from rnnc.ir import Graph

#: Products of values, each by the values' names in order, and the number before each.
Polynomial = Mapping[tuple[str, ...], float]

#: What would have more products than this is not multiplied out.
MOST_PRODUCTS = 16


@dataclass(frozen=True)
class Factor:
    """A value, or one minus it."""

    value: str
    opposite: bool = False

    def mirrored(self) -> Factor:
        """One minus this factor."""
        return Factor(self.value, not self.opposite)


@dataclass(frozen=True)
class Mixture:
    """``keep ∘ old + gate ∘ new``."""

    keep: Factor
    gate: Factor
    new: str


def number(graph: Graph, value: str) -> float | None:
    """The number that all elements of a constant are; ``None`` if they differ, or it is no constant."""
    array = graph[value].attrs.get("value") if graph[value].op == "const" else None
    if not isinstance(array, np.ndarray) or not array.size or np.any(array != array.flat[0]):
        return None
    return float(array.flat[0])


def polynomial(graph: Graph, value: str) -> Polynomial:
    """What ``value`` is as a sum of products; other ops than ``+``, ``-``, ``∘`` are not looked into.

    ``σ(-a)`` is ``1 - σ(a)``, where the graph has that ``σ(a)`` too.
    """
    return _read(graph, value, _mirrors(graph))


def _read(graph: Graph, value: str, mirrors: Mapping[str, str]) -> Polynomial:
    node, args = graph[value], graph.operands(value)
    known = number(graph, value)
    if known is not None:
        return _plus({}, {(): known}, 1)
    match node.op:
        case "neg":
            return _plus({}, _read(graph, args[0], mirrors), -1)
        case "add" | "sub":
            a, b = (_read(graph, x, mirrors) for x in args)
            return _plus(a, b, 1 if node.op == "add" else -1)
        case "mul":
            a, b = (_read(graph, x, mirrors) for x in args)
            return _times(a, b) if len(a) * len(b) <= MOST_PRODUCTS else {(value,): 1}
    return {(): 1, (mirrors[value],): -1} if value in mirrors else {(value,): 1}


def readings(graph: Graph, value: str, is_old: Callable[[str], bool]) -> Iterator[Mixture]:
    """Every way in which ``value`` is a mixture of something with what ``is_old``."""
    found = polynomial(graph, value)
    keep: dict[tuple[str, ...], float] = {}
    rest: dict[tuple[str, ...], float] = {}
    for factors, times in found.items():
        others = tuple(f for f in factors if not is_old(f))
        if len(factors) - len(others) > 1:
            return
        (rest if len(others) == len(factors) else keep)[others] = times
    kept = _factor(keep)
    if kept is None:
        return
    if len(rest) == 1:
        ((pair, times),) = rest.items()
        if times == 1 and len(pair) == 2:
            for gate, new in permutations(pair):
                yield Mixture(kept, Factor(gate), new)
        return
    for new in dict.fromkeys(f for factors in rest for f in factors):
        factor = _factor({_without(p, new): n for p, n in rest.items() if new in p})
        if factor and all(new in p for p in rest):
            yield Mixture(kept, factor, new)


def _factor(found: Polynomial) -> Factor | None:
    """``a`` or ``1 - a``."""
    atoms = [p for p in found if p]
    if len(atoms) != 1 or len(atoms[0]) != 1:
        return None
    ((value,),) = atoms
    if found == {(value,): 1}:
        return Factor(value)
    return Factor(value, opposite=True) if found == {(): 1, (value,): -1} else None


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
        inner = _read(graph, graph.operands(v)[0], {})
        opposite = seen.get(frozenset(_plus({}, inner, -1).items()))
        if opposite:
            found[v] = opposite
        else:
            seen.setdefault(frozenset(inner.items()), v)
    return found
