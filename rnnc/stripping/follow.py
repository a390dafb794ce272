"""Following: to which axis of its result an op takes the axis of time, or why it works along it.

Most of it follows from the axes that an op declares (:mod:`rnnc.ops.axes`); what moves axes about has a rule
of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rnnc.dims import Dim, Poly, product
from rnnc.ops.axes import Spec, Term, specs
from rnnc.ops.declare import Op
from rnnc.stripping.places import CannotStream, Place, before, grows, growth
from rnnc.types import TensorType

#: The types of an op's operands over all of time, and where time is in those that have it.
Operands = Sequence[tuple[TensorType, Place | None]]


def follow(op: Op, attrs: Mapping[str, Any], xs: Operands, result: TensorType) -> Place:
    """Where time is in the result; :class:`CannotStream` if the op does not work frame by frame."""
    places = [p for _, p in xs if p is not None]
    if len({(p.frames, p.lead) for p in places}) > 1:
        raise CannotStream("what it reads is not of the same frames")
    own = _RULES.get(op.name)
    if own is not None:
        return own(attrs, xs, result)
    reasons: list[str] = []
    for spec in specs(op, op.complete(attrs)):
        try:
            return _by_axes(op, attrs, spec, xs, result)
        except CannotStream as reason:
            reasons.append(str(reason))
    raise CannotStream(reasons[-1] if reasons else "it works along time")


def _by_axes(op: Op, attrs: Mapping[str, Any], spec: Spec, xs: Operands, result: TensorType) -> Place:
    """By one reading of the axes: every operand's time must be the same axis of the result."""
    counted = {
        a for name, kind in op.attrs.items() if kind.kind in ("Axis", "Axes") for a in _axes(attrs[name])
    }
    found: set[Place] = set()
    for slot, (kind, place) in enumerate(xs):
        if place is None:
            continue
        if place.axis in counted:
            raise CannotStream("it works along time")
        name, offset = _called(spec.operand(slot), kind.rank, place.axis)
        if name in spec.contracted:
            raise CannotStream("it sums over time")
        if name in spec.operand(slot).windowed:
            raise CannotStream("it has windows along time")
        found.add(place.at(_where(spec.results[0], result.rank, name, offset)))
    if len(found) != 1:
        raise CannotStream("it brings time to several axes")
    return found.pop()


def _axes(value: Any) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)


def _called(term: Term, rank: int, axis: int) -> tuple[str, int]:
    """What the notation calls an axis, and which it is of several: counted from the right under ``...``."""
    wide = next((i for i, a in enumerate(term.axes) if a == "..." or a.startswith("*")), None)
    if wide is None or axis < wide:
        return term.axes[axis].rstrip("~"), 0
    behind = len(term.axes) - wide - 1
    if axis >= rank - behind:
        return term.axes[axis - rank].rstrip("~"), 0
    name = term.axes[wide]
    return name.rstrip("~"), (rank - behind - axis if name == "..." else axis - wide)


def _where(term: Term, rank: int, name: str, offset: int) -> int:
    """The axis that has that name."""
    for i, a in enumerate(term.axes):
        if a.rstrip("~") != name:
            continue
        behind = len(term.axes) - i - 1
        wide = next((k for k, b in enumerate(term.axes) if b == "..." or b.startswith("*")), None)
        if name == "...":
            return rank - behind - offset
        if name.startswith("*"):
            return i + offset
        return i if wide is None or i < wide else rank - len(term.axes) + i
    raise CannotStream(f"its result has no axis {name}")


# -- rules by hand ------------------------------------------------------------------------------------------


def _only(xs: Operands) -> tuple[TensorType, Place]:
    (kind, place) = next((k, p) for k, p in xs if p is not None)
    assert place is not None
    return kind, place


def _reshape(attrs: Mapping[str, Any], xs: Operands, result: TensorType) -> Place:
    """Time stays where as many elements come before it."""
    kind, place = _only(xs)
    return regrouped(kind.shape, place, result.shape)


def regrouped(old: tuple[Dim, ...], place: Place, new: tuple[Dim, ...]) -> Place:
    """Where time is after a reshape."""
    wanted = before(old, place)
    for axis, d in enumerate(new):
        if not grows(d):
            continue
        try:
            outer = _divided(wanted, product(new[:axis]))
            _divided(growth(d), outer * place.frames)
        except ValueError:
            continue
        return place.at(axis, outer)
    raise CannotStream("the reshape mixes frames")


def _divided(whole: Dim, by: Dim) -> Dim:
    if isinstance(whole, Poly):
        return whole // by
    if isinstance(by, Poly) or not by or whole % by:
        raise ValueError
    return whole // by


def _transpose(attrs: Mapping[str, Any], xs: Operands, result: TensorType) -> Place:
    _, place = _only(xs)
    return place.at(attrs["perm"].index(place.axis))


def _squeeze(attrs: Mapping[str, Any], xs: Operands, result: TensorType) -> Place:
    _, place = _only(xs)
    if place.axis in attrs["axes"]:
        raise CannotStream("it takes the axis of time away")
    return place.at(place.axis - sum(a < place.axis for a in attrs["axes"]))


def _unsqueeze(attrs: Mapping[str, Any], xs: Operands, result: TensorType) -> Place:
    _, place = _only(xs)
    kept = [i for i in range(result.rank) if i not in attrs["axes"]]
    return place.at(kept[place.axis])


def _expand(attrs: Mapping[str, Any], xs: Operands, result: TensorType) -> Place:
    kind, place = _only(xs)
    return place.at(place.axis + result.rank - kind.rank)


def _reduce(attrs: Mapping[str, Any], xs: Operands, result: TensorType) -> Place:
    _, place = _only(xs)
    if place.axis in attrs["axes"]:
        raise CannotStream("it reduces over time")
    return place.at(place.axis - (0 if attrs.get("keepdims") else sum(a < place.axis for a in attrs["axes"])))


def _argmax(attrs: Mapping[str, Any], xs: Operands, result: TensorType) -> Place:
    return _reduce({"axes": (attrs["axis"],), "keepdims": attrs.get("keepdims")}, xs, result)


def _along(attrs: Mapping[str, Any], xs: Operands, result: TensorType) -> Place:
    """Ops that keep all axes, and work along the one that an attribute names."""
    found = {p for _, p in xs if p is not None}
    if len(found) > 1 or (len({k.rank for k, _ in xs}) > 1 and len(xs) > 1):
        raise CannotStream("what it reads has time along different axes")
    place = found.pop()
    if place.axis == attrs["axis"]:
        raise CannotStream("it works along time")
    return place


def _concat(attrs: Mapping[str, Any], xs: Operands, result: TensorType) -> Place:
    place = _along(attrs, xs, result)
    if any(p is None and grows(k.shape[place.axis]) for k, p in xs):
        raise CannotStream("it joins frames to what has none")
    return place


def _gather(attrs: Mapping[str, Any], xs: Operands, result: TensorType) -> Place:
    (_, at), (indices, among) = xs
    axis = attrs["axis"]
    if at is not None and among is not None:
        raise CannotStream("it looks up moving places in what moves")
    if among is not None:
        return among.at(among.axis + axis)
    assert at is not None
    if at.axis == axis:
        raise CannotStream("it picks frames out of time")
    return at.at(at.axis if at.axis < axis else at.axis + indices.rank - 1)


def _one_hot(attrs: Mapping[str, Any], xs: Operands, result: TensorType) -> Place:
    return _only(xs)[1]


def _layer_norm(attrs: Mapping[str, Any], xs: Operands, result: TensorType) -> Place:
    (_, place), *rest = xs
    if place is None or any(p is not None for _, p in rest):
        raise CannotStream("its scale changes with time")
    if place.axis >= attrs["axis"]:
        raise CannotStream("it normalises over time")
    return place


_RULES: Mapping[str, Callable[[Mapping[str, Any], Operands, TensorType], Place]] = {
    "reshape": _reshape,
    "transpose": _transpose,
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    "expand": _expand,
    "concat": _concat,
    "gather": _gather,
    "one_hot": _one_hot,
    "layer_norm": _layer_norm,
    "argmax": _argmax,
    **dict.fromkeys(["reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "reduce_prod"], _reduce),
    **dict.fromkeys(["slice", "pad", "cumsum", "softmax", "log_softmax", "split"], _along),
}
