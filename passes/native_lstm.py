"""Native LSTM: a loop that is an LSTM, in any gate order, fused or not, with or without peepholes.

f, i, o = σ(…), g = tanh(…)        each affine in streams and h⁻, and diagonally in c⁻ (o: in c)
c = f ∘ c⁻ + i ∘ g
h = o ∘ tanh(c)
⟶
%0: (…) = lstm(x, W, R, b, h0, c0)
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Any, ClassVar

from rnnc.affine import Form, Source
from rnnc.build import Builder
from rnnc.gates import ACTIVATIONS, Gate, Loop, Packer, Refused, finish, initial
from rnnc.ir import Graph
from rnnc.matrix import Diagonal, Matrix
from rnnc.plan import Plan, Refusal, Sizes
from rnnc.plan_costs import native_cost


@dataclass(frozen=True)
class Match:
    """The states' paths, the gates in ONNX's order (i, o, f, g), and the outer activation."""

    loop: Loop
    hidden: str
    cell: str
    gates: tuple[Gate, Gate, Gate, Gate]
    outer: str

    def peepholes(self) -> list[Matrix | None]:
        """Of i, o and f, on the cell."""
        seen = (Source("state", self.cell), Source("value", self.loop.body.finals[self.cell]))
        i, o, f, _ = self.gates
        return [next((g.form.terms[s] for s in seen if s in g.form.terms), None) for g in (i, o, f)]


@dataclass(frozen=True)
class NativeLSTM(Plan):
    """One ONNX LSTM node runs the loop."""

    name: ClassVar[str] = "lstm"

    def match(self, graph: Graph, region: str) -> Match | Refusal:
        """The gates, if the loop is an LSTM."""
        loop = Loop.of(graph, region)
        try:
            return self._read(loop)
        except Refused as miss:
            return miss.refusal

    def cost(self, graph: Graph, region: str, sizes: Sizes) -> float:
        """Four products a step."""
        return native_cost(graph, region, 4, sizes)

    def emit(self, graph: Graph, region: str, match: Any) -> str:
        """Add the LSTM and take its result apart."""
        loop: Loop = match.loop
        b = Builder(graph, like=region)
        forms = [g.form for g in match.gates]
        n = forms[0].cols
        packer = Packer.of(b, n, forms)
        x = packer.x()
        inits = dict(zip((s.path for s in loop.body.interface.states), loop.roles.inits, strict=True))
        batch = graph.type(x).shape[1]
        starts = {path: initial(b, inits[path], batch, n) for path in (match.hidden, match.cell)}
        peepholes = match.peepholes()
        extra = [packer.diagonals(peepholes)] if any(peepholes) or loop.roles.lengths else []
        _, _, f, g = match.gates
        result = b(
            "lstm",
            x,
            packer.w(forms),
            packer.r([form.terms.get(Source("state", match.hidden)) for form in forms]),
            packer.biases(forms, [Form(n)] * 4),
            *starts.values(),
            *extra,
            *([loop.roles.lengths] if loop.roles.lengths else []),
            direction="reverse" if graph[region].attrs.get("reverse") else "forward",
            activations=(ACTIVATIONS[f.act], ACTIVATIONS[g.act], ACTIVATIONS[match.outer]),
        )
        return finish(b, loop, packer, result, starts)

    def _read(self, loop: Loop) -> Match:
        body = loop.body
        if len(body.finals) != 2:
            raise Refused(f"the loop has {len(body.finals)} states, not 2", loop.loc())
        reasons: list[Refused] = []
        for hidden, cell in permutations(body.finals):
            try:
                return self._as(
                    Loop.of(loop.graph, loop.region, frozenset({body.finals[cell]})), hidden, cell
                )
            except Refused as miss:
                reasons.append(miss)
        raise reasons[0] if body[body.finals[hidden]].op == "add" else reasons[-1]

    def _as(self, loop: Loop, hidden: str, cell: str) -> Match:
        body = loop.body
        loop.check_shape(2, hidden)
        h, c = body.finals[hidden], body.finals[cell]
        o, outer = self._output(loop, h, c)
        f, i, g = self._update(loop, c, cell)
        gates = (
            loop.need_gate(i, "input gate"),
            loop.need_gate(o, "output gate"),
            loop.need_gate(f, "forget gate"),
            loop.need_gate(g, "candidate"),
        )
        if len({gate.act for gate in gates[:3]}) > 1:
            raise Refused("the gates have different activations", loop.loc(c))
        sees = (Source("state", hidden), Source("state", cell)), (Source("state", hidden), Source("value", c))
        names = ("input gate", "output gate", "forget gate", "candidate")
        for gate, name in zip(gates, names, strict=True):
            allowed = sees[1] if name == "output gate" else sees[0]
            loop.need_sources(gate.form, name, *(allowed[:1] if name == "candidate" else allowed))
            peephole = gate.form.terms.get(allowed[1])
            if peephole is not None and not isinstance(peephole, Diagonal):
                raise Refused(f"the {name} sees the cell through a full matrix", loop.loc(c))
        if not Packer.of(Builder(loop.graph), 0, [gate.form for gate in gates]).streams:
            raise Refused("the loop reads no stream", loop.loc())
        return Match(loop, hidden, cell, gates, outer)

    def _output(self, loop: Loop, h: str, c: str) -> tuple[str, str]:
        """The output gate and the activation of the cell, from ``h = o ∘ act(c)``."""
        body = loop.body
        if body[h].op == "mul":
            for o, t in permutations(body.operands(h)):
                if body.operands(t) == (c,) and body[t].op in ACTIVATIONS:
                    return o, body[t].op
        raise Refused("the output is not a gate times an activation of the cell", loop.loc(h))

    def _update(self, loop: Loop, c: str, cell: str) -> tuple[str, str, str]:
        """Forget gate, input gate and candidate, from ``c = f ∘ c⁻ + i ∘ g``."""
        body = loop.body
        if body[c].op == "add":
            for kept, new in permutations(body.operands(c)):
                if body[kept].op != "mul" or body[new].op != "mul":
                    continue
                for f, old in permutations(body.operands(kept)):
                    if loop.previous(old) == cell:
                        return self._candidate(loop, f, new)
        raise Refused("the cell is not forget ∘ cell⁻ + input ∘ candidate", loop.loc(c))

    def _candidate(self, loop: Loop, f: str, new: str) -> tuple[str, str, str]:
        """Which factor of ``i ∘ g`` is the gate: the one activated as the forget gate is."""
        forget = loop.gate(f)
        a, b = loop.body.operands(new)
        first, second = loop.gate(a), loop.gate(b)
        if forget and second and second.act == forget.act and not (first and first.act == forget.act):
            return f, b, a
        return f, a, b
