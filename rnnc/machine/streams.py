"""The step machine: what a stream graph means, on arrays of any library that speaks the Python array API.

The graph is taken apart into strongly connected components, which run in topological order, each over all of
time before the next begins, so that a component may look ahead at what those before it gave:

- a value that is the same at every step is computed once;
- a component with delays is run one step at a time: from the first to the last where its delays look back,
  from the last to the first where they look ahead. Each delay is a register of ``|k|`` slots, filled from its
  ``init``; a step reads the oldest slot of every register, computes, and pushes the new values;
- with ``lengths``, each sequence is run alone for as long as it is, and its outputs are padded with zeros.
  That is what ragged batches mean, so it needs no further rules.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import networkx as nx
from array_api_compat import array_namespace

from rnnc.dims import Dim, dim, substitute
from rnnc.errors import CycleError, RnncError
from rnnc.ir import SOURCES, Graph, Node, state_type
from rnnc.machine.library import NUMPY, Library, Sizes, bind, call_of, shape_of
from rnnc.timing import timing
from rnnc.types import TensorType

BATCH = dim("B")


@dataclass(frozen=True)
class _Component:
    """Values of a stream graph that run through time together."""

    delays: tuple[str, ...]
    values: tuple[str, ...]  # the others, in an order for one step
    kept: tuple[str, ...]  # those of both that are read outside
    read: tuple[str, ...]  # what they read from outside, step by step or as it is
    backward: bool


@dataclass
class _Run:
    """What is known while a stream graph runs."""

    steps: int
    library: Library
    sizes: Sizes
    once: dict[str, Any] = field(default_factory=dict)  # what has one value
    streams: dict[str, Sequence[Any]] = field(default_factory=dict)  # what has one a step


class Streams:
    """A stream graph made ready to run: called with arrays in the order of its interface."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.timing = timing(graph)
        position = {v: i for i, v in enumerate(graph.order())}
        parts = nx.condensation(graph.nx)
        self.components = [
            self._component(sorted(parts.nodes[c]["members"], key=position.__getitem__))
            for c in nx.topological_sort(parts)
        ]

    def __call__(
        self,
        inputs: Sequence[Any],
        inits: Sequence[Any],
        *,
        params: Mapping[str, Any] | None = None,
        steps: int,
        lengths: Any = None,
        reverse: bool = False,
        library: Library = NUMPY,
        sizes: Mapping[str, Dim] | None = None,
    ) -> tuple[list[Any], list[Any]]:
        """The outputs over time and the final states, from inputs over time and initial states.

        ``reverse`` runs from the last step to the first; inputs and outputs keep their places.
        """
        batch = (sizes or {}).get("B")
        if lengths is not None and batch != 0:
            return self._each_alone(
                inputs, inits, [int(n) for n in lengths], params=params, steps=steps, reverse=reverse,
                library=library, sizes=sizes,
            )  # fmt: skip
        run = _Run(steps, library, dict(sizes or {}), dict(params or {}))
        self._enter(run, inputs, inits, reverse)
        for component in self.components:
            self._advance(component, run)
        face = self.graph.interface
        outputs = [
            self._output(run, self.graph.outputs[o.name], o.kind == "final", reverse) for o in face.outputs
        ]
        finals = [self._final(run, s.path) for s in face.states if s.path in self.graph.finals]
        return outputs, finals

    # -- made ready -----------------------------------------------------------------------------------------
    def _component(self, members: Sequence[str]) -> _Component:
        graph = self.graph
        delays = tuple(v for v in members if graph[v].op == "delay")
        signs = {graph[v].attrs["k"] > 0 for v in delays}
        if len(signs) > 1:
            raise CycleError(
                "a cycle looks both back and ahead",
                hint="Each loop runs in one direction of time: take the two apart.",
                loc=next((loc for v in delays for loc in graph[v].locs), None),
            )
        inside, roots = set(members), set(graph.roots())
        return _Component(
            delays=delays,
            values=tuple(v for v in members if graph[v].op != "delay"),
            kept=tuple(v for v in members if v in roots or not inside.issuperset(graph.nx.succ[v])),
            read=tuple(dict.fromkeys(o for v in members for o in graph.operands(v) if o not in inside)),
            backward=signs == {False},
        )

    # -- running --------------------------------------------------------------------------------------------
    def _enter(self, run: _Run, inputs: Sequence[Any], inits: Sequence[Any], reverse: bool) -> None:
        face = self.graph.interface
        for i, array in zip(face.inputs, inputs, strict=True):
            if i.kind == "stream":
                steps = array_namespace(array).unstack(array, axis=0)
                run.streams[i.name] = steps[::-1] if reverse else steps
                bind(i.type, array.shape[1:], run.sizes)
            else:
                run.once[i.name] = array
                bind(i.type, array.shape, run.sizes)
        for s, array in zip(face.states, inits, strict=True):
            run.once[s.source] = array
            bind(s.tensor, array.shape, run.sizes)

    def _advance(self, component: _Component, run: _Run) -> None:
        """Run one component from the first step to the last."""
        if component.delays:
            self._loop(component, run)
            return
        for value in component.values:
            node = self.graph[value]
            if node.op in SOURCES:
                continue
            if node.op == "last":
                run.once[value] = self._last(run, self.graph.operands(value)[0])
            elif self.timing[value] == "stream":
                self._loop(component, run)
            else:
                call = _call_of(node, run.library, run.sizes)
                run.once[value] = call(*[self._last(run, o) for o in self.graph.operands(value)])
                if isinstance(node.type, TensorType):
                    bind(node.type, run.once[value].shape, run.sizes)

    def _loop(self, component: _Component, run: _Run) -> None:
        """One component step by step. A frame holds one step's values, those from outside first."""
        graph, names = self.graph, (*component.read, *component.delays, *component.values)
        place = {v: i for i, v in enumerate(names)}
        frame = [run.once.get(v) for v in names]
        feeds = [(place[v], run.streams[v]) for v in component.read if v in run.streams]
        registers = [
            (place[v], place[graph.operands(v)[0]], self._register(v, run)) for v in component.delays
        ]
        code = [
            (place[v], _call_of(graph[v], run.library, run.sizes), [place[o] for o in graph.operands(v)])
            for v in component.values
        ]
        kept: list[tuple[int, list[Any]]] = [(place[v], []) for v in component.kept]
        for t in reversed(range(run.steps)) if component.backward else range(run.steps):
            for i, stream in feeds:
                frame[i] = stream[t]
            for i, _, register in registers:
                frame[i] = register[-1]
            for i, call, reads in code:
                frame[i] = call(*[frame[r] for r in reads])
            for _, new, register in registers:
                register.appendleft(frame[new])
            for i, stream in kept:
                stream.append(frame[i])
        for value, (_, stream) in zip(component.kept, kept, strict=True):
            run.streams[value] = stream[::-1] if component.backward else stream
            type = self.graph[value].type
            if stream and isinstance(type, TensorType):
                bind(type, stream[0].shape, run.sizes)
                run.library.check(value, type.substitute(run.sizes), stream[0])

    def _register(self, delay: str, run: _Run) -> deque[Any]:
        """The slots of a delay before its first step, newest first."""
        node, init = self.graph[delay], run.once[self.graph.operands(delay)[1]]
        depth = abs(node.attrs["k"])
        return deque(_slots(_fill(init, state_type(node.tensor, depth), run.sizes), depth), maxlen=depth)

    def _last(self, run: _Run, value: str) -> Any:
        """The last step of a value; of no steps, zeros."""
        if value in run.once:
            return run.once[value]
        stream = run.streams[value]
        type = self.graph.type(value)
        return stream[-1] if stream else run.library.zeros(type.dtype, shape_of(type, run.sizes))

    def _output(self, run: _Run, value: str, final: bool, reverse: bool) -> Any:
        if final:
            return self._last(run, value)
        stream = run.streams.get(value) or [run.once.get(value)] * run.steps
        if not stream:
            type = self.graph.type(value)
            return run.library.zeros(type.dtype, (0, *shape_of(type, run.sizes)))
        return array_namespace(stream[0]).stack(stream[::-1] if reverse else stream, axis=0)

    def _final(self, run: _Run, path: str) -> Any:
        """The last values of what a state follows, newest first, with older ones from before the run."""
        state, value = self.graph.interface.state(path), self.graph.finals[path]
        before = _slots(_fill(run.once[state.source], state.tensor, run.sizes), state.depth)
        stream = run.streams.get(value) or [run.once.get(value)] * run.steps
        slots = [*reversed(stream[-state.depth :]), *before][: state.depth]
        return array_namespace(*slots).stack(slots, axis=0) if state.depth > 1 else slots[0]

    def _each_alone(
        self, inputs: Sequence[Any], inits: Sequence[Any], lengths: Sequence[int], *, steps: int,
        library: Library, sizes: Mapping[str, Dim] | None, **rest: Any,
    ) -> tuple[list[Any], list[Any]]:  # fmt: skip
        """Each sequence of a batch run alone for its own length, outputs padded with zeros to ``steps``."""
        face = self.graph.interface
        axes = [_batch_axis(i.type, i.kind == "stream") for i in face.inputs]
        state_axes = [_batch_axis(s.tensor) for s in face.states]
        output_axes = [_batch_axis(o.type, o.kind == "stream") for o in face.outputs]
        before = [_fill(x, s.tensor, sizes or {}) for x, s in zip(inits, face.states, strict=True)]
        runs = []
        for b, length in enumerate(lengths):
            alone = [_one(x, axis, b) for x, axis in zip(inputs, axes, strict=True)]
            outputs, finals = self(
                [x[:length] if i.kind == "stream" else x for i, x in zip(face.inputs, alone, strict=True)],
                [_one(x, axis, b) for x, axis in zip(before, state_axes, strict=True)],
                steps=length,
                library=library,
                sizes={**(sizes or {}), "B": 1, "T": length},
                **rest,
            )
            padded = [
                _pad(y, steps, library) if o.kind == "stream" else y
                for o, y in zip(face.outputs, outputs, strict=True)
            ]
            runs.append([*padded, *finals])
        joined = [
            array_namespace(*parts).concat(parts, axis=_needed(axis, self.graph.name))
            for parts, axis in zip(zip(*runs, strict=True), [*output_axes, *state_axes], strict=True)
        ]
        return joined[: len(output_axes)], joined[len(output_axes) :]


def _call_of(node: Node, library: Library, sizes: Mapping[str, Dim]) -> Callable[..., Any]:
    """What a node does on arrays, a loop inside a step included."""
    if node.op == "region":
        return partial(run_region, node.attrs, Streams(node.attrs["body"]), library, sizes)
    return call_of(node, library, sizes)


def run_region(
    attrs: Mapping[str, Any], body: Streams, library: Library, sizes: Mapping[str, Dim], *arrays: Any
) -> tuple[Any, ...]:
    """What a region gives, its outputs over time and then its final states, from its operands."""
    steps, face = substitute(attrs["steps"], sizes), body.graph.interface
    if not isinstance(steps, int):
        raise RnncError(f"how many steps a loop runs, {steps}, does not show in its operands")
    i, j = len(face.inputs), len(face.inputs) + len(face.states)
    outputs, finals = body(
        arrays[:i],
        arrays[i:j],
        steps=steps,
        lengths=arrays[j] if attrs.get("ragged") else None,
        reverse=attrs.get("reverse", False),
        library=library,
        sizes=sizes,
    )
    return (*outputs, *finals)


def _fill(array: Any, type: TensorType, sizes: Mapping[str, Dim]) -> Any:
    """``array`` broadcast to ``type``."""
    shape = shape_of(type, sizes)
    return array if array.shape == shape else array_namespace(array).broadcast_to(array, shape)


def _slots(array: Any, depth: int) -> Sequence[Any]:
    """The values that a state of that depth holds."""
    slots: Sequence[Any] = array_namespace(array).unstack(array, axis=0) if depth > 1 else (array,)
    return slots


def _batch_axis(type: TensorType, over_time: bool = False) -> int | None:
    """Which axis of an array of that type counts the sequences of a batch."""
    return type.shape.index(BATCH) + over_time if BATCH in type.shape else None


def _needed(axis: int | None, name: str) -> int:
    if axis is None:
        raise RnncError(f"{name} has a result without a batch axis: it cannot be run with lengths")
    return axis


def _one(array: Any, axis: int | None, b: int) -> Any:
    """The sequence ``b`` of a batch, as a batch of one; an array without a batch axis is for all."""
    return array if axis is None else array[(slice(None),) * axis + (slice(b, b + 1),)]


def _pad(array: Any, steps: int, library: Library) -> Any:
    """``array`` with zeros after it to ``steps`` steps."""
    rest = library.zeros("bool", (steps - array.shape[0], *array.shape[1:]))
    xp = array_namespace(array)
    return xp.concat([array, xp.astype(rest, array.dtype)], axis=0)
