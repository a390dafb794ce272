"""Intervals: between which numbers the elements of a value must lie, whatever the inputs are.

Found from the ops that make a value: a logistic function lies between 0 and 1, a weight between its own
extremes, ``exp`` of what is never positive at most at 1. What is not known lies anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from rnnc.ir import Array, Graph

Interval = tuple[float, float]

ANYWHERE: Interval = (-math.inf, math.inf)


def anywhere(*_: Interval) -> Interval:
    """What is known of an op without a rule: nothing."""
    return ANYWHERE


def _products(a: Interval, b: Interval) -> Interval:
    ends = [0.0 if 0.0 in (x, y) else x * y for x in a for y in b]
    return min(ends), max(ends)


def _quotients(a: Interval, b: Interval) -> Interval:
    return ANYWHERE if b[0] <= 0 <= b[1] else _products(a, (1 / b[1], 1 / b[0]))


def _exp(x: float) -> float:
    return math.exp(min(x, 700.0)) if x < 700 else math.inf


def _soft(x: float) -> float:
    return x if x > 30 else math.log1p(_exp(x))


def _sigmoid(x: float) -> float:
    return 1 / (1 + _exp(-x))


def _rising(f: Callable[[float], float]) -> Callable[[Interval], Interval]:
    """An op that keeps order."""
    return lambda a: (f(a[0]), f(a[1]))


def _root(a: Interval) -> Interval:
    return math.sqrt(max(a[0], 0.0)), math.sqrt(max(a[1], 0.0))


#: What is known of the result of an op, given the same of its operands.
RULES: Mapping[str, Callable[..., Interval]] = {
    "add": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "sub": lambda a, b: (a[0] - b[1], a[1] - b[0]),
    "mul": _products,
    "div": _quotients,
    "neg": lambda a: (-a[1], -a[0]),
    "abs": lambda a: (max(a[0], -a[1], 0.0), max(-a[0], a[1])),
    "minimum": lambda a, b: (min(a[0], b[0]), min(a[1], b[1])),
    "maximum": lambda a, b: (max(a[0], b[0]), max(a[1], b[1])),
    "where": lambda _, a, b: (min(a[0], b[0]), max(a[1], b[1])),
    "sqrt": _root,
    "exp": _rising(_exp),
    "softplus": _rising(_soft),
    "relu": _rising(lambda x: max(x, 0.0)),
    "tanh": _rising(math.tanh),
    "sigmoid": _rising(_sigmoid),
    "hard_sigmoid": lambda _: (0.0, 1.0),
    "softsign": lambda _: (-1.0, 1.0),
    "sin": lambda _: (-1.0, 1.0),
    "cos": lambda _: (-1.0, 1.0),
}

#: Ops whose result has no other elements than their first operand, or than all of them.
MOVES = frozenset(
    {"slice", "split", "item", "reshape", "transpose", "expand", "unsqueeze", "squeeze", "gather"}
)
JOINS = frozenset({"concat", "tuple"})


class Intervals:
    """The intervals of a graph's values, each found once; ``known`` are those of its inputs."""

    def __init__(self, graph: Graph, known: Mapping[str, Interval] | None = None) -> None:
        self.graph = graph
        self._found: dict[str, Interval] = dict(known or {})

    def of(self, v: str) -> Interval:
        """Where the elements of ``v`` lie."""
        if v not in self._found:
            self._found[v] = self._of(v)
        return self._found[v]

    def _of(self, v: str) -> Interval:
        node, args = self.graph[v], self.graph.operands(v)
        if node.op == "const":
            return _extremes(node.attrs["value"])
        if node.op == "param":
            return _extremes(self.graph.interface.params.get(v))
        if node.op == "div" and self._is_share(*args):
            return 0.0, 1.0
        if node.op == "sub" and self._is_below_maximum(*args):
            return -math.inf, 0.0
        if node.op in RULES:
            found = RULES[node.op](*map(self.of, args))
            return ANYWHERE if any(map(math.isnan, found)) else found
        if node.op in MOVES:
            return self.of(args[0])
        if node.op in JOINS:
            parts = [self.of(a) for a in args]
            return min(p[0] for p in parts), max(p[1] for p in parts)
        return ANYWHERE

    def _is_share(self, x: str, whole: str) -> bool:
        """Whether ``x / whole`` is ``x / (x + y)`` of what is never negative."""
        parts = self.graph.operands(whole)
        return self.graph[whole].op == "add" and x in parts and all(self.of(p)[0] >= 0 for p in parts)

    def _is_below_maximum(self, x: str, most: str) -> bool:
        """Whether ``x - most`` is ``x - max(x, y)``, of one step of one loop too."""
        (graph, x), (where, most) = _made(self.graph, x), _made(self.graph, most)
        return graph is where and graph[most].op == "maximum" and x in graph.operands(most)


def _made(graph: Graph, v: str) -> tuple[Graph, str]:
    """Where a value is computed: in the body of the loop whose output it is, or in the graph."""
    if graph[v].op == "item":
        region, k = graph.operands(v)[0], graph[v].attrs["k"]
        if graph[region].op == "region":
            body: Graph = graph[region].attrs["body"]
            outputs = body.interface.outputs
            return (body, body.outputs[outputs[k].name]) if k < len(outputs) else (graph, v)
    return graph, v


def _extremes(array: Array | object) -> Interval:
    if not isinstance(array, np.ndarray) or not array.size or array.dtype.kind not in "fiu":
        return ANYWHERE
    low, high = float(array.min()), float(array.max())
    return ANYWHERE if math.isnan(low + high) else (low, high)
