"""A subject: an entry made concrete, with weights, inputs, and what the reference machine makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rnnc.frontend.assemble import trace
from rnnc.ir import Array, Graph
from rnnc.machine import reference
from tools.bench import cells
from tools.bench.matrix import Entry

#: How large the weights are that a cell would start at zero.
SPREAD = 0.1
SEED = 2017


@dataclass(frozen=True)
class Subject:
    """A cell with weights, and what it is given.

    Weights that start at zero, biases above all, are drawn, or else a compiler might drop them. Initial
    states stay as the cell has them.
    """

    entry: Entry
    layer: Any
    graph: Graph
    inputs: dict[str, Array]

    @staticmethod
    def of(entry: Entry) -> Subject:
        """The subject of an entry, the same every time."""
        rng = np.random.default_rng(SEED)
        layer = cells.layer(entry.cell, entry.H)
        starts = {state.path for state in trace(layer).interface.states}
        weights = {
            path: rng.uniform(0, SPREAD, array.shape).astype(array.dtype)
            if array.dtype.kind == "f" and path not in starts and not array.any()
            else array
            for path, array in layer.params.items()
        }
        layer.load(weights)
        graph = trace(layer)
        arrays = reference.random_arrays(graph, SEED, T=entry.T, B=entry.B)
        return Subject(entry, layer, graph, arrays.inputs)

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes that the graph's types leave open."""
        return {"T": self.entry.T, "B": self.entry.B}

    @property
    def streams(self) -> set[str]:
        """The inputs with one value a step."""
        return {i.name for i in self.graph.interface.inputs if i.kind == "stream"}

    def at(self, t: int) -> dict[str, Array]:
        """The inputs of one step."""
        return {name: x[t] if name in self.streams else x for name, x in self.inputs.items()}

    @cached_property
    def expected(self) -> list[Array]:
        """The outputs over all steps, in float64."""
        return list(reference.run(self.graph, self.inputs).outputs.values())

    @cached_property
    def strays(self) -> float:
        """How far the reference machine's own answer in float32 is from :attr:`expected`."""
        found = reference.run(self.graph, self.inputs, dtype=np.float32).outputs.values()
        return self.error(list(found))

    def error(self, found: Sequence[Array]) -> float:
        """The largest difference from what is expected, relative to its largest number, or 1.

        It is infinite if shapes differ, or if something is not a number.
        """
        if [y.shape for y in found] != [y.shape for y in self.expected]:
            return float("inf")
        scale = max(1.0, *(float(np.abs(y).max(initial=0)) for y in self.expected))
        error = max(float(np.abs(a - b).max(initial=0)) for a, b in zip(found, self.expected, strict=True))
        return float("inf") if np.isnan(error) else error / scale
