"""Native GRU: a loop that is a GRU of either reset form, in any gate order, fused or not.

z, r = σ(…)                              affine in streams and h⁻
n = tanh(x… + (r ∘ h⁻) @ R + b)          reset before the product, or
n = tanh(x… + b + r ∘ (h⁻ @ R + c))      reset after it (linear_before_reset)
h = (1 - z) ∘ n + z ∘ h⁻                 or whatever else multiplies out to that
⟶
%0: (…) = gru(x, W, R, b, h0)

The update gate may be a number, which its bias makes it. A reset gate that is missing is 1, one that is a
multiple of a gate, as 1 + tanh(a) is, has its factor in the candidate's weights; and the candidate may be
another activation, or none, of streams alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any, ClassVar

from rnnc.ir import Graph
from rnnc.plans import Plan, Refused
from rnnc.plans.affine import Form, Source
from rnnc.plans.gates import Gate, Loop, activations
from rnnc.plans.mixtures import Mixture, Polynomial, readings
from rnnc.plans.packing import Packer, finish


@dataclass(frozen=True)
class Match:
    """Gates z and r, the candidate, its inputs' form, and what it makes of the state."""

    loop: Loop
    hidden: str
    z: Gate
    r: Gate
    candidate: Gate
    inputs: Form
    state: Form
    after: bool


@dataclass(frozen=True)
class NativeGRU(Plan):
    """One ONNX GRU node runs the loop."""

    name: ClassVar[str] = "gru"

    def read(self, graph: Graph, region: str) -> Match:
        """The gates, if the loop is a GRU."""
        return self._read(Loop.of(graph, region))

    def emit(self, graph: Graph, region: str, match: Any) -> str:
        """Add the GRU and take its result apart."""
        loop: Loop = match.loop
        forms = [match.z.form, match.r.form, match.inputs]
        packer = Packer.of(loop, forms)
        b, x, starts, lengths = packer.b, packer.x(), packer.starts(), loop.roles.lengths
        if not lengths and not isinstance(loop.steps, int):
            # onnxruntime's GRU aborts the process if there is no step, unless the lengths say so too.
            lengths = b("expand", b("size", x, axis=0), shape=(loop.batch,))
        h, none = Source("state", match.hidden), Form(loop.hidden)
        result = b(
            "gru",
            x,
            packer.w(forms),
            packer.r([match.z.form.terms.get(h), match.r.form.terms.get(h), match.state.terms.get(h)]),
            packer.biases(forms, [none, none, match.state]),
            *starts.values(),
            *([lengths] if lengths else []),
            direction="reverse" if graph[region].attrs.get("reverse") else "forward",
            **activations(match.z, match.candidate),
            linear_before_reset=match.after,
        )
        return finish(packer, x, result, starts)

    def _read(self, loop: Loop) -> Match:
        loop.need_states(1)
        ((hidden, h),) = loop.body.finals.items()
        loop.need_output(hidden)
        mixture, z, candidate = self._mixture(loop, hidden, h)
        reset, inputs, state = self._reset(loop, hidden, mixture.new, candidate.form)
        r = loop.weight(reset)
        if r is None:
            raise loop.no_gate(reset, "reset gate")
        seen = Source("state", hidden)
        loop.need_sources(z.form, "update gate", mixture.keep, seen)
        loop.need_sources(r.form, "reset gate", reset, seen)
        loop.need_sources(inputs, "candidate", mixture.new)
        if z.act != r.act:
            raise Refused(f"the update gate is {z.act}, and the reset gate {r.act}", loop.where(reset))
        loop.need_streams([z.form, r.form, inputs])
        weights, after = state
        return Match(
            loop,
            hidden,
            z,
            replace(r, scale=1.0),
            candidate,
            inputs,
            weights.multiplied(r.scale),
            after,
        )

    def _mixture(self, loop: Loop, hidden: str, h: str) -> tuple[Mixture, Gate, Gate]:
        """``h`` as ``z ∘ h⁻ + (1 - z) ∘ n``, with z and n."""
        mixtures = readings(loop.polynomial(h), lambda v: loop.previous(v) == hidden)
        found = [m for m in mixtures if m.convex]
        if not found:
            raise Refused("the state is not (1 - z) ∘ candidate + z ∘ state⁻", loop.loc(h))
        z = loop.need_gate(found[0].keep, "update gate")
        candidate = loop.content(found[0].new)
        if candidate is None or (candidate.scale != 1 and candidate.act != "affine"):
            raise loop.no_gate(found[0].new, "candidate")
        return found[0], z, candidate

    def _reset(
        self, loop: Loop, hidden: str, candidate: Polynomial, form: Form
    ) -> tuple[Polynomial, Form, tuple[Form, bool]]:
        """The reset gate, the candidate's form parted into inputs and state, whether reset comes after."""
        body, state = loop.body, Source("state", hidden)
        products = [s for s in form.terms if s.kind == "value" and body[s.name].op == "mul"]
        if not products:
            inputs = Form(form.cols, {s: m for s, m in form.terms.items() if s != state}, form.bias)
            own = {state: form.terms[state]} if state in form.terms else {}
            return {(): 1.0}, inputs, (Form(form.cols, own), True)
        if len(products) > 1 or state in form.terms:
            raise Refused("the candidate sees the state beside a reset gate", loop.where(candidate))
        weight = form.terms[products[0]]
        inputs = Form(form.cols, {s: m for s, m in form.terms.items() if s != products[0]}, form.bias)
        for r, e in permutations(body.operands(products[0].name)):
            factor = loop.polynomial(r)
            if loop.weight(factor) is None:
                continue
            if loop.previous(e) == hidden:
                return factor, inputs, (Form(form.cols, {state: weight}), False)
            inner = loop.forms.of(e)
            if set(inner.terms) <= {state} and weight.diagonal() is not None:
                return factor, inputs, (inner.wide(form.cols).times(weight), True)
        raise Refused("the reset gate is not applied to the state", loop.loc(products[0].name))
