"""Looping: values of a stream graph, cut out as a region of a function graph.

The body is a stream graph of its own, isolated: each outer value that its values read is one of its inputs,
scanned if it is a stream, given if it is the same at every step, copied if it is a constant of one element;
and each register of its delays is one of its states. A body whose delays all look ahead is a body whose
delays look back, run in reverse.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import networkx as nx

from rnnc.build import Builder
from rnnc.dims import Dim
from rnnc.errors import CycleError, Note
from rnnc.ir import Graph, Input, Interface, Output, State
from rnnc.loops.naming import free
from rnnc.loops.regions import region_type
from rnnc.loops.slots import history, whole
from rnnc.timing import Timing
from rnnc.types import TensorType


def components(graph: Graph, joined: Mapping[str, str] | None = None) -> list[list[str]]:
    """The strongly connected components, each after those that it depends on, members in order.

    An ``item`` belongs to the tuple's, and each value in ``joined`` to that of the value it maps to.
    """
    order = {v: i for i, v in enumerate(graph.order())}
    components = [set(c) for c in nx.strongly_connected_components(graph.nx)]
    home = {v: c for c in components for v in c}
    for item in graph.find("item"):
        whole = home[graph.operands(item)[0]]
        if len(whole) > 1 and item not in whole:
            home[item].remove(item)
            whole.add(item)
    for value, member in (joined or {}).items():
        home[value].remove(value)
        home[member].add(value)
    condensed: nx.DiGraph[int] = nx.condensation(graph.nx, [c for c in components if c])
    first = {n: min(order[v] for v in c) for n, c in condensed.nodes(data="members")}
    sequence = nx.lexicographical_topological_sort(condensed, key=first.__getitem__)
    return [sorted(condensed.nodes[n]["members"], key=order.__getitem__) for n in sequence]


def is_loop(graph: Graph, members: list[str]) -> bool:
    """Whether a strongly connected component has a cycle."""
    return len(members) > 1 or members[0] in graph.operands(members[0])


def untie(graph: Graph, members: Iterable[str]) -> None:
    """Open the cycles among ``members``, so that they can be erased: their delays read only their inits."""
    for delay in (m for m in members if graph[m].op == "delay"):
        graph.connect(graph.operands(delay)[1], delay, 0)


@dataclass(frozen=True)
class Register:
    """Memory that delays of one value share: the last ``depth`` of it, ``init`` before the run."""

    value: str
    depth: int
    init: str
    delays: tuple[str, ...]


def registers(graph: Graph, members: list[str]) -> list[Register]:
    """The registers that the delays among ``members`` need: one for each value and history, as deep as the
    deepest delay."""
    found: dict[tuple[str, Hashable], Register] = {}
    for delay in (m for m in members if graph[m].op == "delay"):
        value, init = graph.operands(delay)
        depth = abs(graph[delay].attrs["k"])
        key = (value, history(graph, init, graph.type(value)))
        old = found.get(key)
        if old is None:
            found[key] = Register(value, depth, init, (delay,))
        else:
            deeper = old if old.depth >= depth else replace(old, depth=depth, init=init)
            found[key] = replace(deeper, delays=(*old.delays, delay))
    return list(found.values())


def cut(
    graph: Graph,
    members: list[str],
    found: list[Register],
    outputs: list[str],
    timing: Mapping[str, Timing],
    steps: Dim,
    lengths: str | None = None,
) -> str:
    """Add a region that computes ``members``, in order, with the registers ``found`` for its states.

    Its results are ``outputs`` over all steps, then the registers after the run.

    The members, whose types are those of one step, stay; the streams that they read have time as first axis.
    """
    reverse = _direction(graph, members)
    loop = _Body(graph, members, timing)
    for r in found:
        loop.declare(r)
    loop.compute(outputs)
    body = loop.finish()
    inits = [whole(Builder(graph, like=r.value), r.init, graph.type(r.value), r.depth) for r in found]
    operands = [*loop.operands, *inits]
    flags: dict[str, Any] = {"reverse": True} if reverse else {}
    if lengths is not None:
        operands.append(lengths)
        flags["ragged"] = True
    kind = region_type(body, steps)
    like = [r.value for r in found] or outputs
    return graph.add("region", *operands, type=kind, like=like, body=body, steps=steps, **flags)


def _direction(graph: Graph, members: list[str]) -> bool:
    """Whether the delays look ahead; :class:`CycleError` if some do and some do not."""
    delays = [m for m in members if graph[m].op == "delay"]
    ahead = [d for d in delays if graph[d].attrs["k"] < 0]
    back = [d for d in delays if graph[d].attrs["k"] > 0]
    if ahead and back:
        raise CycleError(
            "a loop looks both back and ahead, so that no order of steps can run it",
            hint="Let the part that looks ahead not depend on the part that looks back.",
            loc=next(iter(graph[back[0]].locs), None),
            notes=(Note("here it looks ahead", next(iter(graph[ahead[0]].locs), None)),),
        )
    return bool(ahead)


class _Body:
    """The body of a region under construction, and the outer values that its inputs stand for."""

    def __init__(self, outer: Graph, members: list[str], timing: Mapping[str, Timing]) -> None:
        self.outer, self.members, self.timing = outer, members, timing
        self.graph = Graph("loop")
        self.operands: list[str] = []
        self.inputs: list[Input] = []
        self.outputs: list[Output] = []
        self.states: dict[State, Register] = {}
        self.inside: dict[str, str] = {}

    def declare(self, register: Register) -> None:
        """Add the state of a register, and its delays, whose operands come later."""
        outer, init = self.outer, register.init
        wanted = init.removesuffix(".init") if outer[init].op == "init" else _plain(register.value, "s0")
        path = free(wanted, {s.path for s in self.states})
        loc = next(iter(outer[register.value].locs), None)
        state = State(path, outer.type(register.value), register.depth, loc=loc)
        source = self.graph.add("init", type=state.tensor, name=state.source)
        self.states[state] = register
        b = Builder(self.graph)
        for delay in register.delays:
            node, k, held = outer[delay], abs(outer[delay].attrs["k"]), source
            if k < register.depth:
                held = b("slice", source, axis=0, start=0, stop=k)
                held = b("squeeze", held, axes=(0,)) if k == 1 else held
            # Until the delayed value is there, the init stands for it.
            self.inside[delay] = self.graph.add(
                "delay", held, held, type=node.type, name=delay, locs=node.locs, k=k
            )

    def compute(self, outputs: list[str]) -> None:
        """Add all members, tie the delays, and declare the outputs."""
        for value in (m for m in self.members if m not in self.inside):
            node = self.outer[value]
            operands = [self._read(o) for o in self.outer.operands(value)]
            self.inside[value] = self.graph.add(
                node.op, *operands, type=node.type, name=value, locs=node.locs, **node.attrs
            )
        for delay in (m for m in self.members if self.outer[m].op == "delay"):
            self.graph.connect(self.inside[self.outer.operands(delay)[0]], self.inside[delay], 0)
        for value in outputs:
            name = free(_plain(value, f"v{len(self.outputs)}"), self.graph.outputs)
            self.outputs.append(Output(name, self.outer.type(value)))
            self.graph.outputs[name] = self.inside[value]

    def finish(self) -> Graph:
        """The body, frozen."""
        self.graph.interface = Interface(tuple(self.inputs), tuple(self.outputs), tuple(self.states))
        self.graph.finals = {s.path: self.inside[r.value] for s, r in self.states.items()}
        return self.graph.freeze()

    def _read(self, value: str) -> str:
        """The inner value that stands for an operand; an outer one becomes an input, or is copied."""
        if value in self.inside:
            return self.inside[value]
        node = self.outer[value]
        if node.op == "const" and node.attrs["value"].size == 1:
            self.inside[value] = self.graph.add("const", type=node.type, locs=node.locs, **node.attrs)
            return self.inside[value]
        stream = self.timing[value] == "stream"
        kind = TensorType(node.tensor.dtype, node.tensor.shape[1:]) if stream else node.tensor
        name = self.graph.fresh(_plain(value, f"v{len(self.inputs)}"))
        self.inputs.append(Input(name, kind, "stream" if stream else "given"))
        self.operands.append(value)
        self.inside[value] = self.graph.add("input", type=kind, name=name, locs=node.locs)
        return self.inside[value]


def _plain(value: str, otherwise: str) -> str:
    """The name of a value, unless it is a temporary one."""
    return otherwise if value.startswith("%") else value
