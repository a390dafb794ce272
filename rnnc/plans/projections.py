"""Projections: a state that is a product of what a native op gives and a matrix.

With h = u @ P, a gate that sees h⁻ @ M sees u⁻ @ (P @ M), and h is computed over time, after the loop. Only
the h before the first step need not be any u @ P: it comes as an input, times M, that is zero at every other
step, so that a run may start from any state.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rnnc.build import Builder
from rnnc.ir import Graph
from rnnc.plans import Refused
from rnnc.plans.affine import Form, Source
from rnnc.plans.gates import Loop
from rnnc.plans.intervals import Intervals
from rnnc.plans.matrix import Matrix
from rnnc.plans.mixtures import number

#: The largest sum of products that composed weights may have.
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Projection:
    """The body value ``u`` and the matrix of which the state ``path`` is the product."""

    path: str
    u: str
    by: Matrix

    @classmethod
    def of(cls, loop: Loop, path: str) -> Projection | None:
        """The projection that a state is, if it is one."""
        form = loop.forms.of(loop.body.finals[path])
        if len(form.terms) != 1 or form.bias.recipe is not None:
            return None
        ((source, by),) = form.terms.items()
        if source.kind != "value" or source.name == loop.body.finals[path]:
            return None
        return cls(path, source.name, by)

    def check(self, loop: Loop, forms: list[Form]) -> None:
        """Refuse weights whose product would overflow float32."""
        seen = [f.terms[Source("state", self.path)] for f in forms if Source("state", self.path) in f.terms]
        most = _largest(loop.graph, self.by) * max((_largest(loop.graph, m) for m in seen), default=0.0)
        if most * self.by.cols > LARGEST:
            reason = f"the projection and the weights of {self.path} are too large to be multiplied"
            raise Refused(reason, loop.loc(loop.body.finals[self.path]))

    def composed(self, loop: Loop, forms: list[Form]) -> list[Form]:
        """The forms, seeing ``u`` in the place of the state, and the state before the first step."""
        state = Source("state", self.path)
        first = self._first(loop)
        found = []
        for form in forms:
            terms = dict(form.terms)
            if state in terms:
                if first:
                    terms[Source("stream", first)] = terms[state]
                terms[state] = self.by.then(terms[state])
            found.append(Form(form.cols, terms, form.bias))
        return found

    def _first(self, loop: Loop) -> str:
        """The state before the first step, and zeros from then on; "" if it is zero as well."""
        graph, b = loop.graph, Builder(loop.graph, like=loop.region)
        paths = [s.path for s in loop.body.interface.states]
        init = loop.roles.inits[paths.index(self.path)]
        if _is_zero(graph, init):
            return ""
        zeros = b("expand", b.const(0.0, "f32"), shape=(loop.steps, loop.batch, self.by.cols))
        backward = bool(graph[loop.region].attrs.get("reverse"))
        ragged = [loop.roles.lengths] if loop.roles.lengths and backward else []
        return b("shift", zeros, init, *ragged, k=-1 if backward else 1)

    def apply(self, b: Builder, u: str) -> str:
        """``u`` projected, ``u`` having any axes before its features."""
        return b("matmul", u, self.by.build(b))


def _is_zero(graph: Graph, value: str) -> bool:
    while graph[value].op in ("expand", "unsqueeze", "reshape"):
        value = graph.operands(value)[0]
    return number(graph, value) == 0


def _largest(graph: Graph, matrix: Matrix) -> float:
    """The largest size of a matrix's elements; 0 if they are not known."""
    copy = graph.copy()
    low, high = Intervals(copy).of(matrix.build(Builder(copy)))
    most = max(-low, high)
    return most if math.isfinite(most) else 0.0
