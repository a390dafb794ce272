"""Matrix powers: states that a constant matrix mixes, run in all chunks of the sequence at once, twice.

r: (f32[T, B, 3], f32[B, 3]) = region(p, A, h.init) {…}        h = h⁻ A + p
⟶
%0: …                       in every chunk, step after step, h from zeros
%1: (…) = region(…) {steps = every8_T, …}                      c ← c A⁸ + h, the state before each chunk
%2: …                       in every chunk h again, from c

Products with ``A`` then have a row for every chunk, and a loop of T rounds becomes one of T/8. All states are
one vector, so that two that are rotated into one another take one product a step. Powers of ``A`` are
computed in float64 when the file is made, and what lies between chunks is float64 too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rnnc.build import Builder
from rnnc.dims import names
from rnnc.ir import Graph
from rnnc.loops.slots import broadcast
from rnnc.passes._chunking import MOST_CARRIED, MOST_GROWTH, SIZE, Chunking, System, levels
from rnnc.passes._products import Entry, combine
from rnnc.passes.fold import arrays
from rnnc.plans import Plan, Refused, Sizes
from rnnc.plans.affine import Form, Source
from rnnc.plans.gates import Loop
from rnnc.plans.linear import SEQUENCE
from rnnc.plans.matrix import Pick, zeros
from rnnc.plans.packing import Packer
from rnnc.types import TensorType


@dataclass(frozen=True)
class Match:
    """What every state is, as a form of states and streams, and how wide it is."""

    loop: Loop
    forms: Mapping[str, Form]

    def width(self, path: str) -> int:
        """How many features a state has."""
        return self.forms[path].cols

    def matrix(self, b: Builder) -> str:
        """``A``: what all states, side by side, take of all."""
        columns = []
        for form in self.forms.values():
            found = (
                form.terms.get(Source("state", p)) or zeros(self.width(p), form.cols) for p in self.forms
            )
            columns.append(_joined(b, [m.build(b) for m in found], 0))
        return _joined(b, columns, 1)


@dataclass(frozen=True)
class MatrixPowers(Plan):
    """Chunks of chunks, so many ``levels`` deep, run a recurrence of one constant matrix."""

    name: ClassVar[str] = "matrix-powers"
    levels: int = 1

    def read(self, graph: Graph, region: str) -> Match:
        """The forms of all states, if they are affine in states and streams, and mix features or states."""
        loop = Loop.of(graph, region)
        finals = loop.body.finals
        loop.need_states(len(finals))
        if not (over := names(loop.steps)) or not over <= SEQUENCE:
            raise Refused("the loop does not run over the sequence")
        forms = {path: loop.forms.of(value) for path, value in finals.items()}
        for path, form in forms.items():
            if Source("value", finals[path]) in form.terms:
                raise Refused(f"state {path} is no sum of products", loop.loc(finals[path]))
            allowed = [Source("state", p) for p in finals]
            loop.need_sources(form, f"state {path}", {(finals[path],): 1.0}, *allowed)
        loop.need_streams(forms.values())
        for name, value in loop.body.outputs.items():
            if value not in finals.values() and not loop.previous(value):
                raise Refused(f"{name} is needed outside of the loop", loop.loc(value))
        only = next(iter(finals))
        own = forms[only].terms.get(Source("state", only))
        if len(finals) == 1 and (own is None or own.diagonal() is not None):
            raise Refused("every unit sees only itself")
        return Match(loop, forms)

    def risk(self, graph: Graph, region: str, sizes: Sizes) -> str:
        copy = graph.copy()
        found = arrays(copy, [self.read(copy, region).matrix(Builder(copy))])
        if not found:
            return "how far products grow is not known without the weights"
        whole = SIZE ** levels(sizes.of(graph[region].attrs["steps"]))
        for size, limit in ((SIZE, MOST_GROWTH), (whole, MOST_CARRIED)):
            with np.errstate(all="ignore"):
                most = np.abs(np.linalg.matrix_power(found[0].astype(np.float64), size)).max()
            if not most <= limit:
                return f"products of {size} steps could overflow"
        return ""

    def emit(self, graph: Graph, region: str, match: Any) -> str:
        """Add the chunks and take the states apart."""
        loop: Loop = match.loop
        packer = Packer.of(loop, match.forms.values())
        b, paths, face = packer.b, list(match.forms), loop.body.interface
        widths = tuple(match.width(p) for p in paths)
        state = TensorType("f32", (loop.batch, sum(widths)))
        inits = [broadcast(b, v, s.type) for s, v in zip(face.states, loop.roles.inits, strict=True)]
        starts = dict(zip((s.path for s in face.states), inits, strict=True))
        reverse = bool(graph[region].attrs.get("reverse"))
        lengths = [loop.roles.lengths] if loop.roles.lengths else []

        def by_length(v: str) -> str:
            return b("reverse", v, *lengths) if reverse and lengths else v

        run = Chunking(b, state, _product, graph[region].locs)
        system = System(
            [[run.fixed(match.matrix(b))]],
            [run.scanned(by_length(_inputs(packer, match)))],
            [_joined(b, [starts[p] for p in paths], 1)],
            loop.steps,
        )
        (whole,) = run.run(system, self.levels, [0], reverse=reverse and not lengths)
        parts = [whole] if len(paths) == 1 else b.items(b("split", whole, axis=2, sizes=widths))
        sequences = dict(zip(paths, parts, strict=True))
        finals = []
        for s in face.states:
            y = sequences[s.path]
            first_last = b("reverse", y) if reverse and not lengths else y
            finals.append(b("final", first_last, starts[s.path], *lengths, k=1))
            sequences[s.path] = by_length(y)
        outputs = []
        for value in (loop.body.outputs[o.name] for o in face.outputs):
            path = loop.previous(value)
            if path:
                ragged = lengths if reverse else []
                back = -1 if reverse else 1
                outputs.append(b("shift", sequences[path], starts[path], *ragged, k=back))
            else:
                outputs.append(sequences[next(p for p in paths if loop.body.finals[p] == value)])
        return b("tuple", *outputs, *finals)


def _inputs(packer: Packer, match: Match) -> str:
    """What the states take of streams and biases, side by side, at every step."""
    b, graph = packer.b, packer.loop.graph
    taken = packer.x()
    columns = []
    for form in match.forms.values():
        rows = []
        for name in packer.streams:
            n = int(str(graph.type(name).shape[-1]))
            rows.append((form.terms.get(Source("stream", name)) or zeros(n, form.cols)).build(b))
        columns.append(_joined(b, rows, 0))
    if not _is_itself(packer, match):
        taken = b("matmul", taken, _joined(b, columns, 1))
    if all(form.bias.recipe is None for form in match.forms.values()):
        return taken
    return b("add", taken, _joined(b, [f.bias.wide(f.cols).build(b) for f in match.forms.values()], 0))


def _is_itself(packer: Packer, match: Match) -> bool:
    """Whether what the only state takes of the only stream is all of it, as it is."""
    if len(match.forms) > 1 or len(packer.streams) > 1:
        return False
    (form,) = match.forms.values()
    taken = form.terms[Source("stream", packer.streams[0])]
    return isinstance(taken, Pick) and taken.whole


def _joined(b: Builder, parts: list[str], axis: int) -> str:
    return parts[0] if len(parts) == 1 else b("concat", *parts, axis=axis)


def _product(b: Builder, a: Entry, x: Entry) -> Entry:
    """What a matrix takes of a vector, or of a matrix."""
    if isinstance(a, float) or isinstance(x, float):
        return combine(b, "mul", a, x)
    return b("matmul", x, a)
