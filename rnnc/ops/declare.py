"""How an op is declared: once, by the function of arrays that it means.

``@op(...)`` turns a function written against the Python array API into an :class:`Op`. Its positional
parameters are the operands, its keyword-only ones the attributes. Hanging off the same declaration are the
type rule, the axes, the ONNX forms and facts that passes ask for::

    @op(type=broadcast, axes="..., ... -> ...", onnx=Onnx("Add"), elementwise=True, commutative=True)
    def add(x, y):
        '''Element-wise sum, with broadcasting.'''
        return x + y

**Axes** say which operand axes become which result axes: ``"... m k, ... k n -> ... m n"``, a notation that
:mod:`rnnc.ops.axes` defines and reads.
**Kinds** of attributes are the names of their annotations: an ``Axis``, ``Axes`` or ``Perm`` counts axes from
the front of the value's shape; a ``Shape`` is the result's shape, dims included; a ``Size`` is one dim, and
``Sizes`` are several; a ``Dtype`` is the short name of an element type. The axes that an ``Axis`` attribute
names are worked *along*; all others under a leading ``...`` or ``*s`` are independent.

**Calling** an op on arrays computes; calling it on a carrier (anything with ``__rnnc_op__``: a value being
traced, a pattern, a value of a graph being edited) builds.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnc.dims import Dim
from rnnc.errors import TypeMismatch
from rnnc.types import TensorType, Type

#: Kinds of attributes, for annotations. Those whose values may be dims with names are ``SYMBOLIC``: whoever
#: runs a body puts numbers there first.
Axis = int
Axes = tuple[int, ...]
Perm = tuple[int, ...]
Size = Dim
Sizes = tuple[Dim, ...]
Shape = tuple[Dim, ...]
Dtype = str
Results = tuple[str, ...]
SYMBOLIC = frozenset({"Size", "Sizes", "Shape"})

OPS: dict[str, Op] = {}


@dataclass(frozen=True, slots=True)
class Lit:
    """A fixed value."""

    value: Any


@dataclass(frozen=True, slots=True)
class Linear:
    """``scale`` times an attribute of ours, a whole number, ``plus`` another."""

    attr: str
    scale: int = 1
    plus: int = 0


@dataclass(frozen=True, slots=True)
class SizeOf:
    """The size of one axis of an operand."""

    operand: str
    axis: int


@dataclass(frozen=True, slots=True)
class IfFloat:
    """One value where the first operand holds floating-point numbers, and another where it does not."""

    yes: Any
    no: Any


@dataclass(frozen=True, slots=True)
class AtAxis:
    """A number for each axis of the first operand: an attribute of ours at that of ``axis``, else 0."""

    attr: str
    axis: str


#: What an ONNX attribute or constant input holds: an attribute of ours by name, or one of these.
Source = str | Lit | Linear | SizeOf | IfFloat | AtAxis

#: Where a slice that is open at its end ends in ONNX.
FAR = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Tensor:
    """An ONNX input that holds attributes of ours, as a constant of element type ``dtype``.

    Several sources are put behind one another. ``dtype`` is a short name, or the name of an operand or of an
    attribute whose element type it takes. A ``scalar`` has rank 0; otherwise a single number is a tensor of
    one element. Dims with names are computed from the model's inputs. ``None`` is the end of a slice that is
    open: as far as one can go in the direction of the attribute ``open``.
    """

    source: Source | tuple[Source, ...]
    dtype: str = "i64"
    scalar: bool = False
    open: str = ""


@dataclass(frozen=True, slots=True)
class Onnx:
    """One ONNX form of an op, data read in both directions.

    ``inputs`` are names of operands, :class:`Tensor` for attributes given as inputs, or ``""`` for an input
    left out; by default the operands in order. An optional operand that is absent is left out too, and so is
    one of ``zeros`` that is zero everywhere: that is what ONNX takes it for.
    ``attrs`` maps ONNX attributes to their sources; one whose value is ``None`` or ``()`` is left out, and
    the one named by ``dtype_attr`` holds an element type, written as ONNX's number. The form is valid for
    opsets ``since`` to ``until``; none older than 17 is ever written.
    """

    op_type: str
    inputs: tuple[str | Tensor, ...] | None = None
    attrs: Mapping[str, Source] = field(default_factory=dict)
    since: int = 1
    until: int | None = None
    domain: str = ""
    dtype_attr: str = ""
    zeros: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Attribute:
    """An attribute of an op: its kind (the name of its annotation) and its default, if it has one."""

    name: str
    kind: str
    default: Any = inspect.Parameter.empty

    @property
    def required(self) -> bool:
        """Whether a node must state it."""
        return self.default is inspect.Parameter.empty


TypeRule = Callable[..., Type]


@dataclass(eq=False)
class Op:
    """An op: its meaning on arrays, type rule, axes, ONNX forms and facts under one name.

    Facts: ``linear`` lists operands in which the op is linear, all of them at once (slot 0 of a variadic op
    stands for all); a ``multilinear`` op is linear in each operand alone. ``tolerance`` bounds the error of
    float32 against float64, relative to the larger of 1 and the result. ``lowered`` names the pass that
    removes an op for which ONNX has no form. ``least`` is how many operands a variadic op has at least.
    """

    name: str
    body: Callable[..., Any]
    operands: tuple[str, ...]
    variadic: bool
    optional: int
    attrs: Mapping[str, Attribute]
    axes: str = ""
    type_rule: TypeRule | None = None
    forms: tuple[Onnx, ...] = ()
    elementwise: bool = False
    commutative: bool = False
    associative: bool = False
    linear: tuple[int, ...] = ()
    multilinear: bool = False
    tolerance: float = 1e-6
    structural: bool = False
    lowered: str = ""
    least: int = 1
    doc: str = ""

    def __call__(self, *args: Any, **attrs: Any) -> Any:
        """Build, if an operand is a carrier; else compute."""
        for a in args:
            if hasattr(a, "__rnnc_op__"):
                return a.__rnnc_op__(self, args, attrs)
        with np.errstate(all="ignore"):  # infinities and NaN are results like others
            return self.body(*args, **attrs)

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def type(self, rule: TypeRule) -> TypeRule:
        """Declare the type rule, a function of the operands' types and the attributes."""
        self.type_rule = rule
        return rule

    def infer(self, *types: Type, **attrs: Any) -> Type:
        """The result's type; :class:`TypeMismatch` if the operands do not fit."""
        assert self.type_rule is not None, f"{self.name} has no type rule"
        self.check_count(len(types))
        return self.type_rule(*types, **attrs)

    def check_count(self, count: int) -> None:
        """Raise :class:`TypeMismatch` if the op does not take ``count`` operands."""
        least, most = self.arity()
        if count < least or (most is not None and count > most):
            wanted = (
                f"at least {least}" if most is None else f"{least}" if most == least else f"{least} to {most}"
            )
            raise TypeMismatch(f"{self.name} takes {wanted} operand{'s' * (wanted != '1')}, not {count}")

    def complete(self, attrs: Mapping[str, Any]) -> dict[str, Any]:
        """``attrs`` with the defaults of those not stated."""
        return {
            a.name: attrs[a.name] if a.required else attrs.get(a.name, a.default) for a in self.attrs.values()
        }

    def form(self, opset: int) -> Onnx | None:
        """The ONNX form in that opset, or ``None``."""
        return next((f for f in self.forms if f.since <= opset and (f.until or opset) >= opset), None)

    def arity(self) -> tuple[int, int | None]:
        """The least and the largest number of operands; ``None`` for any."""
        n = len(self.operands)
        return (self.least, None) if self.variadic else (n - self.optional, n)


def op(
    *,
    type: TypeRule | None = None,
    axes: str = "",
    onnx: Onnx | Iterable[Onnx] = (),
    **facts: Any,
) -> Callable[[Callable[..., Any]], Op]:
    """Declare an op by its meaning. ``facts`` are the remaining fields of :class:`Op`.

    A positional parameter with the default ``None`` is an optional operand; ``*xs`` takes any number.
    """

    def declare(body: Callable[..., Any]) -> Op:
        parameters = inspect.signature(body).parameters.values()
        positional = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        new = Op(
            name=body.__name__.rstrip("_"),
            body=body,
            operands=tuple(p.name for p in positional),
            variadic=any(p.kind is p.VAR_POSITIONAL for p in parameters),
            optional=sum(p.default is None for p in positional),
            attrs={
                p.name: Attribute(p.name, str(p.annotation), p.default)
                for p in parameters
                if p.kind is p.KEYWORD_ONLY
            },
            axes=axes,
            type_rule=type,
            forms=(onnx,) if isinstance(onnx, Onnx) else tuple(onnx),
            doc=inspect.getdoc(body) or "",
            **facts,
        )
        if new.name in OPS:
            raise ValueError(f"op {new.name} is declared twice")
        new.__doc__ = new.doc
        OPS[new.name] = new
        return new

    return declare


# -- what type rules are written with ------------------------------------------------------------------------

#: How two sizes are made equal: returns the common size, or ``None`` if they differ. The front end, whose
#: sizes may still be unknown, sets another.
unifier: ContextVar[Callable[[Dim, Dim], Dim | None]] = ContextVar(
    "unifier", default=lambda a, b: a if a == b else None
)


def same_dim(a: Dim, b: Dim, message: str) -> Dim:
    """The common size of two axes that must agree; :class:`TypeMismatch` with ``message`` if they differ."""
    found = unifier.get()(a, b)
    if found is None:
        raise TypeMismatch(message)
    return found


def same_dtype(*types: TensorType) -> str:
    """The common element type; :class:`TypeMismatch` if there is none."""
    for t in types[1:]:
        if t.dtype != types[0].dtype:
            raise TypeMismatch(
                f"element types differ: {types[0]} and {t}", hint="Convert one with cast(x, dtype)."
            )
    return types[0].dtype


def broadcast_shapes(*shapes: tuple[Dim, ...]) -> tuple[Dim, ...]:
    """The shape that all broadcast to, as in NumPy; an axis of size 1 stretches."""
    out: list[Dim] = []
    for i in range(1, max(map(len, shapes), default=0) + 1):
        size: Dim = 1
        for s in shapes:
            if i > len(s) or s[-i] == 1:
                continue
            shown = " and ".join(f"[{', '.join(map(str, t))}]" for t in dict.fromkeys(shapes))
            size = (
                s[-i]
                if size == 1
                else same_dim(size, s[-i], f"cannot broadcast {shown}: {size} meets {s[-i]}")
            )
        out.append(size)
    return tuple(reversed(out))


def same(x: TensorType, **_: Any) -> TensorType:
    """Type rule: the operand's own type."""
    return x


def broadcast(*xs: TensorType, **_: Any) -> TensorType:
    """Type rule: one element type, shapes broadcast."""
    return TensorType(same_dtype(*xs), broadcast_shapes(*(x.shape for x in xs)))


def compares(*xs: TensorType, **_: Any) -> TensorType:
    """Type rule: as ``broadcast``, with truth values for result."""
    return TensorType("bool", broadcast(*xs).shape)


def floating(rule: TypeRule) -> TypeRule:
    """``rule``, for floating-point numbers only."""

    def checked(*xs: TensorType, **attrs: Any) -> Type:
        for x in xs:
            if not x.floating:
                raise TypeMismatch(
                    f"{x} does not hold floating-point numbers", hint="Convert it with cast(x, dtype)."
                )
        return rule(*xs, **attrs)

    return checked


def axis_of(x: TensorType, axis: int, op_name: str) -> int:
    """``axis`` counted from the front; :class:`TypeMismatch` if ``x`` has no such axis."""
    if not -x.rank <= axis < x.rank:
        raise TypeMismatch(f"{op_name} along axis {axis} of {x}, which has {x.rank} axes")
    return axis % x.rank
