"""Linear recurrences: regions whose states are, element by element, affine in what they were before.

    h = a ∘ h⁻ + b          and, for several states or taps,          h_i = Σ_j a_ij ∘ h_j⁻ + b_i

They are found by the linearity that ops declare, never by name: ``h + (1 - z)∘(n - h⁻)`` is one with
``a = z`` and ``b = (1 - z)∘n``, whatever computes ``z`` and ``n``, as long as no state does. The coefficients
are then computed outside of the loop, for all steps at once, and so is all that a body does before and
after its states: what remains inside is the smallest core. A state of several steps back counts as as many
registers, each of which takes the value of the one before it; a complex state is a pair of real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rnnc.build import Builder
from rnnc.dims import names
from rnnc.errors import Loc
from rnnc.ir import Graph, State
from rnnc.loops import slots
from rnnc.loops.lifting import Operand, lift_op
from rnnc.loops.regions import Operands, operands
from rnnc.ops import OPS
from rnnc.ops.axes import leading
from rnnc.plans import Refused
from rnnc.plans.intervals import RULES, Interval, anywhere
from rnnc.timing import timing
from rnnc.types import TensorType

#: The value that a state had ``slot + 1`` steps ago: (path, slot).
Register = tuple[str, int]

#: A coefficient: a number, or a value that the loop does not compute.
Part = Operand | float

#: The largest number of registers whose products are worth keeping: of n, there are n².
MOST_REGISTERS = 4

#: Where time and batch alone say how long a loop is, it runs over the sequence itself.
SEQUENCE = {"T", "B"}


@dataclass(frozen=True, eq=False)
class Recurrence:
    """A region that is a linear recurrence.

    ``reads`` says which register each delay of the body reads, and ``linear`` which of its values are affine
    in registers; all others that the states need are ``free`` of them.
    """

    graph: Graph
    region: str
    reads: Mapping[str, Register]
    linear: frozenset[str]

    @property
    def body(self) -> Graph:
        """The region's body."""
        body: Graph = self.graph[self.region].attrs["body"]
        return body

    @property
    def registers(self) -> list[Register]:
        """All registers, those of one state together, newest first."""
        return [(s.path, k) for s in self.body.interface.states for k in range(s.depth)]

    @cached_property
    def takes(self) -> list[list[bool]]:
        """Of which registers each one takes something in a step."""
        return [[r in row for r in self.registers] for row in self._rows]

    @cached_property
    def changing(self) -> bool:
        """Whether what they take differs from step to step."""
        return any(any(row.values()) for row in self._rows)

    @cached_property
    def _rows(self) -> list[Mapping[Register, bool]]:
        """For each register, of which ones it takes something, and whether that is a changing part."""
        body, when = self.body, timing(self.body)
        found: dict[str, dict[Register, bool]] = {v: {r: False} for v, r in self.reads.items()}
        for v in (v for v in body.order() if v in self.linear and v not in self.reads):
            op, args = OPS[body[v].op], body.operands(v)
            scales = [a for k, a in enumerate(args) if a not in self.linear and k not in op.linear]
            changing = any(when[a] == "stream" for a in scales)
            row = found[v] = {}
            for r, before in ((r, c) for a in args for r, c in found.get(a, {}).items()):
                row[r] = row.get(r, False) or before or changing
        return [
            found.get(body.finals[path], {}) if slot == 0 else {(path, slot - 1): False}
            for path, slot in self.registers
        ]

    def coefficients(self, of: Callable[[str], Interval]) -> list[dict[Register, Interval]]:
        """Where the coefficients of each register lie, those of the body's other values being ``of`` them."""
        body = self.body
        found: dict[str, dict[Register, Interval]] = {v: {r: (1.0, 1.0)} for v, r in self.reads.items()}
        for v in (v for v in body.order() if v in self.linear and v not in self.reads):
            op, args = OPS[body[v].op], body.operands(v)
            fixed = [
                a not in self.linear and (op.multilinear or k not in op.linear) for k, a in enumerate(args)
            ]
            rule = RULES.get(op.name, anywhere)
            found[v] = {
                r: rule(
                    *(
                        of(a) if f else found.get(a, {}).get(r, (0.0, 0.0))
                        for a, f in zip(args, fixed, strict=True)
                    )
                )
                for r in {r for a in args for r in found.get(a, {})}
            }
        return [
            found.get(body.finals[path], {}) if slot == 0 else {(path, slot - 1): (1.0, 1.0)}
            for path, slot in self.registers
        ]

    @property
    def state(self) -> TensorType:
        """The type of one register."""
        return self.body.interface.states[0].type


def read_recurrence(graph: Graph, region: str) -> Recurrence:
    """The region as a linear recurrence; :class:`Refused`, with the place in the source, if it is none."""
    node = graph[region]
    body: Graph = node.attrs["body"]
    states = body.interface.states
    if not states:
        raise Refused("the loop has no state")
    if not (over := names(node.attrs["steps"])) or not over <= SEQUENCE:
        raise Refused("the loop does not run over the sequence")
    for s in states:
        if s.type != states[0].type:
            raise Refused(f"states {states[0].path} and {s.path} have different types", s.loc)
        if not s.type.floating:
            raise Refused(f"state {s.path} is {s.type}, which has no fractions", s.loc)
    count = sum(s.depth for s in states)
    if count > MOST_REGISTERS:
        raise Refused(f"the loop remembers {count} values, more than {MOST_REGISTERS}", states[0].loc)
    reads = {d: _register(body, d, states) for d in body.find("delay")}
    linear, other = _sort(body, reads)
    for s in states:
        if (value := body.finals[s.path]) in other:
            raise other[value]
    when = timing(body)
    for v in (v for v in body.order() if v not in linear):
        streams = [k for k, a in enumerate(body.operands(v)) if when[a] == "stream"]
        if streams and (why := _stuck(body, v, streams)):
            raise Refused(why, _loc(body, v))
    return Recurrence(graph, region, reads, frozenset(linear))


def _register(body: Graph, delay: str, states: Sequence[State]) -> Register:
    """The register that a delay reads: its value is a state's, and it starts from that state's slots."""
    value, init = body.operands(delay)
    k, source = body[delay].attrs["k"], init
    while body[source].op in ("slice", "squeeze") and body[source].attrs.get("start", 0) == 0:
        source = body.operands(source)[0]
    for s in states:
        if s.source == source and body.finals[s.path] == value and k <= s.depth:
            return s.path, k - 1
    raise Refused(f"{delay} delays a value that is no state", _loc(body, delay))


def _sort(body: Graph, reads: Mapping[str, Register]) -> tuple[set[str], dict[str, Refused]]:
    """The values that are affine in the registers, and those that depend on them otherwise, and why."""
    linear = set(reads)
    other: dict[str, Refused] = {}
    for v in (v for v in body.order() if v not in reads):
        args = body.operands(v)
        if found := next((other[a] for a in args if a in other), None):
            other[v] = found
        elif held := [slot for slot, a in enumerate(args) if a in linear]:
            why = _curved(body, v, held)
            if why:
                other[v] = Refused(why, _loc(body, v))
            else:
                linear.add(v)
    return linear, other


def _curved(body: Graph, v: str, held: Sequence[int]) -> str:
    """Why ``v``, which reads affine values in the slots ``held``, is not itself one; empty if it is."""
    node, op, args = body[v], OPS[body[v].op], body.operands(v)
    state = args[held[0]]
    if op.multilinear and len(held) > 1:
        return "two values that depend on the state are multiplied"
    if not op.elementwise:
        return f"the state goes through {op.name}, which mixes elements"
    if not op.multilinear and not set(held) <= set(op.linear):
        return f"the state goes through {op.name}"
    if node.type != body[state].type:
        return f"the state, {body[state].type}, is stretched to {node.type}"
    return ""


def _stuck(body: Graph, v: str, streams: Sequence[int]) -> str:
    """Why a value, of operands of which some are streams, cannot be computed for all steps at once."""
    node = body[v]
    if node.op in ("delay", "item", "tuple"):
        return ""
    found = leading(OPS[node.op], node.attrs, streams)
    return f"{node.op} stays in the loop: {found}" if isinstance(found, str) else ""


def _loc(body: Graph, v: str) -> Loc | None:
    return next(iter(body[v].locs), None)


# -- coefficients -------------------------------------------------------------------------------------------


def simplified(op: str, xs: Sequence[Any]) -> Any:
    """What an op on ``xs`` is where their numbers decide it: ``x + 0``, ``x * 1``, ``2 * 3``; else ``None``.

    Numbers are floats, and all else are values. Two numbers make one where that is exact in float32.
    """
    if all(isinstance(x, float) for x in xs):
        found = float(OPS[op].body(*xs))
        return found if float(np.float32(found)) == found else None
    match op, *xs:
        case ("add", x, 0.0) | ("add", 0.0, x) | ("sub", x, 0.0):
            return x
        case ("mul", x, 1.0) | ("mul", 1.0, x) | ("div", x, 1.0):
            return x
        case ("mul", 0.0, _) | ("mul", _, 0.0) | ("div", 0.0, _):
            return 0.0
    return None


@dataclass(frozen=True, eq=False)
class Form:
    """``Σ coefficient ∘ register + bias``."""

    terms: Mapping[Register, Part]
    bias: Part


class Outside:
    """The values of a linear region's body at every step, computed in the graph around it.

    ``known`` begins with what the region reads. Once the states at every step are known too
    (:meth:`learn`), so is all that is computed from them.
    """

    def __init__(self, b: Builder, found: Recurrence) -> None:
        self.b, self.found, self.body = b, found, found.body
        self.attrs: Mapping[str, Any] = b.graph[found.region].attrs
        self.roles: Operands = operands(b.graph, found.region)
        face = self.body.interface
        self.known: dict[str, Operand] = {
            i.name: Operand(v, i.type, i.kind == "stream")
            for i, v in zip(face.inputs, self.roles.inputs, strict=True)
        }
        self.inits = dict(zip((s.path for s in face.states), self.roles.inits, strict=True))
        self.known |= {s.source: Operand(self.inits[s.path], s.tensor, False) for s in face.states}
        self._forms: dict[str, Form] = {}

    def of(self, v: str) -> Operand:
        """A body value at every step, that does not depend on a state that is not known yet."""
        if v not in self.known:
            node = self.body[v]
            if node.op == "const":
                self.known[v] = self._const(node.attrs["value"], node.tensor.dtype)
            elif node.op == "item":
                whole = self.of(self.body.operands(v)[0])
                self.known[v] = Operand(self.b("item", whole.value, **node.attrs), node.type, whole.stream)
            else:
                parts = [self.of(o) for o in self.body.operands(v)]
                self.known[v] = self._call(node.op, parts, node.attrs)
        return self.known[v]

    def sequence(self, v: str) -> str:
        """The same with time as its first axis, even if it is the same at every step."""
        found, steps = self.of(v), self.attrs["steps"]
        if found.stream:
            return found.value
        return self.b("expand", found.value, shape=(steps, *self.body.type(v).shape))

    def learn(self, path: str, sequence: str) -> None:
        """Make the state ``path`` known, at every step, and with it its delays."""
        kind = self.body.type(self.body.finals[path])
        self.known[self.body.finals[path]] = Operand(sequence, kind, True)
        back = -1 if self.attrs.get("reverse") else 1
        ragged = [self.roles.lengths] if self.roles.lengths and back < 0 else []
        for delay, (of, slot) in self.found.reads.items():
            if of == path:
                held = self.b("slice", self.inits[path], axis=0, start=0, stop=slot + 1) if slot else ""
                init = held or self.start((path, 0))
                shifted = self.b("shift", sequence, init, *ragged, k=back * (slot + 1))
                self.known[delay] = Operand(shifted, kind, True)

    def start(self, register: Register) -> str:
        """What a register holds before the run."""
        path, slot = register
        state = self.body.interface.state(path)
        return slots.read(self.b, self.inits[path], state.type, state.depth, slot)

    # -- forms ----------------------------------------------------------------------------------------------
    def rows(self) -> list[Form]:
        """What each register is one step later, in the order of the recurrence's registers."""
        return [
            self.form(self.body.finals[path]) if slot == 0 else Form({(path, slot - 1): 1.0}, 0.0)
            for path, slot in self.found.registers
        ]

    def form(self, v: str) -> Form:
        """A value as an affine form of registers, its coefficients computed outside."""
        if v not in self._forms:
            self._forms[v] = self._form(v)
        return self._forms[v]

    def _form(self, v: str) -> Form:
        if v in self.found.reads:
            return Form({self.found.reads[v]: 1.0}, 0.0)
        if v not in self.found.linear:
            return Form({}, self._part(v))
        node, args, op = self.body[v], self.body.operands(v), OPS[self.body[v].op]
        held = [a in self.found.linear for a in args]
        forms = [self.form(a) for a in args]
        # Other operands scale the form in an op linear in each, and add to it in an op linear in all.
        fixed = [not h and (op.multilinear or k not in op.linear) for k, h in enumerate(held)]

        def through(pick: Any) -> Part:
            parts = [f.bias if fix else pick(f) for f, fix in zip(forms, fixed, strict=True)]
            found = simplified(node.op, parts)
            if found is None and node.op == "mul" and -1.0 in parts:
                return self._call("neg", [p for p in parts if p != -1.0], {})
            return self._call(node.op, parts, node.attrs) if found is None else found

        registers = dict.fromkeys(r for f in forms for r in f.terms)
        terms = {r: through(lambda f, r=r: f.terms.get(r, 0.0)) for r in registers}
        return Form(terms, through(lambda f: f.bias))

    def _part(self, v: str) -> Part:
        """A value free of the states: a number where it is one."""
        node = self.body[v]
        if node.op == "const" and node.attrs["value"].size == 1 and node.tensor.floating:
            return float(node.attrs["value"].reshape(())[()])
        return self.of(v)

    # -- calls ----------------------------------------------------------------------------------------------
    def _call(self, op: str, parts: Sequence[Part], attrs: Mapping[str, Any]) -> Operand:
        """The op at every step."""
        xs = [self._const(p, self.found.state.dtype) if isinstance(p, float) else p for p in parts]
        kind = OPS[op].infer(*(x.type for x in xs), **attrs)
        if not any(x.stream for x in xs):
            return Operand(self.b(op, *(x.value for x in xs), **attrs), kind, False)
        lifted = lift_op(self.b, OPS[op], xs, attrs, kind, self.attrs["steps"])
        assert lifted is not None, f"{op} takes no axis of time"
        return Operand(lifted, kind, True)

    def _const(self, value: Any, dtype: str) -> Operand:
        array = np.asarray(value)
        return Operand(self.b.const(array, dtype), TensorType(dtype, array.shape), False)
