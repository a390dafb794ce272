"""Native LSTM: a loop that is an LSTM, in any gate order, fused or not, with or without peepholes.

f, i, o = σ(…), g = tanh(…)        each affine in streams and h⁻, and diagonally in c⁻ (o: in c)
c = f ∘ c⁻ + i ∘ g                 or whatever else multiplies out to that, as with coupled gates
h = o ∘ tanh(c)
⟶
%0: (…) = lstm(x, W, R, b, h0, c0)

A gate may be a number, which its bias makes it, 1 where it is missing; g and what stands for tanh may be
other activations, or none. A loop of one state, h = f ∘ h⁻ + s i ∘ g, is an LSTM whose cell is h / s, and
whose output, its gate being open, is s times the cell. Of an output that is projected, h = (o ∘ tanh(c)) @ P,
the gates see the product with P composed into their weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any, ClassVar

from rnnc.build import Builder
from rnnc.ir import Graph
from rnnc.plans import Plan, Refused
from rnnc.plans.affine import Form, Source
from rnnc.plans.gates import ACTIVATIONS, Gate, Loop, activations
from rnnc.plans.matrix import Bias
from rnnc.plans.mixtures import Mixture, Polynomial, products, readings
from rnnc.plans.packing import Packer, finish
from rnnc.plans.projections import Projection


@dataclass(frozen=True)
class Match:
    """The states' paths, the gates in ONNX's order (i, o, f, g), and the outer activation.

    Where the cell is no state of its own, ``cell`` is the hidden state, which is ``outer.scale`` times it.
    Where the hidden state is projected, the op gives what it is before.
    """

    loop: Loop
    hidden: str
    cell: str
    gates: tuple[Gate, Gate, Gate, Gate]
    outer: Gate
    projection: Projection | None = None

    def peepholes(self) -> list[Bias | None]:
        """Of i, o and f, on the cell."""
        if self.hidden == self.cell:
            return [None] * 3
        body, (i, o, f, _) = self.loop.body, self.gates
        old, new = Source("state", self.cell), Source("value", body.finals[self.cell])
        found = [gate.form.terms.get(seen) for gate, seen in ((i, old), (o, new), (f, old))]
        return [m.diagonal() if m else None for m in found]


@dataclass(frozen=True)
class NativeLSTM(Plan):
    """One ONNX LSTM node runs the loop."""

    name: ClassVar[str] = "lstm"

    def read(self, graph: Graph, region: str) -> Match:
        """The gates, if the loop is an LSTM."""
        loop = Loop.of(graph, region)
        return _one_state(loop) if len(loop.body.finals) == 1 else _two_states(loop)

    def emit(self, graph: Graph, region: str, match: Any) -> str:
        """Add the LSTM and take its result apart."""
        loop: Loop = match.loop
        forms = [g.form for g in match.gates]
        projection: Projection | None = match.projection
        if projection:
            forms = projection.composed(loop, forms)
        packer = Packer.of(loop, forms)
        b, x, starts = packer.b, packer.x(), packer.starts()
        starts = {path: starts[path] for path in (match.hidden, match.cell)}
        hidden = b("mul", starts[match.cell], 0.0) if projection else starts[match.hidden]
        cell = _cell(b, starts[match.cell], match.outer.scale)
        peepholes = match.peepholes()
        extra = [packer.diagonals(peepholes)] if any(peepholes) or loop.roles.lengths else []
        _, _, f, g = match.gates
        result = b(
            "lstm",
            x,
            packer.w(forms),
            packer.r([form.terms.get(Source("state", match.hidden)) for form in forms]),
            packer.biases(forms, [Form(loop.hidden)] * 4),
            hidden,
            cell,
            *extra,
            *([loop.roles.lengths] if loop.roles.lengths else []),
            direction="reverse" if graph[region].attrs.get("reverse") else "forward",
            **activations(f, g, match.outer),
        )
        if projection:
            return finish(packer, x, result, starts, lambda given: projection.apply(b, given))
        return finish(packer, x, result, starts)


def _cell(b: Builder, state: str, scale: float) -> str:
    """The cell of which ``state`` is so many times as much."""
    return state if scale == 1 else b("div", state, scale)


def _one_state(loop: Loop) -> Match:
    """A loop whose state is its cell, or a multiple of it."""
    loop.need_states(1)
    ((hidden, h),) = loop.body.finals.items()
    loop.need_output(hidden)
    update = _update(loop, hidden)
    if update is None:
        raise Refused("the state is not forget ∘ state⁻ + input ∘ candidate", loop.loc(h))
    gates, scale = _gates(loop, hidden, hidden, update, {(): 1.0})
    outer = Gate("affine", Form(loop.hidden), scale)
    return Match(loop, hidden, hidden, gates, outer)


def _two_states(loop: Loop) -> Match:
    """A loop with a cell, and an output of it that the gates see."""
    loop.need_states(2)
    first = next(v for v in loop.body.order() if v in loop.body.finals.values())
    miss = Refused("no state is forget ∘ state⁻ + input ∘ candidate", loop.loc(first))
    for hidden, cell in permutations(loop.body.finals):
        # The cell is not looked into: the output gate may see it.
        own = Loop.of(loop.graph, loop.region, frozenset({loop.body.finals[cell]}), cell)
        update = _update(own, cell)
        if update is None:
            continue
        projection = Projection.of(own, hidden)
        for o, outer in _outputs(own, projection.u if projection else own.body.finals[hidden], cell):
            own.need_output(hidden)
            gates, scale = _gates(own, hidden, cell, update, o)
            if scale != 1:
                raise Refused(f"the candidate is multiplied by {scale:g}", own.where(update.new))
            if projection:
                projection.check(own, [g.form for g in gates])
            else:
                own.need_alike()
            return Match(own, hidden, cell, gates, Gate(outer, Form(own.hidden)), projection)
        h = loop.body.finals[hidden]
        miss = Refused("the output is not a gate times an activation of the cell", loop.loc(h))
    raise miss


def _update(loop: Loop, cell: str) -> Mixture | None:
    """``c`` as ``f ∘ c⁻ + i ∘ g``, where ``i`` is activated as ``f`` is, if that tells it from ``g``."""
    c = loop.body.finals[cell]
    found = list(readings(loop.polynomial(c), lambda v: loop.previous(v) == cell))
    for mixture in found:
        forget, gate = loop.weight(mixture.keep), loop.weight(mixture.gate)
        if forget and gate and forget.act == gate.act and loop.content(mixture.new):
            return mixture
    return found[0] if found else None


def _outputs(loop: Loop, h: str, cell: str) -> Iterator[tuple[Polynomial, str]]:
    """The output gate and the activation of the cell, from ``h = o ∘ act(c)``."""
    body, c = loop.body, loop.body.finals[cell]
    for t, o in products(loop.polynomial(h)):
        if t == c:
            yield o, "affine"
        elif t in body and body[t].op in ACTIVATIONS and body.operands(t) == (c,):
            yield o, body[t].op


def _gates(
    loop: Loop, hidden: str, cell: str, update: Mixture, out: Polynomial
) -> tuple[tuple[Gate, Gate, Gate, Gate], float]:
    """The gates i, o, f, g, and what i ∘ g is still to be multiplied by."""
    h, old, new = Source("state", hidden), Source("state", cell), Source("value", loop.body.finals[cell])
    i, g = loop.weight(update.gate), loop.content(update.new)
    wanted = (
        ("input gate", update.gate, old, i and replace(i, scale=1.0)),
        ("output gate", out, new, loop.weight(out)),
        ("forget gate", update.keep, old, loop.weight(update.keep)),
        ("candidate", update.new, h, g and replace(g, scale=1.0)),
    )
    gates: list[Gate] = []
    for what, factor, seen, gate in wanted:
        if gate is None or gate.scale != 1:
            raise loop.no_gate(factor, what)
        loop.need_sources(gate.form, what, factor, h, seen)
        if seen != h and seen in gate.form.terms and gate.form.terms[seen].diagonal() is None:
            raise Refused(f"the {what} sees the cell through a full matrix", loop.where(factor))
        if len(gates) in (1, 2) and gate.act != gates[0].act:
            reason = f"the input gate is {gates[0].act}, and the {what} {gate.act}"
            raise Refused(reason, loop.where(factor))
        gates.append(gate)
    loop.need_streams(gate.form for gate in gates)
    assert i is not None and g is not None
    scale = i.scale * g.scale
    if g.act == "affine":
        gates[3], scale = Gate("affine", g.form.multiplied(scale)), 1.0
    return (gates[0], gates[1], gates[2], gates[3]), scale
