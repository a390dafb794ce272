"""Gates: an activation of an affine form, however the source wrote it; and packing gates for native ops."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from rnnc.affine import Form, Forms, Source
from rnnc.build import Builder
from rnnc.dims import Dim
from rnnc.errors import Loc
from rnnc.ir import Graph
from rnnc.matrix import Diagonal, Matrix, zeros
from rnnc.plan import Refusal
from rnnc.regions import Operands, operands

#: Activations that ONNX's recurrent ops know without parameters.
ACTIVATIONS: Mapping[str, str] = {
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "Relu",
    "softsign": "Softsign",
    "softplus": "Softplus",
}


class Refused(Exception):
    """Raised while reading a region that turns out not to be the template; carries the :class:`Refusal`."""

    def __init__(self, reason: str, loc: Loc | None = None) -> None:
        super().__init__(reason)
        self.refusal = Refusal(reason, loc)


@dataclass(frozen=True, eq=False)
class Gate:
    """``act(form)``, where ``act`` is the name of an op."""

    act: str
    form: Form


def _gate(graph: Graph, value: str, of: Callable[[str], Form]) -> Gate | None:
    """A value as a gate, the forms of the graph's values being ``of``."""
    node, args = graph[value], graph.operands(value)
    if node.op in ACTIVATIONS:
        return Gate(node.op, of(args[0]))
    if node.op == "sub" and _is_number(graph, args[0], 1):
        inner = _gate(graph, args[1], of)
        return Gate("sigmoid", inner.form.negated()) if inner and inner.act == "sigmoid" else None
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


def _is_number(graph: Graph, value: str, number: float) -> bool:
    node = graph[value]
    return node.op == "const" and bool(np.all(node.attrs["value"] == number))


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

    def loc(self, value: str = "") -> Loc | None:
        """The first source location of a body value, or of the region."""
        locs = self.body[value].locs if value else self.graph[self.region].locs
        return locs[0] if locs else None

    def previous(self, value: str) -> str | None:
        """The path of the state whose previous value a body value is, or ``None``."""
        return self.forms.registers.get(value)

    def is_number(self, value: str, number: float) -> bool:
        """Whether a body value is a constant, all of whose elements are ``number``."""
        return _is_number(self.body, value, number)

    def gate(self, value: str) -> Gate | None:
        """A body value as a gate: through split and slice of a fused one, and ``1 - σ(a) = σ(-a)``.

        A gate that depends on no state is computed outside of the loop, and looked for there.
        """
        if self.forms.kinds.get(value) == "stream":
            return _gate(self.graph, self.forms.outer[value], self.forms.of_stream)
        return _gate(self.body, value, self.forms.of)

    def need_gate(self, value: str, what: str, act: str = "") -> Gate:
        """The gate that ``value`` must be, activated by ``act`` if given; else :class:`Refused`."""
        found = self.gate(value)
        if found is None or (act and found.act != act):
            wanted = f"{act} of" if act else "an activation of"
            raise Refused(f"the {what} is not {wanted} an affine form of inputs and states", self.loc(value))
        return found

    def need_sources(self, form: Form, what: str, *allowed: Source) -> None:
        """Refuse a form that reads anything but streams of vectors and ``allowed``."""
        for source in form.terms:
            if source in allowed or (source.kind == "stream" and self.graph.type(source.name).rank == 3):
                continue
            if source.kind == "state":
                raise Refused(f"the {what} reads state {source.name}", self.loc())
            loc = self.loc(source.name) if source.kind == "value" else None
            raise Refused(f"the {what} is not affine in {source.name}", loc)

    def check_shape(self, states: int, hidden: str) -> None:
        """Refuse what no native op does: other outputs, depths, dtypes or ranks."""
        body = self.body
        found = body.interface.states
        if len(found) != states:
            raise Refused(f"the loop has {len(found)} states, not {states}", self.loc())
        for s in found:
            if s.depth != 1:
                raise Refused(f"state {s.path} is read {s.depth} steps back", s.loc)
            if s.type.rank != 2 or s.type.dtype != "f32":
                raise Refused(f"state {s.path} is {s.type}, not a float32 vector per sequence", s.loc)
        for name, value in body.outputs.items():
            if value != body.finals[hidden]:
                raise Refused(f"{name} is needed outside of the loop", self.loc(value))


@dataclass(frozen=True)
class Packer:
    """Puts gates into ONNX's layout: weights ``[1, gates·H, n]``, biases ``[1, gates·H]``."""

    b: Builder
    hidden: int
    streams: tuple[str, ...]

    @classmethod
    def of(cls, b: Builder, hidden: int, forms: Iterable[Form]) -> Packer:
        """A packer for the streams that the forms read, in order of first appearance."""
        names = [s.name for f in forms for s in f.terms if s.kind == "stream"]
        return cls(b, hidden, tuple(dict.fromkeys(names)))

    def x(self) -> str:
        """All streams side by side."""
        return self.streams[0] if len(self.streams) == 1 else self.b("concat", *self.streams, axis=2)

    def w(self, forms: Iterable[Form]) -> str:
        """The weights of the inputs, gate under gate."""
        return self._stack([self._input(f) for f in forms])

    def r(self, matrices: Iterable[Matrix | None]) -> str:
        """The weights of the state, gate under gate; ``None`` for zeros."""
        return self._stack([(m or zeros(self.hidden, self.hidden)).build(self.b) for m in matrices])

    def bias(self, forms: Iterable[Form]) -> str:
        """The biases end to end, ``[1, gates·H]``; see :meth:`biases` for both halves."""
        parts = [f.bias.wide(self.hidden).build(self.b) for f in forms]
        return self.b("unsqueeze", self.b("concat", *parts, axis=0), axes=(0,))

    def biases(self, inputs: list[Form], states: list[Form]) -> str:
        """Biases of the inputs, then of the states."""
        return self.b("concat", self.bias(inputs), self.bias(states), axis=1)

    def diagonals(self, factors: Iterable[Matrix | None]) -> str:
        """Peepholes end to end, ``[1, n·H]``."""
        parts = []
        for m in factors:
            zero = np.zeros(self.hidden, np.float32)
            parts.append(m.factors.build(self.b) if isinstance(m, Diagonal) else self.b.const(zero))
        return self.b("unsqueeze", self.b("concat", *parts, axis=0), axes=(0,))

    def _input(self, form: Form) -> str:
        graph, rows = self.b.graph, []
        for name in self.streams:
            n = int(str(graph.type(name).shape[-1]))
            m = form.terms.get(Source("stream", name)) or zeros(n, self.hidden)
            rows.append(m.build(self.b))
        return rows[0] if len(rows) == 1 else self.b("concat", *rows, axis=0)

    def _stack(self, blocks: list[str]) -> str:
        wide = blocks[0] if len(blocks) == 1 else self.b("concat", *blocks, axis=1)
        return self.b("unsqueeze", self.b("transpose", wide, perm=(1, 0)), axes=(0,))


def initial(b: Builder, value: str, batch: Dim, hidden: int) -> str:
    """A state's initial value as a native op wants it: ``[1, B, H]``."""
    if b.graph.type(value).shape == (batch, hidden):
        return b("unsqueeze", value, axes=(0,))
    return b("expand", value, shape=(1, batch, hidden))


def finish(b: Builder, loop: Loop, packer: Packer, result: str, finals: Mapping[str, str]) -> str:
    """The tuple that stands for the region, from a native op's ``result``.

    ``finals`` maps each state's path to its initial value as the op got it; the op's items are the output
    and then the final states in that order. onnxruntime returns zeros as final state of a sequence of no
    steps, so there the initial one is taken.
    """
    y, *ends = b.items(result)
    graph, body, steps = loop.graph, loop.body, loop.graph[loop.region].attrs["steps"]
    if graph.type(y).shape[0] != steps:  # the op got one step more
        y = b("slice", y, axis=0, start=0, stop=-1)
    over_time = b("squeeze", y, axes=(1,))
    last: dict[str, str] = {}
    for (path, start), end in zip(finals.items(), ends, strict=True):
        if loop.roles.lengths:
            empty = b("unsqueeze", b("equal", loop.roles.lengths, 0), axes=(1,))
            end = b("where", empty, start, end)
        elif not isinstance(steps, int):
            end = b("where", b("equal", b("size", packer.x(), axis=0), 0), start, end)
        last[path] = b("squeeze", end, axes=(0,))
    outputs = [over_time] * len(body.interface.outputs)
    return graph.add(
        "tuple",
        *outputs,
        *(last[s.path] for s in body.interface.states),
        type=graph[loop.region].type,
        like=loop.region,
    )
