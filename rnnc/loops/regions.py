"""Regions: how the operands and results of a ``region`` node lie."""

from __future__ import annotations

from dataclasses import dataclass

from rnnc.dims import Dim
from rnnc.ir import Graph
from rnnc.types import TensorType, TupleType


@dataclass(frozen=True)
class Operands:
    """The operands of a region, by role, each group in the order of the body's interface."""

    inputs: tuple[str, ...]
    inits: tuple[str, ...]
    lengths: str | None
    alternatives: tuple[str, ...]


def operands(graph: Graph, region: str) -> Operands:
    """The operands of the region node ``region``, by role."""
    node, values = graph[region], graph.operands(region)
    body: Graph = node.attrs["body"]
    i = len(body.interface.inputs)
    j = i + len(body.interface.states)
    ragged = bool(node.attrs.get("ragged", False))
    return Operands(values[:i], values[i:j], values[j] if ragged else None, values[j + ragged :])


def outer_inputs(graph: Graph, region: str) -> dict[str, str]:
    """The value around a region that each input of its body is, by the input's name."""
    body: Graph = graph[region].attrs["body"]
    names = (i.name for i in body.interface.inputs)
    return dict(zip(names, operands(graph, region).inputs, strict=True))


def over_time(step: TensorType, steps: Dim) -> TensorType:
    """The type of a stream of ``step`` values along a new first axis."""
    return TensorType(step.dtype, (steps, *step.shape))


def region_type(body: Graph, steps: Dim) -> TupleType:
    """The type of a region with that body: outputs over time, then final states."""
    outputs = [over_time(o.type, steps) for o in body.interface.outputs]
    return TupleType((*outputs, *(s.tensor for s in body.interface.states)))
