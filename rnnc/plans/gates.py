"""Gates: an activation of an affine form, however the source wrote it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from rnnc.dims import Dim
from rnnc.errors import Loc
from rnnc.ir import Graph
from rnnc.loops.regions import Operands, operands
from rnnc.plans import Refused
from rnnc.plans.affine import Form, Forms, Source
from rnnc.plans.mixtures import Factor, number

#: Activations that ONNX's recurrent ops know without parameters.
ACTIVATIONS: Mapping[str, str] = {
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "Relu",
    "softsign": "Softsign",
    "softplus": "Softplus",
}


@dataclass(frozen=True, eq=False)
class Gate:
    """``act(form)``, where ``act`` is the name of an op."""

    act: str
    form: Form

    def opposite(self) -> Gate | None:
        """``1 - gate``, which only the logistic function has as a gate: ``1 - σ(a) = σ(-a)``."""
        return Gate("sigmoid", self.form.negated()) if self.act == "sigmoid" else None


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
    """A region under recognition: its outer graph, operands by role, and the forms of its body."""

    graph: Graph
    region: str
    roles: Operands
    forms: Forms

    @classmethod
    def of(cls, graph: Graph, region: str, atoms: frozenset[str] = frozenset()) -> Loop:
        """The region of ``graph`` under that name."""
        return cls(graph, region, operands(graph, region), Forms(graph, region, atoms))

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
        """How many features the states have."""
        return int(str(self.body.interface.states[0].type.shape[-1]))

    def loc(self, value: str = "") -> Loc | None:
        """The first source location of a body value, or of the region."""
        locs = self.body[value].locs if value else self.graph[self.region].locs
        return locs[0] if locs else None

    def previous(self, value: str) -> str | None:
        """The path of the state whose previous value a body value is, or ``None``."""
        return self.forms.registers.get(value)

    def gate(self, value: str) -> Gate | None:
        """A body value as a gate: through split and slice of a fused one, and ``1 - σ(a) = σ(-a)``.

        A gate that depends on no state is computed outside of the loop, and looked for there.
        """
        if value in self.forms.outer:
            return _gate(self.graph, self.forms.outer[value], self.forms.of_stream)
        return _gate(self.body, value, self.forms.of)

    def need_gate(self, factor: Factor, what: str) -> Gate:
        """The gate that a factor must be, as wide as the state; else :class:`Refused`."""
        found = self.gate(factor.value)
        if found and factor.opposite:
            found = found.opposite()
        if found is None:
            reason = f"the {what} is not an activation of an affine form of inputs and states"
            raise Refused(reason, self.loc(factor.value))
        return Gate(found.act, found.form.wide(self.hidden))

    def need_sources(self, form: Form, what: str, value: str, *allowed: Source) -> None:
        """Refuse the form of ``value`` if it reads anything but streams of vectors and ``allowed``."""
        for source in form.terms:
            if source in allowed or (source.kind == "stream" and self.feeds(source.name)):
                continue
            where = source.name if source.kind == "value" else value
            raise Refused(f"the {what} reads {_said(source)}", self.loc(where))

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
            if s.type != found[0].type:
                raise Refused(f"state {s.path} is {s.type}, and {found[0].path} is {found[0].type}", s.loc)

    def need_output(self, hidden: str) -> None:
        """Refuse other outputs than the values of the state ``hidden``."""
        for name, value in self.body.outputs.items():
            if value != self.body.finals[hidden]:
                raise Refused(f"{name} is needed outside of the loop", self.loc(value))


def _said(source: Source) -> str:
    """A source as refusals call it."""
    if source.kind == "state":
        return f"the state {source.name}"
    return "what the loop computes otherwise" if source.name.startswith("%") else source.name
