"""Stretch: what a loop reads as one vector for all sequences is repeated for each of them before it starts.

Before::

    %1: (f32[T, B, 3], …) = region(x, u, h.init) {steps = T, body = net loop(…, given u: f32[3], …) {
      %0: f32[B, 3] = mul(u, h1)
      …
    }}

After::

    %1: f32[B, 3] = expand(u) {shape = (B, 3)}
    %2: (f32[T, B, 3], …) = region(x, %1, h.init) {steps = T, body = net loop(…, given u_2: f32[B, 3], …) {
      %0: f32[B, 3] = mul(u_2, h1)
      …
    }}

onnxruntime works on operands of one shape at once, and row by row where one is stretched over the others: in
a small loop over 16 sequences that takes as long again as the node. Done where more than one sequence is
expected.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from rnnc.build import Builder
from rnnc.ir import Graph, Input
from rnnc.loops.bodies import shrink
from rnnc.loops.regions import operands, outer_inputs, region_type
from rnnc.ops import OPS
from rnnc.pipeline import TYPED, Pass
from rnnc.types import TensorType


@dataclass(frozen=True)
class Stretch(Pass):
    """Vectors that bodies of regions read element by element, as wide as what they meet; ``B`` is the number
    of sequences that is expected."""

    name: ClassVar[str] = "stretch"
    needs: ClassVar[frozenset[str]] = frozenset({TYPED})
    B: int = 1

    def apply(self, graph: Graph) -> None:
        for region in graph.find("region") if self.B > 1 else ():
            if not operands(graph, region).alternatives:
                _stretch(graph, region)


def _stretch(graph: Graph, region: str) -> None:
    """Stretch the vectors of one region."""
    node, roles = graph[region], operands(graph, region)
    body: Graph = node.attrs["body"].copy()
    outside, made = outer_inputs(graph, region), dict[tuple[str, TensorType], str]()
    inputs: list[Input] = []
    values: list[str] = []
    with body.editing(graph.by):
        for v in body.order():
            for slot, o in enumerate(body.operands(v)):
                if not _is_stretched(body, v, o):
                    continue
                kind = TensorType(body.type(o).dtype, body.type(v).shape)
                if (o, kind) not in made:
                    made[o, kind] = body.add("input", type=kind, name=o if o in outside else "", like=o)
                    inputs.append(Input(made[o, kind], kind, "given"))
                    b = Builder(graph, region)
                    vector = outside[o] if o in outside else b.const(body[o].attrs["value"])
                    values.append(b("expand", vector, shape=kind.shape))
                body.connect(made[o, kind], v, slot)
    if not made:
        return
    body.interface = replace(body.interface, inputs=(*body.interface.inputs, *inputs))
    new = graph.add(
        "region",
        *roles.inputs,
        *values,
        *roles.inits,
        *([roles.lengths] if roles.lengths else []),
        type=region_type(body, node.attrs["steps"]),
        like=region,
        **{**node.attrs, "body": body.freeze()},
    )
    shrink(graph, graph.replace(region, new))


def _is_stretched(body: Graph, v: str, operand: str) -> bool:
    """Whether a node stretches an operand that is the same for all sequences at every step."""
    node, whole = body[operand], body[v].type
    fixed = {i.name for i in body.interface.inputs if i.kind == "given"}
    if not OPS[body[v].op].elementwise or not (node.op == "const" or operand in fixed):
        return False
    assert isinstance(whole, TensorType)
    sizes = node.tensor.shape
    return all(isinstance(d, int) for d in sizes) and any(d != 1 for d in sizes) and sizes != whole.shape
