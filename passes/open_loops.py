"""Open loops: what a loop need not compute, step after step, leaves it.

    r: (…) = region(x, W, h.init) {steps = n, …        %0: f32[n, B, 3] = matmul(x, W)
      h1: f32[B, 3] = delay(h, h.init) {k = 1}         r: (…) = region(%0, h.init) {steps = n, …
      %0: f32[B, 3] = matmul(x, W)                ->     h1: f32[B, 3] = delay(h, h.init) {k = 1}
      h: f32[B, 3] = add(h1, %0)                         h: f32[B, 3] = add(h1, v0)
      y: f32[B, 3] = tanh(h)                           }}
    }}                                                 y: f32[n, B, 3] = tanh(h)

Loops that ``lift`` has made are as small as they can be. One that was a loop in the source, as ONNX's Scan
and Loop are, is lifted over its own steps as a model is over time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rnnc.build import Builder
from rnnc.ir import SOURCES, Graph
from rnnc.loops.looping import components
from rnnc.loops.reads import reads
from rnnc.loops.regions import operands
from rnnc.loops.splicing import splice
from rnnc.passes.hoist import hoist
from rnnc.passes.lift import lift
from rnnc.pipeline import ACYCLIC, Pass
from rnnc.rewrite import sweep
from rnnc.timing import timing


@dataclass(frozen=True)
class OpenLoops(Pass):
    """Regions taken apart into smaller ones, and what is computed for all steps at once."""

    name: ClassVar[str] = "open-loops"
    needs: ClassVar[frozenset[str]] = frozenset({ACYCLIC})

    def apply(self, graph: Graph) -> None:
        for region in graph.find("region"):
            if not graph[region].attrs.get("alternatives") and _is_large(graph[region].attrs["body"]):
                _open(graph, region)
        sweep(graph)


def _is_large(body: Graph) -> bool:
    """Whether a body is more than one loop of values that all depend on one another."""
    parts = components(body, reads(body, timing(body)))
    return sum(body[p[0]].op not in SOURCES | {"const"} for p in parts) > 1


def _open(graph: Graph, region: str) -> None:
    """Put what the lifted body computes in the place of a region."""
    node, roles, b = graph[region], operands(graph, region), Builder(graph, like=region)
    body, reverse = node.attrs["body"].copy(), node.attrs.get("reverse", False)
    ragged = [roles.lengths] if roles.lengths else []
    hoist(body)
    known = dict(zip((s.source for s in body.interface.states), roles.inits, strict=True))
    for source, value in zip(body.interface.inputs, roles.inputs, strict=True):
        known[source.name] = b("reverse", value, *ragged) if reverse and source.kind == "stream" else value
    lengths = None
    if roles.lengths:
        lengths = body.add("input", type=graph.type(roles.lengths), name="lengths")
        known[lengths] = roles.lengths
    lift(body, node.attrs["steps"], lengths)
    found = splice(graph, body, {v: x for v, x in known.items() if v in body})
    ys = [found[body.outputs[o.name]] for o in body.interface.outputs]
    results = [*(b("reverse", y, *ragged) if reverse else y for y in ys)]
    results += [found[body.finals[s.path]] for s in body.interface.states]
    for item, _ in graph.uses(region):
        graph.replace(item, results[graph[item].attrs["k"]])
