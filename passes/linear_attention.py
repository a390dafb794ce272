"""Linear attention: a loop over a matrix of keys by values as one LinearAttention of com.microsoft.

r: (f32[T, B, 5], f32[B, 3, 5]) = region(k vᵀ, q, S.init) {…}        S = S⁻ + k vᵀ,  y = qᵀ S
⟶
%9: (f32[B, T, 5], f32[B, 1, 3, 5]) = linear_attention(%4, %5, %6, %8) {rule = "linear"}

With a decay, which the op takes as its logarithm, the rule is ``gated``; where what the key reads is erased
before it is written, ``gated_delta``. A sequence that is over has keys of zero and a decay of one: its matrix
stays. The op runs on the CPU and on CUDA, and only in onnxruntime.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from rnnc.build import Builder
from rnnc.ir import Graph
from rnnc.loops.regions import operands, outer_inputs
from rnnc.loops.slots import broadcast
from rnnc.plans import Plan, Refused
from rnnc.plans.intervals import Intervals
from rnnc.plans.memory import Memory, read_memory
from rnnc.types import TensorType


@dataclass(frozen=True)
class LinearAttention(Plan):
    """One LinearAttention node runs the loop."""

    name: ClassVar[str] = "linear-attention"

    def read(self, graph: Graph, region: str) -> Memory:
        found = read_memory(graph, region)
        emission = _Emission(found)
        for factor in found.decay:
            if emission.logarithm(factor) is None and emission.least(factor) < 0:
                raise Refused("a factor of the state may be negative, and a decay may not")
        return found

    def emit(self, graph: Graph, region: str, match: Any) -> str:
        return _Emission(match).run()


class _Emission:
    """One memory on its way to being a node."""

    def __init__(self, found: Memory) -> None:
        self.found, self.graph = found, found.graph
        self.b = Builder(found.graph, like=found.region)
        attrs = found.graph[found.region].attrs
        self.body: Graph = attrs["body"]
        self.roles = operands(found.graph, found.region)
        self.outer = outer_inputs(found.graph, found.region)
        self.steps, self.reverse = attrs["steps"], bool(attrs.get("reverse"))
        self.lengths = [self.roles.lengths] if self.roles.lengths else []
        self.state = self.body.interface.states[0].type
        self.batch = self.state.shape[0]

    def run(self) -> str:
        """The results of the region, as one tuple."""
        b, found, rules = self.b, self.found, ("linear", "gated", "gated_delta")
        q, k, v = (self._batch_first(x) for x in (found.query, found.key, found.value))
        gates = [self._decay()] if found.decay or found.erases else []
        if found.beta is not None:
            beta = self._batch_first(found.beta)
            if found.erases:
                gates.append(beta)
            else:
                v = b("mul", v, beta)
        elif found.erases:
            gates.append(self._constant(1.0))
        if self.lengths:
            k, *gates[:1] = self._while_it_lasts(k, *gates[:1])
        init = broadcast(b, self.roles.inits[0], self.state)
        s = b("unsqueeze", self._keys_first(init), axes=(1,))
        y, end = b.items(b("linear_attention", q, k, v, s, *gates, rule=rules[len(gates)]))
        y = b("transpose", y, perm=(1, 0, 2))
        y = b("reverse", y, *self.lengths) if self.reverse else y
        final = self._keys_first(b("squeeze", end, axes=(1,)))
        return b("tuple", *[y] * len(self.body.interface.outputs), final)

    def logarithm(self, factor: str) -> str | None:
        """What a factor is the exponential of, as far as the graph tells: an outer value, of its own axes."""
        v = self.outer.get(factor, "")
        while v and self.graph[v].op == "unsqueeze":
            v = self.graph.operands(v)[0]
        return self.graph.operands(v)[0] if v and self.graph[v].op == "exp" else None

    def least(self, factor: str) -> float:
        """The least that a factor may be."""
        if factor in self.outer:
            return Intervals(self.graph).of(self.outer[factor])[0]
        return Intervals(self.body).of(factor)[0]

    def _decay(self) -> str:
        """The logarithm of all factors of the state, ``[B, T, K]`` or ``[B, T, 1]``."""
        b, total = self.b, ""
        for factor in self.found.decay:
            exponent = self.logarithm(factor)
            shape = self.body.type(factor).shape
            whole = (self.steps, self.batch, *((1, 1, *shape)[-2:]))
            if exponent is None:
                outer = self.outer.get(factor) or b.const(self.body[factor].attrs["value"])
                each = b("log", outer)
            else:
                each = b("reshape", exponent, shape=self.graph.type(self.outer[factor]).shape)
            each = b("squeeze", self._expanded(each, whole), axes=(4 - self.found.keys,))
            total = b("add", total, each) if total else each
        if not total:
            return self._constant(0.0)
        return self._turned(total)

    def _constant(self, value: float) -> str:
        """The same number at every step of every sequence."""
        return self.b("expand", self.b.const(value, self.state.dtype), shape=(self.batch, self.steps, 1))

    def _batch_first(self, v: str) -> str:
        """A vector at every step as ``[B, T, …]``, in the order in which the steps run."""
        whole = (self.steps, self.batch, self.graph.type(v).shape[-1])
        return self._turned(self._expanded(v, whole))

    def _expanded(self, v: str, shape: tuple[Any, ...]) -> str:
        return broadcast(self.b, v, TensorType(self.state.dtype, shape))

    def _turned(self, v: str) -> str:
        v = self.b("reverse", v, *self.lengths) if self.reverse else v
        return self.b("transpose", v, perm=(1, 0, 2))

    def _while_it_lasts(self, *vs: str) -> list[str]:
        """Values with zeros from the end of each sequence on."""
        b = self.b
        times = b("unsqueeze", b("arange", stop=self.steps), axes=(0,))
        valid = b("less", times, b("unsqueeze", self.lengths[0], axes=(1,)))
        mask, zero = b("unsqueeze", valid, axes=(2,)), b.const(0, self.state.dtype)
        return [b("where", mask, v, zero) for v in vs]

    def _keys_first(self, v: str) -> str:
        """A matrix of keys by values, or back."""
        return v if self.found.keys == 1 else self.b("transpose", v, perm=(0, 2, 1))
