"""Models: a function graph as a whole ONNX model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import GraphProto, ModelProto, NodeProto, helper

from rnnc.emit import manifest
from rnnc.emit.form import Form
from rnnc.emit.graph import Fixed
from rnnc.emit.names import Wiring, wire
from rnnc.emit.opsets import choose_opset
from rnnc.emit.places import parse_place
from rnnc.emit.scan import LoopWriter, loops
from rnnc.emit.scope import Scope
from rnnc.emit.shapes import Sizes
from rnnc.errors import FormError, Loc
from rnnc.ir import Graph
from rnnc.loops.ends import separate_ends

#: A file, as other parts of rnnc call it.
Model = ModelProto

#: What a file says it was written by.
PRODUCER, PRODUCER_VERSION = "rnnc", "0.1.0"


def write_model(graph: Graph, form: Form, opset: int | None = None) -> ModelProto:
    """The ONNX model of a function graph, in the oldest opset that has all it needs, or in ``opset``."""
    if form.separate and form.steps:
        graph = separate_ends(graph, form.steps)
    found = loops(graph)
    model = ModelProto(producer_name=PRODUCER, producer_version=PRODUCER_VERSION)
    scope = Scope(choose_opset(found.graphs(), opset), proto=model.graph)
    wiring = wire(graph, scope.tensors)
    sizes = Sizes(scope)
    sources: dict[str, str | Fixed] = dict(wiring.inputs)
    sources |= {graph.interface.state(p).source: before for p, (before, _) in wiring.states.items()}
    inputs = {tensor: graph.type(value) for value, tensor in sources.items() if isinstance(tensor, str)}
    for tensor, type in inputs.items():
        sizes.sees(tensor, type)
    sources |= {path: _weight(graph, path) for path in graph.find("param")}
    outputs = {tensor: graph.outputs[name] for name, tensor in wiring.outputs.items()}
    outputs |= {after: graph.finals[path] for path, (_, after) in wiring.states.items()}
    writer = LoopWriter(found, scope, sizes, sources)
    writer.write((value, tensor) for tensor, value in outputs.items())
    types = {tensor: graph.type(value) for tensor, value in outputs.items()}
    scope.graph(graph.name, inputs, types)
    _describe(model, scope, graph, form, wiring)
    return model


def _weight(graph: Graph, path: str) -> Fixed:
    array = graph.interface.params.get(path)
    if array is None:
        raise FormError(
            f"the weight {path} has no value", hint="Load the model's weights before compiling it."
        )
    return Fixed(path, np.asarray(array, graph.type(path).numpy))


def _describe(model: ModelProto, scope: Scope, graph: Graph, form: Form, wiring: Wiring) -> None:
    """Write what ``model`` says about its graph."""
    model.opset_import.append(helper.make_opsetid("", scope.opset))
    model.opset_import.extend(helper.make_opsetid(d, v) for d, v in sorted(scope.domains.items()))
    model.ir_version = helper.find_min_ir_version_for(model.opset_import[:1])
    model.doc_string = describe(form, wiring)
    entry = model.metadata_props.add()
    entry.key, entry.value = manifest.KEY, manifest.dumps(manifest.manifest(graph, form, wiring))


def describe(form: Form, wiring: Wiring) -> str:
    """How to call the file, for whoever opens it."""
    first, last = list(wiring.inputs.values()), list(wiring.outputs.values())
    time = {None: "", 0: " Time is the first axis.", 1: " Time is the second axis."}[form.time_axis]
    text = f"{form.name.capitalize()} form: {', '.join(first)} in, {', '.join(last)} out.{time}"
    if wiring.states:
        pairs = ", ".join(f"{after} as {before}" for before, after in wiring.states.values())
        text += f" On the next call give {pairs}. Initial states are in the metadata, '{manifest.KEY}'."
    return text


def find_place(source: str | bytes, node: str) -> Loc | None:
    """The place in the source that a node of a file, or of its content, comes from, if it is an ``.onnx``."""
    try:
        model = (
            onnx.load_model_from_string(source)
            if isinstance(source, bytes)
            else onnx.load(source, load_external_data=False)
        )
    except DecodeError:  # onnxruntime runs files of another format, too, which name no places
        return None
    found = next((n.doc_string for n in nodes(model.graph) if n.name == node), "")
    return parse_place(found)


def nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """The nodes of a graph and of the graphs inside them."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from nodes(attribute.g)
