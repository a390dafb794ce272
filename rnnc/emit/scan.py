"""Regions as ``Scan``: states are carried, streams scanned, and all else read from the graph around.

    region(x, w, h.init) {body, steps = T}

becomes, for a number of steps known only when running, of which onnxruntime's Scan cannot do none,

    If(T == 0) {then: no output, states as they were}
               {else: Scan(h.init, x) {body: (h, x_t) -> (h', y_t), w an initializer of it}}

Weights are initializers of the body, which is faster than reading them from outside. A ragged region scans
the number of the step too: past its end a sequence keeps its states and gives zeros.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from onnx import helper

from rnnc.build import Builder
from rnnc.dims import Poly
from rnnc.emit.graph import Fixed, Writer
from rnnc.emit.names import input_values
from rnnc.emit.reads import needed
from rnnc.emit.scope import ONNX_DTYPE, Scope
from rnnc.emit.shapes import Sizes
from rnnc.ir import Graph
from rnnc.loops.regions import operands
from rnnc.passes.step import step
from rnnc.types import TensorType, tensor


def loop_body(graph: Graph, region: str) -> Graph:
    """The body of a region as a function of one step: from the states before it to those after."""
    node = graph[region]
    body: Graph = node.attrs["body"].copy()
    step(body)
    return masked(body) if node.attrs.get("ragged") else body


@dataclass(frozen=True)
class Loops:
    """A function graph, and the bodies of its loops as functions of one step, by region."""

    graph: Graph
    bodies: Mapping[str, Loops]

    def graphs(self) -> Iterator[Graph]:
        """The graph and all bodies, at any depth."""
        yield self.graph
        for body in self.bodies.values():
            yield from body.graphs()


def loops(graph: Graph) -> Loops:
    """A function graph and the loops that its results need."""
    regions = (v for v in needed(graph, graph.roots()) if graph[v].op == "region")
    return Loops(graph, {v: loops(loop_body(graph, v)) for v in regions})


def masked(graph: Graph) -> Graph:
    """A function of one step, given its number and the lengths: past its end, a sequence changes nothing."""
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


class LoopWriter(Writer):
    """A writer of graphs with regions."""

    def __init__(self, loops: Loops, scope: Scope, sizes: Sizes, sources: Mapping[str, str | Fixed]) -> None:
        super().__init__(loops.graph, scope, sizes, sources)
        self.loops = loops.bodies

    def node(self, value: str) -> None:
        """Write the node of ``value``; for a region that may have no step, the choice whether to run it."""
        if value not in self.loops:
            super().node(value)
        elif isinstance(self.graph[value].attrs["steps"], Poly):
            self._choice(value)
        else:
            self._scan(value, self.scope, self.outputs(value))

    def _choice(self, region: str) -> None:
        """Write an ``If``, in which the ``Scan`` is run or what no step gives is given."""
        scope, results = self.scope, self.outputs(region)
        condition = self.sizes.is_zero(self.graph[region].attrs["steps"])
        inits = operands(self.graph, region).inits
        idle, busy = Scope(scope.opset, scope), Scope(scope.opset, scope)
        nothing: dict[str, TensorType] = {}
        types = list(results.items())
        for name, type in types[: len(types) - len(inits)]:
            # How many elements a step finds is not known where there is none.
            empty = TensorType(type.dtype, (0, *(d if self.sizes.shows(d) else 0 for d in type.shape[1:])))
            shape = self.sizes.vector(empty.shape)
            zero = helper.make_tensor("", ONNX_DTYPE[type.dtype], [1], [0])
            nothing[idle.derive("ConstantOfShape", [shape], empty, f"{name}_none", value=zero)] = empty
        for (name, type), init in zip(types[len(types) - len(inits) :], inits, strict=True):
            nothing[idle.derive("Identity", [self.tensor(init)], type, f"{name}_kept")] = type
        inner = {scope.tensors(f"{name}_run"): type for name, type in types}
        self._scan(region, busy, inner)
        branches = {
            "then_branch": idle.graph("idle", {}, nothing),
            "else_branch": busy.graph("busy", {}, inner),
        }
        name, doc = f"{self.hints[region]}/if", self.doc(region)
        scope.node("If", [condition], results, name=name, doc=doc, attrs=branches)

    def _scan(self, region: str, scope: Scope, results: dict[str, TensorType]) -> None:
        """Write the ``Scan`` into ``scope``; ``results`` are the region's outputs, then its final states."""
        attrs, roles, inner = self.graph[region].attrs, operands(self.graph, region), self.loops[region]
        step = inner.graph
        face, body = step.interface, Scope(scope.opset, scope)
        sources: dict[str, str | Fixed] = {}
        carried, scanned, before, slices = [], [], {}, {}
        for state, value in zip(face.states, roles.inits, strict=True):
            sources[state.source] = name = scope.tensors(f"{state.path}_before")
            carried.append(self.tensor(value))
            before[name] = state.tensor
        for inp, value in zip(face.inputs, roles.inputs, strict=True):
            if inp.kind == "stream":
                sources[inp.name] = name = scope.tensors(f"{inp.name}_step")
                scanned.append(self.tensor(value))
                slices[name] = inp.type
            else:
                sources[inp.name] = self.fixed(value) or self.tensor(value)
        if roles.lengths or not scanned:
            name = scope.tensors("step")
            scanned.append(self.sizes.range(attrs["steps"]))
            slices[name] = TensorType("i64")
            if roles.lengths:
                number, lengths = input_values(step)[len(face.inputs) :]
                sources |= {number: name, lengths: self.tensor(roles.lengths)}
        after = {scope.tensors(f"{s.path}_after"): s for s in face.states}
        outputs = {scope.tensors(f"{o.name}_step"): o for o in face.outputs}
        targets = [(step.finals[s.path], t) for t, s in after.items()]
        targets += [(step.outputs[o.name], t) for t, o in outputs.items()]
        LoopWriter(inner, body, Sizes(body, self.sizes), sources).write(targets)
        ends = {t: s.tensor for t, s in after.items()} | {t: o.type for t, o in outputs.items()}
        scan: dict[str, Any] = {
            "body": body.graph(step.name, before | slices, ends),
            "num_scan_inputs": len(scanned),
        }
        if attrs.get("reverse"):
            scan["scan_input_directions"] = [1] * len(scanned)
            scan["scan_output_directions"] = [1] * len(outputs)
        types, count = list(results.items()), len(outputs)
        ordered = dict([*types[count:], *types[:count]])
        name, doc = self.hints[region], self.doc(region)
        scope.node("Scan", [*carried, *scanned], ordered, name=name, doc=doc, attrs=scan)
