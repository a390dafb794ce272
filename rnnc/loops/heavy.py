"""Heavy steps: values so large that one step of them fills the caches, and is better done with first.

For all steps at once, such a value would be written to memory and read from there by every op that it goes
through, and a long sequence might not fit at all. What an op costs to start is nothing beside one step of it.
"""

from __future__ import annotations

import networkx as nx

from rnnc.ir import SOURCES, Graph
from rnnc.timing import timing
from rnnc.types import TensorType

#: From so many elements on, counting sizes with a name as 1, one step of a value is heavy.
LARGE = 1 << 15


def heavy(graph: Graph) -> dict[str, str]:
    """Each value that belongs into one loop with the first heavy one: all heavy ones, and what is between."""
    when = timing(graph)
    large = [
        v for v in graph.order() if when[v] == "stream" and graph[v].op not in SOURCES and _is_large(graph, v)
    ]
    if not large:
        return {}
    # What reads them is done with them, so that they need not leave the loop.
    some = [*large, *(u for v in large for u in graph.nx.succ[v] if when[u] == "stream")]
    after, before = set(some), set(some)
    for v in some:
        after |= nx.descendants(graph.nx, v)
        before |= nx.ancestors(graph.nx, v)
    between = [v for v in graph if v in after and v in before and when[v] == "stream"]
    items = [u for v in between for u in graph.nx.succ[v] if graph[u].op == "item"]
    return dict.fromkeys([*between, *items], large[0])


def _is_large(graph: Graph, value: str) -> bool:
    kind = graph[value].type
    if not isinstance(kind, TensorType):
        return False
    size = 1
    for d in kind.shape:
        size *= d if isinstance(d, int) else 1
    return size >= LARGE
