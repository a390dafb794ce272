"""Parts: what a state is packed from, so that each part after the run comes from where it is held.

    s = concat(h, c)        h after the run is what the loop's register holds, and so is c

A state whose value is such a pack would else have to be put together at every step. Where the run has no
steps, each part is the part of what the state was before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnc.build import Builder
from rnnc.dims import names, substitute
from rnnc.ir import Array, Graph, Node, state_type
from rnnc.loops import slots
from rnnc.loops.batching import resized
from rnnc.ops import OPS
from rnnc.types import TensorType

#: Ops that move the elements of their one operand.
MOVES = frozenset({"reshape", "squeeze", "unsqueeze", "transpose"})
#: What the initial value of a part is made by, besides.
_CUTS = MOVES | {"slice", "expand"}


@dataclass(frozen=True)
class End:
    """A value whose last step is wanted: what is there without a step, and how many steps are."""

    init: str
    depth: int


@dataclass
class Ends:
    """The values whose last steps the states are, by key, under which they are among a graph's finals."""

    ends: dict[str, End] = field(default_factory=dict)
    _made: dict[str, Callable[[Mapping[str, str]], str]] = field(default_factory=dict)

    @staticmethod
    def of(graph: Graph) -> Ends:
        """The ends of a stream graph, whose finals become theirs."""
        found, finals = Ends(), dict(graph.finals)
        graph.finals = {}
        for path, value in finals.items():
            state = graph.interface.state(path)
            if state.depth > 1:
                found._made[path] = found._leaf(graph, path, value, state.source, state.depth)
            else:
                found._made[path] = found._apart(graph, path, value, state.source)
        return found

    def put_together(self, graph: Graph) -> None:
        """Make the finals of ``graph``, which are those of the ends, those of the states."""
        graph.finals = {path: make(graph.finals) for path, make in self._made.items()}

    def _leaf(self, graph: Graph, key: str, value: str, init: str, depth: int = 1) -> Callable[..., str]:
        key = key if key not in graph.finals else f"{key}/{len(graph.finals)}"
        graph.finals[key], self.ends[key] = value, End(init, depth)
        return lambda finals: finals[key]

    def _apart(self, graph: Graph, path: str, value: str, init: str) -> Callable[[Mapping[str, str]], str]:
        """How the end of ``value`` is made of the ends of its parts."""
        node = graph[value]
        for user, slot in graph.uses(value):
            if graph[user].op == "delay" and slot == 0 and graph[user].attrs["k"] == 1:
                start = graph.operands(user)[1]
                if same_elements(graph, start, init):
                    return self._leaf(graph, path, value, start)
        joins = node.op == "concat" and all(isinstance(d, int) for d in _sizes(graph, value))
        if not joins and node.op not in MOVES and not is_backwards(node):
            return self._leaf(graph, path, value, init)
        b = Builder(graph, like=value)
        starts = list(cut_back(b, init, value, 1))
        parts = [self._apart(graph, path, v, i) for v, i in zip(graph.operands(value), starts, strict=True)]
        again = Builder(graph, locs=node.locs)
        return lambda finals: again(node.op, *(part(finals) for part in parts), **node.attrs)


def _sizes(graph: Graph, joined: str) -> list[Any]:
    return [graph.type(v).shape[graph[joined].attrs["axis"]] for v in graph.operands(joined)]


def is_backwards(node: Node) -> bool:
    """Whether a value is another in the opposite order along an axis."""
    return node.op == "slice" and (node.attrs["start"], node.attrs["stop"], node.attrs.get("step")) == (
        -1,
        None,
        -1,
    )


def cut_back(b: Builder, init: str, value: str, k: int) -> Iterator[str]:
    """What each operand of a concat or moving op starts from, if its result starts from ``init``."""
    graph, node, at = b.graph, b.graph[value], 0
    if node.op != "concat":
        yield _moved_back(b, init, node, graph.type(graph.operands(value)[0]), k)
        return
    for size in _sizes(graph, value):
        yield _cut(b, init, node.tensor.rank - node.attrs["axis"], at, at + size)
        at += size


def _cut(b: Builder, init: str, axis: int, start: int, stop: int) -> str:
    """The part of an initial value along an axis, counted from the last, from 1 on."""
    have = b.graph.type(init)
    if have.rank < axis or have.shape[-axis] == 1:
        return init
    return b("slice", init, axis=have.rank - axis, start=start, stop=stop)


def _moved_back(b: Builder, init: str, node: Node, to: TensorType, k: int) -> str:
    """The initial value of which the op of ``node`` makes ``init``."""
    if b.graph.type(init).rank == 0:
        return init
    init = slots.whole(b, init, node.tensor, k)
    if is_backwards(node):
        return b("slice", init, axis=node.attrs["axis"] + (k > 1), start=-1, stop=None, step=-1)
    if node.op != "transpose":
        return b("reshape", init, shape=state_type(to, k).shape)
    inverse = [node.attrs["perm"].index(axis) for axis in range(to.rank)]
    return b("transpose", init, perm=(0, *(axis + 1 for axis in inverse)) if k > 1 else tuple(inverse))


def same_elements(graph: Graph, a: str, b: str) -> bool:
    """Whether two values, cut and moved from one, are the same elements in the same places."""
    if a == b:
        return True
    (x, xs), (y, ys) = (_elements(graph, v) for v in (a, b))
    return x == y and np.array_equal(xs, ys)


def _elements(graph: Graph, value: str) -> tuple[str, Array]:
    """The value that ``value`` is cut and moved from, and which of its elements lie where.

    Every size with a name is taken for the same number, which no op that cuts or moves can see.
    """
    node = graph[value]
    env = dict.fromkeys({n for d in node.tensor.shape for n in names(d)}, 2)
    if node.op in _CUTS:
        source, places = _elements(graph, graph.operands(value)[0])
        moved: Array = OPS[node.op].body(places, **resized(node.attrs, env))
        return source, moved
    shape = [int(str(substitute(d, env))) for d in node.tensor.shape]
    return value, np.arange(int(np.prod(shape))).reshape(shape)
