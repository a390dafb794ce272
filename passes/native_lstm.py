"""Native LSTM: a loop that is an LSTM, in any gate order, fused or not, with or without peepholes.

f, i, o = σ(…), g = tanh(…)        each affine in streams and h⁻, and diagonally in c⁻ (o: in c)
c = f ∘ c⁻ + i ∘ g                 or whatever else multiplies out to that, as with coupled gates
h = o ∘ tanh(c)
⟶
%0: (…) = lstm(x, W, R, b, h0, c0)
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Any, ClassVar

from rnnc.ir import Graph
from rnnc.plans import Plan, Refused
from rnnc.plans.affine import Form, Source
from rnnc.plans.gates import ACTIVATIONS, Gate, Loop
from rnnc.plans.matrix import Bias
from rnnc.plans.mixtures import Factor, Mixture, readings
from rnnc.plans.packing import Packer, finish


@dataclass(frozen=True)
class Match:
    """The states' paths, the gates in ONNX's order (i, o, f, g), and the outer activation."""

    loop: Loop
    hidden: str
    cell: str
    gates: tuple[Gate, Gate, Gate, Gate]
    outer: str

    def peepholes(self) -> list[Bias | None]:
        """Of i, o and f, on the cell."""
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
        return self._read(Loop.of(graph, region))

    def emit(self, graph: Graph, region: str, match: Any) -> str:
        """Add the LSTM and take its result apart."""
        loop: Loop = match.loop
        forms = [g.form for g in match.gates]
        packer = Packer.of(loop, forms)
        x, starts = packer.x(), packer.starts()
        starts = {path: starts[path] for path in (match.hidden, match.cell)}
        peepholes = match.peepholes()
        extra = [packer.diagonals(peepholes)] if any(peepholes) or loop.roles.lengths else []
        _, _, f, g = match.gates
        result = packer.b(
            "lstm",
            x,
            packer.w(forms),
            packer.r([form.terms.get(Source("state", match.hidden)) for form in forms]),
            packer.biases(forms, [Form(loop.hidden)] * 4),
            *starts.values(),
            *extra,
            *([loop.roles.lengths] if loop.roles.lengths else []),
            direction="reverse" if graph[region].attrs.get("reverse") else "forward",
            activations=(ACTIVATIONS[f.act], ACTIVATIONS[g.act], ACTIVATIONS[match.outer]),
        )
        return finish(packer, x, result, starts)

    def _read(self, loop: Loop) -> Match:
        loop.need_states(2)
        first = next(v for v in loop.body.order() if v in loop.body.finals.values())
        miss = Refused("no state is forget ∘ state⁻ + input ∘ candidate", loop.loc(first))
        for hidden, cell in permutations(loop.body.finals):
            # The cell is not looked into: the output gate may see it.
            own = Loop.of(loop.graph, loop.region, frozenset({loop.body.finals[cell]}))
            update = self._update(own, cell)
            if update is None:
                continue
            found = self._output(own, hidden, cell)
            if found is not None:
                own.need_output(hidden)
                return self._match(own, hidden, cell, update, *found)
            h = loop.body.finals[hidden]
            miss = Refused("the output is not a gate times an activation of the cell", loop.loc(h))
        raise miss

    def _match(self, loop: Loop, hidden: str, cell: str, update: Mixture, o: str, outer: str) -> Match:
        c = loop.body.finals[cell]
        h, old, new = Source("state", hidden), Source("state", cell), Source("value", c)
        wanted = (
            ("input gate", update.gate, old),
            ("output gate", Factor(o), new),
            ("forget gate", update.keep, old),
            ("candidate", Factor(update.new), h),
        )
        gates: list[Gate] = []
        for what, factor, seen in wanted:
            gate = loop.need_gate(factor, what)
            loop.need_sources(gate.form, what, factor.value, h, seen)
            if seen != h and seen in gate.form.terms and gate.form.terms[seen].diagonal() is None:
                raise Refused(f"the {what} sees the cell through a full matrix", loop.loc(factor.value))
            if len(gates) in (1, 2) and gate.act != gates[0].act:
                reason = f"the input gate is {gates[0].act}, and the {what} {gate.act}"
                raise Refused(reason, loop.loc(factor.value))
            gates.append(gate)
        loop.need_streams(gate.form for gate in gates)
        i, o_, f, g = gates
        return Match(loop, hidden, cell, (i, o_, f, g), outer)

    def _output(self, loop: Loop, hidden: str, cell: str) -> tuple[str, str] | None:
        """The output gate and the activation of the cell, from ``h = o ∘ act(c)``."""
        body, h = loop.body, loop.body.finals[hidden]
        if body[h].op == "mul":
            for o, t in permutations(body.operands(h)):
                if body[t].op in ACTIVATIONS and body.operands(t) == (body.finals[cell],):
                    return o, body[t].op
        return None

    def _update(self, loop: Loop, cell: str) -> Mixture | None:
        """``c`` as ``f ∘ c⁻ + i ∘ g``, where ``i`` is activated as ``f`` is, if that tells it from ``g``."""
        found = list(readings(loop.body, loop.body.finals[cell], lambda v: loop.previous(v) == cell))
        for mixture in found:
            forget, gate = loop.gate(mixture.keep.value), loop.gate(mixture.gate.value)
            if forget and gate and forget.act == gate.act:
                return mixture
        return found[0] if found else None
