"""A cell as a careful author writes it by hand for another library, from the graph of its equations.

The reference machine is general; a peer must be quick, and none is to be weakened. So products are packed,
biases added within them, weights put together beforehand, and nothing is left in a loop that need not be, by
rnnc's own passes; then a stream graph is taken apart into what is the same at every step, what one step
computes, and the registers that its delays read. Whoever has a way to loop (a ``for``, ``lax.scan``) puts
these together, and may write them down instead of running them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import networkx as nx
import numpy as np
from array_api_compat import array_namespace

from rnnc.dims import Dim, substitute
from rnnc.ir import SOURCES, Array, Graph, state_type
from rnnc.loops.regions import operands
from rnnc.machine.library import Library, call_of, shape_of
from rnnc.passes import STREAMS
from rnnc.pipeline import Pipeline
from rnnc.timing import timing
from tools.bench.peers import Ready
from tools.bench.subject import Subject

#: What is done to the equations beforehand, for a sequence and for steps.
SEQUENCE = f"bind,{STREAMS},lift,taps,canonicalize,gemm,fold{{params=true}},canonicalize"
STEP = f"{STREAMS},gemm,canonicalize"

#: The arrays of values, by name.
Frame = dict[str, Any]
#: What each register holds, newest first.
Slots = list[tuple[Any, ...]]


class Unsupported(Exception):
    """What a peer cannot run, or is not meant to."""


@dataclass(frozen=True)
class Kit:
    """A library to run graphs with: its arrays, and its own functions where it has better ones than the body
    of an op, under the op's name and with the op's arguments."""

    library: Library
    own: Mapping[str, Callable[..., Any]]

    def run(self, graph: Graph, values: Iterable[str], frame: Frame, sizes: Mapping[str, Dim]) -> None:
        """Compute ``values``, each after its operands, into ``frame``."""
        for value in values:
            node = graph[value]
            call = call_of(node, self.library, sizes)
            if node.op in self.own:
                call = partial(self.own[node.op], **getattr(call, "keywords", {}))
            frame[value] = call(*[frame[o] for o in graph.operands(value)])


@dataclass(frozen=True)
class Register:
    """What a delay reads: the value that enters it, and how many steps it stays."""

    delay: str
    value: str
    depth: int


class Steps:
    """A stream graph whose delays look back, made ready to be run step by step."""

    def __init__(self, graph: Graph, kit: Kit, sizes: Mapping[str, int]) -> None:
        self.graph, self.kit, self.sizes = graph, kit, sizes
        when, needed = timing(graph), _needed(graph)
        order = [v for v in graph.order() if v in needed and graph[v].op not in SOURCES]
        if "final" in when.values() or any(graph[v].attrs["k"] < 0 for v in order if graph[v].op == "delay"):
            raise Unsupported("it needs the end of the sequence")
        self.once = [v for v in order if when[v] == "invariant"]
        self.each = [v for v in order if when[v] == "stream" and graph[v].op != "delay"]
        self.registers = [
            Register(v, graph.operands(v)[0], graph[v].attrs["k"]) for v in order if graph[v].op == "delay"
        ]
        self.outputs = [graph.outputs[o.name] for o in graph.interface.outputs]

    def before(self, frame: Frame) -> Slots:
        """Compute what is the same at every step; the slots of every register at first, newest first."""
        self.kit.run(self.graph, self.once, frame, self.sizes)
        return [self._slots(r, frame[self.graph.operands(r.delay)[1]]) for r in self.registers]

    def step(self, frame: Frame, slots: Slots) -> Slots:
        """Compute one step into ``frame``, which has its inputs, and what the registers hold after it."""
        for register, held in zip(self.registers, slots, strict=True):
            frame[register.delay] = held[-1]
        self.kit.run(self.graph, self.each, frame, self.sizes)
        return [(frame[r.value], *held[:-1]) for r, held in zip(self.registers, slots, strict=True)]

    def _slots(self, register: Register, init: Any) -> tuple[Any, ...]:
        shape = shape_of(state_type(self.graph.type(register.delay), register.depth), self.sizes)
        full = array_namespace(init).broadcast_to(init, shape)
        return tuple(full[i] for i in range(register.depth)) if register.depth > 1 else (full,)


@dataclass(frozen=True)
class Loop:
    """A region of a function graph: its steps, how many there are, and the arrays that they run on.

    ``streams`` have time as first axis, ``given`` is what each step reads besides, and ``slots`` is what the
    registers hold at first.
    """

    steps: Steps
    count: int
    streams: Frame
    given: Frame
    slots: Slots
    reverse: bool

    @staticmethod
    def of(graph: Graph, region: str, frame: Frame, kit: Kit, sizes: Mapping[str, int]) -> Loop:
        """The loop that a region is, its operands being in ``frame``."""
        node, roles = graph[region], operands(graph, region)
        body: Graph = node.attrs["body"]
        face, steps, count = body.interface, Steps(body, kit, sizes), substitute(node.attrs["steps"], sizes)
        assert isinstance(count, int)
        kinds = {i.name: i.kind for i in face.inputs}
        arrays = {name: frame[v] for name, v in zip(kinds, roles.inputs, strict=True)}
        given = {name: x for name, x in arrays.items() if kinds[name] == "given"}
        given |= {s.source: frame[v] for s, v in zip(face.states, roles.inits, strict=True)}
        slots = steps.before(given)
        streams = {name: x for name, x in arrays.items() if kinds[name] == "stream"}
        return Loop(steps, count, streams, given, slots, bool(node.attrs.get("reverse")))


class Sequence:
    """A function graph of sequences made ready to be run; ``loop`` runs a region, and gives its outputs."""

    def __init__(
        self, graph: Graph, kit: Kit, sizes: Mapping[str, int], loop: Callable[[Loop], list[Any]]
    ) -> None:
        self.graph, self.kit, self.sizes, self.loop = graph, kit, dict(sizes), loop
        needed = _needed(graph)
        self.order = [v for v in graph.order() if v in needed]
        #: What is known before the run: constants, and weights.
        self.weights = {v: graph[v].attrs["value"] for v in self.order if graph[v].op == "const"}
        self.weights |= {v: graph.interface.params[v] for v in self.order if graph[v].op == "param"}

    def loops(self) -> Iterator[Steps]:
        """The steps of every region, before it is run."""
        for value in self.order:
            if self.graph[value].op == "region":
                yield Steps(self.graph[value].attrs["body"], self.kit, self.sizes)

    def __call__(self, weights: Frame, inputs: Frame) -> list[Any]:
        """The outputs."""
        frame, sizes = {**weights, **inputs}, dict(self.sizes)
        for value in (v for v in self.order if v not in frame):
            if self.graph[value].op == "region":
                frame[value] = self.loop(Loop.of(self.graph, value, frame, self.kit, sizes))
            else:
                self.kit.run(self.graph, [value], frame, sizes)
        return [frame[self.graph.outputs[o.name]] for o in self.graph.interface.outputs]


def over_time(subject: Subject, kit: Kit, loop: Callable[[Loop], list[Any]]) -> Sequence:
    """The sequence of a subject."""
    return Sequence(Pipeline.parse(SEQUENCE).run(subject.graph), kit, subject.sizes, loop)


def streaming(subject: Subject, kit: Kit) -> tuple[Steps, Frame, Slots]:
    """The steps of a subject, with all that is known before the first."""
    graph = Pipeline.parse(STEP).run(subject.graph)
    arrays = {v: graph.interface.params[v] for v in graph.find("param")}
    for state in graph.interface.states:
        arrays[state.source] = np.zeros((), state.type.numpy) if state.init is None else state.init
    arrays |= {name: x for name, x in subject.inputs.items() if name not in subject.streams}
    frame = {v: kit.library.asarray(array) for v, array in arrays.items() if array is not None}
    steps = Steps(graph, kit, subject.sizes)
    return steps, frame, steps.before(frame)


def carried(
    cell: Callable[..., tuple[Any, Any]],
    slots: Iterable[Any],
    subject: Subject,
    asarray: Callable[[Array], Any],
) -> Ready:
    """Steps by ``cell``, a function from inputs and slots to slots and outputs."""
    first = held = tuple(slots)

    def at(t: int) -> list[Any]:
        return [asarray(x) for x in subject.at(t).values()]

    def push(xs: Iterable[Any]) -> Any:
        nonlocal held
        held, ys = cell(*xs, *held)
        return ys

    def answer() -> list[Array]:
        nonlocal held
        held = first
        steps = [push(at(t)) for t in range(subject.entry.T)]
        return [np.stack([np.asarray(y) for y in ys]) for ys in zip(*steps, strict=True)]

    now = at(0)
    return Ready(lambda: push(now), answer)


def _needed(graph: Graph) -> set[str]:
    roots = set(graph.outputs.values())
    return roots.union(*(nx.ancestors(graph.nx, v) for v in roots))
