"""Nodes that no op of ours says, kept as they are: opaque values that carry the node and its opset.

What is known of their axes is in :data:`AXES`, so that most of them still run on many steps at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import onnx
from onnx import GraphProto, NodeProto, TensorProto, TypeProto, ValueInfoProto, helper, numpy_helper

from rnnc import foreign
from rnnc.errors import FileError
from rnnc.importer.calls import Call
from rnnc.importer.items import Array, Item, Known, Nothing
from rnnc.importer.protos import schema_of, type_proto
from rnnc.types import TensorType, type_of

#: Known inputs of at most so many elements stay inside the piece; larger weights are operands.
INSIDE = 4096

_EACH = ("...", "...")
_IMAGE = ("b c *s~", "b c *s~")

#: The axes of ops that are kept, in the notation of :mod:`rnnc.ops.axes`: of each input, then of the results.
AXES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(["Sinh", "Cosh", "Tan", "Asin", "Acos", "Atan", "Asinh", "Acosh", "Atanh"], _EACH),
    **dict.fromkeys(["IsNaN", "IsInf", "BitwiseNot", "Shrink", "Swish"], _EACH),
    **dict.fromkeys(["BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor"], ("...", "...", "...")),
    **dict.fromkeys(["MaxPool", "AveragePool", "LpPool", "GlobalMaxPool", "GlobalLpPool", "LRN"], _IMAGE),
    **dict.fromkeys(["DepthToSpace", "SpaceToDepth"], _IMAGE),
    **dict.fromkeys(["Conv", "ConvTranspose"], ("b c *s~", "o i *k", "o", "b c *s~")),
    "Resize": ("b c *s~", "r", "r", "r", "b c *s~"),
    **dict.fromkeys(["InstanceNormalization", "GroupNormalization"], ("b c *s~", "c", "c", "b c *s~")),
    "GridSample": ("b c *s~", "b *g", "b c *s~"),
}


def keep(call: Call) -> Sequence[Item]:
    """The results of a node as it is."""
    node, reader = call.node, call.reader
    names = [*node.input, *(n for n in captured(node) if n not in node.input)]
    items = {n: reader.item(n) for n in names if n}
    inside = {n: i.array for n, i in items.items() if isinstance(i, Known) and _stays(i.array)}
    operands = [n for n in items if n not in inside]
    types = {n: reader.type(items[n]) for n in operands}
    results = _types(call, types, inside)
    ends = [n for n in node.output if n]
    graph = helper.make_graph(
        [node],
        "piece",
        [helper.make_value_info(n, type_proto(t, shaped=False)) for n, t in types.items()],
        [helper.make_value_info(n, type_proto(results[n], shaped=False)) for n in ends],
        [numpy_helper.from_array(a, n) for n, a in inside.items()],
    )
    piece = foreign.pack(_model(graph, call))
    axes = _axes(call, operands, types, results[ends[0]] if ends else None)
    more = {"axes": axes} if axes else {}
    value = call.build(
        "opaque",
        *(reader.value(items[n]) for n in operands),
        what=node.op_type,
        piece=piece,
        results=tuple(str(results[n]) for n in ends),
        **more,
    )
    found = iter(reader.results(value))
    return [next(found) if n else Nothing() for n in node.output]


def _stays(array: Array) -> bool:
    return array.size <= INSIDE or array.dtype.kind not in "fiub"


def _model(graph: GraphProto, call: Call) -> onnx.ModelProto:
    """A piece as a model, with the opsets that its nodes are of."""
    domains = {"" if n.domain == "ai.onnx" else n.domain for n in foreign.all_nodes(graph)}
    opsets = dict(call.reader.context.opsets) | {"": call.reader.context.opset}
    imports = [helper.make_opsetid(d, opsets.get(d, 1)) for d in sorted(domains)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=imports, producer_name="")
    model.ir_version = helper.find_min_ir_version_for(imports, ignore_unknown=True)
    return model


def captured(node: NodeProto) -> Iterator[str]:
    """The tensors that the graphs inside a node read from around them, in order."""
    for attribute in node.attribute:
        for graph in [attribute.g] if attribute.HasField("g") else attribute.graphs:
            own = {i.name for i in graph.input} | {t.name for t in graph.initializer}
            seen = dict[str, None]()
            for inner in graph.node:
                seen.update(dict.fromkeys(n for n in (*inner.input, *captured(inner)) if n and n not in own))
                own.update(inner.output)
            seen.update(dict.fromkeys(o.name for o in graph.output if o.name not in own))
            yield from seen


def _types(call: Call, types: Mapping[str, TensorType], inside: Mapping[str, Array]) -> dict[str, TensorType]:
    """The types of the results, by ONNX's inference, or as the file states them."""
    node, context = call.node, call.reader.context
    infos = {n: type_proto(t) for n, t in types.items()}
    data = {n: numpy_helper.from_array(a, n) for n, a in inside.items() if a.dtype.kind in "iufb"}
    infos |= {n: type_proto(type_of(a)) for n, a in inside.items() if a.dtype.kind in "iufb"}
    found: Mapping[str, TypeProto] = {}
    schema = schema_of(node.op_type, call.domain, context.opset)
    if schema is not None and not any(a.HasField("g") for a in node.attribute):
        given = {n: infos[n] for n in node.input if n in infos}
        imports = [helper.make_opsetid(call.domain, context.opset)]
        try:
            found = onnx.shape_inference.infer_node_outputs(schema, node, given, data, {}, imports, 10)
        except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
            found = {}
    elif schema is not None:
        found = _by_model(call, infos, data)
    return {n: _type(call, n, found.get(n)) for n in node.output if n}


def _by_model(
    call: Call, infos: Mapping[str, TypeProto], data: Mapping[str, TensorProto]
) -> dict[str, TypeProto]:
    """The types of what a node with graphs inside gives."""
    graph = helper.make_graph(
        [call.node],
        "one",
        [helper.make_value_info(n, t) for n, t in infos.items() if n not in data],
        [ValueInfoProto(name=n) for n in call.node.output if n],
        list(data.values()),
    )
    try:
        inferred = onnx.shape_inference.infer_shapes(_model(graph, call), data_prop=True)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        return {}
    return {o.name: o.type for o in inferred.graph.output if o.type.WhichOneof("value")}


def _type(call: Call, name: str, inferred: TypeProto | None) -> TensorType:
    """The type of one result: what was inferred, or else what the file states."""
    context = call.reader.context
    stated = context.types.get(name)
    for proto in (inferred, stated):
        if proto is not None and proto.WhichOneof("value"):
            kind = context.dims.type(proto, name, f"what {call.shown}")
            if kind is not None:
                return kind
    raise FileError(
        f"the type of what {call.shown} is not known: ONNX does not infer it, and the file does not state it",
        hint="State it in the file's value_info.",
    )


def _axes(
    call: Call, operands: Sequence[str], types: Mapping[str, TensorType], result: TensorType | None
) -> str:
    """The axes of a kept node with those operands, if they are known."""
    known = AXES.get(call.node.op_type) if not call.domain else None
    if known is None or len([n for n in call.node.output if n]) > 1 or not operands:
        return ""
    by_input = dict(zip(call.node.input, known[:-1], strict=False))
    terms = [by_input.get(n, "*u") for n in operands]
    if "b" not in known[0].split() and "..." not in known[0].split():
        return ""
    if call.node.op_type in ("MaxPool", "AveragePool", "Resize") and result is not None:
        first = types.get(call.node.input[0])
        if first is None or first.shape[:1] != result.shape[:1]:
            return ""
    return f"{', '.join(terms)} -> {known[-1]}"
