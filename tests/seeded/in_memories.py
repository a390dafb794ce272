"""Bugs in the plan that runs matrix memories."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rnnc.passes.linear_attention import LinearAttention, _Emission
from rnnc.plans.memory import _Reading
from tests.seeded.checks import Bug, after_passes

MEMORY = """
net delta(stream q: f32[B, 3], stream k: f32[B, 3], stream v: f32[B, 3], stream d: f32[B, 1],
          stream beta: f32[B, 1], state S: f32[B, 3, 3]) -> (y) {
  S1: f32[B, 3, 3] = delay(S, S.init) {k = 1}
  a: f32[B, 1] = sigmoid(d)
  %0: f32[B, 1, 1] = unsqueeze(a) {axes = (2,)}
  %1: f32[B, 3, 3] = mul(S1, %0)
  %2: f32[B, 3] = einsum(%1, k) {equation = "bvk,bk->bv"}
  %3: f32[B, 3] = sub(v, %2)
  %4: f32[B, 3] = mul(%3, beta)
  %5: f32[B, 3, 3] = einsum(%4, k) {equation = "bv,bk->bvk"}
  S: f32[B, 3, 3] = add(%1, %5)
  y: f32[B, 3] = einsum(q, S) {equation = "bk,bvk->bv"}
}
"""
CHECK = after_passes("lift,recognize,choose{plan=linear-attention}")


def changed(**fields: Any) -> Any:
    """What is read of a region, with some of it changed."""
    return lambda memory: lambda self: replace(memory(self), **fields)


BUGS = [
    Bug("a matrix of values by keys is taken for one of keys by values", _Emission, "_keys_first",
        lambda right: lambda self, v: v, MEMORY, CHECK),
    Bug("a memory is corrected fully, whatever its rate", _Reading, "memory", changed(beta=None), MEMORY,
        CHECK),
    Bug("a memory does not decay", _Reading, "memory", changed(decay=()), MEMORY, CHECK),
    Bug("a memory writes without erasing", _Reading, "memory", changed(erases=False), MEMORY, CHECK),
    Bug("a decay stands for its own logarithm", _Emission, "_decay",
        lambda right: lambda self: self.b("exp", right(self)), MEMORY, CHECK),
    Bug("a memory goes on past the ends of short sequences", LinearAttention, "emit",
        lambda right: lambda self, graph, region, match: _final_of_the_longest(graph, region, match),
        MEMORY, after_passes("lift{lengths=true},recognize,choose{plan=linear-attention}")),
]  # fmt: skip


def _final_of_the_longest(graph: Any, region: str, match: Any) -> str:
    emission = _Emission(match)
    emission.lengths = []
    return emission.run()
