"""Latency: a model that looks ahead, as one that waits, and gives each output so many steps later.

Each value gets a *lag*, the steps by which it comes late: those that it looks ahead over. A look ahead is
then the value itself, and what meets it on time is delayed. A further input, ``valid``, says whether a step
is one of the sequence. Delayed by a value's lag it says whether that value belongs to a step of the sequence
yet, and still: until then states downstream keep what they start from, and past the end a look ahead gives
its init, as in the sequence. So the outputs, ``steps`` later, are what they are without the wait.
"""

from __future__ import annotations

from dataclasses import replace

import networkx as nx
import numpy as np

from rnnc.build import Builder
from rnnc.errors import FormError
from rnnc.ir import Array, Graph, Input, State, state_type
from rnnc.loops.naming import free
from rnnc.timing import timing
from rnnc.types import TensorType


def with_latency(graph: Graph, steps: int) -> tuple[Graph, str]:
    """The stream graph whose outputs come ``steps`` later and which looks nowhere ahead, and its input that
    says which steps are the sequence's."""
    waiting = _Waiting(graph, steps)
    return waiting.run(), waiting.valid


class _Waiting:
    """A stream graph being rewritten in place, a copy, each value after those that it depends on."""

    def __init__(self, source: Graph, steps: int) -> None:
        self.source, self.steps = source, steps
        self.graph = source.copy()
        self.timing = timing(source)
        self.lags = _lags(source)
        self.states: list[State] = list(source.interface.states)
        self.now: dict[str, str] = {}  # what has taken the place of a value, and another name
        self.late: dict[tuple[str, int], str] = {}
        self.kept: dict[int, str] = {}
        taken = {i.name for i in source.interface.inputs}
        self.valid = free("valid", taken | set(source))

    def run(self) -> Graph:
        """Rewrite everything."""
        graph, face = self.graph, self.source.interface
        if any(o.kind == "final" for o in face.outputs):
            raise FormError("an output of the last step alone has no latency", hint="Compile a sequence.")
        graph.add("input", type=TensorType("bool"), name=self.valid)
        for value in self.source.order():
            if self.timing[value] != "invariant":
                self._value(value)
        for output in face.outputs:
            value = self.source.outputs[output.name]
            shown = self._late(value, self.steps) if self.timing[value] == "stream" else value
            b = Builder(graph, like=shown)
            zero = b.const(0, graph.type(shown).dtype)
            graph.outputs[output.name] = b("where", self._valid(self.steps), shown, zero)
        inputs = (*face.inputs, Input(self.valid, TensorType("bool")))
        graph.interface = replace(face, inputs=inputs, states=tuple(self.states))
        return graph.freeze()

    def _value(self, value: str) -> None:
        node, lag = self.source[value], self.lags.get(value, 0)
        if node.op == "input":
            return
        if node.op == "delay" and node.attrs["k"] < 0:
            self._ahead(value)
        elif node.op == "delay":
            if lag:
                self._held(value, lag)
        else:
            for slot, operand in enumerate(self.source.operands(value)):
                if self.timing[operand] == "stream" and self.lags[operand] < lag:
                    self.graph.connect(self._late(operand, lag), value, slot)

    def _ahead(self, value: str) -> None:
        """A look ahead is what it looks at, a lag later; past the end it is its init."""
        v, init = self.source.operands(value)
        now = self.now.get(v, v)
        b = Builder(self.graph, like=value)
        if self.graph.type(init).rank > self.graph.type(now).rank:
            raise FormError(
                "a look ahead whose last values differ cannot wait for them",
                loc=next(iter(self.source[value].locs), None),
            )
        self.now[value] = self.graph.replace(value, b("where", self._valid(self.lags[v]), now, init))

    def _held(self, value: str, lag: int) -> None:
        """A delay, as registers of one value each, which keep what they hold while no step has come."""
        (v, init), k = self.source.operands(value), self.source[value].attrs["k"]
        state = next((s for s in self.states if s.source == self._source_of(init)), None)
        if state is None or state.depth != k:
            raise FormError(
                "a state that is read at several distances cannot wait for what is ahead of it",
                hint="Compile it as a sequence.",
                loc=next(iter(self.source[value].locs), None),
            )
        graph, before = self.graph, self._late(v, lag)
        slots = [*_slots(state)]
        place = self.states.index(state)
        own = [replace(state, depth=1, init=slots[0])]
        for n, slot in enumerate(slots[1:], 2):
            own.append(State(free(f"{state.path}.{n}", {s.path for s in self.states}), state.type, 1, slot))
        self.states[place : place + 1] = own
        if k > 1:
            graph.retype(state.source, state.type)
        for n, s in enumerate(own):
            b = Builder(graph, like=value)
            source = s.source if n == 0 else graph.add("init", type=s.type, name=s.source)
            register = b("delay", source, source, k=1)
            after = b("where", self._valid(lag), before, register)
            graph.connect(after, register, 0)
            graph.finals[s.path] = after
            before = register
        self.now[value] = graph.replace(value, before)

    def _source_of(self, init: str) -> str:
        """The state that an init is, through slices of its slots."""
        found = {v for v in (init, *nx.ancestors(self.source.nx, init)) if self.source[v].op == "init"}
        return found.pop() if len(found) == 1 else ""

    def _late(self, value: str, lag: int) -> str:
        """A value of the source as it comes with a lag, its own or a larger one."""
        wait, here = lag - self.lags[value], self.now.get(value, value)
        if not wait:
            return here
        if (value, lag) not in self.late:
            self.late[value, lag] = self._remembered(here, wait)
        return self.late[value, lag]

    def _valid(self, lag: int) -> str:
        """Whether a value of that lag belongs to a step of the sequence."""
        if lag not in self.kept:
            self.kept[lag] = self._remembered(self.valid, lag) if lag else self.valid
        return self.kept[lag]

    def _remembered(self, value: str, steps: int) -> str:
        """A value so many steps ago, by a state of its own; zeros before."""
        kind = self.graph.type(value)
        stem = value if not value.startswith("%") else "wait"
        state = State(free(f"{stem}.late", {s.path for s in self.states}), kind, steps)
        self.states.append(state)
        source = self.graph.add("init", type=state_type(kind, steps), name=state.source)
        self.graph.finals[state.path] = value
        return Builder(self.graph, like=value)("delay", value, source, k=steps)


def _slots(state: State) -> list[Array | None]:
    """What each slot of a state is at first."""
    if state.init is None or state.depth == 1:
        return [state.init] * state.depth
    array = np.asarray(state.init)
    if array.ndim <= state.type.rank:
        return [array] * state.depth
    return [array[min(i, len(array) - 1)] for i in range(state.depth)]


def _lags(graph: Graph) -> dict[str, int]:
    """By how many steps each value comes late; those of one loop by as many."""
    parts = nx.condensation(graph.nx)
    found: dict[str, int] = {}
    for c in nx.topological_sort(parts):
        members = parts.nodes[c]["members"]
        ahead = [v for v in members if graph[v].op == "delay" and graph[v].attrs["k"] < 0]
        outside = [found[o] for v in members for o in graph.operands(v) if o not in members]
        lag = max(outside, default=0)
        if ahead and len(members) > 1:
            raise FormError(
                "a loop that runs backwards waits for the end of the sequence",
                loc=next(iter(graph[ahead[0]].locs), None),
            )
        found |= dict.fromkeys(members, lag - graph[ahead[0]].attrs["k"] if ahead else lag)
    return found
