"""Slots: what delay registers hold, as expressions.

A register of depth ``k`` is one tensor, the last ``k`` values newest first: ``state_type(slot, k)``. The
``init`` operand of a delay says what the register holds before the run, and may be smaller: it broadcasts.
"""

from __future__ import annotations

from collections.abc import Hashable

from rnnc.build import Builder
from rnnc.ir import Graph, state_type
from rnnc.types import TensorType


def whole(b: Builder, init: str, slot: TensorType, k: int) -> str:
    """The register's content with exactly its type."""
    return broadcast(b, init, state_type(slot, k))


def broadcast(b: Builder, value: str, to: TensorType) -> str:
    """``value`` with exactly the type that it broadcasts to; nothing is added if it has it already."""
    return value if b.graph.type(value) == to else b("expand", value, shape=to.shape)


def read(b: Builder, init: str, slot: TensorType, k: int, i: int) -> str:
    """Slot ``i`` of the ``k`` that ``init`` stands for, with exactly the type ``slot``."""
    if k > 1 and b.graph.type(init).rank > slot.rank:
        base, start = _behind_slice(b.graph, init)
        at = 0 if b.graph.type(base).shape[0] == 1 else start + i
        init = b("gather", base, b.const(at, "i64"), axis=0)
    return broadcast(b, init, slot)


def push(b: Builder, new: str, register: str, k: int) -> str:
    """The register one step later: ``new`` enters at the front, the oldest value leaves."""
    if k == 1:
        return new
    kept = b("slice", register, axis=0, start=0, stop=k - 1)
    return b("concat", b("unsqueeze", new, axes=(0,)), kept, axis=0)


def history(graph: Graph, init: str, slot: TensorType) -> Hashable:
    """A key for what is in a register before the run: delays of one value whose keys agree can share one.

    The content of a register of depth ``j`` is then the newest ``j`` slots of a deeper one's. That is so for
    a value and a leading slice of it, and for any two equal constants without an axis for slots.
    """
    base = init
    if graph[base].op == "squeeze" and graph[base].attrs["axes"] == (0,):
        base = graph.operands(base)[0]
    behind, start = _behind_slice(graph, base)
    if behind != base and start == 0 and graph.type(behind).rank > slot.rank:
        return behind
    node = graph[init]
    if node.op == "const" and node.tensor.rank <= slot.rank:
        return str(node.type), node.attrs["value"].tobytes()
    return init


def _behind_slice(graph: Graph, value: str) -> tuple[str, int]:
    """The value of which ``value`` is a run of slots, and the first of these; else itself and 0."""
    node = graph[value]
    if node.op == "slice" and node.attrs["axis"] == 0 and node.attrs.get("step", 1) == 1:
        start = node.attrs["start"] or 0
        if start >= 0:
            return graph.operands(value)[0], start
    return value, 0
