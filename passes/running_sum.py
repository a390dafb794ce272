"""Running sums: states that each step adds something to, as ``CumSum``.

r: (f32[T, B, 3], f32[B, 3]) = region(p, h.init) {…}        h = h⁻ + p
⟶
%0: f32[T, B, 3] = cumsum(p) {axis = 0}
%1: f32[T, B, 3] = add(%0, h.init)

So are the sums, and the sums of squares, of a cumulative layer norm. What is added is computed for all steps
at once, as for every linear recurrence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from rnnc.build import Builder
from rnnc.ir import Graph
from rnnc.loops.regions import operands
from rnnc.plans import Plan, Refused
from rnnc.plans.intervals import ANYWHERE
from rnnc.plans.linear import Outside, Part, Recurrence, read_recurrence
from rnnc.types import TensorType


@dataclass(frozen=True)
class RunningSum(Plan):
    """``CumSum`` runs a recurrence that multiplies its states by 1."""

    name: ClassVar[str] = "running-sum"

    def read(self, graph: Graph, region: str) -> Recurrence:
        found, attrs = read_recurrence(graph, region), graph[region].attrs
        rows = zip(found.registers, found.coefficients(lambda v: ANYWHERE), strict=True)
        only = all(row == {register: (1.0, 1.0)} for register, row in rows)
        forwards = not attrs.get("reverse") and not operands(graph, region).lengths
        if not only or not forwards or found.state.dtype not in ("f32", "f64"):
            raise Refused("it does more than add to float32 or float64 states, forwards and without lengths")
        return found

    def emit(self, graph: Graph, region: str, match: Any) -> str:
        found: Recurrence = match
        b = Builder(graph, like=region)
        out, face = Outside(b, found), found.body.interface
        steps, finals = graph[region].attrs["steps"], []
        whole = TensorType(found.state.dtype, (steps, *found.state.shape))
        for row, (path, _) in zip(out.rows(), found.registers, strict=True):
            total = b("cumsum", _spread(b, row.bias, whole), axis=0)
            y = b("add", total, out.start((path, 0)))
            finals.append(b("final", y, out.inits[path], k=1))
            out.learn(path, y)
        outputs = [out.sequence(found.body.outputs[o.name]) for o in face.outputs]
        return b("tuple", *outputs, *finals)


def _spread(b: Builder, part: Part, whole: TensorType) -> str:
    """What is added at every step, for all of them and every element."""
    if isinstance(part, float):
        return b("expand", b.const(part, whole.dtype), shape=whole.shape)
    value, kind = part.value, part.type
    assert isinstance(kind, TensorType)
    missing = whole.rank - 1 - kind.rank
    if part.stream and missing:
        value = b("unsqueeze", value, axes=tuple(range(1, 1 + missing)))
    return value if b.graph.type(value) == whole else b("expand", value, shape=whole.shape)
