"""Fold: what is computed from constants alone is a constant.

    %0: f32[2] = const() {value = f32[2] (1.0, 2.0)}
    %1: f32[2] = add(%0, 1.0)                           %2: f32[2] = const() {value = f32[2] (2.0, 3.0)}
    %2: f32[2] = exp(%1)                        ->      y: f32[B, 2] = mul(x, %2)
    y: f32[B, 2] = mul(x, %2)

The arithmetic is the ops' own, in float64, rounded once at the end. With ``params``, weights whose arrays are
known count as constants: late in a pipeline, since until then text should show the weights by their names.
Nothing is folded into an array much larger than what it is made from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np

from rnnc.build import Builder
from rnnc.ir import Array, Graph, Node
from rnnc.ops.declare import OPS
from rnnc.pipeline import Pass
from rnnc.rewrite import sweep
from rnnc.types import TensorType, TupleType, Type

#: Results up to this many elements are always folded; larger ones only if their operands hold as many.
SMALL = 4096


@dataclass(frozen=True)
class Fold(Pass):
    """Constant folding; with ``params``, weights are constants too."""

    name: ClassVar[str] = "fold"
    params: bool = False

    def apply(self, graph: Graph) -> None:
        fold(graph, params=self.params)


def fold(graph: Graph, *, params: bool = False) -> None:
    """Replace by constants what is known and read by something that is not."""
    known = _known(graph, params)
    roots = set(graph.roots())
    wanted = [
        v
        for v in known
        if graph[v].op not in ("const", "param")
        and isinstance(graph[v].type, TensorType)
        and (v in roots or any(user not in known for user in graph.nx.succ[v]))
    ]
    for v, array in zip(wanted, _values(graph, list(known), wanted), strict=True):
        graph.replace(v, Builder(graph, v).const(array, graph.type(v).dtype))
    sweep(graph)


def arrays(graph: Graph, values: list[str]) -> list[Array]:
    """The arrays of values that are made of weights and constants; none, if that of any is not known."""
    known = _known(graph, True)
    return _values(graph, list(known), values) if all(v in known for v in values) else []


def _known(graph: Graph, params: bool) -> dict[str, None]:
    """The values that are always the same, and small enough to be computed now, in order."""
    known: dict[str, None] = {}
    for v in graph.order():
        node, operands = graph[v], graph.operands(v)
        if node.op in ("const", "param"):
            found = isinstance(_array(graph, v), np.ndarray) and (params or node.op == "const")
        elif node.op == "item":
            found = operands[0] in known
        elif OPS[node.op].structural or not all(o in known for o in operands):
            found = False
        else:
            found = _size(node.type) <= max(SMALL, 2 * sum(_size(graph[o].type) for o in operands))
        if found:
            known[v] = None
    return known


def _array(graph: Graph, value: str) -> Any:
    """The array of a constant or a weight, if it is here: a digest may stand for it."""
    node = graph[value]
    return node.attrs["value"] if node.op == "const" else graph.interface.params.get(value)


def _values(graph: Graph, known: list[str], wanted: list[str]) -> list[Array]:
    """The arrays of ``wanted``. What of ``known`` they need is kept only while something still needs it."""
    needed: Counter[str] = Counter(wanted)
    for v in reversed(known):
        if needed[v]:
            needed.update(graph.operands(v))
    arrays: dict[str, Any] = {}
    for v in (v for v in known if needed[v]):
        node, operands = graph[v], graph.operands(v)
        if node.op in ("const", "param"):
            arrays[v] = np.asarray(_array(graph, v), node.tensor.numpy)
        elif node.op == "item":
            arrays[v] = arrays[operands[0]][node.attrs["k"]]
        else:
            arrays[v] = evaluate(node, [arrays[o] for o in operands])
        needed.subtract(operands)
        for o in operands:
            if not needed[o]:
                arrays.pop(o, None)
    return [arrays[v] for v in wanted]


def evaluate(node: Node, operands: list[Array]) -> Any:
    """The op of ``node`` on arrays: in float64, then rounded to the node's type."""
    exact = [a.astype(np.float64) if np.issubdtype(a.dtype, np.floating) else a for a in operands]
    with np.errstate(all="ignore"):
        found = OPS[node.op].body(*(operands if node.op == "cast" else exact), **node.attrs)
    if isinstance(node.type, TupleType):
        return tuple(np.asarray(a, t.numpy) for a, t in zip(found, node.type.items, strict=True))
    return np.asarray(found, node.tensor.numpy)


def _size(type: Type) -> float:
    """How many elements; infinitely many where that depends on a name."""
    sizes = [d for t in _tensors(type) for d in t.shape]
    if not all(isinstance(d, int) for d in sizes):
        return np.inf
    return sum(prod(d for d in t.shape if isinstance(d, int)) for t in _tensors(type))


def _tensors(type: Type) -> Iterator[TensorType]:
    yield from type.items if isinstance(type, TupleType) else (type,)
