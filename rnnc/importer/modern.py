"""Nodes of older opsets in the oldest one that is read: what has changed is converted, node by node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import onnx
from onnx import GraphProto, NodeProto, TypeProto, helper, version_converter

from rnnc.importer.calls import OLDEST
from rnnc.importer.items import Item, Known
from rnnc.importer.pending import defined
from rnnc.importer.protos import schema_of, tensor_of

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
    types = {n: reader.proto(found[n]) or TypeProto() for n in names if n not in constants}
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_value_info(n, t) for n, t in types.items()],
        [helper.make_value_info(n, TypeProto()) for n in node.output if n],
        [tensor_of(a, n) for n, a in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", written)])
    try:
        converted = version_converter.convert_version(model, OLDEST)
    except Exception:  # noqa: BLE001 - it has no type for what it cannot convert
        return None
    made = {t.name: t for t in converted.graph.initializer if t.name not in constants}
    return list(_renamed(converted.graph.node, made, {*names, *node.output}, node.output[0]))


def modern_graphs(node: NodeProto, written: int, protos: Mapping[str, TypeProto]) -> NodeProto:
    """A node whose graphs are brought to the oldest opset that is read; ``protos`` are what they capture."""
    new = NodeProto()
    new.CopyFrom(node)
    for attribute in new.attribute:
        for graph in [attribute.g] if attribute.HasField("g") else attribute.graphs:
            _bring(graph, written, protos)
    return new


def _bring(graph: GraphProto, written: int, protos: Mapping[str, TypeProto]) -> None:
    """Bring a graph to the oldest opset that is read, from the innermost graphs outwards."""
    own = set(defined(graph))
    outer = {n: proto for n, proto in protos.items() if n not in own}
    around = [helper.make_value_info(n, proto) for n, proto in outer.items()]
    whole = GraphProto()
    whole.CopyFrom(graph)
    whole.input.extend(around)
    imports = [helper.make_opsetid("", written)]
    inferred = onnx.shape_inference.infer_shapes(helper.make_model(whole, opset_imports=imports)).graph
    types = {v.name: v.type for v in (*inferred.input, *inferred.value_info, *inferred.output)}
    nodes = [modern_graphs(n, written, types) for n in whole.node]
    del whole.node[:]
    whole.node.extend(nodes)
    model = helper.make_model(whole, opset_imports=imports)
    converted = version_converter.convert_version(model, OLDEST).graph
    del graph.node[:]
    del graph.initializer[:]
    graph.node.extend(converted.node)
    graph.initializer.extend(converted.initializer)


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
