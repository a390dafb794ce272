"""Nodes that no op of ours says, kept as they are: opaque values that carry the node and its opset.

What is known of their axes is in :data:`AXES`, so that most of them still run on many steps at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import onnx
from onnx import GraphProto, NodeProto, TensorProto, TypeProto, ValueInfoProto, checker, helper

from rnnc import foreign
from rnnc.errors import FileError, TypeMismatch
from rnnc.importer.calls import OLDEST, Call
from rnnc.importer.items import NOTHING, Array, Item, Known, Pending, Value
from rnnc.importer.modern import modern_graphs
from rnnc.importer.pending import Part, captured, gathered
from rnnc.importer.protos import check_graph, plain, schema_of, tensor_of, type_proto
from rnnc.ops.conv import windows
from rnnc.types import TensorType

#: Known inputs of at most so many elements stay inside the piece; larger weights are operands.
INSIDE = 4096
#: At most so many nodes are one piece.
MOST = 1000

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

#: Ops whose results are windows of their input, one at each place.
POOLS = ("MaxPool", "AveragePool", "LpPool")


def keep(call: Call) -> Sequence[Item]:
    """The results of a node as it is, and of those that must stay with it."""
    call = replace(call, node=_modern(call))
    node, reader = call.node, call.reader
    named = dict.fromkeys(n for n in (*node.input, *captured(node)) if n)
    part = gathered(node, {n: reader.item(n) for n in named})
    if len(part.node) > MOST:
        raise FileError(f"{call.shown} ends more than {MOST} nodes with no type of rnnc's between them")
    ends = [n for n in node.output if n]
    own = part.node[-1]
    inner = dict(zip(ends, (n for n in own.output if n), strict=True))
    protos = _protos(call)
    kinds = {n: _pooled(call) or _type(call, n, protos.get(n)) for n in ends}
    typed = {n: kind for n, kind in kinds.items() if isinstance(kind, TensorType)}
    found: dict[str, Item] = {}
    if typed:
        shown = [reader.type(i).names() for i in part.reads.values() if isinstance(i, Value)]
        reader.context.found.update(set().union(*(k.names() for k in typed.values())).difference(*shown))
        value = _piece(call, part, {inner[n]: kind for n, kind in typed.items()})
        found = dict(zip(typed, reader.results(value), strict=True))
    for n, why in kinds.items():
        if isinstance(why, str):
            found[n] = Pending(inner[n], tuple(part.node), part.reads, protos.get(n), why)
    return [found[n] if n else NOTHING for n in node.output]


def _modern(call: Call) -> NodeProto:
    """The node, with the graphs inside it in the oldest opset that is read."""
    node, reader = call.node, call.reader
    for attribute in node.attribute:
        for graph in [attribute.g] if attribute.HasField("g") else attribute.graphs:
            check_graph(graph, [*captured(node)], reader.context.opsets)
    written = reader.context.opsets.get("", OLDEST)
    if written >= OLDEST or not any(a.HasField("g") for a in node.attribute):
        return node
    protos = {n: reader.proto(reader.item(n)) or TypeProto() for n in captured(node)}
    try:
        return modern_graphs(node, written, protos)
    except Exception as error:  # noqa: BLE001 - it has no type for what it cannot convert
        raise FileError(f"{call.shown} cannot be brought from opset {written} to {OLDEST}: {error}") from None


def _piece(call: Call, part: Part, results: Mapping[str, TensorType]) -> str:
    """The value of nodes as they are, which gives those results."""
    reader, items = call.reader, part.reads
    inside = {n: i.array for n, i in items.items() if isinstance(i, Known) and _stays(i.array)}
    types = {n: reader.type(i) for n, i in items.items() if n not in inside}
    graph = helper.make_graph(
        part.node,
        "piece",
        [helper.make_value_info(n, type_proto(t, shaped=False)) for n, t in types.items()],
        [helper.make_value_info(n, type_proto(t, shaped=False)) for n, t in results.items()],
        [tensor_of(a, n) for n, a in inside.items()],
    )
    more = {}
    if len(part.node) == 1 and (axes := _axes(call, [*types], types, next(iter(results.values())))):
        more["axes"] = axes
    return call.build(
        "opaque",
        *(reader.value(items[n]) for n in types),
        what=plain(call.node.op_type),
        piece=foreign.pack(_model(graph, call)),
        results=tuple(map(str, results.values())),
        **more,
    )


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


def _protos(call: Call) -> Mapping[str, TypeProto]:
    """The types of the results by ONNX's inference, as far as it knows them."""
    node, reader, context = call.node, call.reader, call.reader.context
    schema = schema_of(node.op_type, call.domain, context.opset)
    if schema is None:
        return {}
    items = {n: reader.item(n) for n in (*node.input, *captured(node)) if n}
    data = {n: tensor_of(i.array, n) for n, i in items.items() if isinstance(i, Known)}
    infos = {n: proto for n, i in items.items() if (proto := reader.proto(i)) is not None}
    if any(a.HasField("g") for a in node.attribute):
        return _by_model(call, infos, data)
    imports = [helper.make_opsetid(call.domain, context.opset)]
    try:
        found = onnx.shape_inference.infer_node_outputs(schema, node, infos, data, {}, imports, 10)
    except (onnx.shape_inference.InferenceError, checker.ValidationError, KeyError, RuntimeError, ValueError):
        return {}
    return {n: proto for n, proto in found.items() if proto.WhichOneof("value")}


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


def _type(call: Call, name: str, inferred: TypeProto | None) -> TensorType | str:
    """The type of one result, as inferred, and for the rest as the file states; or why there is none."""
    context = call.reader.context
    stated = context.types.get(name)
    what = f"what {call.shown}"
    for proto in (_both(inferred, stated), inferred, stated):
        if proto is not None and proto.WhichOneof("value"):
            try:
                kind = context.dims.type(proto, name, what)
            except FileError as error:
                return error.message
            if kind is not None:
                return kind
    return f"the type of {what} is not known: ONNX does not infer it, and the file does not state it"


def _both(inferred: TypeProto | None, stated: TypeProto | None) -> TypeProto | None:
    """The type that was inferred, with the sizes that only the file states."""
    if inferred is None or stated is None:
        return None
    a, b = inferred.tensor_type, stated.tensor_type
    if not (a.HasField("shape") and b.HasField("shape") and len(a.shape.dim) == len(b.shape.dim)):
        return None
    both = TypeProto()
    both.CopyFrom(inferred)
    for mine, theirs in zip(both.tensor_type.shape.dim, b.shape.dim, strict=True):
        if not mine.WhichOneof("value") and theirs.WhichOneof("value"):
            mine.CopyFrom(theirs)
    return both


def _pooled(call: Call) -> TensorType | None:
    """The type of what a pool gives, sizes with names included, which ONNX does not infer."""
    attrs = call.attrs
    if call.node.op_type not in POOLS or call.domain or len(call.node.output) > 1:
        return None
    if attrs.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or attrs.get("ceil_mode"):
        return None
    x, kernel = call.type(0), attrs["kernel_shape"]
    n = len(kernel)
    strides, dilations = attrs.get("strides") or (1,) * n, attrs.get("dilations") or (1,) * n
    pads = attrs.get("pads") or (0,) * 2 * n
    try:
        space = [
            windows(size, kernel[i], stride=strides[i], padding=pads[i] + pads[n + i], dilation=dilations[i])
            for i, size in enumerate(x.shape[2:])
        ]
    except TypeMismatch as error:
        raise FileError(f"{call.shown} does not fit: {error.message}", hint=error.hint) from None
    return TensorType(x.dtype, (*x.shape[:2], *space))


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
    if call.node.op_type == "Resize" and call.has(3):
        return ""  # the sizes that it is told are those of one step
    if call.node.op_type in ("MaxPool", "AveragePool", "Resize") and result is not None:
        first = types.get(call.node.input[0])
        if first is None or first.shape[:1] != result.shape[:1]:
            return ""
    return f"{', '.join(terms)} -> {known[-1]}"
