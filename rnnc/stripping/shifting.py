"""Shifting: what a step computes of its new state, for the next one only, is left to that one.

A copy of a step ends with its newest frame, so that the products of a new state, which the next step adds to
those of its frame, are counted to the step before. The loop would carry them all. Left to the step that reads
them, they are computed of the state itself, and the loop carries that.
"""

from __future__ import annotations

from dataclasses import replace

from rnnc.ir import Graph
from rnnc.passes.share import congruence
from rnnc.stripping.rolling import Inner, Outer, Roll, attributes


def shifted(graph: Graph, roll: Roll) -> Roll:
    """The same step, with each value of one other value that only the next step reads left to that step."""
    return _Shifting(graph, roll).run()


class _Shifting:
    def __init__(self, graph: Graph, roll: Roll) -> None:
        self.graph, self.roll = graph, roll
        self.same = congruence(graph)
        self.values = list(roll.values)
        self.operands = [list(ops) for ops in roll.operands]
        self.inits: dict[int, str | None] = dict(roll.inits)
        self.kept = {p for p, _ in roll.stacks.values()} | {*roll.lasts.values()}
        self.moved: list[int] = []

    def run(self) -> Roll:
        places = range(len(self.values) - 1, -1, -1)
        while any(self._move(p) for p in places):
            pass
        if not self.moved:
            return self.roll
        first = sorted(self.moved)
        order = [*first, *(p for p in range(len(self.values)) if p not in self.moved)]
        new = {p: k for k, p in enumerate(order)}
        operands = [
            tuple(replace(o, place=new[o.place]) if isinstance(o, Inner) else o for o in self.operands[p])
            for p in order
        ]
        carried = {o.place for ops in operands for o in ops if isinstance(o, Inner) and o.ago}
        inits = {new[p]: init for p, init in self.inits.items() if new[p] in carried}
        known = inits.keys() == carried and None not in inits.values()
        levels = [self.roll.levels[0], [self.values[p] for p in order], *self.roll.levels[2:]]
        return Roll(
            levels,
            operands,
            inits if known else dict.fromkeys(sorted(carried)),
            {v: (new[p], axis) for v, (p, axis) in self.roll.stacks.items()},
            {v: new[p] for v, p in self.roll.lasts.items()},
        )

    def _move(self, p: int) -> bool:
        """Leave a value to the next step, if it is of one other alone, and for that step alone."""
        inner = [o for o in self.operands[p] if isinstance(o, Inner)]
        plain = all(isinstance(o, Inner | Outer) for o in self.operands[p])
        if p in self.moved or p in self.kept or not plain or len({*inner}) != 1 or inner[0].ago:
            return False
        readers = [
            (k, slot, o)
            for k, ops in enumerate(self.operands)
            for slot, o in enumerate(ops)
            if isinstance(o, Inner) and o.place == p
        ]
        if not readers or any(not o.ago for _, _, o in readers):
            return False
        k, slot, _ = readers[0]
        before = self.graph.operands(self.values[k])[slot]
        if not self._same_of_others(p, before):
            return False
        self.values[p] = before
        for k, slot, _ in readers:
            self.operands[k][slot] = Inner(p, 0)
        self.operands[p] = [replace(o, ago=1) if isinstance(o, Inner) else o for o in self.operands[p]]
        self._starts(p, inner[0].place)
        self.moved.append(p)
        return True

    def _starts(self, p: int, state: int) -> None:
        """Find what the state starts from, of what the value at ``p`` starts from."""
        init, graph = self.inits.pop(p, None), self.graph
        found: set[str] = set()
        if init is not None and self._same_of_others(p, init):
            pairs = zip(self.operands[p], graph.operands(init), strict=True)
            found = {read for o, read in pairs if isinstance(o, Inner)}
        start = found.pop() if len(found) == 1 else ""
        known = self.inits.setdefault(state, start or None)
        if not start or known is None or self.same[known] != self.same[start]:
            self.inits[state] = None

    def _same_of_others(self, p: int, value: str) -> bool:
        """Whether a value does what that at a place does, of the same outer values."""
        mine, other, reads = self.graph[self.values[p]], self.graph[value], self.graph.operands(value)
        if mine.op != other.op or mine.type != other.type or attributes(mine) != attributes(other):
            return False
        return len(reads) == len(self.operands[p]) and all(
            isinstance(o, Inner) or (isinstance(o, Outer) and self.same[o.value] == self.same[read])
            for o, read in zip(self.operands[p], reads, strict=True)
        )
