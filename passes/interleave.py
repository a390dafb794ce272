"""Interleave: a loop that only looks back by multiples of k becomes k loops side by side, one larger batch.

Each of them runs through every k-th step, and none reads another: steps ``[T, B, …]`` lie as
``[T/k, k·B, …]``, delays and registers are k times shorter, and so is the loop. Laying out is one gather of
whole steps; where k does not divide T, the last step is repeated, after all that counts. It moves up to
before the products and sums that lead to the loop, so that these are still found by recognition. A loop with
ragged lengths runs to the end for all sequences: what lies behind is padding, and states after the run are
taken from the sequence itself.

Before::

    %3: (f32[T, B, 3], f32[2, B, 3]) = region(p, U, h.init) {steps = T, body = net loop(…) -> (h) {
      h2: f32[B, 3] = delay(h, h.init) {k = 2}
      …
    }}

After::

    %9: f32[every2_T, 2*B, 3] = …           p, two steps in each row
    %14: f32[2*B, 3] = …                    h.init, the older of its two slots first
    %15: (f32[every2_T, 2*B, 3], f32[2*B, 3]) = region(%9, U, %14) {steps = every2_T, body = net … -> (h) {
      h2: f32[2*B, 3] = delay(h, h.init) {k = 1}
      …
    }}
    h: f32[T, B, 3] = …                     its rows, a step in each
    %20: f32[2, B, 3] = final(h, h.init) {k = 2}
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import ClassVar

import numpy as np

from rnnc.build import Builder
from rnnc.dims import Dim, dim
from rnnc.ir import Graph, Input, Interface, Output, State
from rnnc.loops.batching import batch_of, resized, resized_type, starts
from rnnc.loops.regions import operands, region_type
from rnnc.ops import OPS
from rnnc.passes._registers import slot_keys
from rnnc.pipeline import ACYCLIC, Pass
from rnnc.rewrite import sweep
from rnnc.types import TensorType


@dataclass(frozen=True)
class Interleave(Pass):
    """Folds loops whose delays have a common factor into the batch."""

    name: ClassVar[str] = "interleave"
    needs: ClassVar[frozenset[str]] = frozenset({ACYCLIC})

    def apply(self, graph: Graph) -> None:
        for region in graph.find("region"):
            k = factor(graph, region)
            if k > 1:
                _Interleaving(graph, region, k).run()
        sweep(graph)


def factor(graph: Graph, region: str) -> int:
    """By what number of loops the region can be replaced; 1 if it has to stay one."""
    node = graph[region]
    body: Graph = node.attrs["body"]
    delays = body.find("delay")
    k = gcd(*(body[d].attrs["k"] for d in delays), *(s.depth for s in body.interface.states))
    streams = [i for i in body.interface.inputs if i.kind == "stream"]
    if k <= 1 or not streams or node.attrs.get("alternatives") or not batch_of(body):
        return 1  # without a stream, nothing would show how many steps there are
    apart = all(u in delays or u in starts(body) for v in starts(body) for u, _ in body.uses(v))
    return k if apart and all(_register(body, d) for d in delays) else 1


def _register(body: Graph, delay: str) -> State | None:
    """The state whose newest slots a delay holds."""
    k, init = body[delay].attrs["k"], body.operands(delay)[1]
    keys = slot_keys(body, init, body.type(delay), k)
    for s in body.interface.states:
        if keys == [(s.source, i if s.depth > 1 else None) for i in range(k)]:
            return s
    return None


class _Interleaving:
    """One region on its way into the batch."""

    def __init__(self, graph: Graph, region: str, k: int) -> None:
        self.graph, self.region, self.k = graph, region, k
        self.b = b = Builder(graph, like=region)
        self.body: Graph = graph[region].attrs["body"]
        self.roles = operands(graph, region)
        self.steps: Dim = graph[region].attrs["steps"]
        self.reverse: bool = graph[region].attrs.get("reverse", False)
        self.lengths = [self.roles.lengths] if self.roles.lengths else []
        name = batch_of(self.body)
        self.batch = dim(name)
        self.wide = {name: self.batch * k}
        self.times = times = b("arange", stop=self.steps)
        starts = b("every", times, k=k)
        self.rows: Dim = graph.type(starts).shape[0]
        step = b("add", b("unsqueeze", starts, axes=(1,)), b.const(np.arange(k), "i64"))
        self.taken = b("minimum", step, b("sub", b("size", times, axis=0), 1))
        self.laid: dict[str, str] = {}

    def run(self) -> None:
        """Replace the region's results."""
        graph, b, face = self.graph, self.b, self.body.interface
        inputs = [
            self._lay(v) if i.kind == "stream" else self._repeat(v)
            for i, v in zip(face.inputs, self.roles.inputs, strict=True)
        ]
        inits = [self._turn(v, s) for s, v in zip(face.states, self.roles.inits, strict=True)]
        body = self._body()
        kind = region_type(body, self.rows)
        region = graph.add("region", *inputs, *inits, type=kind, like=self.region, body=body, steps=self.rows)
        sequences: dict[str, str] = {}
        for k, o in enumerate(body.interface.outputs):
            value = body.outputs[o.name]
            if value not in sequences:
                sequences[value] = self._join(b("item", region, k=k))
        results = [self._in_time(sequences[self.body.outputs[o.name]]) for o in face.outputs]
        for s, init in zip(face.states, self.roles.inits, strict=True):
            ran = sequences[self.body.finals[s.path]]
            results.append(b("final", ran, init, *self.lengths, k=s.depth))
        for item in [user for user, _ in graph.uses(self.region)]:
            graph.replace(item, results[graph[item].attrs["k"]])

    # -- around the loop ------------------------------------------------------------------------------------
    def _lay(self, v: str) -> str:
        """``[T, B, …]`` as ``[T/k, k·B, …]``, in the order in which the steps run."""
        if v not in self.laid:
            self.laid[v] = self._before(v) or self._gathered(v)
        return self.laid[v]

    def _before(self, v: str) -> str | None:
        """The op that gives ``v``, on operands laid out themselves; ``None`` if that is not the same, or if
        ``v`` is needed in time too."""
        graph, node, parts = self.graph, self.graph[v], self.graph.operands(v)
        readers = {user for user, _ in graph.uses(v)}
        if len(readers) > 1 or v in graph.roots():
            return None
        if node.op == "matmul":
            plain = self._is_stream(parts[0]) and graph.type(parts[1]).rank == 2
        else:
            plain = OPS[node.op].elementwise and not node.attrs
            plain = plain and all(self._is_stream(o) or self._is_same(v, o) for o in parts)
        if not plain:
            return None
        return Builder(graph, like=v)(node.op, *(self._lay(o) if self._is_stream(o) else o for o in parts))

    def _is_stream(self, v: str) -> bool:
        return self.graph.type(v).shape[:2] == (self.steps, self.batch)

    def _is_same(self, v: str, operand: str) -> bool:
        """Whether an operand of ``v`` is the same at every step and for every sequence."""
        rank, shape = self.graph.type(v).rank, self.graph.type(operand).shape
        return len(shape) <= rank and all(d == 1 for d in shape[: max(0, len(shape) - rank + 2)])

    def _gathered(self, v: str) -> str:
        b = self.b
        v = b("reverse", v, *self.lengths) if self.reverse else v
        _, batch, *rest = self.graph.type(v).shape
        rows = b("gather", v, self.taken, axis=0)
        return b("reshape", rows, shape=(self.rows, self.k * batch, *rest))

    def _join(self, v: str) -> str:
        """``[T/k, k·B, …]`` as ``[T, B, …]``, in the order in which the steps run."""
        rest = self.graph.type(v).shape[2:]
        flat = self.b("reshape", v, shape=(self.rows * self.k, self.batch, *rest))
        return self.b("gather", flat, self.times, axis=0)

    def _in_time(self, v: str) -> str:
        return self.b("reverse", v, *self.lengths) if self.reverse else v

    def _repeat(self, v: str) -> str:
        """What is given, for each of the loops where it differs between sequences."""
        shape = self.graph.type(v).shape
        if not shape or shape[0] != self.batch:
            return v
        return self.b("reshape", self._expanded(v), shape=(self.k * self.batch, *shape[1:]))

    def _expanded(self, v: str) -> str:
        shape = self.graph.type(v).shape
        return self.b("expand", self.b("unsqueeze", v, axes=(0,)), shape=(self.k, *shape))

    def _turn(self, v: str, state: State) -> str:
        """The slots of a register, newest first, as those of the loops: the newest is the last loop's."""
        b, k, deep = self.b, self.k, state.depth // self.k
        _, batch, *rest = self.graph.type(v).shape
        groups = b("reshape", v, shape=(deep, k, batch, *rest))
        turned = b("slice", groups, axis=1, start=-1, stop=None, step=-1)
        slot = (k * batch, *rest)
        return b("reshape", turned, shape=slot if deep == 1 else (deep, *slot))

    # -- the loop -------------------------------------------------------------------------------------------
    def _body(self) -> Graph:
        """The body on the larger batch, with shorter delays, all states among its outputs."""
        old, new, k = self.body, Graph(self.body.name), self.k
        face, inside, b = old.interface, dict[str, str](), Builder(new)

        def wide(type: TensorType) -> TensorType:
            return type.substitute(self.wide)

        states = tuple(State(s.path, wide(s.type), s.depth // k, loc=s.loc) for s in face.states)
        for state in states:
            new.add("init", type=state.tensor, name=state.source)
        for delay in old.find("delay"):
            register = _register(old, delay)
            assert register is not None
            node, held, length = old[delay], register.source, old[delay].attrs["k"] // k
            if length < register.depth // k:
                held = b("slice", held, axis=0, start=0, stop=length)
                held = b("squeeze", held, axes=(0,)) if length == 1 else held
            inside[delay] = new.add(
                "delay", held, held, type=wide(node.tensor), name=delay, locs=node.locs, k=length
            )
        before = starts(old) | inside.keys()
        for v in (v for v in old.order() if v not in before):
            node, parts = old[v], [inside[o] for o in old.operands(v)]
            attrs = resized(node.attrs, self.wide)
            kind = resized_type(node.type, self.wide)
            inside[v] = new.add(node.op, *parts, type=kind, name=v, locs=node.locs, **attrs)
        for delay in old.find("delay"):
            new.connect(inside[old.operands(delay)[0]], inside[delay], 0)
        outputs = {o.name: Output(o.name, wide(o.type), loc=o.loc) for o in face.outputs}
        values = {o.name: old.outputs[o.name] for o in face.outputs}
        for s in face.states:
            if old.finals[s.path] not in values.values():
                name = next(n for n in (s.path, f"{s.path}_all", *map(str, range(9))) if n not in values)
                values[name], outputs[name] = old.finals[s.path], Output(name, wide(s.type), loc=s.loc)
        new.interface = Interface(
            tuple(Input(i.name, wide(i.type), i.kind, i.loc) for i in face.inputs),
            tuple(outputs.values()),
            states,
        )
        new.outputs = {name: inside[v] for name, v in values.items()}
        new.finals = {path: inside[v] for path, v in old.finals.items()}
        return new.freeze()
