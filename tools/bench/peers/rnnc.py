"""rnnc itself: what ``rnnc.compile`` makes of a cell, given its sizes, run as its users run it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

import rnnc
from rnnc.runtime import session
from tools.bench.became import fitting, work
from tools.bench.became import kind as kind_of
from tools.bench.peers import Peer, Ready
from tools.bench.subject import Subject

#: Ops that run a recurrence of their own, whole.
WHOLE = ("LSTM", "GRU", "RNN", "LinearAttention", "GatedDeltaNet")


class Rnnc(Peer):
    """A sequence file in a session, a step file in a stream."""

    name: ClassVar[str] = "rnnc"

    def ready(self, subject: Subject) -> Ready:
        """The compiled cell."""
        entry = subject.entry
        compiled = rnnc.compile(subject.graph, entry.form, sizes=subject.sizes)
        told = kind(compiled.proto.graph)
        facts = {"class": kind_of(fitting(compiled.remarks)), "work": work(compiled, entry.T, entry.B)}
        if entry.form == "sequence":
            opened = session(compiled, threads=entry.cpus)
            return Ready(
                lambda: opened.run(None, subject.inputs),
                lambda: list(opened.run(None, subject.inputs)),
                told,
                facts,
            )
        stream, step = rnnc.Stream(compiled, threads=entry.cpus), list(subject.at(0).values())
        return Ready(lambda: stream.push(*step), lambda: self._pushed(stream, subject), told, facts)

    def _pushed(self, stream: Any, subject: Subject) -> list[Any]:
        stream.reset()
        steps = [stream.push(*subject.at(t).values()) for t in range(subject.entry.T)]
        several = [y if isinstance(y, tuple) else (y,) for y in steps]
        return [np.stack(ys) for ys in zip(*several, strict=True)]


def kind(graph: Any) -> str:
    """What became of a cell: the ops that run a recurrence, and the number of nodes where one is a loop."""
    found = list(_kinds(graph))
    return " + ".join(found) or f"{len(graph.node)} nodes"


def _kinds(graph: Any) -> Iterator[str]:
    for node in graph.node:
        bodies = [attribute.g for attribute in node.attribute if attribute.g.node]
        if node.op_type in WHOLE:
            yield node.op_type
        elif node.op_type in ("Scan", "Loop"):
            yield f"{node.op_type} of {len(bodies[0].node)} nodes"
        else:
            for body in bodies:
                yield from _kinds(body)
