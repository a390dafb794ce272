"""The many ways to write one cell: LSTM, GRU, RNN as stream graphs, with a field for each choice of a writer.

All writings of a cell mean the same family of functions, so each must be found to be the same native op.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from rnnc.build import Builder
from rnnc.dims import Dim
from rnnc.ir import Graph, Input, Interface, Output, State
from rnnc.types import tensor

HIDDEN = 3
WIDTHS = {"x": 4, "u": 2}

#: How the products of a sum are laid out: a weight for each gate and operand, for each gate, for each
#: operand, or one for all.
WEIGHTS = ("separate", "joined", "fused", "one")
PARTING = ("split", "slice", "gates")
SUMS = ("left", "right", "backward")
BIAS = ("one", "two", "none", "scaled")
PEEPHOLES = ("", "i", "f", "o", "if", "io", "fo", "ifo")
UPDATES = ("plain", "minus f", "minus i", "mirror", "towards", "from", "spread")
MIXTURES = (
    "(1-z)n + zh",
    "zh + n(1-z)",
    "n + z(h-n)",
    "n - z(n-h)",
    "h + (1-z)(n-h)",
    "h - (1-z)(h-n)",
    "n - zn + zh",
    "zh + (n - zn)",
    "un + (1-u)h",
    "h + u(n-h)",
    "h - u(h-n)",
    "mirrored",
)


@dataclass(frozen=True)
class Writing:
    """How a cell is written. ``early`` activates a fused product before it is parted into gates."""

    weights: str = "separate"
    order: tuple[int, ...] = (0, 1, 2, 3)
    parting: str = "split"
    early: bool = False
    sums: str = "left"
    state_first: bool = False
    swapped: bool = False
    transposed: bool = False
    streams: int = 1
    bias: str = "one"
    peepholes: str = ""
    update: str = "plain"
    mixture: str = "(1-z)n + zh"
    after: bool = False

    def __str__(self) -> str:
        plain = Writing()
        said = [f"{k}={v}" for k, v in vars(self).items() if v != getattr(plain, k)]
        return ", ".join(said) or "plain"


def writings(**fixed: Sequence[Any]) -> st.SearchStrategy[Writing]:
    """Any writing; ``fixed`` limits the choices of a field."""
    choices: dict[str, Sequence[Any]] = {
        "weights": WEIGHTS,
        "parting": PARTING,
        "early": (False, True),
        "sums": SUMS,
        "state_first": (False, True),
        "swapped": (False, True),
        "transposed": (False, True),
        "streams": (1, 2),
        "bias": BIAS,
    } | fixed
    fields = {name: st.sampled_from(values) for name, values in choices.items()}
    return st.builds(Writing, order=st.permutations(range(4)).map(tuple), **fields)


class _Cell:
    """A cell being written down."""

    def __init__(self, how: Writing) -> None:
        self.how = how
        self.graph = Graph("cell")
        self.b = Builder(self.graph)
        self.params: list[str] = []
        self.states: list[State] = []
        names = list(WIDTHS)[: how.streams]
        self.inputs = tuple(Input(n, tensor("f32", "B", WIDTHS[n])) for n in names)
        for i in self.inputs:
            self.graph.add("input", type=i.type, name=i.name)

    def finish(self, output: str, **finals: str) -> Graph:
        """The graph; ``finals`` maps states to the values that they follow."""
        graph = self.graph
        graph.outputs = {"h": output}
        graph.finals = dict(finals)
        for d in graph.find("delay"):
            path = graph.operands(d)[1].removesuffix(".init")
            graph.connect(finals[path], d, 0)
        outputs = (Output("h", graph.type(output)),)
        graph.interface = Interface(self.inputs, outputs, tuple(self.states), dict.fromkeys(self.params))
        return graph.copy().freeze()

    def previous(self, path: str) -> str:
        """A new state's previous value."""
        state = State(path, tensor("f32", "B", HIDDEN))
        self.states.append(state)
        init = self.graph.add("init", type=state.type, name=state.source)
        return self.graph.add("delay", init, init, type=state.type, name=f"{path}1", k=1)

    def param(self, name: str, *shape: Dim) -> str:
        self.params.append(name)
        return self.graph.add("param", type=tensor("f32", *shape), name=name)

    def weight(self, name: str, rows: int, cols: int) -> str:
        if not self.how.transposed:
            return self.param(name, rows, cols)
        return self.b("transpose", self.param(name, cols, rows), perm=(1, 0))

    def mul(self, a: str, b: str) -> str:
        return self.b("mul", *((b, a) if self.how.swapped else (a, b)))

    def add(self, *terms: str) -> str:
        """A sum of some values, added up in the order that the writing has."""
        todo = list(terms)[:: -1 if self.how.sums == "backward" else 1]
        while len(todo) > 1:
            if self.how.sums == "right":
                todo[-2:] = [self.b("add", *todo[-2:])]
            else:
                todo[:2] = [self.b("add", *todo[:2])]
        return todo[0]

    def bias(self, name: str, size: int) -> list[str]:
        match self.how.bias:
            case "one":
                return [self.param(f"b{name}", size)]
            case "two":
                return [self.param(f"b{name}", size), self.param(f"d{name}", 1, size)]
            case "scaled":
                return [self.b("neg", self.b("mul", self.param(f"b{name}", size), 0.5))]
        return []

    def affine(self, name: str, reads: Sequence[str], gates: int = 1) -> str:
        """The sum of some values' products with weights, wide enough for so many gates."""
        sizes = [int(str(self.graph.type(v).shape[-1])) for v in reads]
        size = gates * HIDDEN
        if self.how.weights in ("joined", "one"):
            joined = self.b("concat", *reads, axis=1) if len(reads) > 1 else reads[0]
            products = [self.b("matmul", joined, self.weight(f"W{name}", sum(sizes), size))]
        else:
            products = [
                self.b("matmul", v, self.weight(f"W{name}{k}", n, size))
                for k, (v, n) in enumerate(zip(reads, sizes, strict=True))
            ]
        return self.add(*products, *self.bias(name, size))

    def gates(self, acts: Mapping[str, str], reads: Sequence[str]) -> dict[str, str]:
        """Activated affine gates by name. A gate without an activation is left as a sum."""
        names = [list(acts)[k] for k in self.how.order if k < len(acts)]
        if self.how.weights in ("separate", "joined"):
            return {n: self.activate(acts[n], self.affine(n, reads)) for n in names}
        if not self.how.early:
            whole = self.affine("", reads, len(names))
            return {n: self.activate(acts[n], p) for n, p in zip(names, self.parts(whole), strict=True)}
        groups: dict[str, list[str]] = {}
        for n in names:
            groups.setdefault(acts[n], []).append(n)
        parts = self.parts(
            self.affine("", reads, len(names)), [len(group) * HIDDEN for group in groups.values()]
        )
        found: dict[str, str] = {}
        for (act, group), part in zip(groups.items(), parts, strict=True):
            found |= zip(group, self.parts(self.activate(act, part)), strict=True)
        return found

    def activate(self, act: str, value: str) -> str:
        return self.b(act, value) if act else value

    def parts(self, whole: str, sizes: Sequence[int] = ()) -> list[str]:
        width = int(str(self.graph.type(whole).shape[-1]))
        sizes = sizes or [HIDDEN] * (width // HIDDEN)
        if len(sizes) == 1:
            return [whole]
        if self.how.parting == "split":
            return self.b.items(self.b("split", whole, axis=1, sizes=tuple(sizes)))
        starts = [sum(sizes[:k]) for k in range(len(sizes))]
        cuts = [(at, at + n) for at, n in zip(starts, sizes, strict=True)]
        if self.how.parting == "slice":
            return [self.b("slice", whole, axis=1, start=a, stop=z) for a, z in cuts]
        return [
            self.b("slice", whole, axis=1, start=a - width, stop=None if z == width else z - width)
            for a, z in cuts
        ]


def rnn(how: Writing, act: str = "tanh") -> Graph:
    """``h = act(x @ W + h⁻ @ R + b)``."""
    cell = _Cell(how)
    old = cell.previous("h")
    h = cell.activate(act, cell.affine("", _reads(cell, old)))
    return cell.finish(h, h=h)


def lstm(how: Writing) -> Graph:
    """``c = f ∘ c⁻ + i ∘ g``, ``h = o ∘ tanh(c)``, with coupled gates and peepholes if so written."""
    cell, b = _Cell(how), None
    old, memory = cell.previous("h"), cell.previous("c")
    b, mul = cell.b, cell.mul
    coupled = how.update != "plain"
    names = [
        n for n in "ifgo" if not coupled or n != ("i" if how.update in ("minus f", "mirror", "from") else "f")
    ]
    acts = {n: "tanh" if n == "g" else "sigmoid" for n in names}
    seen = [n for n in how.peepholes if n in names]
    late = {n: "" if n in seen or (how.update == "mirror" and n == "f") else act for n, act in acts.items()}
    found = cell.gates(late, _reads(cell, old))
    looks = {n: cell.param(f"p{n}", HIDDEN) for n in seen}
    for n in (n for n in seen if n != "o"):
        found[n] = cell.add(found[n], mul(looks[n], memory))
    if how.update == "mirror":
        found["i"] = b("sigmoid", b("neg", found["f"]))
    for n in ("i", "f"):
        if n in found and late.get(n) == "":
            found[n] = b("sigmoid", found[n])
    c = _update(how, b, mul, found, memory)
    o = found["o"]
    if "o" in seen:
        o = b("sigmoid", cell.add(o, mul(looks["o"], c)))
    h = mul(o, b("tanh", c))
    return cell.finish(h, h=h, c=c)


def _update(how: Writing, b: Builder, mul: Callable[[str, str], str], v: dict[str, str], old: str) -> str:
    g = v["g"]

    def add(x: str, y: str) -> str:
        return b("add", *((y, x) if how.swapped else (x, y)))

    match how.update:
        case "minus f":
            return add(mul(v["f"], old), mul(b("sub", 1.0, v["f"]), g))
        case "minus i":
            return add(mul(b("sub", 1.0, v["i"]), old), mul(v["i"], g))
        case "towards":
            return add(old, mul(v["i"], b("sub", g, old)))
        case "from":
            return add(g, mul(v["f"], b("sub", old, g)))
        case "spread":
            return add(b("sub", old, mul(v["i"], old)), mul(v["i"], g))
    return add(mul(v["f"], old), mul(v["i"], g))


def gru(how: Writing) -> Graph:
    """``h = (1 - z) ∘ n + z ∘ h⁻`` with the reset gate before or after the product."""
    cell = _Cell(how)
    b, mul, old = cell.b, cell.mul, cell.previous("h")
    xs = [i.name for i in cell.inputs]
    reads = _reads(cell, old)
    late = how.mixture == "mirrored"
    acts = {"z": "" if late else "sigmoid", "r": "sigmoid"}
    if how.after and how.weights == "fused":
        # All products of the state are one, and so are all of the input; the candidate's are kept apart.
        ins = _Cell.affine(cell, "x", xs, 3)
        states = _Cell.affine(cell, "h", [old], 3)
        names = [("z", "r", "n")[k] for k in how.order if k < 3]
        parts = {n: pair for n, *pair in zip(names, cell.parts(ins), cell.parts(states), strict=True)}
        found = {n: cell.activate(acts[n], cell.add(*parts[n])) for n in ("z", "r")}
        n = b("tanh", cell.add(parts["n"][0], mul(found["r"], parts["n"][1])))
    else:
        found = cell.gates(acts, reads)
        if how.after:
            n = b("tanh", cell.add(cell.affine("n", xs), mul(found["r"], cell.affine("m", [old]))))
        else:
            n = b("tanh", cell.affine("n", _reads(cell, mul(found["r"], old))))
    h = _mix(how, b, mul, found["z"], n, old)
    return cell.finish(h, h=h)


def _mix(how: Writing, b: Builder, mul: Callable[[str, str], str], z: str, n: str, h: str) -> str:
    def less(x: str, y: str) -> str:
        return b("sub", x, y)

    match how.mixture:
        case "(1-z)n + zh":
            return b("add", mul(b("sub", 1.0, z), n), mul(z, h))
        case "zh + n(1-z)":
            return b("add", mul(z, h), mul(n, b("sub", 1.0, z)))
        case "n + z(h-n)":
            return b("add", n, mul(z, less(h, n)))
        case "n - z(n-h)":
            return less(n, mul(z, less(n, h)))
        case "h + (1-z)(n-h)":
            return b("add", h, mul(b("sub", 1.0, z), less(n, h)))
        case "h - (1-z)(h-n)":
            return less(h, mul(b("sub", 1.0, z), less(h, n)))
        case "n - zn + zh":
            return b("add", less(n, mul(z, n)), mul(z, h))
        case "zh + (n - zn)":
            return b("add", mul(z, h), less(n, mul(z, n)))
        case "un + (1-u)h":
            return b("add", mul(z, n), mul(b("sub", 1.0, z), h))
        case "h + u(n-h)":
            return b("add", h, mul(z, less(n, h)))
        case "h - u(h-n)":
            return less(h, mul(z, less(h, n)))
    return b("add", mul(b("sigmoid", b("neg", z)), n), mul(b("sigmoid", z), h))


def _reads(cell: _Cell, state: str) -> list[str]:
    xs = [i.name for i in cell.inputs]
    return [state, *xs] if cell.how.state_first else [*xs, state]
