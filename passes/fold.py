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

from collections.abc import Iterator
from dataclasses import dataclass
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
    known: dict[str, Any] = {}
    for v in graph.order():
        found = _value(graph, v, known, params)
        if found is not None:
            known[v] = found
    roots = set(graph.roots())
    computed = [v for v in known if graph[v].op not in ("const", "param")]
    for v in (v for v in computed if isinstance(graph[v].type, TensorType)):
        if v in roots or any(user not in known for user in graph.nx.succ[v]):
            graph.replace(v, Builder(graph, v).const(known[v], graph.type(v).dtype))
    sweep(graph)


def _value(graph: Graph, value: str, known: dict[str, Any], params: bool) -> Any:
    """The array, or tuple of arrays, that ``value`` always is; ``None`` if that is not known."""
    node, operands = graph[value], graph.operands(value)
    if node.op == "const":
        # A digest in place of an array stands for one that is not here.
        array = node.attrs["value"]
        return array if isinstance(array, np.ndarray) else None
    if node.op == "param":
        array = graph.interface.params.get(value) if params else None
        return None if array is None else np.asarray(array, node.tensor.numpy)
    if node.op == "item":
        whole = known.get(operands[0])
        return None if whole is None else whole[node.attrs["k"]]
    if OPS[node.op].structural or not all(o in known for o in operands):
        return None
    if _size(node.type) > max(SMALL, 2 * sum(known[o].size for o in operands)):
        return None
    return evaluate(node, [known[o] for o in operands])


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
    return sum(int(np.prod([int(str(d)) for d in t.shape])) for t in _tensors(type))


def _tensors(type: Type) -> Iterator[TensorType]:
    yield from type.items if isinstance(type, TupleType) else (type,)
