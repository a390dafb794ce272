"""Regions as ``Scan``: states are carried, streams scanned, and all else read from the graph around.

    region(x, w, h.init) {body, steps = T}

becomes, for a number of steps known only when running, of which onnxruntime's Scan cannot do none,

    If(T == 0) {then: no output, states as they were}
               {else: Scan(h.init, x) {body: (h, x_t) -> (h', y_t), w an initializer of it}}

Weights are initializers of the body, which is faster than reading them from outside. A ragged region scans
the number of the step too: past its end a sequence keeps its states and gives zeros.
"""

from __future__ import annotations

from typing import Any

from onnx import helper

from rnnc.build import Builder
from rnnc.dims import Poly
from rnnc.emit.graph import Fixed, Writer
from rnnc.emit.names import input_values
from rnnc.emit.scope import ONNX_DTYPE, Scope
from rnnc.ir import Graph
from rnnc.passes.step import step
from rnnc.regions import operands
from rnnc.types import TensorType, tensor


def loop_body(graph: Graph, region: str) -> Graph:
    """The body of a region as a function of one step: from the states before it to those after."""
    node = graph[region]
    body: Graph = node.attrs["body"].copy()
    step(body)
    return masked(body) if node.attrs.get("ragged") else body


def masked(graph: Graph) -> Graph:
    """The function of one step with two more inputs, the number of the step and the lengths: past its end a
    sequence changes nothing."""
    b = Builder(graph)
    number = graph.add("input", type=TensorType("i64"), name="step")
    lengths = graph.add("input", type=tensor("i64", "B"), name="lengths")
    valid = b("less", number, lengths)

    def valid_for(type: TensorType) -> str:
        after_batch = tuple(range(1, type.rank))
        return b("unsqueeze", valid, axes=after_batch) if after_batch else valid

    for path, new in graph.finals.items():
        state = graph.interface.state(path)
        graph.finals[path] = b("where", valid_for(state.type), new, state.source)
    for name, value in graph.outputs.items():
        zero = b.const(0, graph.type(value).dtype)
        graph.outputs[name] = b("where", valid_for(graph.type(value)), value, zero)
    return graph


def write_region(writer: Writer, region: str) -> None:
    """Write the region's loop, and the choice whether to run it where there may be no step."""
    graph, scope = writer.graph, writer.scope
    steps, results = graph[region].attrs["steps"], writer.outputs(region)
    if not isinstance(steps, Poly):
        _write_scan(writer, region, scope, results)
        return
    roles = operands(graph, region)
    condition = writer.sizes.is_zero(steps)
    streams = len(results) - len(roles.inits)
    idle, busy = Scope(scope.opset, scope), Scope(scope.opset, scope)
    nothing: dict[str, TensorType] = {}
    for name, type in list(results.items())[:streams]:
        empty = TensorType(type.dtype, (0, *type.shape[1:]))
        shape, zero = (
            writer.sizes.vector(empty.shape),
            helper.make_tensor("", ONNX_DTYPE[type.dtype], [1], [0]),
        )
        nothing[idle.derive("ConstantOfShape", [shape], empty, f"{name}_none", value=zero)] = empty
    for (name, type), init in zip(list(results.items())[streams:], roles.inits, strict=True):
        nothing[idle.derive("Identity", [writer.tensor(init)], type, f"{name}_kept")] = type
    inner = {scope.tensors(f"{name}_run"): type for name, type in results.items()}
    _write_scan(writer, region, busy, inner)
    branches = {"then_branch": idle.graph("idle", {}, nothing), "else_branch": busy.graph("busy", {}, inner)}
    scope.node(
        "If", [condition], results, name=f"{writer.hints[region]}/if", doc=writer.doc(region), attrs=branches
    )


def _write_scan(writer: Writer, region: str, scope: Scope, results: dict[str, TensorType]) -> None:
    """Write the ``Scan`` into ``scope``; ``results`` are the region's outputs, then its final states."""
    graph = writer.graph
    attrs, roles, step = graph[region].attrs, operands(graph, region), writer.loops[region]
    face, body = step.interface, Scope(scope.opset, scope)
    sources: dict[str, str | Fixed] = {}
    carried, scanned, before, slices = [], [], {}, {}
    for state, value in zip(face.states, roles.inits, strict=True):
        sources[state.source] = name = scope.tensors(f"{state.path}_before")
        carried.append(writer.tensor(value))
        before[name] = state.tensor
    for inp, value in zip(face.inputs, roles.inputs, strict=True):
        if inp.kind == "stream":
            sources[inp.name] = name = scope.tensors(f"{inp.name}_step")
            scanned.append(writer.tensor(value))
            slices[name] = inp.type
        else:
            sources[inp.name] = writer.fixed(value) or writer.tensor(value)
    if roles.lengths or not scanned:
        name = scope.tensors("step")
        scanned.append(writer.sizes.range(attrs["steps"]))
        slices[name] = TensorType("i64")
        if roles.lengths:
            number, lengths = input_values(step)[len(face.inputs) :]
            sources |= {number: name, lengths: writer.tensor(roles.lengths)}
    after = {s.path: scope.tensors(f"{s.path}_after") for s in face.states}
    outputs = {o.name: scope.tensors(f"{o.name}_step") for o in face.outputs}
    inner = Writer(step, body, writer.sizes, sources)
    inner.write(
        [
            *((step.finals[p], t) for p, t in after.items()),
            *((step.outputs[o], t) for o, t in outputs.items()),
        ]
    )
    ends = {after[s.path]: s.tensor for s in face.states} | {outputs[o.name]: o.type for o in face.outputs}
    scan: dict[str, Any] = {
        "body": body.graph(step.name, before | slices, ends),
        "num_scan_inputs": len(scanned),
    }
    if attrs.get("reverse"):
        scan |= {"scan_input_directions": [1] * len(scanned), "scan_output_directions": [1] * len(outputs)}
    items, count = list(results.items()), len(outputs)
    ordered = dict([*items[count:], *items[:count]])
    scope.node(
        "Scan", [*carried, *scanned], ordered, name=writer.hints[region], doc=writer.doc(region), attrs=scan
    )
