"""onnxruntime on the cell as it is written: one Scan of the whole cell, or the step, nothing made better.

This is what an exporter without a compiler gives: no recognition, no fusion, and nothing that depends on the
input taken out of the loop. The number of steps is fixed, as in exports, so that no ``If`` guards the loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

import rnnc
from rnnc.build import Builder
from rnnc.compiler import Compiled
from rnnc.ir import SOURCES, Graph
from rnnc.loops.looping import cut, registers
from rnnc.loops.regions import over_time
from rnnc.pipeline import ACYCLIC, Pass
from rnnc.rewrite import sweep
from rnnc.runtime import session
from rnnc.timing import timing
from tools.bench.handwritten import Unsupported
from tools.bench.peers import Peer, Ready
from tools.bench.subject import Subject


@dataclass(frozen=True)
class OneLoop(Pass):
    """The whole net, whether or not it is on a cycle, as the body of one region; states must be bound."""

    name: ClassVar[str] = "one-loop"
    gives: ClassVar[frozenset[str]] = frozenset({ACYCLIC})
    steps: int = 100

    def apply(self, graph: Graph) -> None:
        """Cut out all that one step computes."""
        streams = [i for i in graph.interface.inputs if i.kind == "stream"]
        for source in streams:  # within the loop, what is delayed is one step of it
            inner = graph.add("cast", source.name, type=source.type, dtype=source.type.dtype)
            graph.replace(source.name, inner)
        when = timing(graph)
        members = [v for v in graph.order() if when[v] == "stream" and graph[v].op not in SOURCES]
        for source in streams:
            graph.retype(source.name, over_time(source.type, self.steps))
        outputs = list(dict.fromkeys(graph.outputs.values()))
        region = cut(graph, members, registers(graph, members), outputs, when, self.steps)
        b = Builder(graph, like=outputs)
        made = {value: b("item", region, k=k) for k, value in enumerate(outputs)}
        graph.outputs = {name: made[value] for name, value in graph.outputs.items()}
        for delay in (v for v in members if graph[v].op == "delay"):
            graph.connect(graph.operands(delay)[1], delay, 0)
        sweep(graph)
        graph.level = "function"


def naive(subject: Subject) -> Compiled:
    """The cell as it is written, as a file."""
    entry, graph = subject.entry, subject.graph
    if any(graph[v].attrs["k"] < 0 for v in graph.find("delay")) or graph.find("last"):
        raise Unsupported("it needs the end of the sequence")
    form = "step" if entry.form == "step" else f"bind,one-loop{{steps={entry.T}}}"
    text = f"canonicalize,{form},lower-time,fold{{params=true}},canonicalize"
    return rnnc.compile(graph, entry.form, pipeline=text)


class NaiveOnnx(Peer):
    """The naive file in a session; states of a step go in and out as arrays."""

    name: ClassVar[str] = "onnxruntime"

    def ready(self, subject: Subject) -> Ready:
        """The cell as it is written."""
        compiled = naive(subject)
        opened = session(compiled, threads=subject.entry.cpus)
        if subject.entry.form == "sequence":
            return Ready(
                lambda: opened.run(None, subject.inputs), lambda: list(opened.run(None, subject.inputs))
            )
        stepper = ArrayStepper(lambda feeds: opened.run(None, feeds), compiled, subject)
        return Ready(stepper.call, stepper.answer)


class ArrayStepper:
    """Steps whose states are arrays that the caller carries; ``run`` gives outputs in the file's order."""

    def __init__(self, run: Any, compiled: Compiled, subject: Subject) -> None:
        self.run, self.subject = run, subject
        self.states = [s["input"] for s in compiled.manifest["states"]]
        self.outputs = len(compiled.manifest["outputs"])
        starts = {s.path: s for s in subject.graph.interface.states}
        self.first = {}
        for told in compiled.manifest["states"]:
            state = starts[told["name"]]
            shape = [d if isinstance(d, int) else subject.entry.B for d in state.tensor.shape]
            start = np.zeros(()) if state.init is None else state.init
            self.first[told["input"]] = np.broadcast_to(start, shape).astype(state.type.numpy)
        self.now, self.x = dict(self.first), subject.at(0)

    def call(self) -> list[Any]:
        """One step more, of the first input again."""
        return self._step(self.x)

    def answer(self) -> list[Any]:
        """All steps, from the initial states."""
        self.now = dict(self.first)
        steps = [self._step(self.subject.at(t)) for t in range(self.subject.entry.T)]
        return [np.stack(ys) for ys in zip(*steps, strict=True)]

    def _step(self, x: dict[str, Any]) -> list[Any]:
        found = self.run({**x, **self.now})
        self.now = dict(zip(self.states, found[self.outputs :], strict=True))
        return list(found[: self.outputs])
