"""Maps: what takes no axis of time and is on no cycle, in as few loops without states as possible.

    a = f(x);  b = f(a + 1);  c = g(x)        f and g take one step at a time
    →  (b, c) = region(x) {a = f(x);  b = f(a + 1);  c = g(x)}

Two such values need two loops only where one waits for the other through something that is better done for
all steps at once: a product, a convolution, another loop. What is cheap wherever it is done, element by
element, joins the loop that it stands in the middle of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rnnc.dims import Dim
from rnnc.ir import SOURCES, Graph
from rnnc.loops.lifting import Operand, takes_time
from rnnc.loops.regions import over_time
from rnnc.ops import OPS
from rnnc.timing import Timing
from rnnc.types import TensorType


def maps(
    graph: Graph, order: Sequence[Sequence[str]], timing: Mapping[str, Timing], steps: Dim
) -> dict[str, str]:
    """Each value that belongs into a loop without states, with the first value of that loop.

    ``order`` are the strongly connected components, each after those that it depends on.
    """
    alone = [c[0] for c in order if len(c) == 1 and c[0] not in graph.operands(c[0])]
    stuck = {v for v in alone if _stuck(graph, v, timing, steps)}
    if not stuck:
        return {}
    stuck |= {v for v in alone if graph[v].op == "item" and graph.operands(v)[0] in stuck}
    cheap = {v for v in alone if timing[v] == "stream" and OPS[graph[v].op].elementwise}
    level = _levels(graph, order, stuck, cheap)
    found: dict[str, str] = {}
    first: dict[int, str] = {}
    for v in reversed(alone):
        inner = any(user in found and level[user] == level[v] for user, _ in graph.uses(v))
        if v in stuck or (v in cheap and inner):
            found[v] = first[level[v]] = v
    return {v: first[level[v]] for v in found}


def _stuck(graph: Graph, v: str, timing: Mapping[str, Timing], steps: Dim) -> bool:
    """Whether a stream takes no axis of time."""
    node = graph[v]
    if timing[v] != "stream" or node.op in (*SOURCES, "delay", "last"):
        return False
    xs = []
    for o in graph.operands(v):
        kind, stream = graph[o].type, timing[o] == "stream"
        lifted = over_time(kind, steps) if stream and isinstance(kind, TensorType) else kind
        xs.append(Operand(o, lifted, stream))
    return not takes_time(OPS[node.op], xs, node.attrs, node.type, steps)


def _levels(graph: Graph, order: Sequence[Sequence[str]], stuck: set[str], cheap: set[str]) -> dict[str, int]:
    """Which loop each value is in or behind: odd numbers are inside one, even ones between two.

    What is cheap stays inside until it is known what it is for.
    """
    level: dict[str, int] = {}
    for members in order:
        outside = {o for m in members for o in graph.operands(m)}.difference(members)
        reached = max((level[o] for o in outside), default=0)
        odd = reached % 2
        for m in members:
            level[m] = reached + 1 - odd if m in stuck else reached if m in cheap else reached + odd
    return level
