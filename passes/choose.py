"""Choice: every region becomes the cheapest of the plans that can run it.

r: (…) = region(p, Wyy, y.init, %9) {steps = T, alternatives = ("rnn",), body = …}
y: f32[T, B, 3] = item(r) {k = 0}
⟶
y: f32[T, B, 3] = …                         the rnn's output
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rnnc.ir import Graph
from rnnc.loops.regions import operands
from rnnc.passes.scan import Scan
from rnnc.passes.straight import Straight
from rnnc.pipeline import Pass
from rnnc.plans import PLANS, Plan, Refusal, Sizes
from rnnc.remarks import Remark, remark
from rnnc.rewrite import sweep

GENERAL: tuple[Plan, ...] = (Scan(), Straight())


@dataclass(frozen=True)
class Choose(Pass):
    """Picks a plan for each region by predicted cost at the hinted sizes, or ``plan`` wherever it can run."""

    name: ClassVar[str] = "choose"
    plan: str = ""
    T: int = 100
    B: int = 1

    def apply(self, graph: Graph) -> None:
        """Replace each region by its plan's values; what an alternative has regions for comes after it."""
        regions = graph.find("region")
        for region in sorted(regions, key=lambda r: not graph[r].attrs.get("alternatives")):
            if region in graph:
                self._decide(graph, region)
                sweep(graph)

    def _decide(self, graph: Graph, region: str) -> None:
        node, sizes = graph[region], Sizes(self.T, self.B)
        alternatives = node.attrs.get("alternatives", ())
        costs = {name: PLANS[name]().cost(graph, region, sizes) for name in alternatives}
        for plan in GENERAL:
            if not isinstance(plan.match(graph, region), Refusal):
                costs[plan.name] = plan.cost(graph, region, sizes)
        chosen = self.plan if self.plan in costs else min(costs, key=lambda name: costs[name])
        shown = ", ".join(f"{name} {cost:.0f} µs" for name, cost in sorted(costs.items(), key=lambda c: c[1]))
        where = node.locs[0] if node.locs else None
        remark(
            Remark(
                "passed",
                self.name,
                f"{region} runs as {chosen} (predicted for T={self.T}, B={self.B}: {shown})",
                where,
            )
        )
        if chosen in alternatives:
            value = operands(graph, region).alternatives[alternatives.index(chosen)]
        else:
            region = without_alternatives(graph, region)
            value = PLANS[chosen]().emit(graph, region, None)
        if graph[value].op == "tuple":
            _take_apart(graph, value if value == region else graph.replace(region, value))


def without_alternatives(graph: Graph, region: str) -> str:
    """The region without its alternatives."""
    node, roles = graph[region], operands(graph, region)
    if not roles.alternatives:
        return region
    attrs = {k: v for k, v in node.attrs.items() if k != "alternatives"}
    kept = graph.operands(region)[: -len(roles.alternatives)]
    return graph.replace(region, graph.add("region", *kept, type=node.type, like=region, **attrs))


def _take_apart(graph: Graph, value: str) -> None:
    """Give the uses of a tuple's items to the tensors themselves."""
    for user, _ in graph.uses(value):
        if graph[user].op == "item":
            graph.replace(user, graph.operands(value)[graph[user].attrs["k"]])
