"""Straight-line: a loop of a known, small number of steps, written out step after step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from rnnc.ir import Graph
from rnnc.loops.straightline import unroll_region
from rnnc.plans import Plan, Refused, Sizes

MOST_STEPS = 8


@dataclass(frozen=True)
class Straight(Plan):
    """The body's nodes, once for every step. No faster a step than a Scan, but without its round."""

    name: ClassVar[str] = "straight"

    def read(self, graph: Graph, region: str) -> int:
        """The number of steps, if it is known."""
        n = graph[region].attrs["steps"]
        if not isinstance(n, int):
            raise Refused("the number of steps is not known")
        return n

    def risk(self, graph: Graph, region: str, sizes: Sizes) -> str:
        n = graph[region].attrs["steps"]
        return f"{n} steps would make a big file" if n > MOST_STEPS else ""

    def emit(self, graph: Graph, region: str, match: Any) -> str:
        """The region as straight code, its results as one tuple."""
        return unroll_region(graph, region)
