"""Straight-line code: the steps of a stream graph, written out one after another.

A delay is no node then: at step ``t`` it is what was computed for step ``t - k``, or a slot of its init. So
neither a register nor a shift is left, and any mix of looking back and ahead between loops will do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rnnc.build import Builder
from rnnc.errors import FormError
from rnnc.ir import SOURCES, Graph
from rnnc.loops.looping import components
from rnnc.loops.regions import operands
from rnnc.loops.slots import read
from rnnc.timing import timing

#: The number of nodes beyond which a file is of no use to anyone.
MOST_NODES = 1_000_000

#: The one value of what is the same at every step, or the values of all steps.
Written = str | list[str]


def refuse_too_many(graph: Graph, values: int, steps: int) -> None:
    """Refuse to write out ``values`` values ``steps`` times, if that is more than a file can hold."""
    if values * steps > MOST_NODES:
        raise FormError(
            f"{steps} steps of {graph.name} would make {values * steps:,} nodes, more than {MOST_NODES:,}",
            hint="Unroll fewer steps and carry the states over.",
        )


class Straight:
    """The steps of ``source``, written into ``graph``.

    ``written`` says what its values are there, in a list where they change from step to step: to begin with
    those of its sources, and in the end all.
    """

    def __init__(self, graph: Graph, source: Graph, written: Mapping[str, Written], steps: int) -> None:
        self.graph, self.source, self.steps = graph, source, steps
        self.written: dict[str, Written] = dict(written)
        self.timing = timing(source)
        for members in components(source):
            delays = [m for m in members if source[m].op == "delay"]
            ahead = any(source[d].attrs["k"] < 0 for d in delays)
            self._write(members, range(steps)[:: -1 if ahead else 1])

    def at(self, value: str, step: int) -> str:
        """The value at one step."""
        found = self.written[value]
        return found if isinstance(found, str) else found[step]

    def state(self, path: str) -> str:
        """The content of a state's register after the steps, as :mod:`rnnc.loops.slots` lays it out."""
        state, value = self.source.interface.state(path), self.source.finals[path]
        init, kept = self.at(state.source, 0), min(state.depth, self.steps)
        newest = [self.at(value, self.steps - 1 - i) for i in range(kept)]
        b = Builder(self.graph, like=newest)
        if state.depth == 1:
            return newest[0] if newest else init
        rest = [b("slice", init, axis=0, start=0, stop=state.depth - kept)] if kept < state.depth else []
        return b("concat", *(b("unsqueeze", v, axes=(0,)) for v in newest), *rest, axis=0)

    def _write(self, members: Sequence[str], order: range) -> None:
        """Write out one component, each step after those that it reads."""
        source, written = self.source, self.written
        streams = [m for m in members if self.timing[m] == "stream" and m not in written]
        for value in members:
            node = source[value]
            if node.op == "last":
                written[value] = self.at(source.operands(value)[0], self.steps - 1)
            elif value not in written and value not in streams and node.op not in SOURCES:
                written[value] = self._copy(value, self.steps - 1, value)
        plan = [(value, source[value], source.operands(value)) for value in streams]
        lists: dict[str, list[str]] = {value: [""] * self.steps for value in streams}
        written |= lists
        for step in order:
            for value, node, reads in plan:
                if node.op == "delay":
                    lists[value][step] = self._delayed(value, reads, node.attrs["k"], step)
                else:
                    lists[value][step] = self._copy(value, step, f"{value}_{step}")

    def _delayed(self, value: str, reads: Sequence[str], k: int, step: int) -> str:
        """A delay at one step: a value of another step, or a slot of the init."""
        if 0 <= step - k < self.steps:
            return self.at(reads[0], step - k)
        slot = k - 1 - step if k > 0 else -k - 1 - (self.steps - 1 - step)
        init = self.at(reads[1], step)
        return read(Builder(self.graph, like=init), init, self.source.type(value), abs(k), slot)

    def _copy(self, value: str, step: int, name: str) -> str:
        node = self.source[value]
        reads = [self.at(o, step) for o in self.source.operands(value)]
        name = "" if value.startswith("%") else name
        return self.graph.add(node.op, *reads, type=node.type, name=name, locs=node.locs, **node.attrs)


def stack(b: Builder, values: Sequence[str]) -> str:
    """Values of equal types along a new first axis."""
    kind = b.graph.type(values[0])
    if len(values) == 1 or not kind.rank:
        return b("concat", *(b("unsqueeze", v, axes=(0,)) for v in values), axis=0)
    # One node instead of a new axis for each value.
    return b("reshape", b("concat", *values, axis=0), shape=(len(values), *kind.shape))


def unroll_region(graph: Graph, region: str) -> str:
    """The results of a region of a fixed number of steps as one tuple, computed step after step.

    Sequences with lengths of their own are run past their ends, which nothing before an end notices: what
    comes after is padding, and each final state is taken at the end.
    """
    node, roles = graph[region], operands(graph, region)
    body, steps, face = node.attrs["body"], node.attrs["steps"], node.attrs["body"].interface
    if not isinstance(steps, int):
        raise FormError(f"a loop of {steps} steps cannot be written out", loc=next(iter(node.locs), None))
    refuse_too_many(graph, len(body), steps)
    b = Builder(graph, like=region)
    reverse, ragged = node.attrs.get("reverse", False), [roles.lengths] if roles.lengths else []
    order = range(steps)[:: -1 if reverse and not ragged else 1]
    times = [b.const(t, "i64") for t in order]
    written: dict[str, Written] = {}
    for source, value in zip(face.inputs, roles.inputs, strict=True):
        if source.kind == "stream":
            value = b("reverse", value, *ragged) if reverse and ragged else value
            written[source.name] = [b("gather", value, t, axis=0) for t in times]
        else:
            written[source.name] = value
    written |= {state.source: init for state, init in zip(face.states, roles.inits, strict=True)}
    run = Straight(graph, body, written, steps)
    results = []
    for output in face.outputs:
        y = stack(b, [run.at(body.outputs[output.name], t) for t in order])
        results.append(b("reverse", y, *ragged) if reverse and ragged else y)
    for state in face.states:
        if ragged:
            y = stack(b, [run.at(body.finals[state.path], t) for t in range(steps)])
            results.append(b("final", y, run.at(state.source, 0), *ragged, k=state.depth))
        else:
            results.append(run.state(state.path))
    return b("tuple", *results)
