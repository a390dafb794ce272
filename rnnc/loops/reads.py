"""Reads: what a loop's matrices are asked for at every step, so that only the answers need leave the loop.

A state of keys by values is large, and what a query reads from it small::

    S: f32[B, 64, 128] = add(S1, …)             in the loop
    y: f32[B, 128] = einsum(S, q)               behind it

Behind the loop, ``y`` would need ``S`` at every step, all of them in memory at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod

import networkx as nx

from rnnc.ir import Graph
from rnnc.ops import OPS
from rnnc.timing import Timing
from rnnc.types import TensorType

#: The rank from which on a value is a matrix for each sequence of the batch.
MATRIX = 3


def reads(graph: Graph, timing: Mapping[str, Timing]) -> dict[str, str]:
    """Each value that belongs into a loop although it is on no cycle, with the matrix of the loop it reads.

    It is smaller than the matrix, which nothing else outside reads, and combines it with another stream that
    does not depend on the loop.
    """
    found: dict[str, str] = {}
    for component in nx.strongly_connected_components(graph.nx):
        if len(component) == 1:
            continue
        after: set[str] = set()
        for v in component:
            after |= nx.descendants(graph.nx, v)
        for v in (v for v in graph.order() if v in component and _is_matrix(graph, v)):
            outside = list(dict.fromkeys(u for u, _ in graph.uses(v) if u not in component))
            ends = v in graph.outputs.values()
            if outside and not ends and all(_answers(graph, u, v, after, timing) for u in outside):
                found |= dict.fromkeys(outside, v)
    return found


def _is_matrix(graph: Graph, v: str) -> bool:
    kind = graph[v].type
    return not OPS[graph[v].op].structural and isinstance(kind, TensorType) and kind.rank >= MATRIX


def _answers(graph: Graph, user: str, matrix: str, after: set[str], timing: Mapping[str, Timing]) -> bool:
    """Whether ``user`` reads less from a matrix by other streams, none of which comes ``after`` its loop."""
    others, kind = [o for o in graph.operands(user) if o != matrix], graph[user].type
    return (
        not OPS[graph[user].op].structural
        and isinstance(kind, TensorType)
        and _size(kind.shape) < _size(graph.type(matrix).shape)
        and any(timing[o] == "stream" for o in others)
        and not after.intersection(others)
    )


def _size(shape: Iterable[object]) -> int:
    """The number of elements for each sequence."""
    return prod(d for d in shape if isinstance(d, int))
