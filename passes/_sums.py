"""Sums: trees of one kind of op as lists of what they combine, and back."""

from __future__ import annotations

from collections.abc import Collection, Container, Sequence

from rnnc.build import Builder
from rnnc.dims import Dim, product
from rnnc.ir import Graph
from rnnc.rewrite import used_once

#: What a sum is made of, and the sign of each operand.
SIGNS = {"add": (1, 1), "sub": (1, -1), "neg": (-1,)}

Term = tuple[int, str]


def tree(
    graph: Graph, root: str, ops: Collection[str], inside: Container[str] | Graph
) -> tuple[list[str], list[Term]]:
    """The values ``inside`` that compute ``root`` by ``ops`` and serve nothing else, and its signed terms."""
    nodes, terms = [root], []
    for sign, o in zip(SIGNS.get(graph[root].op, (1, 1)), graph.operands(root), strict=True):
        if o in inside and graph[o].op in ops and used_once(graph, o):
            more, below = tree(graph, o, ops, inside)
            nodes += more
            terms += [(sign * s, v) for s, v in below]
        else:
            terms.append((sign, o))
    return nodes, terms


def top(graph: Graph, value: str, ops: Collection[str], inside: Container[str] | Graph) -> str:
    """The root of the tree of ``ops`` that ``value`` is a part of; itself if of none."""
    while used_once(graph, value):
        user = graph.uses(value)[0][0]
        if user not in inside or graph[user].op not in ops:
            break
        value = user
    return value


def total(b: Builder, terms: Sequence[Term]) -> Term:
    """The sum of signed terms, itself signed so that it needs no ``neg``: the first positive one leads."""
    first = next((t for t in terms if t[0] > 0), terms[0])
    rest = list(terms)
    rest.remove(first)
    sign, value = first
    for s, v in rest:
        value = b("add" if s == sign else "sub", value, v)
    return sign, value


def plain(b: Builder, term: Term) -> str:
    """A signed term as a value."""
    return term[1] if term[0] > 0 else b("neg", term[1])


def chain(b: Builder, op: str, values: Sequence[str]) -> str:
    """``op`` over all values, from the first on."""
    value = values[0]
    for v in values[1:]:
        value = b(op, value, v)
    return value


def by_feature(shape: tuple[Dim, ...], features: Dim) -> bool:
    """Whether a factor of that shape is one number, or one for each of the ``features`` on the last axis."""
    return product(shape) in (1, features) and (not shape or shape[-1] == product(shape))
