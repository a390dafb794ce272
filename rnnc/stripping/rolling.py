"""Rolling: copies of one step, written out for a fixed number of steps, found and made a loop again.

The function takes frames out of sequences by their numbers, ``x[0]``, ``x[1]``, …, and computes the same from
each and from what it computed for the one before. A value belongs to the step of the newest frame that it
depends on. In the order in which they are written, the values of one step must be those of the next, operand
by operand: the same outer value, the value at the same place of the same step, or of the step before. That is
checked for every step but the first, where exporters compute beforehand what follows from states of zeros.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from rnnc.ir import Graph, Node
from rnnc.passes.share import congruence
from rnnc.stripping.places import STEPS, time_axes


@dataclass(frozen=True)
class Outer:
    """An operand that no step computes."""

    value: str


@dataclass(frozen=True)
class Inner:
    """An operand that a step computes: the value at a place of it, so many steps ago."""

    place: int
    ago: int


@dataclass(frozen=True)
class Frame:
    """A frame of a sequence, along an axis of it."""

    sequence: str
    axis: int
    number: int = 0


Operand = Outer | Inner | Frame
#: The fewest copies of a step that are taken for a loop: the first and the last are seldom whole.
LEAST = 4


@dataclass
class Roll:
    """A step of which a function holds copies: its values, by place, and what each of them reads.

    ``inits`` are the outer values that states start from, by place, ``None`` for zeros. ``stacks`` are values
    that join one place of all steps: the place, and along which axis. ``lasts`` are the values of the last
    step that are read behind it, by place.
    """

    levels: list[list[str]]
    operands: list[tuple[Operand, ...]]
    inits: dict[int, str | None] = field(default_factory=dict)
    stacks: dict[str, tuple[int, int]] = field(default_factory=dict)
    lasts: dict[str, int] = field(default_factory=dict)

    @property
    def values(self) -> list[str]:
        """The values of the second step, by place."""
        return self.levels[1]


def find(graph: Graph, length: int) -> Roll | str:
    """The step of which ``graph`` holds ``length`` copies, or the reason why there is none."""
    frames = _frames(graph, length)
    if length < LEAST or {f.number for f in frames.values()} != set(range(length)):
        return "it does not take every frame by its number"
    levels, level = _levels(graph, frames, length)
    *whole, last = levels[1:]
    size = len(whole[0])
    if any(len(one) != size for one in whole):
        return "its steps are not all of the same number of values"
    place = {v: k for one in whole for k, v in enumerate(one)}
    reading = _Reading(graph, frames, level, place, _first_of_equal(graph))
    known = [reading.operands(v) for v in whole[-1]]
    for t, one in enumerate(whole, 1):
        for k, v in enumerate(one):
            if not _alike(graph, v, whole[0][k]) or not _agree(reading.operands(v), known[k], t):
                return f"{v} of step {t} is not what {whole[0][k]} is of step 1"
    levels[-1] = _placed(reading, place, last, whole[0], known)
    roll = Roll(levels, known)
    return _begins(graph, reading, roll) or _ends(graph, reading, roll) or roll


def _placed(
    reading: _Reading,
    place: dict[str, int],
    last: list[str],
    values: list[str],
    known: list[tuple[Operand, ...]],
) -> list[str]:
    """The values of the last step that are those of the others, which get their places.

    What only a further step would read is not there, and what comes behind the loop is not of it.
    """
    found, at = [], 0
    for v in last:
        for k in range(at, len(values)):
            if _alike(reading.graph, v, values[k]) and reading.operands(v) == known[k]:
                place[v], at = k, k + 1
                found.append(v)
                break
    return found


def _frames(graph: Graph, length: int) -> dict[str, Frame]:
    """The values that take one frame out of a sequence."""
    found = {}
    for v in graph.find("slice"):
        attrs, (sequence,) = graph[v].attrs, graph.operands(v)
        axis, start, stop = attrs["axis"], attrs["start"], attrs["stop"]
        if attrs.get("step", 1) != 1 or axis not in time_axes(graph.type(sequence)):
            continue
        first = start if start >= 0 else length + start
        end = length if stop is None else stop if stop >= 0 else length + stop
        if end == first + 1 <= length and graph.type(sequence).shape[axis] == STEPS:
            found[v] = Frame(sequence, axis, first)
    return found


def _levels(graph: Graph, frames: Mapping[str, Frame], length: int) -> tuple[list[list[str]], dict[str, int]]:
    """The values of each step, in order, and the step of each value."""
    level: dict[str, int] = {}
    levels: list[list[str]] = [[] for _ in range(length)]
    for v in graph.order():
        below = [level[o] for o in graph.operands(v) if o in level]
        if v in frames or below:
            level[v] = frames[v].number if v in frames else max(below)
            levels[level[v]].append(v)
    return levels, level


@dataclass(frozen=True)
class _Reading:
    graph: Graph
    frames: Mapping[str, Frame]
    level: Mapping[str, int]
    place: Mapping[str, int]
    same: Mapping[str, str]

    def operands(self, v: str) -> tuple[Operand, ...]:
        """What a value of a step reads."""
        if v in self.frames:
            return (replace(self.frames[v], number=0),)
        return tuple(
            Inner(self.place.get(o, -1), self.level[v] - self.level[o])
            if o in self.level
            else Outer(self.same[o])
            for o in self.graph.operands(v)
        )


def _first_of_equal(graph: Graph) -> dict[str, str]:
    """For each value the first that is equal to it; weights are by their elements."""
    first: dict[int, str] = {}
    found = {v: first.setdefault(number, v) for v, number in congruence(graph).items()}
    arrays = {v: np.asarray(a) for v, a in graph.interface.params.items() if v in graph}
    arrays |= {v: graph[v].attrs["value"] for v in graph.find("const")}
    weights: dict[object, str] = {}
    for v, a in arrays.items():
        found[v] = weights.setdefault((graph.type(v), a.shape, a.tobytes()), v)
    return found


def _alike(graph: Graph, v: str, w: str) -> bool:
    """Whether two values are of one op and type; of frames, the numbers differ."""
    a, b = graph[v], graph[w]
    return a.op == b.op and a.type == b.type and (attributes(a) == attributes(b) or a.op == "slice")


def attributes(node: Node) -> list[tuple[str, object]]:
    """The attributes of a node, to be compared."""
    return sorted((n, a.tobytes() if isinstance(a, np.ndarray) else a) for n, a in node.attrs.items())


def _agree(mine: Sequence[Operand], known: Sequence[Operand], t: int) -> bool:
    """Whether a value of step ``t`` reads what it reads in the last; what step 0 gave has no place yet."""
    return len(mine) == len(known) and all(
        a == b or (isinstance(a, Inner) and isinstance(b, Inner) and a.ago == b.ago == t)
        for a, b in zip(mine, known, strict=True)
    )


def _begins(graph: Graph, reading: _Reading, roll: Roll) -> str:
    """Find what the states start from; the reason if that cannot be told."""
    carried = {o.place for ops in roll.operands for o in ops if isinstance(o, Inner) and o.ago}
    if any(o.ago > 1 for ops in roll.operands for o in ops if isinstance(o, Inner)):
        return "it reads what was computed more than one step ago"
    first, size = roll.levels[0], len(roll.values)
    alike = len(first) == size and all(_alike(graph, v, w) for v, w in zip(first, roll.values, strict=True))
    places = {v: k for k, v in enumerate(first)} if alike else {}
    for k, v in enumerate(first if alike else []):
        own = reading.operands(v)
        reads = graph.operands(v)
        for o, mine, name in zip(roll.operands[k], own, reads, strict=True):
            if isinstance(o, Inner) and o.ago:
                start = mine.value if isinstance(mine, Outer) else ""
                alike &= bool(start) and roll.inits.setdefault(o.place, start) == start
            elif isinstance(o, Inner):
                alike &= places.get(name) == o.place
            else:
                alike &= o == mine
    if not alike:
        roll.inits = dict.fromkeys(carried)
    return "" if carried == roll.inits.keys() else "what its states start from cannot be told"


def _ends(graph: Graph, reading: _Reading, roll: Roll) -> str:
    """Find what is read of the steps; the reason if something is read that a loop does not give."""
    length = len(roll.levels)
    copies = {v: t for t, one in enumerate(roll.levels) for v in one}
    last = {v: reading.place[v] for v in roll.levels[-1]}
    roots = set(graph.roots())
    for v in reversed(list(copies)):
        outside = [u for u, _ in graph.uses(v) if u not in copies]
        for user in dict.fromkeys(outside):
            stack = _stack(graph, user, reading, length)
            if stack is not None:
                roll.stacks[user] = stack
            elif v in last:
                roll.lasts[v] = last[v]
            else:
                return f"{user} reads {v} of step {copies[v]} alone"
        if v in roots:
            if v not in last:
                return f"{v} of step {copies[v]} is an output"
            roll.lasts[v] = last[v]
    return ""


def _stack(graph: Graph, value: str, reading: _Reading, length: int) -> tuple[int, int] | None:
    """The place and the axis of a value that joins the same of all steps, in order."""
    parts = graph.operands(value)
    if graph[value].op != "concat" or len(parts) != length:
        return None
    if [reading.level.get(p) for p in parts] != list(range(length)):
        return None
    places = {reading.place.get(p, -1) for p in parts[1:]}
    return (places.pop(), graph[value].attrs["axis"]) if len(places) == 1 and -1 not in places else None
