"""Batching: whether the body of a loop treats the sequences of a batch alike, and that body for more of them.

The batch is a named size, the first axis of every state. A body works on each sequence by itself where that
axis is first in all that has it, and no op counts, contracts or moves it; where the first axis of a result is
another axis of an operand than the first, or comes from nowhere, sequences meet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rnnc.dims import Dim, Poly, names, substitute
from rnnc.ir import Graph
from rnnc.ops import OPS
from rnnc.ops.axes import Spec, Term, specs
from rnnc.types import TensorType, TupleType, Type

#: What reads no operand, and what says nothing of axes.
_PLAIN = frozenset({"input", "init", "const", "delay", "item", "tuple"})


def batch_of(body: Graph) -> str:
    """The name of the batch over which the body works sequence by sequence; empty if it does not.

    All streams must have it, as all states have.
    """
    face = body.interface
    first = [s.type.shape[:1] for s in face.states]
    first += [i.type.shape[:1] for i in face.inputs if i.kind == "stream"]
    if not first or len(set(first)) > 1 or not first[0] or not isinstance(first[0][0], Poly):
        return ""
    name, before = str(first[0][0]), starts(body)
    alike = name.isidentifier() and all(_alike(body, v, name) for v in body if v not in before)
    return name if alike else ""


def starts(body: Graph) -> set[str]:
    """The values from which only the registers before the run are made."""
    delays = set(body.find("delay"))
    found: set[str] = set()
    waiting = [body.operands(d)[1] for d in delays]
    while waiting:
        v = waiting.pop()
        if v not in found:
            found.add(v)
            waiting += body.operands(v)
    return found


def _alike(body: Graph, value: str, batch: str) -> bool:
    """Whether ``value`` of each sequence depends on that sequence alone."""
    node, operands = body[value], body.operands(value)
    if any(batch in names(d) for t in _tensors(node.type) for d in t.shape[1:]):
        return False
    has = [_has(t, batch) for t in _tensors(node.type)]
    reads = [slot for slot, o in enumerate(operands) if any(_has(t, batch) for t in _tensors(body[o].type))]
    if node.op in _PLAIN or not reads:
        return not any(has) or node.op in _PLAIN or (node.op == "expand" and not reads)
    op = OPS[node.op]
    if op.structural or not all(has):
        return False
    attrs = op.complete(node.attrs)
    counted = [attrs[name] for name, a in op.attrs.items() if a.kind.startswith(("Axis", "Axes"))]
    if any(c == 0 or (isinstance(c, tuple) and 0 in c) for c in counted):
        return False
    found = [(slot, body.type(operands[slot]).rank) for slot in reads]
    ranks = [t.rank for t in _tensors(node.type)]
    return any(_keeps(spec, found, ranks) for spec in specs(op, attrs))


def _keeps(spec: Spec, reads: list[tuple[int, int]], ranks: list[int]) -> bool:
    """Whether the first axes of the operands (slot and rank) are those of all results (of those ranks)."""
    firsts = {_first(spec.operand(slot), rank) for slot, rank in reads}
    results = {_first(spec.results[min(k, len(spec.results) - 1)], rank) for k, rank in enumerate(ranks)}
    return len(firsts) == 1 and firsts == results


def _first(term: Term, rank: int) -> str:
    """What the notation calls the first of ``rank`` axes."""
    labels = term.labels
    return labels[0] if term.first == "..." and labels and rank == len(labels) else term.first


def _tensors(type: Type) -> tuple[TensorType, ...]:
    return type.items if isinstance(type, TupleType) else (type,)


def _has(type: TensorType, batch: str) -> bool:
    return bool(type.shape) and batch in names(type.shape[0])


def resized(attrs: Mapping[str, Any], env: Mapping[str, Dim]) -> dict[str, Any]:
    """Attributes with the names of sizes replaced."""

    def one(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(one(v) for v in value)
        return substitute(value, env) if isinstance(value, Poly) else value

    return {name: one(value) for name, value in attrs.items()}


def resized_type(type: Type, env: Mapping[str, Dim]) -> Type:
    """A type with the names of sizes replaced."""
    if isinstance(type, TupleType):
        return TupleType(tuple(t.substitute(env) for t in type.items))
    return type.substitute(env)
