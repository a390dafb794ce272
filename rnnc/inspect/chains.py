"""Chains and memory: the longest chain of nodes that wait for one another, and the most memory held at once.

A chain is what no number of cores makes shorter. A loop counts as itself and, for each of its steps, the
chain of its body; a branch as its longest. Memory is that of activations: a tensor is held from the node that
gives it to the last that reads it, inputs from the start, outputs to the end, what is only another shape of a
tensor not at all, and what a loop or branch holds inside on top of what is held around it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rnnc.inspect.cost import VIEWS, trips_of
from rnnc.inspect.graphs import Body, Item
from rnnc.inspect.sizes import Sizes, at

#: Views that give numbers of their own, which are small.
COUNTS = frozenset({"Shape", "Size"})


@dataclass(frozen=True)
class Chain:
    """The longest chain: how many nodes it has, and the first and the last of them by name."""

    nodes: int
    through: tuple[str, ...]


@dataclass(frozen=True)
class Peak:
    """The most bytes of activations held at once, and the node that runs then."""

    bytes: int
    node: str


def longest(body: Body, sizes: Mapping[str, int], shown: int = 0) -> Chain:
    """The longest chain of a run at these sizes, with ``shown`` names from either end."""
    depth: dict[str, int] = {}
    before: dict[int, Item | None] = {}
    best, last = 0, None
    for item in body.items:
        deepest = max(item.reads, key=lambda t: depth.get(t, 0), default="")
        length = depth.get(deepest, 0) + _weight(item, body.sizes, sizes)
        before[item.place] = body.writers.get(deepest)
        depth.update((o, length) for o in item.outputs if o)
        if length > best:
            best, last = length, item
    names: list[str] = []
    while shown and last is not None:
        if not last.free:
            names.append(last.name)
        last = before[last.place]
    names.reverse()
    if len(names) > 2 * shown:
        names = [*names[:shown], "…", *names[-shown:]]
    return Chain(best, tuple(names))


def _weight(item: Item, outer: Sizes, sizes: Mapping[str, int]) -> int:
    if item.free:
        return 0
    if item.op in ("Scan", "Loop") and item.bodies:
        return 1 + at(trips_of(item, outer), **sizes) * longest(item.bodies[0], sizes).nodes
    return 1 + max((longest(b, sizes).nodes for b in item.bodies), default=0)


def peak(body: Body, sizes: Mapping[str, int]) -> Peak:
    """The most activations held at once in a run at these sizes, the nodes run in the order of the body."""
    own = _roots(body)
    end = len(body.items)
    last = {own[t]: i for i, item in enumerate(body.items) for t in item.reads if t in own}
    last |= {own[t]: end for t in body.outputs if t in own}
    dies: list[list[str]] = [[] for _ in range(end + 1)]
    held = 0
    size = {root: at(body.sizes.bytes(root), **sizes) for root in dict.fromkeys(own.values())}
    for name in dict.fromkeys(own[t] for t in body.inputs):
        held += size[name]
        dies[last.get(name, end)].append(name)
    most = Peak(held, "")
    for i, item in enumerate(body.items):
        for name in item.outputs:
            if own.get(name) == name:
                held += size[name]
                dies[last.get(name, i)].append(name)
        now = held + max((peak(b, sizes).bytes for b in item.bodies), default=0)
        if now > most.bytes:
            most = Peak(now, item.name)
        held -= sum(size[name] for name in dies[i])
    return most


def _roots(body: Body) -> dict[str, str]:
    """For every activation, the tensor whose memory it is."""
    found = {t: t for t in body.inputs}
    for item in body.items:
        if item.free:
            continue
        shared = item.op in VIEWS - COUNTS and item.input(0) in found
        for o in item.outputs:
            if o:
                found[o] = found[item.input(0)] if shared else o
    return found
