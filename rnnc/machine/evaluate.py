"""Evaluation: function graphs run on arrays of any library that speaks the Python array API.

Every value is computed once, by the body of its op; a region is run by the step machine of
:mod:`rnnc.machine.streams`. So one graph runs on NumPy, which is its meaning, on PyTorch, where it can be
differentiated, and on JAX.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import networkx as nx

from rnnc.dims import Dim
from rnnc.ir import SOURCES, Graph
from rnnc.machine.library import NUMPY, Library, Sizes, bind, call_of
from rnnc.machine.streams import Streams, run_region
from rnnc.types import TensorType


class Function:
    """A function graph made ready to run: called with an array for each of its sources."""

    def __init__(self, graph: Graph) -> None:
        roots = set(graph.roots())
        needed = roots.union(*(nx.ancestors(graph.nx, v) for v in roots))
        self.graph = graph
        self.order = [v for v in graph.order() if v in needed]
        self.bodies = {v: Streams(graph[v].attrs["body"]) for v in self.order if graph[v].op == "region"}

    def __call__(
        self, env: Mapping[str, Any], library: Library = NUMPY, sizes: Mapping[str, Dim] | None = None
    ) -> dict[str, Any]:
        """Every value that the outputs and final states need, from arrays for the inputs, states and weights.

        ``sizes`` are those of named dims that no array shows.
        """
        known: Sizes = dict(sizes or {})
        found: dict[str, Any] = {}
        for value in self.order:
            node = self.graph[value]
            if value in self.bodies:
                arrays = [found[o] for o in self.graph.operands(value)]
                found[value] = run_region(node.attrs, self.bodies[value], library, known, *arrays)
            elif node.op in SOURCES:
                found[value] = env[value]
            else:
                call = call_of(node, library, known)
                found[value] = call(*[found[o] for o in self.graph.operands(value)])
            if isinstance(node.type, TensorType):
                bind(node.type, found[value].shape, known)
                library.check(value, node.type.substitute(known), found[value])
        return found


def function(
    graph: Graph, env: Mapping[str, Any], library: Library = NUMPY, sizes: Mapping[str, Dim] | None = None
) -> dict[str, Any]:
    """The values of a function graph, each by its name, from arrays for its sources."""
    return Function(graph)(env, library, sizes)
