"""Registers: what delays hold before the run, compared and computed.

The law that every pass keeps: at each step, what a delay holds is what its ``init`` gives when the states'
values at that step stand in for their initial ones. So a delay that is moved gets an ``init`` made from the
old ones by the op that it was moved across.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from rnnc.build import Builder
from rnnc.dims import Dim, names, substitute
from rnnc.ir import Array, Graph
from rnnc.loops import slots
from rnnc.ops.declare import OPS
from rnnc.types import TensorType


def depth(graph: Graph, delay: str) -> int:
    """How many values a delay holds."""
    return abs(int(graph[delay].attrs["k"]))


def agree(graph: Graph, shallow: str, deep: str) -> bool:
    """Whether two delays of one value hold the same before the run, as far back as both reach."""
    slot = graph.type(shallow)
    a, b = (slot_keys(graph, graph.operands(d)[1], slot, depth(graph, d)) for d in (shallow, deep))
    return all(x == y for x, y in zip(a, b, strict=False))


def slot_keys(graph: Graph, init: str, slot: TensorType, k: int) -> list[Hashable]:
    """A key for each of the ``k`` slots that ``init`` fills: equal keys, equal contents.

    A key is a value and the number of a slot in it, or a constant's elements.
    """
    node = graph[init]
    below = graph.operands(init)
    if node.op == "const" and isinstance(node.attrs["value"], np.ndarray):
        array = node.attrs["value"]
        one = [array] * k if array.ndim <= slot.rank else [array[min(i, len(array) - 1)] for i in range(k)]
        return [_elements(a) for a in one]
    if node.tensor.rank <= slot.rank:
        if node.op == "expand":
            return slot_keys(graph, below[0], slot, k)
        if node.op == "squeeze" and node.attrs["axes"] == (0,):
            return slot_keys(graph, below[0], slot, 1) * k
        if node.op == "gather" and node.attrs["axis"] == 0 and graph[below[1]].op == "const":
            return [(below[0], int(graph[below[1]].attrs["value"]))] * k
        return [(init, None)] * k
    if node.tensor.shape[0] == 1:
        k, times = 1, k
    else:
        times = 1
    if node.op == "unsqueeze" and node.attrs["axes"] == (0,):
        keys = slot_keys(graph, below[0], slot, 1)
    elif node.op == "concat" and node.attrs["axis"] == 0:
        keys = [
            key for part in below for key in slot_keys(graph, part, slot, number(graph.type(part).shape[0]))
        ]
    elif node.op == "slice" and node.attrs["axis"] == 0 and node.attrs.get("step", 1) == 1:
        size = number(graph.type(below[0]).shape[0])
        keys = slot_keys(graph, below[0], slot, size)[node.attrs["start"] : node.attrs["stop"]]
    else:
        keys = [(init, i) for i in range(k)]
    return keys * times


def number(size: Dim) -> int:
    """A size that depends on no name, as the sizes of features and registers are."""
    assert isinstance(size, int), f"{size} is no number"
    return size


def _elements(array: Array) -> Hashable:
    """What identifies an array that is broadcast: one number where all are equal."""
    if array.size and (array == array.flat[0]).all():
        return float(array.flat[0])
    return array.shape, array.tobytes()


def older(b: Builder, init: str, slot: TensorType, start: int, stop: int) -> str:
    """What the slots from ``start`` to ``stop`` hold, of a register that starts from ``init``."""
    have = b.graph.type(init)
    if have.rank <= slot.rank:
        return init
    if have.shape[0] != 1:
        init = b("slice", init, axis=0, start=start, stop=stop)
    return b("squeeze", init, axes=(0,)) if stop - start == 1 else init


def behind(b: Builder, newer: tuple[str, int], rest: tuple[str, int], slot: TensorType) -> str:
    """The initial value of one register for two, of which the ``rest`` holds the older values."""
    keys = {key for init, k in (newer, rest) for key in slot_keys(b.graph, init, slot, k)}
    if len(keys) == 1 and b.graph.type(newer[0]).rank <= slot.rank:
        return newer[0]
    parts = [(slots.whole(b, init, slot, k), k) for init, k in (newer, rest)]
    return b("concat", *(v if k > 1 else b("unsqueeze", v, axes=(0,)) for v, k in parts), axis=0)


def through(b: Builder, node: str, inputs: Sequence[tuple[str, str | None]], k: int) -> str | None:
    """The initial value of a delay moved behind ``node``: its op on initial values.

    ``inputs`` are the operands of ``node``, a delayed one with the initial value of its delay. ``None``
    where the op does not work on a stack of slots as it works on one.
    """
    graph = b.graph
    op, out = graph[node].op, graph.type(node)
    if k == 1:
        args = [slots.whole(b, init, graph.type(v), 1) if init else v for v, init in inputs]
    elif OPS[op].elementwise and all(graph.type(v).rank == out.rank for v, init in inputs if init):
        args = [slots.whole(b, init, graph.type(v), k) if init else v for v, init in inputs]
    else:
        return None
    return b(op, *args, **graph[node].attrs)


def elements(type: TensorType) -> int:
    """How many elements, counting every size with a name as 1: good enough to compare registers by."""
    sizes = [substitute(d, dict.fromkeys(names(d), 1)) for d in type.shape]
    return int(np.prod([number(d) for d in sizes]))
