"""One call of a net: its names, its delays, and the feedback that is tied when its body returns.

A name in a body means what it is bound to when the body returns. ``y[-1]`` can be written before ``y`` is
assigned, because a field's type is known from its declaration; and after, because a value that ends up bound
to a field is that field. So :meth:`Scope.close` reads the body's local variables from its frame, which keeps
them after it has returned, ties every field to the value that bears its name, and refuses what could be read
in two ways.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import CodeType, FrameType
from typing import TYPE_CHECKING

from rnnc.errors import LanguageError, Loc, Note, TypeMismatch
from rnnc.frontend.inits import Glorot, Normal, Uniform
from rnnc.frontend.locations import at_step, first_row, returned_names, span, start
from rnnc.frontend.values import Delay, Field, Value

if TYPE_CHECKING:
    from rnnc.frontend.layers import Layer
    from rnnc.frontend.trace import Trace

_ABSENT = object()


class Scope:
    """One call of a layer. ``sign`` is -1 where time runs backwards."""

    def __init__(self, path: str, parent: Scope | None, sign: int = 1) -> None:
        self.path, self.parent, self.sign = path, parent, sign
        self.depth: int = parent.depth + 1 if parent else 0
        self.open = True
        self.code: CodeType | None = None
        self.frame: FrameType | None = None
        self.inputs: dict[str, Value] = {}
        self.fields: dict[str, Field] = {}
        self.layers: dict[int, str] = {}
        self.delays: list[Delay] = []
        self.names: dict[int, str] = {}
        self.bound: dict[int, Field] = {}
        self.returned: tuple[Loc | None, tuple[str, ...]] = (None, ())
        self._taken: set[str] = set()
        self._called: set[str] = set()

    def at(self, name: str) -> str:
        """The path of ``name`` in this scope."""
        return f"{self.path}.{name}" if self.path else name

    def child(self, layer: Layer) -> str:
        """The path of a layer called in this scope: its field's name, or its own; ``_2`` the second time."""
        field = self.layers.get(id(layer)) or self.layers.get(id(layer.shared))
        if field and field not in self._called:
            self._called.add(field)
            return self.at(field)
        return self.at(self.unique(field or layer.title))

    def unique(self, name: str) -> str:
        """``name``, or ``name_2``, … if it has been given out in this scope."""
        found, n = name, 1
        while found in self._taken:
            n += 1
            found = f"{name}_{n}"
        self._taken.add(found)
        return found

    def seen_from(self, frame: FrameType | None) -> None:
        """Keep the frame of this scope's body, which is among the callers of ``frame``."""
        while self.frame is None and frame is not None:
            if frame.f_code is self.code:
                self.frame = frame
            frame = frame.f_back

    def holders(self, value: Value) -> tuple[str, ...]:
        """The fields' names that are bound to ``value`` at this moment."""
        if self.frame is None or not self.fields:
            return ()
        now = self.frame.f_locals
        return tuple(name for name in self.fields if now.get(name) is value)

    def close(self, trace: Trace) -> None:
        """Tie the feedback, now that the body has returned, and name its values."""
        if self.frame is not None:
            self.returned = span(self.frame), returned_names(self.frame)
        elif self.code is not None:  # a body that computes nothing never shows its frame
            self.returned = start(self.code), ()
        final: Mapping[str, object] = self.frame.f_locals if self.frame else {**self.inputs, **self.fields}
        for name, field in self.fields.items():
            self._tie(trace, name, field, final.get(name, _ABSENT))
        self._refuse_two_on_one()
        self._refuse_rebound(final)
        for field in self.fields.values():
            if field.bound is not None and self._is_state(field):
                trace.starts.add(trace.path_of(field.layer, field.name))
                _fit(trace, field, field.bound)
        for name, value in final.items():
            if isinstance(value, Value) and not isinstance(value, Field) and value.trace is trace:
                trace.names[self.at(name)] = value
                self.names.setdefault(id(value), name)
                if value.scope is self and self.names[id(value)] == name:
                    value.name = self.at(name)
        for name, field in self.fields.items():  # a field's name comes first
            if field.bound is not None:
                self.names[id(field.bound)] = name
                if field.bound.scope is self:
                    field.bound.name = self.at(name)
        self.frame = None

    def _tie(self, trace: Trace, name: str, field: Field, final: object) -> None:
        if final is field:
            if field.delays:
                raise unassigned(field)
        elif isinstance(final, Value):
            if field.bare:
                at = [Note(f"{name} is assigned here", final.loc)] if final.loc else []
                ago = at_step(name, -1, field.bare)
                raise LanguageError(
                    f"{name} is read before it is assigned, where it has no value at this step yet",
                    hint=f"Write {ago} for its value one step ago, or assign to another name.",
                    loc=field.bare,
                    notes=tuple(at),
                )
            field.bound = trace.read(final, self.returned[0])
            if not isinstance(final, Field):
                self.bound.setdefault(id(field.bound), field)
        elif field.delays:
            what = "nothing" if final is _ABSENT else f"{final!r:.40}"
            raise LanguageError(
                f"{field.delays[0].label} is read, but {name} is bound to {what} when the body returns",
                hint=f"Bind {name} to its value at this step.",
                loc=field.delays[0].loc,
            )

    def _is_state(self, field: Field) -> bool:
        return bool(field.delays) or any(d.of is field.bound and d.init is None for d in self.delays)

    def _refuse_two_on_one(self) -> None:
        for name, field in self.fields.items():
            if field.bound is None:
                continue
            first = self.bound.get(id(field.bound), field)
            if first is not field and (self._is_state(first) or self._is_state(field)):
                raise LanguageError(
                    f"{first.name} and {name} end on one value, and each is to be its state",
                    hint=f"Keep one of the two, or make them two values, as in {name} = {first.name} + 0.",
                    loc=field.bound.loc,
                    notes=_reads((*first.delays[:1], *field.delays[:1])),
                )

    def _refuse_rebound(self, final: Mapping[str, object]) -> None:
        for delay in self.delays:
            for name in delay.held:
                now = final.get(name)
                if now is not delay.of:
                    later = now.loc if isinstance(now, Value) else None
                    read = at_step(name, -delay.k * self.sign, delay.loc)
                    raise LanguageError(
                        f"{read} is of a value that {name} held before it was bound again",
                        hint=f"Rename the intermediate: {name} is what it is when the body returns.",
                        loc=delay.loc,
                        notes=(Note(f"{name} is bound again here", later),) if later else (),
                    )


def _reads(delays: Iterable[Delay]) -> tuple[Note, ...]:
    return tuple(Note(f"{d.label} is read here", d.loc) for d in delays if d.loc)


def looks_like_weight(field: Field) -> bool:
    """Whether a field not assigned is rather a weight than a state: read as it is, or drawn at random."""
    return field.bare is not None or isinstance(field.layer.kinds[field.name], (Glorot, Normal, Uniform))


def unassigned(field: Field) -> LanguageError:
    """A field read at another step, and never assigned: a weight indexed, or a state forgotten."""
    delay = field.delays[0]
    row = first_row(field.name, delay.loc)
    if looks_like_weight(field):
        return LanguageError(
            f"{delay.label} reads {field.name} at another step, and {field.name} is a weight",
            hint=f"An integer index is time. For a row use a slice, {row}.",
            loc=delay.loc,
        )
    return LanguageError(
        f"{delay.label} is read, but {field.name} is never assigned",
        hint=f"Assign {field.name} in the body; if it is a weight, use a slice, {row}.",
        loc=delay.loc,
    )


def _fit(trace: Trace, field: Field, value: Value) -> None:
    """The value that is fed back must have the state's type, exactly, and a value at every step."""
    if value.final:
        raise LanguageError(
            f"{field.name} is fed back, and what it is assigned is known at the last step only",
            loc=value.loc,
            notes=_reads(field.delays[:1]),
        )
    slot, found = field.slot, value.type
    same = slot.dtype == found.dtype and len(slot.shape) == len(found.shape)
    if not same or any(trace.sizes.same(a, b) is None for a, b in zip(slot.shape, found.shape, strict=True)):
        raise TypeMismatch(
            f"{field.name} is assigned {trace.sizes.type(found)}, and its state is {slot}",
            hint="What is fed back has exactly the type that the field declares, after the batch axis.",
            loc=value.loc,
            notes=_reads(field.delays[:1]),
        )
