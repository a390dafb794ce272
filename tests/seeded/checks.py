"""Seeded bugs, and the project's own checks that must notice them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from rnnc import passes
from rnnc.compiler import compile
from rnnc.ir import Graph
from rnnc.machine.reference import random_arrays, run
from rnnc.pipeline import Pipeline
from rnnc.runtime import Stream, session
from tests.meaning import disagreement
from tests.streaming import close, several

Check = Callable[[Graph], None]


def after_passes(pipeline: str) -> Check:
    """What golden files check: the reference machine on the graph before, and after each pass."""

    def check(graph: Graph) -> None:
        after: list[Graph] = []
        Pipeline.parse(pipeline).run(graph, hook=lambda p, _, g: after.append(g))
        for g in after:
            assert not disagreement(graph, g)

    return check


def as_file(plan: str, **options: Any) -> Check:
    """A sequence file in onnxruntime against the reference machine; ``lengths=True`` for ragged batches."""
    lengths = np.array([5, 2, 0]) if options.get("lengths") else None

    def check(graph: Graph) -> None:
        text = passes.SEQUENCE.replace("choose", f"choose{{plan={plan}}}")
        text = text.replace("lift,", "lift{lengths=true},") if lengths is not None else text
        xs = random_arrays(graph, seed=5, T=5, B=3).inputs
        feeds = {k: v.astype(np.float32) for k, v in xs.items()}
        meant = run(graph, feeds, lengths=lengths)
        ragged = {} if lengths is None else {"lengths": lengths}
        file = session(compile(graph, "sequence", pipeline=text, **options))
        for y, wanted in zip(file.run(None, {**feeds, **ragged}), meant.outputs.values(), strict=True):
            close(y, wanted)

    return check


def in_pieces(*cuts: int, plan: str = "") -> Check:
    """A chunk file run in pieces, from random states, against the reference machine on the whole."""

    def check(graph: Graph) -> None:
        a = random_arrays(graph, seed=5, T=cuts[-1], B=3)
        xs, states = ({k: v.astype(np.float32) for k, v in part.items()} for part in a[:2])
        text = passes.CHUNK.replace("choose", f"choose{{plan={plan}}}") if plan else None
        stream, meant = Stream(compile(graph, "chunk", pipeline=text)), run(graph, xs, states)
        stream.state = states
        parts = [several(stream.push(*(x[a:b] for x in xs.values()))) for a, b in pairwise((0, *cuts))]
        for ys, wanted in zip(zip(*parts, strict=True), meant.outputs.values(), strict=True):
            close(np.concatenate(ys), wanted)
        for path, state in stream.state.items():
            close(state, meant.finals[path])

    return check


@dataclass(frozen=True)
class Bug:
    """A slip: ``fault`` gets what ``owner`` has under ``name``, and gives what takes its place."""

    about: str
    owner: Any
    name: str
    fault: Callable[[Any], Any]
    net: str
    check: Check

    def __str__(self) -> str:
        return self.about
