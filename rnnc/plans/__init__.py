"""Plans: the ways to run a region. One plan is one file in ``passes/``.

A plan looks at a region of a function graph and says how it would run it, or refuses with a reason that
becomes a remark. Recognition never destroys: what a plan emits is a value of the region's own tuple type that
hangs on the region as one of its ``alternatives`` until ``choose`` picks one.

No plan states its cost. ``choose`` prices what the plan has added to the graph, node by node, by the table of
a profile (:mod:`rnnc.plans.costs`): a loop by its rounds and the nodes of its body, a product by its rows and
weights, an LSTM by its steps, units and attributes. What is computed from weights alone is free. So with

    %7: (f32[T, 1, B, 16], …) = lstm(x, W, R, b, h0, c0) {…}
    %9: f32[T, B, 16] = matmul(%8, P)

a plan pays for T steps of an LSTM of 16 units, the product of its input, and T·B rows times ``P``. A plan
that may be cheap and still should not run unless it is asked for says why, as its :meth:`Plan.risk`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from rnnc.dims import Dim, names, substitute
from rnnc.errors import Loc
from rnnc.ir import Graph

PLANS: dict[str, type[Plan]] = {}


@dataclass(frozen=True)
class Refusal:
    """Why a plan cannot run a region, and the place in the source that decides it."""

    reason: str
    loc: Loc | None = None


class Refused(Exception):
    """Raised while a plan reads a region that it turns out not to run; carries the :class:`Refusal`."""

    def __init__(self, reason: str, loc: Loc | None = None) -> None:
        super().__init__(reason)
        self.refusal = Refusal(reason, loc)


@dataclass(frozen=True)
class Sizes:
    """What the caller hints of sizes when running. Hints, never limits."""

    T: int = 100
    B: int = 1

    def of(self, d: Dim) -> int:
        """A dim as a number, its names replaced by the hints; names without one count as 1."""
        found = substitute(d, {n: self._named(n) for n in names(d)})
        assert isinstance(found, int)
        return found

    def _named(self, name: str) -> int:
        """The size of that name; one of each ``k`` of them is called ``every<k>_<name>``."""
        spaced = re.fullmatch(r"every(\d+)_(\w+)", name)
        return -(-self._named(spaced[2]) // int(spaced[1])) if spaced else getattr(self, name, 1)


@dataclass(frozen=True)
class Plan(ABC):
    """One way to run a region. ``name`` is what ``choose{plan=…}`` and a region's alternatives call it."""

    name: ClassVar[str]

    def __init_subclass__(cls) -> None:
        if "name" in cls.__dict__:
            PLANS[cls.name] = cls

    def match(self, graph: Graph, region: str) -> Any:
        """What the plan needs to know of the region to run it, or a :class:`Refusal`."""
        try:
            return self.read(graph, region)
        except Refused as miss:
            return miss.refusal

    @abstractmethod
    def read(self, graph: Graph, region: str) -> Any:
        """What the plan needs to know of the region to run it; :class:`Refused` if it cannot."""

    def risk(self, graph: Graph, region: str, sizes: Sizes) -> str:
        """Why the region should run this way only if that is asked for; "" if nothing speaks against it."""
        return ""

    @abstractmethod
    def emit(self, graph: Graph, region: str, match: Any) -> str:
        """Add a value of the region's type, computed this plan's way, and return it."""
