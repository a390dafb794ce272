"""Opsets: which versions of ONNX say all that a model needs."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import NoReturn

import onnx

from rnnc import foreign
from rnnc.emit.nodes import narrow
from rnnc.emit.reads import needed
from rnnc.errors import FormError, Loc
from rnnc.ir import Graph, Node
from rnnc.ops.declare import OPS, Op
from rnnc.types import DTYPES, TensorType

#: The oldest opset that is written.
OLDEST = 17


def choose_opset(graphs: Iterable[Graph], told: int | None) -> int:
    """The oldest opset that has a form of every op for what it reads, or ``told``; :class:`FormError` if it
    has not."""
    newest = onnx.defs.onnx_opset_version()
    if told is not None and not OLDEST <= told <= newest:
        raise FormError(f"opset {told} is not one of those that are written, {OLDEST} to {newest}")
    candidates = tuple(range(OLDEST, newest + 1)) if told is None else (told,)
    needs = [(node, dtypes) for graph in graphs for node, dtypes in _needs(graph)]
    for opset in candidates:
        if all(_fitting(node, dtypes, (opset,)) for node, dtypes in needs):
            return opset
    for node, dtypes in needs:
        fits = _fitting(node, dtypes, candidates)
        if not fits:
            _refuse(node, candidates, told)
        candidates = fits
    raise AssertionError("what fits no opset is refused")


def _needs(graph: Graph) -> Iterator[tuple[Node, tuple[str, ...]]]:
    """The nodes that ONNX must have a form of, with the element types of what they read."""
    for value in needed(graph, graph.roots()):
        node = graph[value]
        if node.op == "opaque" or not OPS[node.op].structural:
            kinds = (graph[o].type for o in graph.operands(value))
            yield node, tuple(k.dtype if isinstance(k, TensorType) else "" for k in kinds)


def _fitting(node: Node, dtypes: tuple[str, ...], candidates: tuple[int, ...]) -> tuple[int, ...]:
    """The opsets in which a node means what it does."""
    if node.op == "opaque":
        return tuple(o for o in candidates if foreign.in_opset(node.attrs["piece"], o) is not None)
    return _having(OPS[node.op], dtypes, candidates)


def _place(node: Node) -> Loc | None:
    return next(iter(node.locs), None)


@functools.lru_cache(maxsize=4096)
def _having(op: Op, dtypes: tuple[str, ...], candidates: tuple[int, ...]) -> tuple[int, ...]:
    """The opsets that have a form of an op for operands of those element types."""
    return tuple(o for o in candidates if op.form(o) and _takes(op, dtypes, o))


def _takes(op: Op, dtypes: tuple[str, ...], opset: int) -> bool:
    """Whether ONNX's op of that opset takes those element types, as they are or narrowed."""
    form = op.form(opset)
    assert form is not None
    if form.domain:
        return True
    schema = onnx.defs.get_schema(form.op_type, opset)
    slots = {name: slot for slot, name in enumerate(op.operands)}
    places = [slots.get(p) if isinstance(p, str) else None for p in form.inputs or ()]
    if form.inputs is None:
        places = [*range(len(dtypes))]
    for position, slot in enumerate(places):
        if slot is None or slot >= len(dtypes) or narrow(form.op_type, opset, position):
            continue
        formal = schema.inputs[min(position, len(schema.inputs) - 1)]
        dtype = dtypes[slot]
        if f"tensor({_SPELLED.get(dtype, DTYPES[dtype])})" not in formal.types:
            return False
    return True


#: What ONNX calls an element type where that is not what NumPy calls it.
_SPELLED = {"f32": "float", "f64": "double"}


def _refuse(node: Node, candidates: tuple[int, ...], told: int | None) -> NoReturn:
    loc, op = _place(node), OPS[node.op]
    if node.op == "opaque":
        what, written = node.attrs["what"], foreign.opset_of(node.attrs["piece"])
        raise FormError(
            f"{what} of opset {written} of ONNX means something else in opset {candidates[-1]}",
            hint="Compile with the opset of the file, or without one.",
            loc=loc,
        )
    if not op.forms:
        raise FormError(f"{op.name} has no form in ONNX: the pipeline must lower it", loc=loc)
    first = min(f.since for f in op.forms)
    if told is None and first <= candidates[-1]:
        raise FormError(f"no opset of ONNX has {op.name} for these element types beside all else", loc=loc)
    raise FormError(
        f"opset {candidates[-1]} of ONNX has no {op.name}",
        hint=f"It came with opset {first}: give that, or none.",
        loc=loc,
    )
