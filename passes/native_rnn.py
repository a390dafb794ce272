"""Native RNN: a loop with one state, ``h = f(x @ W + h⁻ @ R + b)``, as one ONNX RNN.

r: (f32[T, B, 3], f32[B, 3]) = region(p, R, h0) {…}        p = x @ W + b outside
⟶
%0: (…) = rnn(x, W', R', b', h0')
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from rnnc.ir import Graph
from rnnc.plans import Plan
from rnnc.plans.affine import Form, Source
from rnnc.plans.gates import Gate, Loop, activations
from rnnc.plans.packing import Packer, finish


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

    def read(self, graph: Graph, region: str) -> Match:
        """The gate of the loop's only state, if all it reads are streams and that state."""
        loop = Loop.of(graph, region)
        loop.need_states(1)
        ((hidden, h),) = loop.body.finals.items()
        loop.need_output(hidden)
        gate = loop.need_gate({(h,): 1}, "state")
        loop.need_sources(gate.form, "state", {(h,): 1}, Source("state", hidden))
        loop.need_streams([gate.form])
        return Match(loop, hidden, gate)

    def emit(self, graph: Graph, region: str, match: Any) -> str:
        """Add the RNN and take its result apart."""
        loop, form = match.loop, match.gate.form
        packer = Packer.of(loop, [form])
        x, starts = packer.x(), packer.starts()
        result = packer.b(
            "rnn",
            x,
            packer.w([form]),
            packer.r([form.terms.get(Source("state", match.hidden))]),
            packer.biases([form], [Form(form.cols)]),
            *starts.values(),
            *([loop.roles.lengths] if loop.roles.lengths else []),
            direction="reverse" if graph[region].attrs.get("reverse") else "forward",
            **activations(match.gate),
        )
        return finish(packer, x, result, starts)
