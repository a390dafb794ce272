"""Nodes read by the ONNX forms that our ops declare: the same data as for writing, the other way round."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from rnnc.dims import Dim, Poly
from rnnc.errors import TypeMismatch
from rnnc.importer.calls import Call
from rnnc.importer.items import Item, Known, Nothing
from rnnc.importer.protos import DTYPE_OF, defaults_of
from rnnc.ops.declare import FAR, OPS, AtAxis, IfFloat, Linear, Lit, Onnx, Op, SizeOf, Source, Tensor


class _Unfit(Exception):
    """The node is not what the form writes."""


@cache
def _forms(domain: str) -> Mapping[str, list[tuple[Op, Onnx]]]:
    """The forms of all our ops, by the op type that they write."""
    found: dict[str, list[tuple[Op, Onnx]]] = {}
    for op in OPS.values():
        for form in op.forms:
            if form.domain == domain:
                found.setdefault(form.op_type, []).append((op, form))
    return found


def declared(call: Call) -> Sequence[Item] | None:
    """The results of the op of ours that the node is the ONNX form of; ``None`` if there is none."""
    opset = call.reader.context.opset
    for op, form in _forms(call.domain).get(call.node.op_type, ()):
        if form.since <= opset <= (form.until or opset):
            try:
                return _results(call, op, form)
            except (_Unfit, TypeMismatch):
                continue
    return None


def _results(call: Call, op: Op, form: Onnx) -> Sequence[Item]:
    attrs: dict[str, Any] = {}
    operands = [call.item(k) for k in _operands(call, op, form, attrs)]
    while operands and isinstance(operands[-1], Nothing):
        operands.pop()
    if any(isinstance(o, Nothing) for o in operands):
        raise _Unfit
    op.check_count(len(operands))
    _attributes(call, op, form, attrs)
    types = [call.reader.type(o) for o in operands]
    if types and op.variadic is False and op.elementwise and op.attrs == {}:
        dtypes = {t.dtype for t in types if t.dtype != "bool"}
        if len(dtypes) > 1:
            raise _Unfit
    counted = {name: _counted(op, name, value, types) for name, value in attrs.items()}
    op.infer(*types, **counted)  # before anything is added
    value = call.build(op, *map(call.reader.value, operands), **counted)
    found = call.reader.results(value)
    wanted = sum(map(bool, call.node.output))
    if len(found) < wanted:
        raise _Unfit
    return found


def _operands(call: Call, op: Op, form: Onnx, attrs: dict[str, Any]) -> list[int]:
    """The inputs of the node that are operands, in our order; those that hold attributes go to ``attrs``."""
    if form.inputs is None:
        return list(range(len(call.inputs)))
    if len(call.inputs) > len(form.inputs):
        raise _Unfit
    places: dict[str, int] = {}
    for k, part in enumerate(form.inputs):
        if isinstance(part, Tensor):
            _fixed(call, op, k, part, attrs)
        elif part:
            places[part] = k
        elif call.has(k):
            raise _Unfit
    return [places[name] for name in op.operands]


def _fixed(call: Call, op: Op, k: int, part: Tensor, attrs: dict[str, Any]) -> None:
    """Read an input that holds attributes."""
    sources = part.source if isinstance(part.source, tuple) else (part.source,)
    if not call.has(k):
        if all(isinstance(s, str) and not op.attrs[s].required for s in sources) or part.open:
            return
        raise _Unfit
    numbers: Sequence[Any] | None = call.sizes(k)
    item = call.item(k)
    if numbers is None and isinstance(item, Known) and item.array.ndim <= 1:
        numbers = item.array.reshape(-1).tolist()
    if numbers is None:
        raise _Unfit
    if len(sources) == 1 and isinstance(sources[0], str):
        several = op.attrs[sources[0]].kind in ("Axes", "Perm", "Shape", "Sizes")
        if several:
            attrs[sources[0]] = tuple(numbers)
            return
    flat = list(_flat(sources))
    if len(flat) != len(numbers):
        raise _Unfit
    for source, number in zip(flat, numbers, strict=True):
        _take(attrs, source, number, call)
    if part.open and isinstance(sources[0], str):
        end = attrs[sources[0]]
        if isinstance(end, Poly):
            raise _Unfit
        attrs[sources[0]] = None if abs(int(end)) >= FAR // 2**32 else end


def _flat(sources: Sequence[Source]) -> Iterator[Source]:
    for source in sources:
        if isinstance(source, Lit) and isinstance(source.value, tuple):
            yield from map(Lit, source.value)
        else:
            yield source


def _attributes(call: Call, op: Op, form: Onnx, attrs: dict[str, Any]) -> None:
    """Read the node's attributes into ``attrs``."""
    defaults = defaults_of(call.node.op_type, call.domain, call.reader.context.opset)
    for name in {a.name for a in call.node.attribute} - form.attrs.keys():
        if name not in defaults or defaults[name] != call.attrs[name]:
            raise _Unfit
    for name, source in form.attrs.items():
        if name not in call.attrs:
            if isinstance(source, Lit | Linear) or (isinstance(source, str) and op.attrs[source].required):
                raise _Unfit
            continue
        value = call.attrs[name]
        if name == form.dtype_attr:
            if value not in DTYPE_OF:
                raise _Unfit
            value = DTYPE_OF[value]
        _take(attrs, source, value, call)


def _take(attrs: dict[str, Any], source: Source, value: Any, call: Call) -> None:
    """Let ``source`` hold ``value``."""
    match source:
        case str():
            attrs[source] = value
        case Lit(value=wanted):
            if value != wanted and not (isinstance(wanted, bool) and bool(value) == wanted):
                raise _Unfit
        case Linear(attr=attr, scale=scale, plus=plus):
            found = (value - plus) / scale
            if found != int(found) or attrs.setdefault(attr, int(found)) != int(found):
                raise _Unfit
        case IfFloat(yes=yes, no=no):
            if value != (yes if call.type(0).floating else no):
                raise _Unfit
        case SizeOf():
            pass
        case AtAxis():
            raise _Unfit


def _counted(op: Op, name: str, value: Any, types: Sequence[Any]) -> Any:
    """An attribute in our own kind: axes counted from the first, truth values, tuples."""
    kind = op.attrs[name].kind
    if kind == "bool":
        return bool(value)
    if kind == "float":
        return float(np.float32(value))
    if kind in ("Axes", "Perm"):
        rank = types[0].rank + (len(value) if op.name == "unsqueeze" else 0)
        return tuple(a + rank if isinstance(a, int) and a < 0 else a for a in value)
    if kind == "Axis" and isinstance(value, int) and value < 0:
        return value + types[0].rank
    if kind.startswith("tuple") or kind in ("Shape", "Sizes"):
        return tuple(_dim(v) for v in value) if isinstance(value, tuple | list) else (value,)
    return value


def _dim(d: Any) -> Dim:
    return int(d) if isinstance(d, np.integer) else d
