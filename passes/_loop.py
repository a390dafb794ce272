"""Loops that plans write themselves: a region's body and what it reads, built side by side."""

from __future__ import annotations

from collections.abc import Sequence

from rnnc.build import Builder
from rnnc.dims import Dim
from rnnc.errors import Loc
from rnnc.ir import Graph, Input, Interface, Output, State
from rnnc.loops.lifting import Operand
from rnnc.loops.regions import region_type
from rnnc.loops.slots import broadcast
from rnnc.types import TensorType


class LoopBuilder:
    """A region being added to a graph.

        loop = LoopBuilder(b, "sum")
        x = loop.read("x", xs)
        y = loop.state("y", zeros)
        loop.follow("y", loop.b("add", x, y))
        _, ends = loop.finish("T")
        ends["y"]

    ``b`` builds in its body, whose values carry the locations ``locs``.
    """

    def __init__(self, outer: Builder, name: str, locs: Sequence[Loc] = ()) -> None:
        self.outer, self.body, self.locs = outer, Graph(name), locs
        self.b = Builder(self.body)
        self._inputs: dict[Operand, Input] = {}
        self._states: dict[State, str] = {}
        self._outputs: dict[Output, str] = {}
        self._delays: dict[str, str] = {}

    def read(self, name: str, part: Operand | float) -> str | float:
        """A value from outside: of its step, if it is a stream. Numbers are as they are, equal values one."""
        if isinstance(part, float):
            return part
        if part not in self._inputs:
            assert isinstance(part.type, TensorType)
            value = self._source("input", part.type, name)
            self._inputs[part] = Input(value, part.type, "stream" if part.stream else "given")
        return self._inputs[part].name

    def state(self, path: str, init: str) -> str:
        """The previous value of a new state, which is ``init`` before the run."""
        kind = self.outer.graph.type(init)
        state = State(path, kind)
        source = self._source("init", kind, state.source)
        self._states[state] = init
        self._delays[path] = self.body.add("delay", source, source, type=kind, like=source, k=1)
        return self._delays[path]

    def follow(self, path: str, value: str | float) -> None:
        """Say what a state is from this step on; a number stands for a whole tensor of it."""
        delay = self._delays[path]
        kind = self.body.type(delay)
        whole = value if isinstance(value, str) else self.b.const(value, kind.dtype)
        self.body.finals[path] = broadcast(self.b, whole, kind)
        self.body.connect(self.body.finals[path], delay, 0)

    def output(self, name: str, value: str) -> None:
        """Give a value of every step."""
        self._outputs[Output(name, self.body.type(value))] = value

    def finish(self, steps: Dim) -> tuple[dict[str, str], dict[str, str]]:
        """Add the region; its outputs over all steps, and the states after them."""
        body = self.body
        body.interface = Interface(tuple(self._inputs.values()), tuple(self._outputs), tuple(self._states))
        body.outputs = {o.name: v for o, v in self._outputs.items()}
        region = self.outer.graph.add(
            "region",
            *(part.value for part in self._inputs),
            *self._states.values(),
            type=region_type(body.freeze(), steps),
            like=self.outer.like,
            body=body,
            steps=steps,
        )
        items = self.outer.items(region)
        count = len(self._outputs)
        paths = (s.path for s in self._states)
        return dict(zip(body.outputs, items, strict=False)), dict(zip(paths, items[count:], strict=True))

    def _source(self, op: str, kind: TensorType, name: str) -> str:
        value = self.body.add(op, type=kind, name=name, locs=self.locs)
        self.b.like = (value,)
        return value
