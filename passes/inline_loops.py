"""Inline loops: a loop of one step inside a step, as its equations.

    %0: (f32[1, 1, B, 3], f32[1, B, 3]) = gru(x, w, r, b, h1)      z: f32[B, 3] = sigmoid(…)
    y: f32[1, 1, B, 3] = item(%0) {k = 0}                     ->   h: f32[B, 3] = (1 - z) * … + z * h1
    h: f32[1, B, 3] = item(%0) {k = 1}

An ONNX file that computes one step often runs an ``LSTM``, ``GRU``, ``RNN``, ``Scan`` or ``Loop`` of length 1
in it, which starts from a state of the file. As equations it is a cell like any other: what does not depend
on the state leaves the loop, and the rest may be recognised as the op that it was, over all steps. One that
runs for more steps, from states that depend on what it gave before, becomes a region, which ``lift``
continues over the steps of all; others, over the bins of a spectrum say, stay, and so do those with lengths.
Measure: the native ops on cycles, then the loops of one step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import networkx as nx

from rnnc.ir import Graph
from rnnc.loops.bodies import edit_body
from rnnc.loops.cells import equations
from rnnc.loops.opened import as_region
from rnnc.loops.regions import operands
from rnnc.loops.straightline import unroll_region
from rnnc.ops import OPS
from rnnc.pipeline import STREAMING, TYPED, Pass
from rnnc.rewrite import sweep

NATIVE = ("lstm", "gru", "rnn")


@dataclass(frozen=True)
class InlineLoops(Pass):
    """Loops of one step become what they compute; descends into regions that stay."""

    name: ClassVar[str] = "inline-loops"
    needs: ClassVar[frozenset[str]] = frozenset({TYPED, STREAMING})

    def apply(self, graph: Graph) -> None:
        inline_loops(graph)


def inline_loops(graph: Graph) -> None:
    """Open every loop of one step."""
    for op in NATIVE:
        for value in graph.find(op):
            if _lengths(graph, value):
                continue
            if graph.type(graph.operands(value)[0]).shape[0] == 1:
                _become(graph, value, equations(graph, value))
            elif _goes_on(graph, value):
                _become(graph, value, as_region(graph, value))
    for region in graph.find("region"):
        if graph[region].attrs["steps"] == 1 and operands(graph, region).lengths is None:
            results = unroll_region(graph, region)
            _become(graph, region, list(graph.operands(results)))
            graph.erase(results)
        else:
            edit_body(graph, region, inline_loops)
    sweep(graph)


def _goes_on(graph: Graph, value: str) -> bool:
    """Whether the states that a native op starts from depend on what it gave in an earlier step."""
    node = graph[value]
    starts = [o for o in graph.operands(value)[4:] if value in nx.ancestors(graph.nx, o)]
    return bool(starts) and node.attrs.get("direction", "forward") == "forward"


def _lengths(graph: Graph, value: str) -> bool:
    """Whether a native op is told how long its sequences are."""
    place = OPS[graph[value].op].operands.index("lengths")
    return len(graph.operands(value)) > place


def _become(graph: Graph, loop: str, results: list[str]) -> None:
    """Let ``results`` take the places of the items of a loop, which goes."""
    for item, _ in graph.uses(loop):
        graph.replace(item, results[graph[item].attrs["k"]])
    graph.erase(loop)
