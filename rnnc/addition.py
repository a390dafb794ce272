"""Addition: a tree of ``add`` as the terms that it sums."""

from __future__ import annotations

from collections.abc import Sequence

from rnnc.build import Builder
from rnnc.ir import Graph
from rnnc.rewrite import used_once
from rnnc.types import TensorType


def terms(graph: Graph, root: str) -> list[str]:
    """The terms that ``root`` is the sum of, in order; itself if it is no sum.

    A sum inside that something else reads too is one term, and so is one that is broadcast.
    """
    found: list[str] = []
    waiting = [root]
    while waiting:
        value = waiting.pop()
        node = graph[value]
        inner = value == root or (node.type == graph[root].type and used_once(graph, value))
        if node.op == "add" and inner:
            waiting += reversed(graph.operands(value))
        else:
            found.append(value)
    return found


def is_term(graph: Graph, value: str) -> bool:
    """Whether ``value`` is inside a greater sum, of whose terms :func:`terms` has it or what it sums."""
    if not used_once(graph, value):
        return False
    ((user, _),) = graph.uses(value)
    return graph[user].op == "add" and graph[user].type == graph[value].type


def total(b: Builder, values: Sequence[str]) -> str:
    """The sum of one value or more, added from the left."""
    found = values[0]
    for value in values[1:]:
        found = b("add", found, value)
    return found


def is_product(graph: Graph, value: str, type: TensorType) -> bool:
    """Whether ``value`` is a product with a matrix, and of that type."""
    node = graph[value]
    return node.op == "matmul" and node.type == type and graph.type(graph.operands(value)[1]).rank == 2
