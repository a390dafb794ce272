"""Gemm: a matrix product, and what is added to it, become one node, in bodies of regions too.

A sum of several products and other terms becomes a chain: the other terms are summed, and each product adds
to what is there.

Before::

    function f(stream x: f32[B, 4], param W: f32[4, 3], param R: f32[3, 3], param b: f32[3],
               state y: f32[B, 3]) -> (y) {
      %0: f32[B, 3] = matmul(x, W)
      %1: f32[B, 3] = matmul(y.init, R)
      %2: f32[B, 3] = add(%0, %1)
      y: f32[B, 3] = add(%2, b)
    }

After::

    function f(…) -> (y) {
      %0: f32[B, 3] = gemm(x, W, b)
      y: f32[B, 3] = gemm(y.init, R, %0)
    }
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rnnc.addition import is_product, is_term, terms, total
from rnnc.build import Builder
from rnnc.ir import Graph
from rnnc.loops.bodies import edit_body
from rnnc.pipeline import TYPED, Pass
from rnnc.rewrite import prune, used_once


@dataclass(frozen=True)
class Gemm(Pass):
    """Products and sums of matrices as ``gemm``."""

    name: ClassVar[str] = "gemm"
    needs: ClassVar[frozenset[str]] = frozenset({TYPED})

    def apply(self, graph: Graph) -> None:
        gemm(graph)
        for region in graph.find("region"):
            edit_body(graph, region, gemm)


def gemm(graph: Graph) -> None:
    """Make every sum of floating-point matrices, of which some are products, a chain of ``gemm``."""
    for root in [v for v in graph.find("add") if not is_term(graph, v)]:
        kind = graph.type(root)
        if kind.rank != 2 or not kind.floating:
            continue
        every = terms(graph, root)
        products = [t for t in every if is_product(graph, t, kind) and used_once(graph, t)]
        if not products:
            continue
        b = Builder(graph, like=[root, *every])
        others = [t for t in every if t not in products]
        found = total(b, others) if others else products.pop(0)
        for product in products:
            found = b("gemm", *graph.operands(product), found)
        old = graph.operands(root)
        graph.replace(root, found)
        prune(graph, old)
