"""Scan: the loop stays a loop, written as one ONNX Scan whose body is one step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from rnnc.ir import Graph
from rnnc.plans import Plan


@dataclass(frozen=True)
class Scan(Plan):
    """Any region runs as a Scan: the region node itself stands for it until ONNX is written."""

    name: ClassVar[str] = "scan"

    def read(self, graph: Graph, region: str) -> Any:
        """Every region matches."""
        return region

    def emit(self, graph: Graph, region: str, match: Any) -> str:
        """The region as it is."""
        return region
