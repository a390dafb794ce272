"""Reads: the operands that the nodes of a file read, which are not all that ours have.

ONNX takes some operands that are left out for zeros: the initial states of a recurrent op, its biases, its
peepholes. Where one of these is zero, neither it nor what only it needs is written, down to the size of the
batch that it was expanded to.
"""

from __future__ import annotations

from collections.abc import Iterable

from rnnc.ir import Graph
from rnnc.ops.declare import OPS


def reads(graph: Graph, value: str) -> tuple[str, ...]:
    """The operands of ``value``, with ``""`` in the place of each that its ONNX form leaves out."""
    op, operands = OPS[graph[value].op], graph.operands(value)
    omissible = {name for form in op.forms for name in form.zeros}
    if not omissible:
        return operands
    named = zip(op.operands, operands, strict=False)  # the last ones may be absent
    return tuple("" if name in omissible and is_zero(graph, o) else o for name, o in named)


def is_zero(graph: Graph, value: str) -> bool:
    """Whether a value is known to be zero everywhere: a constant, or what is linear in nothing but zeros."""
    node, operands = graph[value], graph.operands(value)
    if node.op == "const":
        return not node.attrs["value"].any()
    op = OPS[node.op]
    linear = range(len(operands)) if op.variadic and op.linear else op.linear
    return set(linear) >= set(range(len(operands))) > set() and all(is_zero(graph, o) for o in operands)


def needed(graph: Graph, roots: Iterable[str]) -> list[str]:
    """All that the nodes of ``roots`` depend on, in the order in which the graph has it."""
    found, stack = set(), list(roots)
    while stack:
        value = stack.pop()
        if value and value not in found:
            found.add(value)
            stack += reads(graph, value)
    return [v for v in graph if v in found]
