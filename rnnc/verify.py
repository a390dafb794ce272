"""The verifier: what every graph must be, before and after every pass.

**Every value**
- has a name that graph text can write, and an op that is declared;
- fills the op's operand slots 0, 1, … without gap or repetition, as many as the op takes;
- has attributes that the op declares, of their kind, and all that the op requires;
- has the type that the op infers from its operands and attributes: a ``const`` that of its array, a ``delay``
  that of the value it delays, with an init that broadcasts to the slots; only ``item`` takes tuples apart.

**The interface**
- ``input``, ``init`` and ``param`` are sources that it declares, under their own names and types; in a
  function graph a stream may have one more axis for time, first or second, of one size for all, and
  ``lengths: i64[B]`` may come in addition;
- every output is a value of its type, time included; none is missing and none unknown; a ``final`` one is no
  stream, any other not final;
- every state whose source the graph has is followed by a value, which has the type of one slot in a stream
  graph and of the whole state in a function graph; a state without a source, which is bound, by none.

**Stream graphs**
- every cycle goes through the delayed operand of a ``delay``;
- no strongly connected component has delays of both signs;
- what a delay starts from is the same at every step; nothing final is delayed, and no state follows it;
- ops that work along time are for function graphs.

**Function graphs**
- have no cycle, no ``delay`` and no ``last``.

**Regions**
- have a body that is a stream graph, keeps all these rules, looks back only, and has neither params nor a
  ``last``: what it reads is an operand;
- have an operand for each input of the body (a stream has all ``steps`` on its first axis), for each state,
  for the lengths if ragged, and for each alternative: a tuple of the region's own type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import networkx as nx

from rnnc.dims import Dim, Poly
from rnnc.errors import Loc, TypeMismatch, VerifyError
from rnnc.ir import SOURCES, Attr, Graph, Input, Node, Output, state_type
from rnnc.loops.regions import over_time, region_type
from rnnc.ops import OPS
from rnnc.ops.declare import Op, broadcast_shapes, same_dtype
from rnnc.ops.kinds import wrong
from rnnc.text.literals import is_name
from rnnc.timing import Timing, timing
from rnnc.types import TensorType, TupleType, Type, tensor, type_of

#: Structural ops that only one level of graph has, besides those that a pass lowers.
STREAM_OPS = frozenset({"delay", "last"})

LENGTHS = tensor("i64", "B")


def verify(graph: Graph) -> None:
    """Raise :class:`VerifyError` with every rule that ``graph`` breaks."""
    broken = list(_Verifier(graph).broken())
    if broken:
        count = f" breaks {len(broken)} rules:\n  - " if len(broken) > 1 else ": "
        raise VerifyError(f"{graph.name}{count}" + "\n  - ".join(broken))


class _Verifier:
    """Finds what is broken in one graph, one sentence for each rule and value."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.face = graph, graph.interface
        self.nodes: dict[str, Node] = dict(graph.nx.nodes(data="node"))
        self.reads: dict[str, list[tuple[int, str]]] = {value: [] for value in self.nodes}
        for operand, user, slot in graph.nx.edges(keys=True):
            self.reads[user].append((slot, operand))
        self.inferred: dict[tuple[str | Type, ...], Type] = {}
        self.when: dict[str, Timing] = {}
        self.inputs = {i.name: i for i in self.face.inputs}
        self.outputs = {o.name: o for o in self.face.outputs}
        self.states = {s.source: s for s in self.face.states}

    def broken(self) -> Iterator[str]:
        """Every broken rule. Rules on the whole graph are looked at only where each value alone is sound."""
        for rules in ((self._values,), (self._interface, self._levels), (self._timing,)):
            found = [message for rule in rules for message in rule()]
            yield from found
            if found:
                return

    def _say(self, value: str, message: str) -> str:
        """A sentence about a value, and where it comes from."""
        loc: Loc | None = next(iter(self.nodes[value].locs), None)
        return f"{value} {message}" + (f" ({loc})" if loc else "")

    # -- every value --------------------------------------------------------------------------------------
    def _values(self) -> Iterator[str]:
        for value, node in self.nodes.items():
            for message in self._value(value, node):
                yield self._say(value, message)

    def _value(self, value: str, node: Node) -> Iterator[str]:
        if not is_name(value):
            yield "has a name that graph text cannot write"
        op = OPS.get(node.op)
        if op is None:
            yield f"is computed by {node.op}, which is no op"
            return
        form = [*self._slots(value, op), *wrong(op, node.attrs)]
        yield from form or self._type(value, op, node)

    def _slots(self, value: str, op: Op) -> Iterator[str]:
        filled = sorted(slot for slot, _ in self.reads[value])
        if filled != list(range(len(filled))):
            yield f"fills the slots {', '.join(map(str, filled))} of {op.name} instead of 0, 1, …"
            return
        try:
            op.check_count(len(filled))
        except TypeMismatch as error:
            yield f"has the wrong number of operands: {error.message}"

    # -- types --------------------------------------------------------------------------------------------
    def _type(self, value: str, op: Op, node: Node) -> Iterator[str]:
        types = [self.nodes[o].type for _, o in sorted(self.reads[value])]
        if op.name in SOURCES:
            return  # the interface declares them
        if op.name == "region":
            yield from self._region(value, node, types)
        elif op.name == "const":
            yield from _differs(node.type, _array_type(node.attrs["value"]), "its array")
        elif any(isinstance(t, TupleType) != (op.name == "item") for t in types):
            yield f"gives {op.name} {'one tensor' if op.name == 'item' else 'a tuple'}, which it cannot take"
        else:
            try:
                yield from _differs(node.type, self._infer(op, types, node.attrs), op.name)
                if op.name == "delay":
                    v, init = types
                    assert isinstance(v, TensorType) and isinstance(init, TensorType)
                    yield from _fits(init, state_type(v, abs(node.attrs["k"])))
            except TypeMismatch as error:
                yield f"has operands that do not fit: {error.message}"

    def _infer(self, op: Op, types: list[Type], attrs: Mapping[str, Attr]) -> Type:
        """The op's own answer, asked once for equal operands where there are no attributes."""
        if attrs:
            return op.infer(*types, **attrs)
        key = (op.name, *types)
        if key not in self.inferred:
            self.inferred[key] = op.infer(*types)
        return self.inferred[key]

    def _region(self, value: str, node: Node, types: list[Type]) -> Iterator[str]:
        body, steps = node.attrs["body"], node.attrs["steps"]
        if not isinstance(body, Graph) or body.level != "stream" or not isinstance(steps, int | Poly):
            yield "is no region: its body must be a stream graph, and its steps a dim"
            return
        yield from (f"has a body in which {message}" for message in _Verifier(body).broken())
        for v in body:
            op, k = body[v].op, body[v].attrs.get("k", 1)
            if op in ("last", "param") or (op == "delay" and k < 0):
                yield f"has a body in which {v} {'looks ahead' if op == 'delay' else f'is a {op}'}"
        whole = region_type(body, steps)
        yield from _differs(node.type, whole, "its body")
        wanted = [
            *(
                (i.name, over_time(i.type, steps) if i.kind == "stream" else i.type)
                for i in body.interface.inputs
            ),
            *((s.source, s.tensor) for s in body.interface.states),
            *([("lengths", LENGTHS)] if node.attrs.get("ragged") else []),
            *((name, whole) for name in node.attrs.get("alternatives", ())),
        ]
        if len(wanted) != len(types):
            yield f"has {len(types)} operands, and its body and alternatives need {len(wanted)}"
            return
        for (name, type_), found in zip(wanted, types, strict=True):
            if found != type_:
                yield f"gives {name} of its body a value of type {found}, which should be {type_}"

    # -- the interface ------------------------------------------------------------------------------------
    def _interface(self) -> Iterator[str]:
        times: dict[str, set[Dim | None]] = {}
        for value in (v for v, node in self.nodes.items() if node.op in SOURCES):
            yield from (self._say(value, message) for message in self._source(value, times))
        for name in dict.fromkeys((*self.graph.outputs, *self.outputs)):
            yield from self._output(name, times)
        for path in dict.fromkeys((*self.graph.finals, *(s.path for s in self.face.states))):
            yield from self._final(path)
        if times and not set.intersection(*times.values()):
            shown = ", ".join(f"{v}: {self.nodes[v].type}" for v in times)
            yield f"the streams do not agree on an axis of time: {shown}"

    def _source(self, value: str, times: dict[str, set[Dim | None]]) -> Iterator[str]:
        op, found = self.nodes[value].op, self.nodes[value].type
        if op == "input" and value in self.inputs:
            declared = self.inputs[value]
            yield from self._stream(value, declared, times)
        elif op == "init" and value in self.states:
            yield from _differs(found, self.states[value].tensor, "the interface")
        elif op == "param" and value in self.face.params:
            array = self.face.params[value]
            if array is not None:
                yield from _differs(found, type_of(array), "its array")
        elif (op, value, found, self.graph.level) != ("input", "lengths", LENGTHS, "function"):
            yield f"is an {op} that the interface does not declare"

    def _stream(self, value: str, part: Input | Output, times: dict[str, set[Dim | None]]) -> Iterator[str]:
        """Compare an input or output with its declaration, and note which axes of it may be time."""
        found = self.nodes[value].type
        if part.kind != "stream" or self.graph.level == "stream":
            yield from _differs(found, part.type, f"{part.name} of the interface")
        elif axes := _time_axes(found, part.type):
            times[value] = axes
        else:
            yield f"has type {found}, which is no stream of {part.type}"

    def _output(self, name: str, times: dict[str, set[Dim | None]]) -> Iterator[str]:
        part, value = self.outputs.get(name), self.graph.outputs.get(name)
        if part is None or value is None:
            yield f"the output {name} {'has no value' if part else 'is not in the interface'}"
        elif value not in self.nodes:
            yield f"the output {name} is {value}, which is no value"
        else:
            yield from (self._say(value, message) for message in self._stream(value, part, times))

    def _final(self, path: str) -> Iterator[str]:
        state = next((s for s in self.face.states if s.path == path), None)
        value = self.graph.finals.get(path)
        if state is None:
            yield f"the final {path} is of no state of the interface"
        elif (value is None) == (state.source in self.nodes):
            lacks = "follows no value" if value is None else "has no source"
            yield f"the state {path} {lacks}"
        elif value is not None and value not in self.nodes:
            yield f"the state {path} follows {value}, which is no value"
        elif value is not None:
            wanted = state.type if self.graph.level == "stream" else state.tensor
            whose = f"the state {path}"
            yield from (self._say(value, m) for m in _differs(self.nodes[value].type, wanted, whose))

    # -- the whole graph ----------------------------------------------------------------------------------
    def _levels(self) -> Iterator[str]:
        """Ops of the other level, and cycles."""
        level = self.graph.level
        for value, node in self.nodes.items():
            if node.op in STREAM_OPS if level == "function" else OPS[node.op].lowered:
                yield self._say(value, f"is computed by {node.op}, which no {level} graph has")
        try:
            if level == "stream":
                self.when = timing(self.graph)
            else:
                self.graph.order()
        except VerifyError:
            yield f"a cycle has no delay: {' → '.join(self._cycle())}"

    def _cycle(self) -> list[str]:
        """The values along one cycle without a delay, the first once more at the end."""
        waits: nx.DiGraph[str] = nx.DiGraph()
        for operand, user, slot in self.graph.nx.edges(keys=True):
            if slot or self.nodes[user].op != "delay":
                waits.add_edge(operand, user)
        cycle = [u for u, _ in nx.find_cycle(waits)]
        return [*cycle, cycle[0]]

    def _timing(self) -> Iterator[str]:
        """What a stream graph may not do with time."""
        if self.graph.level == "function":
            return
        when, delays = self.when, self.graph.find("delay")
        for delay in delays:
            v, init = self.graph.operands(delay)
            if when[init] != "invariant":
                yield self._say(delay, f"starts from {init}, which is not the same at every step")
            if when[v] == "final":
                yield self._say(delay, f"delays {v}, of which only the final step is known")
        for path, value in self.graph.finals.items():
            if when[value] == "final":
                yield self._say(value, f"is followed by the state {path}, and only its final step is known")
        for output in self.face.outputs:
            wrong = "stream" if output.kind == "final" else "final"
            if when[value := self.graph.outputs[output.name]] == wrong:
                yield self._say(value, f"is a {wrong} value, and {output.name} is a {output.kind} output")
        signs = {d: self.nodes[d].attrs["k"] > 0 for d in delays}
        if len(set(signs.values())) > 1:
            for component in nx.strongly_connected_components(self.graph.nx):
                inside = sorted(d for d in component & signs.keys() if self.graph.operands(d)[0] in component)
                if len({signs[d] for d in inside}) > 1:
                    yield f"one cycle looks both back and ahead: {', '.join(inside)}"


# -- types and attributes -----------------------------------------------------------------------------------


def _differs(found: Type, wanted: Type, by: str) -> Iterator[str]:
    if found != wanted:
        yield f"has type {found}, and by {by} should have {wanted}"


def _array_type(array: Any) -> Type:
    return type_of(array) if hasattr(array, "dtype") else TupleType(())


def _fits(init: TensorType, slots: TensorType) -> Iterator[str]:
    """Whether an initial value broadcasts to the slots of a delay."""
    same_dtype(slots, init)
    if broadcast_shapes(slots.shape, init.shape) != slots.shape:
        yield f"starts from {init}, which does not broadcast to its slots {slots}"


def _time_axes(found: Type, step: TensorType) -> set[Dim | None]:
    """The sizes of what may be the axis of time in a stream of ``step``; ``None`` if it has none."""
    if found == step or isinstance(found, TupleType):
        return {None} if found == step else set()
    shape = found.shape
    return {
        shape[i]
        for i in (0, 1)
        if found == TensorType(step.dtype, (*step.shape[:i], *shape[i : i + 1], *step.shape[i:]))
    }
