"""Native RNN: a loop with one state, ``h = f(x @ W + h⁻ @ R + b)``, as one ONNX RNN.

r: (f32[T, B, 3], f32[B, 3]) = region(p, R, h0) {…}        p = x @ W + b outside
⟶
%0: (…) = rnn(x, W', R', b', h0')
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from rnnc.affine import Form, Source
from rnnc.build import Builder
from rnnc.gates import ACTIVATIONS, Gate, Loop, Packer, Refused, finish, initial
from rnnc.ir import Graph
from rnnc.plan import Plan, Refusal, Sizes
from rnnc.plan_costs import native_cost


@dataclass(frozen=True)
class Match:
    """The state and its gate."""

    loop: Loop
    hidden: str
    gate: Gate


@dataclass(frozen=True)
class NativeRNN(Plan):
    """One ONNX RNN node runs the loop."""

    name: ClassVar[str] = "rnn"

    def match(self, graph: Graph, region: str) -> Match | Refusal:
        """The gate of the loop's only state, if all it reads are streams and that state."""
        loop = Loop.of(graph, region)
        try:
            hidden = next(iter(loop.body.finals), "")
            loop.check_shape(1, hidden)
            gate = loop.need_gate(loop.body.finals[hidden], "state")
            loop.need_sources(gate.form, "state", Source("state", hidden))
            if not Packer.of(Builder(graph), 0, [gate.form]).streams:
                raise Refused("the loop reads no stream", loop.loc())
        except Refused as miss:
            return miss.refusal
        return Match(loop, hidden, gate)

    def cost(self, graph: Graph, region: str, sizes: Sizes) -> float:
        """One product a step."""
        return native_cost(graph, region, 1, sizes)

    def emit(self, graph: Graph, region: str, match: Any) -> str:
        """Add the RNN and take its result apart."""
        loop, form = match.loop, match.gate.form
        b = Builder(graph, like=region)
        n = form.cols
        packer = Packer.of(b, n, [form])
        x = packer.x()
        h0 = initial(b, loop.roles.inits[0], graph.type(x).shape[1], n)
        result = b(
            "rnn",
            x,
            packer.w([form]),
            packer.r([form.terms.get(Source("state", match.hidden))]),
            packer.biases([form], [Form(n)]),
            h0,
            *([loop.roles.lengths] if loop.roles.lengths else []),
            direction="reverse" if graph[region].attrs.get("reverse") else "forward",
            activations=(ACTIVATIONS[match.gate.act],),
        )
        return finish(b, loop, packer, result, {match.hidden: h0})
