"""Pieces: what is kept of somebody's ONNX, put back with names of the file that is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onnx import GraphProto, NodeProto

from rnnc import foreign
from rnnc.emit.scope import Scope
from rnnc.ir import Array
from rnnc.types import TensorType


def write_piece(
    scope: Scope,
    piece: Array,
    operands: Sequence[str],
    outputs: Mapping[str, TensorType],
    *,
    name: str,
    doc: str,
) -> None:
    """Write the nodes of a piece, whose inputs are the tensors ``operands``, and results ``outputs``."""
    model = foreign.in_opset(piece, scope.opset)
    graph = model.graph
    versions = {o.domain: int(o.version) for o in model.opset_import if o.domain not in ("", "ai.onnx")}
    names = dict(zip((i.name for i in graph.input), operands, strict=True)) | {"": ""}
    names |= dict(zip((o.name for o in graph.output), outputs, strict=True))
    for tensor in graph.initializer:
        names[tensor.name] = scope.tensor(tensor, f"{name}/{tensor.name}")
    for node in graph.node:
        for n in node.output:
            names.setdefault(n, scope.tensors(f"{name}/{n}"))
        new = _renamed(scope, node, names)
        new.doc_string = doc
        scope.keep(new, outputs, versions)


def _renamed(scope: Scope, node: NodeProto, names: Mapping[str, str]) -> NodeProto:
    """A node with its tensors called as ``names`` says, those of the graphs inside it by new names."""
    new = NodeProto()
    new.CopyFrom(node)
    new.name = scope.node_names(node.name or next((names[n] for n in node.output if n), node.op_type))
    new.input[:] = [names[n] for n in node.input]
    new.output[:] = [names[n] for n in node.output]
    for attribute in new.attribute:
        for graph in [attribute.g] if attribute.HasField("g") else attribute.graphs:
            _rename_graph(scope, graph, names)
    return new


def _rename_graph(scope: Scope, graph: GraphProto, around: Mapping[str, str]) -> None:
    """Call the tensors of a graph inside a node by names that no other tensor of the model has."""
    names = dict(around)
    own = [i.name for i in graph.input] + [t.name for t in graph.initializer]
    own += [n for node in graph.node for n in node.output if n]
    names |= {n: scope.tensors(n) for n in dict.fromkeys(own)}
    for part in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        part.name = names.get(part.name, part.name)
    nodes = [_renamed(scope, node, names) for node in graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
