"""Gates: an activation of an affine form, however the source wrote it.

A gate may also be a number, a bias being what makes it that; and be scaled, as where ``1 + tanh(a)`` is
``2 σ(2a)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from rnnc.build import Builder
from rnnc.dims import Dim
from rnnc.errors import Loc
from rnnc.ir import Graph
from rnnc.loops.regions import Operands, operands
from rnnc.plans import Refused
from rnnc.plans.affine import Form, Forms, Source
from rnnc.plans.intervals import Intervals
from rnnc.plans.matrix import Bias, constant
from rnnc.plans.mixtures import Polynomial, number, polynomial

#: Activations of ONNX's recurrent ops; ``affine`` gives its argument times the gate's scale.
ACTIVATIONS: Mapping[str, str] = {
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "Relu",
    "softsign": "Softsign",
    "softplus": "Softplus",
}

#: The argument at which the logistic function is 1 in float32 and float64, and its opposite one next to 0.
OPEN = 100.0

#: What is marked so in a polynomial is a value of the outer graph that the loop does not read itself.
BEYOND = "^"


@dataclass(frozen=True, eq=False)
class Gate:
    """``scale · act(form)``, where ``act`` is the name of an op, or ``affine`` for the form itself."""

    act: str
    form: Form
    scale: float = 1.0

    def opposite(self) -> Gate | None:
        """``1 - gate``, which only the logistic function has as a gate: ``1 - σ(a) = σ(-a)``."""
        return self.and_one(1.0, -1.0)

    def and_one(self, one: float, times: float) -> Gate | None:
        """``one + times · gate`` as a gate: ``k - k σ(a) = k σ(-a)`` and ``k ± k tanh(a) = 2k σ(±2a)``."""
        by = times * self.scale
        if one == 0:
            return Gate(self.act, self.form, by)
        if self.act == "sigmoid" and by == -one:
            return Gate("sigmoid", self.form.negated(), one)
        if self.act == "tanh" and abs(by) == abs(one):
            return Gate("sigmoid", self.form.multiplied(2 * by / one), 2 * one)
        return None

    def wide(self, cols: int) -> Gate:
        """The gate for so many features."""
        return Gate(self.act, self.form.wide(cols), self.scale)


def always(value: float, cols: int) -> Gate:
    """A gate that is a number: what lies between 0 and 1 by its bias, all else a multiple of an open one."""
    inside = 0 < value < 1
    bias = _logit(constant(value)) if inside else constant(OPEN)
    return Gate("sigmoid", Form(cols, {}, bias.wide(cols)), 1.0 if inside else value)


def _logit(share: Bias) -> Bias:
    """What the logistic function makes ``share`` of."""

    def make(b: Builder) -> str:
        x = share.build(b)
        return b("log", b("div", x, b("sub", 1.0, x)))

    return Bias(share.cols, make)


def activations(*gates: Gate) -> dict[str, Any]:
    """The attributes of a native op that has the activations of these gates."""
    scales = tuple(g.scale for g in gates if g.act == "affine")
    names = tuple("Affine" if g.act == "affine" else ACTIVATIONS[g.act] for g in gates)
    parameters = {"alphas": scales, "betas": (0.0,) * len(scales)} if scales else {}
    return {"activations": names, **parameters}


def _gate(graph: Graph, value: str, of: Callable[[str], Form]) -> Gate | None:
    """A value as a gate, the forms of the graph's values being ``of``."""
    node, args = graph[value], graph.operands(value)
    if node.op in ACTIVATIONS:
        return Gate(node.op, of(args[0]))
    if node.op == "sub" and number(graph, args[0]) == 1:
        inner = _gate(graph, args[1], of)
        return inner.opposite() if inner else None
    if node.op == "slice" and node.attrs["axis"] == node.tensor.rank - 1 and node.attrs.get("step", 1) == 1:
        whole = _gate(graph, args[0], of)
        if whole:
            start, stop, _ = slice(node.attrs["start"], node.attrs["stop"]).indices(whole.form.cols)
            return Gate(whole.act, whole.form.columns(start, stop))
    if node.op == "item" and graph[args[0]].op == "split":
        split = graph[args[0]]
        whole = _gate(graph, graph.operands(args[0])[0], of)
        if whole and split.attrs["axis"] == node.tensor.rank - 1:
            sizes, k = split.attrs["sizes"], node.attrs["k"]
            return Gate(whole.act, whole.form.columns(sum(sizes[:k]), sum(sizes[: k + 1])))
    return None


@dataclass(frozen=True)
class Loop:
    """A region under recognition: its outer graph, operands by role, and the forms of its body.

    ``units`` is the path of the state that has a feature for each unit, by default the first.
    """

    graph: Graph
    region: str
    roles: Operands
    forms: Forms
    units: str = ""

    @classmethod
    def of(cls, graph: Graph, region: str, atoms: frozenset[str] = frozenset(), units: str = "") -> Loop:
        """The region of ``graph`` under that name."""
        return cls(graph, region, operands(graph, region), Forms(graph, region, atoms), units)

    @property
    def body(self) -> Graph:
        """The region's body."""
        return self.forms.body

    @property
    def steps(self) -> Dim:
        """How many steps the region runs."""
        return cast("Dim", self.graph[self.region].attrs["steps"])

    @property
    def batch(self) -> Dim:
        """How many sequences."""
        return self.body.interface.states[0].type.shape[0]

    @property
    def hidden(self) -> int:
        """How many units the loop has."""
        face = self.body.interface
        state = face.state(self.units) if self.units else face.states[0]
        return int(str(state.type.shape[-1]))

    def loc(self, value: str = "") -> Loc | None:
        """The first source location of a body value, or of the region."""
        locs = self.body[value].locs if value else self.graph[self.region].locs
        return locs[0] if locs else None

    def previous(self, value: str) -> str | None:
        """The path of the state whose previous value a body value is, or ``None``."""
        return self.forms.registers.get(value)

    def gate(self, value: str) -> Gate | None:
        """A body value as a gate: through split and slice of a fused one, and ``1 - σ(a) = σ(-a)``.

        A gate that depends on no state is computed outside of the loop, and looked for there. A stream of
        truth values is a gate that is open or closed, and weights between 0 and 1 are what their bias makes.
        """
        outer = self.beyond(value)
        graph, v = (self.body, value) if outer is None else (self.graph, outer)
        if graph.type(v).dtype == "bool" and outer and not self.forms.invariant(outer):
            return Gate("sigmoid", self.forms.of_stream(outer).multiplied(2 * OPEN) + _number(-OPEN))
        found = _gate(graph, v, self.forms.of if outer is None else self.forms.of_stream)
        same = self.form(value) if found is None else None
        low, high = Intervals(graph).of(v)
        if same and not same.terms and low > 0 and high < 1:
            return Gate("sigmoid", Form(same.cols, {}, _logit(same.bias)))
        return found

    def beyond(self, value: str) -> str | None:
        """The value of the outer graph that an input of the body, or what is marked so, is."""
        return value.removeprefix(BEYOND) if value.startswith(BEYOND) else self.forms.outer.get(value)

    def form(self, value: str) -> Form | None:
        """A value of a polynomial as an affine form."""
        outer = self.beyond(value)
        kind = self.body.type(value) if outer is None else self.graph.type(outer)
        if kind.dtype != "f32":
            return None
        return self.forms.of(value) if outer is None else self.forms.of_stream(outer)

    def polynomial(self, value: str) -> Polynomial:
        """A body value as a sum of products, what is computed outside included."""
        return polynomial(self.body, value, self.forms.atoms, self._outside)

    def _outside(self, value: str) -> Polynomial | None:
        """What an input is outside, where that is one value but for numbers."""
        outer = self.forms.outer[value]
        found = polynomial(self.graph, outer)
        if sum(map(bool, found)) != 1 or (outer,) in found or any(len(p) > 1 for p in found):
            return None
        known = {v: k for k, v in reversed(self.forms.outer.items())}
        return {tuple(known.get(v, BEYOND + v) for v in p): n for p, n in found.items()}

    def weight(self, factor: Polynomial) -> Gate | None:
        """What weighs something: a number, a gate, or a gate and a number, as wide as the state."""
        one, values = factor.get((), 0.0), [p for p in factor if p]
        if not values:
            return always(one, self.hidden)
        if len(values) > 1 or len(values[0]) > 1:
            return None
        found = self.gate(values[0][0])
        made = found and found.and_one(one, factor[values[0]])
        return made and made.wide(self.hidden)

    def content(self, sums: Polynomial) -> Gate | None:
        """What is weighed: an activation, or a sum that is affine in streams and states."""
        if len(sums) == 1:
            found = self.weight(sums)
            if found and any(sums):
                return found
        total = _number(sums.get((), 0.0))
        for factors, times in sums.items():
            part = self.form(factors[0]) if len(factors) == 1 else total
            if part is None or len(factors) > 1:
                return None
            total = total + part.multiplied(times) if factors else total
        return Gate("affine", total).wide(self.hidden)

    def need_gate(self, factor: Polynomial, what: str) -> Gate:
        """The gate that a factor must be, as wide as the state; else :class:`Refused`."""
        found = self.weight(factor)
        if found is None or found.scale != 1:
            raise self.no_gate(factor, what)
        return found

    def no_gate(self, factor: Polynomial, what: str) -> Refused:
        """The refusal of what should be a gate."""
        reason = f"the {what} is not an activation of an affine form of inputs and states"
        return Refused(reason, self.where(factor))

    def where(self, factor: Polynomial) -> Loc | None:
        """The source location of the first value of a factor."""
        found = [v for p in factor for v in p]
        if found and found[0].startswith(BEYOND):
            locs = self.graph[found[0].removeprefix(BEYOND)].locs
            return locs[0] if locs else None
        return self.loc(*found[:1])

    def need_sources(self, form: Form, what: str, of: Polynomial, *allowed: Source) -> None:
        """Refuse the form of a factor if it reads anything but streams of vectors and ``allowed``."""
        for source in form.terms:
            if source in allowed or (source.kind == "stream" and self.feeds(source.name)):
                continue
            where = self.loc(source.name) if source.kind == "value" else self.where(of)
            raise Refused(f"the {what} reads {_said(source)}", where)

    def need_streams(self, forms: Iterable[Form]) -> None:
        """Refuse gates that read no stream at all: a native op must have an input."""
        if not any(source.kind == "stream" for form in forms for source in form.terms):
            raise Refused("the loop reads no stream", self.loc())

    def feeds(self, value: str) -> bool:
        """Whether a value outside is, or broadcasts to, one vector for each step and sequence."""
        *leading, features = self.graph.type(value).shape
        over = (self.steps, self.batch)[-len(leading) :] if leading else ()
        return (
            isinstance(features, int)
            and len(leading) <= 2
            and all(d in (1, whole) for d, whole in zip(leading, over, strict=True))
        )

    def need_states(self, count: int) -> None:
        """Refuse states that no native op has: in number, depth, or type."""
        found = self.body.interface.states
        for s in found:
            delayed = self.previous(self.body.finals[s.path])
            if s.depth > 1 or delayed:
                raise Refused(f"state {delayed or s.path} is read more than one step back", s.loc)
        if len(found) != count:
            raise Refused(f"the loop has {len(found)} states, not {count}", self.loc())
        for s in found:
            if s.type.rank != 2 or s.type.dtype != "f32" or not isinstance(s.type.shape[1], int):
                raise Refused(f"state {s.path} is {s.type}, not a float32 vector per sequence", s.loc)

    def need_alike(self) -> None:
        """Refuse states of several types."""
        found = self.body.interface.states
        for s in found:
            if s.type != found[0].type:
                raise Refused(f"state {s.path} is {s.type}, and {found[0].path} is {found[0].type}", s.loc)

    def need_output(self, hidden: str) -> None:
        """Refuse other outputs than the values of the state ``hidden``, and those one step before."""
        for name, value in self.body.outputs.items():
            if value != self.body.finals[hidden] and self.previous(value) != hidden:
                raise Refused(f"{name} is needed outside of the loop", self.loc(value))


def _said(source: Source) -> str:
    """A source as refusals call it."""
    if source.kind == "state":
        return f"the state {source.name}"
    return "what the loop computes otherwise" if source.name.startswith("%") else source.name


def _number(value: float) -> Form:
    return Form(1, {}, constant(value)) if value else Form(1)
