"""Which loops are linear recurrences, h = a∘h⁻ + b, that a peer may run as a parallel scan.

A loop is one if it has one register of depth 1, and what enters it depends on what it gives through ops that
keep each element to itself and are linear there: by the facts that ops declare, never by a cell's name.
"""

from __future__ import annotations

from rnnc.ops import OPS
from tools.bench.handwritten import Steps


def is_linear(steps: Steps) -> bool:
    """Whether the next state is, element by element, an affine function of the last."""
    if len(steps.registers) != 1 or steps.registers[0].depth != 1:
        return False
    (register,) = steps.registers
    graph, kind = steps.graph, steps.graph.type(register.delay)
    affine, bent = {register.delay}, set[str]()
    for value in steps.each:
        op, operands = OPS[graph[value].op], graph.operands(value)
        slots = {slot for slot, operand in enumerate(operands) if operand in affine}
        if not slots and bent.isdisjoint(operands):
            continue
        keeps = op.elementwise and graph[value].type == kind
        linear = slots <= set(op.linear) or (op.multilinear and len(slots) == 1)
        (affine if keeps and linear and bent.isdisjoint(operands) else bent).add(value)
    return kind.floating and register.value not in bent
