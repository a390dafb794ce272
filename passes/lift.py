"""Lift: a stream graph becomes a function of whole sequences, in which time is the first axis.

What is on no cycle is computed for all steps at once; what is the same at every step, once. Each strongly
connected component becomes a ``region``, as small as it can be, with what only reads from its matrices
(:mod:`rnnc.loops.reads`); what takes no axis of time becomes regions without states, as few as can be
(:mod:`rnnc.loops.maps`). A delay off every cycle becomes a ``shift``, ``last`` becomes a ``final``, and so
does a state after the run, unless a register of a region holds it.

Before::

    net sum(stream x: f32[B, 2], param w: f32[2, 3], state y: f32[B, 3]) -> (y) {
      y1: f32[B, 3] = delay(y, y.init) {k = 1}
      %0: f32[B, 3] = matmul(x, w)
      y: f32[B, 3] = add(%0, y1)
    }

After::

    function sum(stream x: f32[T, B, 2], param w: f32[2, 3], state y: f32[B, 3] = %2) -> (y) {
      %0: f32[T, B, 3] = matmul(x, w)
      %1: (f32[T, B, 3], f32[B, 3]) = region(%0, y.init) {steps = T, body = net loop(...) -> (y) {
        y1: f32[B, 3] = delay(y, y.init) {k = 1}
        y: f32[B, 3] = add(v0, y1)
      }}
      y: f32[T, B, 3] = item(%1) {k = 0}
      %2: f32[B, 3] = item(%1) {k = 1}
    }
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rnnc.build import Builder
from rnnc.dims import Dim, dim
from rnnc.errors import FormError
from rnnc.ir import SOURCES, Graph, Output, State
from rnnc.loops.continuing import Continued, continued, over_all
from rnnc.loops.heavy import heavy
from rnnc.loops.histories import History, history, turn
from rnnc.loops.lifting import Operand, lift_op, over_time
from rnnc.loops.looping import Register, components, cut, is_loop, registers, untie
from rnnc.loops.maps import maps
from rnnc.loops.parts import Ends
from rnnc.loops.reads import reads
from rnnc.loops.regions import over_time as sequence_of
from rnnc.loops.slots import whole
from rnnc.ops import OPS
from rnnc.pipeline import ACYCLIC, STREAMING, TYPED, Pass
from rnnc.rewrite import sweep
from rnnc.timing import timing
from rnnc.types import tensor


@dataclass(frozen=True)
class Lift(Pass):
    """Streams as sequences. With ``lengths``, sequences of a batch have their own lengths, an input of that
    name; what lies past the end of a sequence is 0 in the outputs."""

    name: ClassVar[str] = "lift"
    needs: ClassVar[frozenset[str]] = frozenset({TYPED, STREAMING})
    gives: ClassVar[frozenset[str]] = frozenset({ACYCLIC})
    lengths: bool = False

    def apply(self, graph: Graph) -> None:
        lengths = lengths_of(graph) if self.lengths else None
        lift(graph, dim("T"), lengths)


#: The type of the input that says how long each sequence of the batch is.
LENGTHS = tensor("i64", "B")


def lengths_of(graph: Graph) -> str:
    """The value that says how long each sequence is. What is to end with its sequence must belong to one."""
    batch = LENGTHS.shape[0]
    parts: list[State | Output] = [*graph.interface.states, *graph.interface.outputs]
    for part in parts:
        if part.type.shape[:1] != (batch,):
            raise FormError(
                f"{part.type} has no axis {batch} in front: it belongs to no sequence of the batch, "
                "whose lengths are to differ",
                hint="Compile without lengths.",
                loc=part.loc,
            )
    return "lengths" if "lengths" in graph else graph.add("input", type=LENGTHS, name="lengths")


def lift(graph: Graph, steps: Dim, lengths: str | None = None) -> None:
    """Turn a stream graph into its function of ``steps`` steps, or of as many as ``lengths`` says."""
    _Lifting(graph, steps, lengths).run()


class _Lifting:
    """A graph being lifted, value by value, each after those that it depends on.

    A lifted value takes the place and the name of the one it was lifted from, so that at any moment the
    operands of what comes next are lifted already.
    """

    def __init__(self, graph: Graph, steps: Dim, lengths: str | None) -> None:
        turn(graph)
        self.graph, self.steps, self.lengths = graph, steps, lengths
        self.states = Ends.of(graph)
        self.timing = timing(graph)
        self.ends: dict[str, str] = {}
        self.carried: set[str] = set()
        self.valid = ""

    def run(self) -> None:
        """Lift everything."""
        graph = self.graph
        joined = reads(graph, self.timing) | heavy(graph)
        order = components(graph, joined)
        if alone := maps(graph, order, self.timing, self.steps):
            order = components(graph, joined | alone)
        histories = {min(m): found for m in order if is_loop(graph, m) and (found := history(graph, m))}
        for source in graph.interface.inputs:
            if source.kind == "stream" and source.name in graph:
                graph.retype(source.name, sequence_of(source.type, self.steps))
        for members in order:
            if found := histories.get(min(members)):
                self._history(found, members)
            elif members[0] in alone or is_loop(graph, members):
                self._loop(members)
            elif graph[members[0]].op not in SOURCES:
                self._straight(members[0])
        self._outputs()
        self._finals()
        sweep(graph)
        graph.level = "function"

    def _straight(self, value: str) -> None:
        """Lift a value that is on no cycle."""
        graph, b = self.graph, Builder(self.graph, like=value)
        node, operands = graph[value], graph.operands(value)
        if node.op == "delay":
            v, init = operands
            ragged = [self.lengths] if self.lengths and node.attrs["k"] < 0 else []
            self._become(value, b("shift", self._sequence(v), init, *ragged, k=node.attrs["k"]))
        elif node.op == "last":
            self._become(value, self._at_end(operands[0]))
        elif self.timing[value] == "final":
            for slot, operand in enumerate(operands):
                graph.connect(self._at_end(operand), value, slot)
        elif self.timing[value] == "stream":
            xs = [Operand(o, graph[o].type, self.timing[o] == "stream") for o in operands]
            lifted = lift_op(b, OPS[node.op], xs, node.attrs, node.type, self.steps)
            assert lifted is not None, f"{value} is in a loop"
            self._become(value, lifted)

    def _loop(self, members: list[str]) -> None:
        """Lift values on a cycle, or one that cannot take a time axis: most become a region."""
        if loop := continued(self.graph, members):
            self._continue(loop, members)
        else:
            self._region(members)

    def _history(self, found: History, members: list[str]) -> None:
        """Lift a register to which each step appends: what it held is a window of all that was appended."""
        graph, b, axis = self.graph, Builder(self.graph, like=found.delay), found.axis + 1
        held = graph.type(found.delay)
        start = whole(b, graph.operands(found.delay)[1], held, 1)
        parts = [self._sequence(p) for p in found.parts]
        seen = b("window", b("concat", *parts, axis=axis) if len(parts) > 1 else parts[0], start, axis=axis)
        self._become(found.delay, b("slice", seen, axis=axis, start=0, stop=held.shape[found.axis]))
        for value in members:
            if value != found.delay:
                self._straight(value)

    def _continue(self, loop: Continued, members: list[str]) -> None:
        """Lift a loop inside each step that goes on where it left off: it is one loop over all its steps."""
        graph, b = self.graph, Builder(self.graph, like=loop.region)
        ends = {key: loop.ends_with(value, self.states.ends[key]) for key, value in graph.finals.items()}
        carried = {key: k for key, k in ends.items() if k is not None}
        kept = {key: graph.finals.pop(key) for key in carried}
        new = over_all(b, loop, members, self.steps, self.timing, self.lengths)
        graph.finals |= {key: new.end(carried[key]) for key in kept}
        self.carried |= carried.keys()
        inside, roots = set(members), set(graph.roots())
        read = [m for m in members if m in roots or any(u not in inside for u, _ in graph.uses(m))]
        untie(graph, members)
        for value in read:
            self._become(value, new.value(value))
        for value in reversed(members):
            if value not in read:
                graph.erase(value)

    def _region(self, members: list[str]) -> None:
        """Make a region of values on a cycle, or of one that cannot take a time axis."""
        graph, inside, found = self.graph, set(members), registers(self.graph, members)
        held = {path: k for path in graph.finals for k, r in enumerate(found) if self._holds(r, path)}
        read = {v for v in members if any(user not in inside for user, _ in graph.uses(v))}
        ends = {*graph.outputs.values(), *(v for path, v in graph.finals.items() if path not in held)}
        wanted = [m for m in members if m in read or m in ends]
        region = cut(graph, members, found, wanted, self.timing, self.steps, self.lengths)
        for path, k in held.items():
            b = Builder(graph, like=graph.finals[path])
            graph.finals[path] = b("item", region, k=len(wanted) + k)
        self.carried |= held.keys()
        untie(graph, members)
        for k, value in enumerate(wanted):
            self._become(value, Builder(graph, like=value)("item", region, k=k))
        for value in reversed(members):
            if value not in wanted:
                graph.erase(value)

    def _holds(self, register: Register, path: str) -> bool:
        """Whether a register holds just what the state ``path`` is."""
        end = self.states.ends[path]
        wanted = (self.graph.finals[path], end.init, end.depth)
        return (register.value, register.init, register.depth) == wanted

    def _become(self, old: str, new: str) -> None:
        """Let ``new`` take the place of ``old``."""
        timing = self.timing[old]
        self.timing[self.graph.replace(old, new)] = timing

    def _sequence(self, value: str) -> str:
        """The value at every step."""
        if self.timing[value] == "stream":
            return value
        return over_time(Builder(self.graph, like=value), value, self.steps)

    def _at_end(self, value: str) -> str:
        """The value at the final step; zeros if there is none."""
        if self.timing[value] != "stream":
            return value
        if value not in self.ends:
            b = Builder(self.graph, like=value)
            zero = b.const(0, self.graph.type(value).dtype)
            self.ends[value] = b("final", value, zero, *self._ragged(), k=1)
        return self.ends[value]

    def _ragged(self) -> tuple[str, ...]:
        return (self.lengths,) if self.lengths else ()

    def _outputs(self) -> None:
        """Give every output its axis of time, unless it is a final one, and zeros past the end."""
        graph = self.graph
        for output in graph.interface.outputs:
            value = graph.outputs[output.name]
            if output.kind == "final":
                graph.outputs[output.name] = self._at_end(value)
            else:
                graph.outputs[output.name] = self._masked(self._sequence(value))

    def _masked(self, value: str) -> str:
        """A stream with zeros past the end of each sequence."""
        if not self.lengths:
            return value
        b = Builder(self.graph, like=value)
        kind = self.graph.type(value)
        if not self.valid:
            times = b("unsqueeze", b("arange", stop=self.steps), axes=(1,))
            self.valid = b("less", times, b("unsqueeze", self.lengths, axes=(0,)))
        axes = tuple(range(2, kind.rank))
        mask = b("unsqueeze", self.valid, axes=axes) if axes else self.valid
        return b("where", mask, value, b.const(0, kind.dtype))

    def _finals(self) -> None:
        """Compute the states after the run that no region carries."""
        graph = self.graph
        for path in (p for p in graph.finals if p not in self.carried):
            end = self.states.ends[path]
            value = self._sequence(graph.finals[path])
            b = Builder(graph, like=value)
            graph.finals[path] = b("final", value, end.init, *self._ragged(), k=end.depth)
        self.states.put_together(graph)
