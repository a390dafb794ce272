"""The notation of axes: which axes of the operands become which axes of the results.

    "... m k, ... k n -> ... m n"      matmul
    "b c *s~, o i *k, o -> b o *s~"    conv
    "(*s)+ -> *s"                      concat: any number of operands
    "*s -> (*s)+"                      split: any number of results
    "axis *n, *i -> *i *n | *s, *i -> *s"    gather: two readings, the first that serves counts

Terms are separated by commas, axes by spaces:

``m``     one axis. If only operands have it, it is contracted; if only results have it, it is new.
``b``     one axis over which the op works independently; more of them can be folded into it.
``...``   any number of axes that broadcast: results have those of the operands, matched from the right.
``*s``    any number of axes that do not broadcast.
``l~``    a windowed axis: an element of the result depends on several neighbours.
``axis``  an axis named like an ``Axis`` attribute is the one that the attribute counts to.

**Law.** Where the results begin with ``...`` or ``*s``, the op works independently over any further axis put
in front there, and in front of operands that begin with the same, once the attributes that count axes are
shifted (:func:`leading`). Axes that attributes name lie under ``...`` or ``*s``, and are worked along:
results may lack them, have them in another order, or have more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from rnnc.dims import Dim
from rnnc.ops.declare import Op
from rnnc.types import TensorType, parse_type


@dataclass(frozen=True, slots=True)
class Term:
    """The axes of one operand or result, in order, as the notation writes them."""

    axes: tuple[str, ...]
    repeated: bool = False

    @property
    def first(self) -> str:
        """How it begins; empty for a term without axes."""
        return self.axes[0] if self.axes else ""

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of its single axes, in order."""
        return tuple(a.rstrip("~") for a in self.axes if a != "..." and not a.startswith("*"))

    @property
    def windowed(self) -> frozenset[str]:
        """The names of its windowed axes, with the ``*`` of those that are several."""
        return frozenset(a.rstrip("~") for a in self.axes if a.endswith("~"))


@dataclass(frozen=True, slots=True)
class Spec:
    """One reading of an op's axes."""

    operands: tuple[Term, ...]
    results: tuple[Term, ...]

    @staticmethod
    @cache
    def parse(text: str) -> Spec:
        """The reading that ``text`` writes."""
        left, arrow, right = text.partition("->")
        if not arrow:
            raise ValueError(f"{text!r} says nothing of results: write operands -> results")
        return Spec(_terms(left), _terms(right))

    def operand(self, slot: int) -> Term:
        """The term of the operand in ``slot``."""
        return (
            self.operands[min(slot, len(self.operands) - 1)]
            if self.operands[-1].repeated
            else self.operands[slot]
        )

    @property
    def front(self) -> str:
        """The ``...`` or ``*s`` in front of which results take further axes; empty if they do not."""
        first = {r.first for r in self.results}
        return next((f for f in first if len(first) == 1 and f.startswith(("...", "*"))), "")

    @property
    def contracted(self) -> frozenset[str]:
        """Axes that only operands have."""
        return self._names(self.operands) - self._names(self.results)

    @property
    def new(self) -> frozenset[str]:
        """Axes that only results have."""
        return self._names(self.results) - self._names(self.operands)

    @staticmethod
    def _names(terms: tuple[Term, ...]) -> frozenset[str]:
        return frozenset(label for t in terms for label in t.labels)


def _terms(text: str) -> tuple[Term, ...]:
    terms = []
    for part in text.split(",") if text.strip() else []:
        inner = part.strip()
        repeated = inner.startswith("(") and inner.endswith(")+")
        terms.append(Term(tuple((inner[1:-2] if repeated else inner).split()), repeated))
    return tuple(terms)


def specs(op: Op, attrs: Mapping[str, Any]) -> tuple[Spec, ...]:
    """The readings of an op's axes. Those of einsum are in its equation, of an opaque op in its attribute."""
    text = op.axes
    if text.startswith("{"):
        text = attrs["axes"] if text == "{axes}" else _spaced(attrs[text.strip("{}")])
    return tuple(Spec.parse(reading.strip()) for reading in text.split("|"))


def _spaced(equation: str) -> str:
    """An einsum equation in the notation of axes."""
    letters = equation.replace(" ", "").replace("...", "…").replace("->", "→")
    return "".join(f" {c} " for c in letters).replace("…", "...").replace("→", "->")


# -- a further axis in front --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Leading:
    """How an op takes a further axis in front of its stream operands and results.

    ``ellipsis``  put the axis in front, and give the op :meth:`attrs`. An operand with fewer axes than others
                  needs :meth:`gap` axes of size 1 behind the new one. Operands that stay as they were
                  broadcast, but each that must be ``whole`` is given the axis too.
    ``fold``      merge the axis with the one called ``b``, which stands at :meth:`batch` of an operand, run
                  the op on more of it, and split it off the results. Each operand that must be ``whole`` is
                  given the axis and merged too.
    """

    how: Literal["ellipsis", "fold"]
    op: Op
    spec: Spec
    shifted: frozenset[str] = frozenset()

    def whole(self, slot: int) -> bool:
        """Whether the operand must have the axis, even if it does not vary along it."""
        if self.how == "fold":
            return "b" in self.spec.operand(slot).axes
        return self.spec.operand(slot).first == self.spec.front != "..."

    def batch(self, slot: int) -> int:
        """At which axis of an operand to fold stands what the new one is merged with."""
        return self.spec.operand(slot).axes.index("b")

    def result_batch(self, k: int) -> int:
        """At which axis of the result ``k`` stands what the new one is merged with."""
        return self.spec.results[min(k, len(self.spec.results) - 1)].axes.index("b")

    def gap(self, slot: int, rank: int, result_rank: int) -> int:
        """How many axes of size 1 to put behind the new one of an operand.

        Its own axes then still meet theirs in the result. Both ranks are without the new axis.
        """
        term, result = self.spec.operand(slot), self.spec.results[0]
        if not term.first == result.first == "...":
            return 0
        return (result_rank - len(result.labels)) - (rank - len(term.labels))

    def attrs(self, attrs: Mapping[str, Any], size: Dim) -> dict[str, Any]:
        """The attributes with axes counted anew, and ``size`` in front of shapes and stated results."""
        return {
            name: _SHIFT[self.op.attrs[name].kind](value, size) if name in self.shifted else value
            for name, value in attrs.items()
        } | self._results(attrs, lambda shape, _: (size, *shape))

    def folded(self, attrs: Mapping[str, Any], size: Dim) -> dict[str, Any]:
        """The attributes on ``size`` times as many of the axis that is merged with."""

        def more(shape: tuple[Dim, ...], k: int) -> tuple[Dim, ...]:
            at = self.result_batch(k)
            return (*shape[:at], size * shape[at], *shape[at + 1 :])

        return dict(attrs) | self._results(attrs, more)

    def _results(
        self, attrs: Mapping[str, Any], change: Callable[[tuple[Dim, ...], int], tuple[Dim, ...]]
    ) -> dict[str, Any]:
        """The attributes that state the types of results, with their shapes changed."""
        return {
            name: tuple(
                str(TensorType(t.dtype, change(t.shape, k))) for k, t in enumerate(map(parse_type, value))
            )
            for name, value in attrs.items()
            if self.op.attrs[name].kind == "Results"
        }


#: What a further axis in front does to attributes that count axes, by kind.
_SHIFT: Mapping[str, Any] = {
    "Axis": lambda axis, _: axis + 1,
    "Axes": lambda axes, _: tuple(a + 1 for a in axes),
    "Perm": lambda perm, _: (0, *(p + 1 for p in perm)),
    "Shape": lambda shape, size: (size, *shape),
}


def leading(op: Op, attrs: Mapping[str, Any], streams: Collection[int]) -> Leading | str:
    """How ``op`` takes a further first axis on the operands in slots ``streams``; or the reason why not."""
    attrs = op.complete(attrs)
    if op.structural and not attrs.get("axes"):
        return f"{attrs['what']} is opaque" if op.name == "opaque" else f"{op.name} is structural"
    reasons = []
    for spec in specs(op, attrs):
        found = _read(op, attrs, spec, streams)
        if isinstance(found, Leading):
            return found
        reasons.append(found)
    return reasons[-1]


def _read(op: Op, attrs: Mapping[str, Any], spec: Spec, streams: Collection[int]) -> Leading | str:
    terms = [(op.operands[s] if op.operands else f"operand {s}", spec.operand(s)) for s in streams]
    terms += [("the result", r) for r in spec.results]
    counted = {name for name, a in op.attrs.items() if a.kind in _SHIFT}
    fixed = counted & {label for t in spec.operands for label in t.labels}
    if not counted and all(_folds(t) for _, t in terms):
        return Leading("fold", op, spec)
    for name, term in terms:
        if not spec.front or term.first != spec.front:
            return f"{op.name} does not work independently over the first axis of {name}"
    for name in fixed:
        at = next(t.axes.index(name) for t in spec.operands if name in t.axes)
        if attrs[name] != at:
            return f"{op.name} along axis {attrs[name]} puts axes between those of its operands"
    return Leading("ellipsis", op, spec, frozenset(counted - fixed))


def _folds(term: Term) -> bool:
    """Whether one more axis can be merged with ``b``: it is there, and it is known at which axis."""
    before = term.axes[: term.axes.index("b")] if term.axes.count("b") == 1 else ("...",)
    return not any(a == "..." or a.startswith("*") for a in before)
