"""Canonicalize: a graph in its plainest form.

    %0: f32[B, 3] = matmul(x, W)                        %0: f32[B, 3] = matmul(x, W)
    %1: f32[B, 3] = matmul(x, W)                ->      y: f32[B, 3] = add(%0, 3.0)
    %2: f32[] = mul(2.0, 1.5)
    %3: f32[B, 3] = exp(x)
    y: f32[B, 3] = add(%1, %2)

Constants are folded (``fold``), equal values shared (``share``), equations shortened (``algebra``), and
values that nothing needs erased, in turn until none of them finds anything; then the same inside every
region, which shrinks to what is used of it. Each step leaves no more values than it found, so that this
ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle
from typing import ClassVar

from rnnc.ir import Graph
from rnnc.loops.bodies import edit_body
from rnnc.passes.algebra import algebra
from rnnc.passes.fold import fold
from rnnc.passes.share import share
from rnnc.pipeline import Pass
from rnnc.rewrite import sweep


@dataclass(frozen=True)
class Canonicalize(Pass):
    """Folding, sharing, algebra and dead values, to the end; descends into regions."""

    name: ClassVar[str] = "canonicalize"

    def apply(self, graph: Graph) -> None:
        canonicalize(graph)


def canonicalize(graph: Graph) -> None:
    """Simplify ``graph`` and the bodies of its regions until nothing changes."""
    sweep(graph)
    steps = cycle(STEPS)
    quiet = 0
    while quiet < len(STEPS):
        edits = len(graph.edits)
        name, step = next(steps)
        with graph.editing(name or graph.by):
            step(graph)
        if len(graph.edits) == edits:
            quiet += 1
        else:
            sweep(graph)
            quiet = 1  # what it made, the step has nothing to add to


def _bodies(graph: Graph) -> None:
    for region in graph.find("region"):
        edit_body(graph, region, canonicalize)


#: What is done in turn, and what its edits are known by. Each finds nothing in what it has just made.
STEPS = (("", _bodies), ("fold", fold), ("share", share), ("algebra", algebra))
