"""Share: equal values become one.

    %0: f32[B, 3] = matmul(x, W)                        %0: f32[B, 3] = matmul(x, W)
    %1: f32[B, 3] = matmul(x, W)                ->      %1: f32[B, 3] = add(%0, b)
    %2: f32[B, 3] = add(%0, b)                          y: f32[B, 3] = mul(%1, %1)
    %3: f32[B, 3] = add(b, %1)
    y: f32[B, 3] = mul(%2, %3)

Values are equal if op, attributes, type and operands are, the operands of a commutative op in any order;
sources are equal to nothing. Delays are equal if what they delay, by how much, and what they start from
are; and since a loop can only be compared with a loop once its delays are, all delays are first held to be
equal, and told apart until nothing more is (congruence, as in value numbering): two equal loops become one.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rnnc.ir import SOURCES, Graph
from rnnc.ops.declare import OPS
from rnnc.pipeline import Pass
from rnnc.rewrite import attribute, supersede

#: Never equal to another value: sources, and what only its maker understands.
UNLIKE = SOURCES | {"opaque"}


@dataclass(frozen=True)
class Share(Pass):
    """Common subexpressions, delays and loops included."""

    name: ClassVar[str] = "share"

    def apply(self, graph: Graph) -> None:
        share(graph)


def share(graph: Graph) -> None:
    """Replace every value by the first of those that are equal to it."""
    first: dict[int, str] = {}
    for v, number in congruence(graph).items():
        same = first.setdefault(number, v)
        if same != v and v in graph:
            first[number] = supersede(graph, v, same)


def congruence(graph: Graph) -> dict[str, int]:
    """The class of every value, in the graph's order; values of one class are equal at every step."""
    order = graph.order()
    alone = {v: signature(graph, v) for v in order}
    classes = dict.fromkeys((v for v in order if graph[v].op == "delay"), 0)
    count = 0
    while True:
        numbers: dict[Hashable, int] = {}
        found: dict[str, int] = {}
        for v in order:
            operands: list[Any] = [found.get(o, -1) for o in graph.operands(v)]
            if graph[v].op == "delay":
                # What is delayed was numbered in the round before; the first round takes it for anything.
                operands[0] = (classes[v], classes.get(graph.operands(v)[0], 0))
            elif OPS[graph[v].op].commutative:
                operands.sort()
            found[v] = numbers.setdefault((alone[v], *operands), len(numbers))
        if len(numbers) == count or not classes:
            return found
        classes, count = found, len(numbers)


def signature(graph: Graph, value: str) -> Hashable:
    """All of a value but its operands."""
    node = graph[value]
    if node.op in UNLIKE:
        return value
    names = OPS[node.op].attrs.keys() | node.attrs.keys()
    attrs = sorted((name, freeze(attribute(node, name))) for name in names)
    return node.op, node.type, tuple(attrs)


def freeze(attr: Any) -> Hashable:
    """An attribute as something that compares exactly: 1, 1.0 and True differ, arrays are their bytes."""
    if isinstance(attr, np.ndarray):
        return "array", str(attr.dtype), attr.shape, attr.tobytes()
    if isinstance(attr, tuple):
        return tuple(map(freeze, attr))
    return (type(attr).__name__, id(attr)) if isinstance(attr, Graph) else (type(attr).__name__, attr)
