"""Nodes of older opsets in the oldest one that is read: what has changed is converted, node by node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import onnx
from onnx import NodeProto, helper, numpy_helper, version_converter

from rnnc.importer.calls import OLDEST
from rnnc.importer.items import Item, Known
from rnnc.importer.protos import schema_of, type_proto

if TYPE_CHECKING:
    from rnnc.importer.reader import Reader

#: What holds for every opset that can be read: its rules here need no conversion, or are made for all.
UNCHANGED = frozenset({"If", "Loop", "Scan", "Constant"})


def modern(node: NodeProto, inputs: Sequence[Item], reader: Reader) -> list[NodeProto] | None:
    """The nodes that ``node`` is in the oldest opset that is read; ``None`` if it is one and the same."""
    written = reader.context.opsets.get("", OLDEST)
    if written >= OLDEST or node.op_type in UNCHANGED:
        return None
    then, now = schema_of(node.op_type, "", written), schema_of(node.op_type, "", OLDEST)
    if then is None or (now is not None and then.since_version == now.since_version):
        return None
    names = [n for n in dict.fromkeys(node.input) if n]
    found = dict(zip(node.input, inputs, strict=True))
    constants = {n: i.array for n in names if isinstance(i := found[n], Known)}
    types = {n: reader.type(found[n]) for n in names if n not in constants}
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_value_info(n, type_proto(t)) for n, t in types.items()],
        [helper.make_value_info(n, onnx.TypeProto()) for n in node.output if n],
        [numpy_helper.from_array(a, n) for n, a in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", written)])
    try:
        converted = version_converter.convert_version(model, OLDEST)
    except Exception:  # noqa: BLE001 - it has no type for what it cannot convert
        return None
    made = {t.name: t for t in converted.graph.initializer if t.name not in constants}
    return list(_renamed(converted.graph.node, made, {*names, *node.output}, node.output[0]))


def _renamed(
    nodes: Sequence[NodeProto], made: dict[str, onnx.TensorProto], kept: set[str], stem: str
) -> Iterator[NodeProto]:
    """The nodes, with names of their own for what is between them, and constants for what was added."""

    def name(n: str) -> str:
        return n if not n or n in kept else f"{stem}/{n}"

    for n, tensor in made.items():
        yield helper.make_node("Constant", [], [name(n)], value=tensor)
    for node in nodes:
        new = NodeProto()
        new.CopyFrom(node)
        new.input[:] = map(name, node.input)
        new.output[:] = map(name, node.output)
        yield new
