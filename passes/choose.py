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
from rnnc.passes.blend import blend
from rnnc.passes.gemm import gemm
from rnnc.passes.scan import Scan
from rnnc.passes.straight import Straight
from rnnc.pipeline import Pass
from rnnc.plans import PLANS, Plan, Refusal, Sizes
from rnnc.plans.costs import NATIVE, Pricing, apart
from rnnc.plans.decisions import Candidate, Decision, lines
from rnnc.plans.profile import builtin, load
from rnnc.remarks import remark
from rnnc.rewrite import sweep

GENERAL: tuple[Plan, ...] = (Scan(), Straight())


@dataclass(frozen=True)
class Choose(Pass):
    """Picks a plan for each region by predicted cost at the hinted sizes, or ``plan`` wherever it can run.

    ``plans`` names those of the first regions, ``"lstm,scan"``, in the order in which they are decided.

    Prices are those of ``profile``, a file, or of the built-in profile of the ``target``.
    """

    name: ClassVar[str] = "choose"
    plan: str = ""
    plans: str = ""
    T: int = 100
    B: int = 1
    target: str = "cpu"
    profile: str = ""

    def apply(self, graph: Graph) -> None:
        """Replace each region by its plan's values; what an alternative has regions for comes after it."""
        pricing = self.pricing()
        regions, asked = graph.find("region"), iter(self.plans.split(","))
        for region in sorted(regions, key=lambda r: not graph[r].attrs.get("alternatives")):
            if region in graph:
                self._decide(graph, region, pricing, next(asked, "") or self.plan)
                sweep(graph)

    def pricing(self) -> Pricing:
        """Prices by the profile, at the sizes, of loops as the passes behind this one leave them."""
        profile = load(self.profile) if self.profile else builtin(self.target)
        return Pricing(profile, Sizes(self.T, self.B), _written)

    def _decide(self, graph: Graph, region: str, pricing: Pricing, asked: str) -> None:
        node = graph[region]
        alternatives: tuple[str, ...] = node.attrs.get("alternatives", ())
        found = {c.name: c for c in candidates(graph, region, pricing)}
        chosen = asked if asked in found else min(found, key=lambda n: (bool(found[n].risk), found[n].us))
        why = "asked for" if asked in found else "the cheapest" if len(found) > 1 else "no other plan can"
        what = ", ".join(s.path for s in node.attrs["body"].interface.states) or region
        said = f"{what} runs as {chosen} ({why}; T={self.T}, B={self.B}, profile {pricing.profile.name})"
        options, steps = tuple(found.values()), pricing.steps(graph, region)
        where, table = node.locs[0] if node.locs else None, lines(options, chosen, steps)
        remark(Decision("passed", self.name, said, where, table, options, chosen, steps))
        if chosen in alternatives:
            value = operands(graph, region).alternatives[alternatives.index(chosen)]
        else:
            region = without_alternatives(graph, region)
            value = PLANS[chosen]().emit(graph, region, None)
        if graph[value].op == "tuple":
            _take_apart(graph, value if value == region else graph.replace(region, value))


def _written(body: Graph) -> None:
    """Make of a body what will be written of it."""
    gemm(body)
    blend(body)


def candidates(graph: Graph, region: str, pricing: Pricing) -> list[Candidate]:
    """The plans that can run a region, the cheapest first, and last those that take a risk."""
    roles, names = operands(graph, region), graph[region].attrs.get("alternatives", ())
    ends: dict[str, tuple[str, ...]] = {n: (v,) for n, v in zip(names, roles.alternatives, strict=True)}
    own = (*roles.inputs, *roles.inits, *([roles.lengths] if roles.lengths else []))
    ends |= {p.name: own for p in GENERAL if not isinstance(p.match(graph, region), Refusal)}
    found = []
    for name, values in apart(graph, region, ends).items():
        us = pricing.values(graph, [v for v in graph.order() if v in values])
        us += pricing.loop(graph, region) if name == Scan.name else 0.0
        us += pricing.steps(graph, region) * pricing.body(graph, region) if name == Straight.name else 0.0
        risk = PLANS[name]().risk(graph, region, pricing.sizes)
        found.append(Candidate(name, us, risk, _foreign(graph, values, pricing)))
    return sorted(found, key=lambda c: (bool(c.risk), c.us))


def _foreign(graph: Graph, values: set[str], pricing: Pricing) -> str:
    """Which native ops among the values fall back to the CPU, and for which attributes."""
    why = {v: pricing.foreign(graph, v) for v in sorted(values) if graph[v].op in NATIVE}
    told = dict.fromkeys(f"{graph[v].op} falls back to the CPU for {attr}" for v, attr in why.items() if attr)
    return ", ".join(told)


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
