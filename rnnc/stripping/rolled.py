"""A step that was found in copies, as a loop over all frames."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from rnnc.build import Builder
from rnnc.ir import Graph, Input, Interface, Output, State
from rnnc.loops.regions import region_type
from rnnc.machine.evaluate import Function
from rnnc.machine.library import Library, shape_of
from rnnc.stripping.places import STEPS, TIME
from rnnc.stripping.rolling import Frame, Inner, Outer, Roll
from rnnc.types import TensorType

#: How far numbers computed in another order may be apart in float64.
CLOSE = 1e-9


class Rolled:
    """Adds the loop of a :class:`Roll` to a graph that has the values around it, and what is read of it."""

    def __init__(self, source: Graph, roll: Roll) -> None:
        self.source, self.roll = source, roll
        self.body = Graph("loop")
        self.inputs: list[Input] = []
        self.around: list[str | Frame] = []
        self.states: list[tuple[State, int]] = []
        self.read = [*dict.fromkeys([*(k for k, _ in roll.stacks.values()), *roll.lasts.values()])]
        self._write()

    def _write(self) -> None:
        source, roll, body = self.source, self.roll, self.body
        values: dict[int, str] = {}
        delays: dict[int, str] = {}
        outer: dict[str | Frame, str] = {}
        for place in roll.inits:
            kind = source.type(roll.values[place])
            state = State(f"s{len(self.states)}", kind)
            init = body.add("init", type=kind, name=state.source)
            delays[place] = body.add("delay", init, init, type=kind, k=1)
            self.states.append((state, place))
        for place, v in enumerate(roll.values):
            node = source[v]
            reads = []
            for o in roll.operands[place]:
                match o:
                    case Inner(place=p, ago=ago):
                        reads.append(delays[p] if ago else values[p])
                    case Outer(value=name):
                        if name not in outer:
                            outer[name] = self._given(name)
                        reads.append(outer[name])
                    case Frame():
                        if o not in outer:
                            outer[o] = self._scanned(o)
                        reads.append(outer[o])
            if isinstance(roll.operands[place][0] if roll.operands[place] else None, Frame):
                values[place] = reads[0]
            else:
                values[place] = body.add(node.op, *reads, type=node.type, locs=node.locs, **node.attrs)
        for state, place in self.states:
            body.connect(values[place], delays[place], 0)
            body.finals[state.path] = values[place]
        outputs = []
        for k, place in enumerate(self.read):
            outputs.append(Output(f"y{k}", body.type(values[place])))
            body.outputs[f"y{k}"] = values[place]
        body.interface = Interface(tuple(self.inputs), tuple(outputs), tuple(s for s, _ in self.states))
        body.freeze()

    def _given(self, name: str) -> str:
        node = self.source[name]
        if node.op == "const" and node.attrs["value"].size == 1:
            return self.body.add("const", type=node.type, locs=node.locs, **node.attrs)
        kind = node.tensor
        inner = self.body.add("input", type=kind, name=f"v{len(self.inputs)}")
        self.inputs.append(Input(inner, kind, "given"))
        self.around.append(name)
        return inner

    def _scanned(self, frame: Frame) -> str:
        kind = self.source.type(frame.sequence)
        step = TensorType(kind.dtype, (*kind.shape[: frame.axis], *kind.shape[frame.axis + 1 :]))
        inner = self.body.add("input", type=step, name=f"v{len(self.inputs)}")
        self.inputs.append(Input(inner, step))
        self.around.append(frame)
        return Builder(self.body)("unsqueeze", inner, axes=(frame.axis,))

    # -- in the graph around ------------------------------------------------------------------------------
    def add(self, graph: Graph) -> dict[str, str]:
        """Add the loop to ``graph``; the values that take the places of the stacks and last values."""
        b, roll = Builder(graph), self.roll
        operands = []
        for part in self.around:
            if isinstance(part, str):
                operands.append(part)
                continue
            rank = graph.type(part.sequence).rank
            order = (part.axis, *(a for a in range(rank) if a != part.axis))
            operands.append(b("transpose", part.sequence, perm=order) if part.axis else part.sequence)
        for state, place in self.states:
            zeros = b("expand", b.const(0, state.type.dtype), shape=state.type.shape)
            operands.append(roll.inits[place] or zeros)
        region = graph.add(
            "region", *operands, type=region_type(self.body, STEPS), body=self.body, steps=STEPS
        )
        ys = dict(zip(self.read, b.items(region), strict=False))
        found = {stack: _joined(b, ys[place], axis) for stack, (place, axis) in roll.stacks.items()}
        for last, place in roll.lasts.items():
            end = b("slice", ys[place], axis=0, start=-1, stop=None)
            found[last] = b("squeeze", end, axes=(0,))
        return found

    def agrees(self) -> bool:
        """Whether the loop gives what its copies give, on random numbers: the first step is checked so."""
        graph = self.source.copy()
        pairs = list(self.add(graph).items())
        graph.outputs = {f"y{i}": v for i, v in enumerate(v for pair in pairs for v in pair)}
        values = _evaluated(graph, len(self.roll.levels))
        return all(
            values[a].shape == values[b].shape and np.allclose(values[a], values[b], atol=CLOSE)
            for a, b in pairs
        )


def _joined(b: Builder, y: str, axis: int) -> str:
    """Values of all steps, each a part along an axis."""
    shape = b.graph.type(y).shape[1:]
    rank = len(shape)
    y = b("transpose", y, perm=(*range(1, axis + 1), 0, *range(axis + 1, rank + 1))) if axis else y
    return b("reshape", y, shape=(*shape[:axis], STEPS * shape[axis], *shape[axis + 1 :]))


def _evaluated(graph: Graph, length: int) -> dict[str, Any]:
    """Every value that the outputs need, in float64, on random numbers."""
    sizes: dict[str, Any] = {TIME: length}
    for v in graph.find("input") + graph.find("param"):
        sizes |= {n: 2 for n in graph.type(v).names() if n != TIME}
    env = {}
    for v in graph.find("input"):
        kind, rng = graph.type(v), np.random.default_rng(zlib.crc32(v.encode()))
        shape = shape_of(kind, sizes)
        env[v] = rng.uniform(-1, 1, shape) if kind.floating else rng.integers(0, 2, shape)
    weights = graph.interface.params
    for v in graph.find("param"):
        array = np.asarray(weights[v])
        env[v] = array.astype(np.float64) if graph.type(v).floating else array
    with np.errstate(all="ignore"):
        return Function(graph)(env, Library(floats="f64"), sizes)
