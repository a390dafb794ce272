"""Native GRU: a loop that is a GRU of either reset form, in any gate order, fused or not.

z, r = σ(…)                              affine in streams and h⁻
n = tanh(x… + (r ∘ h⁻) @ R + b)          reset before the product, or
n = tanh(x… + b + r ∘ (h⁻ @ R + c))      reset after it (linear_before_reset)
h = (1 - z) ∘ n + z ∘ h⁻                 or n + z ∘ (h⁻ - n), or h⁻ + (1 - z) ∘ (n - h⁻)
⟶
%0: (…) = gru(x, W, R, b, h0)
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Any, ClassVar

from rnnc.affine import Form, Source
from rnnc.build import Builder
from rnnc.gates import ACTIVATIONS, Gate, Loop, Packer, Refused, finish, initial
from rnnc.ir import Graph
from rnnc.matrix import Matrix, Pick
from rnnc.plan import Plan, Refusal, Sizes
from rnnc.plan_costs import native_cost


@dataclass(frozen=True)
class Match:
    """Gates z and r, the candidate's activation, its inputs' form, and what it makes of the state."""

    loop: Loop
    hidden: str
    z: Gate
    r: Gate
    act: str
    inputs: Form
    state: Form
    after: bool


@dataclass(frozen=True)
class NativeGRU(Plan):
    """One ONNX GRU node runs the loop."""

    name: ClassVar[str] = "gru"

    def match(self, graph: Graph, region: str) -> Match | Refusal:
        """The gates, if the loop is a GRU."""
        loop = Loop.of(graph, region)
        try:
            return self._read(loop)
        except Refused as miss:
            return miss.refusal

    def cost(self, graph: Graph, region: str, sizes: Sizes) -> float:
        """Three products a step."""
        return native_cost(graph, region, 3, sizes)

    def emit(self, graph: Graph, region: str, match: Any) -> str:
        """Add the GRU and take its result apart."""
        loop: Loop = match.loop
        b = Builder(graph, like=region)
        forms = [match.z.form, match.r.form, match.inputs]
        n = match.inputs.cols
        packer = Packer.of(b, n, forms)
        x, h = packer.x(), Source("state", match.hidden)
        batch = graph.type(x).shape[1]
        h0 = initial(b, loop.roles.inits[0], batch, n)
        lengths = loop.roles.lengths
        padded = x
        if not isinstance(graph[region].attrs["steps"], int):
            # onnxruntime's GRU aborts the process if there is no step: it gets one more, which none reaches.
            lengths = lengths or b("expand", b("size", x, axis=0), shape=(batch,))
            more = b("expand", b.const(0, graph.type(x).dtype), shape=(1, *graph.type(x).shape[1:]))
            padded = b("concat", x, more, axis=0)
        result = b(
            "gru",
            padded,
            packer.w(forms),
            packer.r([match.z.form.terms.get(h), match.r.form.terms.get(h), match.state.terms.get(h)]),
            packer.biases(forms, [Form(n), Form(n), match.state]),
            h0,
            *([lengths] if lengths else []),
            direction="reverse" if graph[region].attrs.get("reverse") else "forward",
            activations=(ACTIVATIONS[match.z.act], ACTIVATIONS[match.act]),
            linear_before_reset=match.after,
        )
        return finish(b, loop, packer, result, {match.hidden: h0})

    def _read(self, loop: Loop) -> Match:
        hidden = next(iter(loop.body.finals), "")
        loop.check_shape(1, hidden)
        state = Source("state", hidden)
        z, n = self._update(loop, hidden)
        candidate = loop.need_gate(n, "candidate")
        r, inputs, product, after = self._reset(loop, hidden, candidate.form)
        for gate, name in ((z, "update gate"), (r, "reset gate")):
            loop.need_sources(gate.form, name, state)
        loop.need_sources(inputs, "candidate")
        if z.act != r.act:
            raise Refused("the gates have different activations", loop.loc(n))
        if not Packer.of(Builder(loop.graph), 0, [z.form, r.form, inputs]).streams:
            raise Refused("the loop reads no stream", loop.loc())
        return Match(loop, hidden, z, r, candidate.act, inputs, product, after)

    def _update(self, loop: Loop, hidden: str) -> tuple[Gate, str]:
        """The update gate z and the candidate n, from ``h = (1 - z) ∘ n + z ∘ h⁻`` in any of its ways."""
        body, h = loop.body, loop.body.finals[hidden]
        if body[h].op in ("add", "sub"):
            for a, b in permutations(body.operands(h)) if body[h].op == "add" else (body.operands(h),):
                if body[b].op != "mul":
                    continue
                for gate, rest in permutations(body.operands(b)):
                    found = self._mixed(loop, hidden, a, gate, rest, body[h].op == "sub")
                    if found:
                        return found
        raise Refused("the state is not (1 - z) ∘ candidate + z ∘ state⁻", loop.loc(h))

    def _mixed(
        self, loop: Loop, hidden: str, a: str, gate: str, rest: str, minus: bool
    ) -> tuple[Gate, str] | None:
        """``a ± gate ∘ rest`` as a mixture of the state and a candidate."""
        body = loop.body
        if body[rest].op == "sub":  # a ± gate ∘ (p - q), with a one of p and q
            p, q = body.operands(rest)[::-1] if minus else body.operands(rest)
            if q == a and loop.previous(p) == hidden:
                return loop.need_gate(gate, "update gate"), a
            if q == a and loop.previous(a) == hidden:
                return _opposite(loop.need_gate(gate, "update gate"), loop), p
        if minus or loop.previous(rest) != hidden or body[a].op != "mul":
            return None
        for other, n in permutations(body.operands(a)):  # other ∘ n + gate ∘ h⁻
            if _complements(loop, gate, other):
                z = loop.gate(gate) or _opposite(loop.need_gate(other, "update gate"), loop)
                return z, n
        return None

    def _reset(self, loop: Loop, hidden: str, form: Form) -> tuple[Gate, Form, Form, bool]:
        """The reset gate, the candidate's form parted into inputs and state, and whether reset comes after."""
        body, state = loop.body, Source("state", hidden)
        products = [s for s in form.terms if s.kind == "value"]
        if len(products) != 1 or body[products[0].name].op != "mul":
            raise Refused("the candidate has no reset gate", loop.loc())
        weight: Matrix = form.terms[products[0]]
        inputs = Form(form.cols, {s: m for s, m in form.terms.items() if s != products[0]}, form.bias)
        for r, e in permutations(body.operands(products[0].name)):
            gate = loop.gate(r)
            if gate is None:
                continue
            if loop.previous(e) == hidden:
                return gate, inputs, Form(form.cols, {state: weight}), False
            inner = loop.forms.of(e)
            if set(inner.terms) == {state} and isinstance(weight, Pick) and weight.whole:
                return gate, inputs, inner, True
        raise Refused("the reset gate is not applied to the state", loop.loc(products[0].name))


def _opposite(gate: Gate, loop: Loop) -> Gate:
    """``1 - gate``, which only the logistic function has as a gate."""
    if gate.act != "sigmoid":
        raise Refused(f"1 - {gate.act}(a) is not a gate of the same kind", loop.loc())
    return Gate("sigmoid", gate.form.negated())


def _complements(loop: Loop, a: str, b: str) -> bool:
    """Whether two gates add up to 1: one is written as 1 minus the other, or as its mirror image."""
    body = loop.body
    for p, q in ((a, b), (b, a)):
        args = body.operands(p)
        if body[p].op == "sub" and args[1] == q and loop.is_number(args[0], 1):
            return True
        if body[p].op == body[q].op == "sigmoid":
            inner = body.operands(q)[0]
            if body[args[0]].op == "neg" and body.operands(args[0]) == (inner,):
                return True
    return False
