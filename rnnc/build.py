"""Building: adding values to a graph with their types inferred, the way passes and plans write them.

b = Builder(graph, like=old)
y = b(add, b(matmul, x, w), bias, name="gates")
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from rnnc.errors import Loc
from rnnc.ir import Array, Attr, Graph
from rnnc.ops.declare import OPS, Op
from rnnc.types import TensorType, TupleType, Type, type_of

Literal = int | float | bool


class Builder:
    """Adds values to a graph; they carry the source locations ``locs``, and those of the values ``like``."""

    def __init__(self, graph: Graph, like: str | Iterable[str] = (), locs: Iterable[Loc] = ()) -> None:
        self.graph = graph
        self.like = (like,) if isinstance(like, str) else tuple(like)
        self.locs = tuple(locs)

    def __call__(self, op: Op | str, *operands: str | Literal, name: str = "", **attrs: Attr) -> str:
        """The value of ``op`` on ``operands``: names of values, or numbers of the first value's dtype."""
        op = OPS[op] if isinstance(op, str) else op
        dtype = next((self._type(o).dtype for o in operands if isinstance(o, str)), "f32")
        values = [o if isinstance(o, str) else self.const(o, dtype) for o in operands]
        inferred = op.infer(*(self.graph[v].type for v in values), **attrs)
        return self.graph.add(
            op.name, *values, type=inferred, name=name, locs=self.locs, like=self.like, **attrs
        )

    def const(self, value: Literal | Array | list[Any], dtype: str = "", name: str = "") -> str:
        """A constant; ``dtype`` is a short name, by default the array's own."""
        array = np.array(value, dtype=TensorType(dtype).numpy if dtype else None)
        array.flags.writeable = False
        return self.graph.add(
            "const", type=type_of(array), name=name, locs=self.locs, like=self.like, value=array
        )

    def items(self, value: str) -> list[str]:
        """Every tensor of a value that is a tuple."""
        kind = self.graph[value].type
        assert isinstance(kind, TupleType)
        return [self("item", value, k=k) for k in range(len(kind.items))]

    def _type(self, value: str) -> TensorType:
        kind: Type = self.graph[value].type
        return kind.items[0] if isinstance(kind, TupleType) else kind
