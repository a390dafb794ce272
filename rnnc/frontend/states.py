"""Which delays are one state, how deep it is, and what it is called.

Delays of one value, taken in one call of a net and starting alike, read one register: its depth is the
furthest look back. ``v[-j][-k]`` is ``v[-(j+k)]``, and so belongs to the register of ``v``. A delay of a
value that ended up bound to a field is that field's. A look ahead holds no state.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable

import numpy as np

from rnnc.errors import CycleError, LanguageError, Loc, Note
from rnnc.frontend.locations import at_step
from rnnc.frontend.scope import Scope
from rnnc.frontend.trace import Trace
from rnnc.frontend.values import Delay, Field, Value
from rnnc.ir import Array
from rnnc.ops import OPS


@dataclasses.dataclass(eq=False)
class Register:
    """A value that is delayed, with all its delays: ``reads`` maps each to its distance, ahead negative."""

    scope: Scope
    of: Value
    field: Field | None
    init: Value | None
    path: str = ""
    reads: dict[Delay, int] = dataclasses.field(default_factory=dict)

    @property
    def depth(self) -> int:
        """How many steps it remembers; 0 if it only looks ahead."""
        return max(0, *self.reads.values())

    @property
    def loc(self) -> Loc | None:
        """Where it is first read."""
        return next(iter(self.reads)).loc


def source(delay: Delay) -> tuple[Value, int, Field | None]:
    """What a delay is of, in the end: the value, the distance, and the field whose state it is, if any."""
    of, k = delay.of, delay.k
    while True:
        if isinstance(of, Field):
            assert of.bound is not None
            return of.bound, k, of if delay.init is None else None
        owner = delay.home.bound.get(id(of)) if delay.init is None else None
        if owner is not None:
            return of, k, owner
        if delay.init is not None or not isinstance(of, Delay) or of.init is not None:
            return of, k, None
        if of.home is not delay.home or of.k * k < 0:
            return of, k, None
        k += of.k
        of = of.of


def settled(value: Value) -> Value:
    """The value itself; for ``y[0]``, written before ``y`` was assigned, what ``y`` became."""
    seen: list[Delay] = []
    while isinstance(value, Delay):
        of, k, _ = source(value)
        if k:
            break
        if any(value is v for v in seen):
            ago = at_step("", -1, value.loc)
            raise CycleError(
                f"{' and '.join(v.label for v in seen)} are nothing but one another",
                hint=f"A cycle must go through a delay: write {ago} for the value one step ago.",
                loc=value.loc,
                notes=tuple(Note(f"{v.label} is read here", v.loc) for v in seen),
            )
        seen.append(value)
        value = of
    return value


def registers(trace: Trace) -> list[Register]:
    """Every register of a trace, call by call: the fields in their order, then the others as taken."""
    found: dict[Hashable, Register] = {}
    for delay in trace.values:
        if not isinstance(delay, Delay):
            continue
        of, k, owner = source(delay)
        if not k:
            continue
        of = settled(of)
        scope = delay.home if owner is None else owner.scope
        key = (id(owner),) if owner is not None else (id(scope), id(of), _start_key(delay.init))
        register = found.setdefault(key, Register(scope, of, owner, delay.init))
        register.reads[delay] = k
    order = {id(s): i for i, s in enumerate(trace.scopes)}
    result = sorted(
        found.values(),
        key=lambda r: (order[id(r.scope)], r.field is None, r.field.order if r.field is not None else 0),
    )
    _name(result)
    return result


def _start_key(init: Value | None) -> Hashable:
    """Equal numbers start a register alike."""
    if init is not None and init.op == "const":
        array = init.attrs["value"]
        return array.dtype.str, array.shape, array.tobytes()
    return id(init)


def _name(registers: list[Register]) -> None:
    """Name each register that is a state: after its field, the input or local it delays, else ``s0``, …"""
    taken: set[str] = set()
    unnamed: dict[int, int] = {}
    for r in registers:
        if not r.depth:
            continue
        local = r.field.name if r.field is not None else _local(r)
        if not local:
            local = f"s{unnamed.setdefault(id(r.scope), 0)}"
            unnamed[id(r.scope)] += 1
        path, n = r.scope.at(local), 1
        while path in taken:
            n += 1
            path = f"{r.scope.at(local)}_{n}"
        taken.add(path)
        r.path = path


def _local(r: Register) -> str:
    inputs = {id(v): name for name, v in r.scope.inputs.items()}
    return inputs.get(id(r.of)) or r.scope.names.get(id(r.of), "")


def initial(r: Register) -> Array | None:
    """What a state starts as, to broadcast over the register; ``None`` for zeros."""
    if r.field is not None:
        array = r.field.array
    elif r.init is None:
        return None
    else:
        array = _folded(r.init, r)
    if array.size and np.all(array == array.flat[0]):
        return np.array(array.flat[0]) if array.flat[0] else None
    return array


def _folded(value: Value, r: Register) -> Array:
    """An initial value computed from weights alone, as an array."""
    if value.op == "input":
        raise LanguageError(
            f"the state {r.path} starts from {value.name}, which is not known before the run",
            hint="A state starts as a number, a weight, or what is computed from weights alone.",
            loc=r.loc,
        )
    if value.op in ("param", "const"):
        array: Array = value.attrs["array" if value.op == "param" else "value"]
        return array
    result: Array = OPS[value.op].body(*(_folded(a, r) for a in value.args), **value.attrs)
    return result
