"""Continuing: a loop inside each step that goes on where it left off before, as one loop over all.

    %0: (…) = region(x, h1) {steps = S, body = …}        for each of T steps, h1 being h a step ago
    %0: (…) = region(x, h.init) {steps = T*S, body = …}  for all of them

What it scans in a step is scanned in all steps, one after another; what is the same within a step is
repeated.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from rnnc.build import Builder
from rnnc.dims import Dim
from rnnc.ir import Graph, Output
from rnnc.loops.naming import free
from rnnc.loops.parts import End, same_elements
from rnnc.loops.regions import operands, region_type
from rnnc.loops.slots import whole
from rnnc.timing import Timing


@dataclass(frozen=True)
class Continued:
    """A region that starts from its own final states of the step before: ``delays`` hold them, in order."""

    graph: Graph
    region: str
    delays: tuple[str, ...]
    items: Mapping[str, int]

    @property
    def body(self) -> Graph:
        """What the region computes."""
        found: Graph = self.graph[self.region].attrs["body"]
        return found

    @property
    def produced(self) -> int:
        """How many of its items come before the final states."""
        return len(self.body.interface.outputs)

    def state(self, value: str) -> int | None:
        """Which final state a value is; ``None`` if it is none."""
        k = self.items.get(value, -1) - self.produced
        return k if k >= 0 else None

    def ends_with(self, value: str, end: End) -> int | None:
        """Which final state ``value`` is after the run, if it starts as that does."""
        k = self.state(value)
        if k is None or end.depth > 1:
            return None
        return k if same_elements(self.graph, self.graph.operands(self.delays[k])[1], end.init) else None

    def read(self, inside: Collection[str]) -> set[int]:
        """The states that something else than this loop, whose values are ``inside``, wants at every step."""
        graph, roots = self.graph, set(self.graph.roots())
        values = {v: k for v in self.items if (k := self.state(v)) is not None}
        values |= {d: k for k, d in enumerate(self.delays)}
        return {k for v, k in values.items() if v in roots or any(u not in inside for u, _ in graph.uses(v))}


def continued(graph: Graph, members: Collection[str]) -> Continued | None:
    """The loop inside each step that ``members``, a loop over the steps, is nothing but."""
    regions = [m for m in members if graph[m].op == "region"]
    if len(regions) != 1 or any(graph[m].op not in ("region", "item", "delay") for m in members):
        return None
    (region,) = regions
    attrs, roles, face = graph[region].attrs, operands(graph, region), graph[region].attrs["body"].interface
    if attrs.get("reverse") or roles.lengths or roles.alternatives or any(s.depth > 1 for s in face.states):
        return None
    items = {m: int(graph[m].attrs["k"]) for m in members if graph[m].op == "item"}
    for k, start in enumerate(roles.inits):
        held = graph.operands(start)[0] if graph[start].op == "delay" and start in members else ""
        if items.get(held) != len(face.outputs) + k or graph[start].attrs["k"] != 1:
            return None
    delays = {m for m in members if graph[m].op == "delay"}
    if delays != {*roles.inits} or set(roles.inputs) & set(members):
        return None
    return Continued(graph, region, roles.inits, items)


@dataclass(frozen=True)
class Over:
    """A continued loop over all ``steps``: a region, and which of its items each state at every step is."""

    loop: Continued
    b: Builder
    region: str
    steps: Dim
    states: Mapping[int, int]
    inits: tuple[str, ...]

    def end(self, k: int) -> str:
        """The state ``k`` after the run."""
        body: Graph = self.b.graph[self.region].attrs["body"]
        return self.b("item", self.region, k=len(body.interface.outputs) + k)

    def value(self, value: str) -> str:
        """What an item of the region inside each step, or a delay of one, is at every step."""
        if value in self.loop.delays:
            k = self.loop.delays.index(value)
            return self.b("shift", self._after(k), self.inits[k], k=1)
        k, state = self.loop.items[value], self.loop.state(value)
        return self._parted(k) if state is None else self._after(state)

    def _after(self, k: int) -> str:
        """The state ``k`` after every step."""
        last = self.b("slice", self._parted(self.states[k]), axis=1, start=-1, stop=None)
        return self.b("squeeze", last, axes=(1,))

    def _parted(self, k: int) -> str:
        """The item ``k``, which has all steps of all steps, with those of each step apart."""
        found = self.b("item", self.region, k=k)
        inner = self.loop.graph[self.loop.region].attrs["steps"]
        return self.b("reshape", found, shape=(self.steps, inner, *self.b.graph.type(found).shape[1:]))


def over_all(
    b: Builder,
    loop: Continued,
    members: Collection[str],
    steps: Dim,
    timing: Mapping[str, Timing],
    lengths: str | None,
) -> Over:
    """Add the loop over all steps, whose inputs have been lifted."""
    graph, node, roles = loop.graph, loop.graph[loop.region], operands(loop.graph, loop.region)
    inner, body = node.attrs["steps"], loop.body.copy()
    inputs, values = [], []
    for source, value in zip(body.interface.inputs, roles.inputs, strict=True):
        stream = timing[value] == "stream"
        if source.kind == "given" and stream:
            value = b("unsqueeze", value, axes=(1,))
            source = replace(source, kind="stream")
        if source.kind == "stream":
            shape = (steps, inner, *source.type.shape)
            value = value if graph.type(value).shape == shape else b("expand", value, shape=shape)
            value = b("reshape", value, shape=(steps * inner, *source.type.shape))
        inputs.append(source)
        values.append(value)
    outputs, states = list(body.interface.outputs), {}
    for k in sorted(loop.read(members)):
        state = body.interface.states[k]
        name = free(state.path, body.outputs)
        states[k], body.outputs[name] = len(outputs), body.finals[state.path]
        outputs.append(Output(name, state.type))
    body.interface = replace(body.interface, inputs=tuple(inputs), outputs=tuple(outputs))
    inits = tuple(whole(b, graph.operands(d)[1], graph.type(d), 1) for d in loop.delays)
    ragged = {"ragged": True} if lengths else {}
    more = [b("mul", lengths, inner)] if lengths else []
    attrs = {**node.attrs, "body": body.freeze(), "steps": steps * inner, **ragged}
    kind = region_type(body, steps * inner)
    region = graph.add("region", *values, *inits, *more, type=kind, like=loop.region, **attrs)
    return Over(loop, b, region, steps, states, inits)
