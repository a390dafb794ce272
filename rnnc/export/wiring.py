"""The states of a step file, as a server that keeps one state per stream feeds them.

Such a server knows the first axis of every tensor as the batch, joins the states of the streams of a batch
along it, and takes them apart again. So a state whose batch axis is another, as ``[k, B, …]`` of a delay of k
steps, is given and taken batch first here, and one that is ``[B]`` as ``[B, 1]``.

With ``controls``, the model has three more inputs, ``[B, 1]`` of bool, by which the server says for each
stream of a batch where in its life it is, and which decide its states within the model:

    before = where(START, initial, state_in)        a stream's first step: its state is the initial one
    after  = where(END, initial, step(before))      its last: nothing of it is left in the server's memory
    state_out = where(READY, after, before)         no step of it at all: its state stays
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

from rnnc.emit.manifest import KEY
from rnnc.emit.model import nodes
from rnnc.emit.names import Names
from rnnc.emit.scope import value_info
from rnnc.errors import FormError
from rnnc.ir import Array
from rnnc.ports import StatePort
from rnnc.types import TensorType, short_dtype

#: The inputs that say where in its life a stream is.
CONTROLS = ("START", "END", "READY")

#: The element types among which onnxruntime's ``Where`` chooses.
CHOSEN = {"float16", "float32", "float64", "int8", "int32", "int64", "uint8", "uint32"}


@dataclass(frozen=True)
class Wired:
    """A state as a server feeds it: its path, its tensors, and the type and first value for one stream."""

    path: str
    input: str
    output: str
    dtype: str
    initial: Array

    @property
    def dims(self) -> tuple[int, ...]:
        """The shape for one stream, without the batch axis."""
        return tuple(map(int, self.initial.shape))


@dataclass(frozen=True)
class Served:
    """A model and what a server must know of it."""

    model: ModelProto
    states: tuple[Wired, ...]
    controls: tuple[str, ...]


def serve(model: ModelProto, manifest: Mapping[str, Any], *, controls: bool) -> Served:
    """``model`` with its states batch first, in names that sort alike before and after, and ``controls``.

    Where nothing is to be changed it stays as it is, manifest and all. Where something is, the manifest goes:
    it describes the model within.
    """
    ports = [StatePort.read(entry) for entry in manifest["states"]]
    for port in ports:
        batch = [d for d in port.before.shape if isinstance(d, str)]
        if batch != ["B"]:
            raise FormError(f"the state {port.path} is {port.before.shown}: only its batch may be open")
        if controls and port.before.dtype not in CHOSEN:
            raise FormError(
                f"onnxruntime has no Where for the state {port.path}, which is {port.before.dtype}",
                hint="Leave the controls out: --no-controls.",
            )
    changed = ModelProto()
    changed.CopyFrom(model)
    names = _taken(changed.graph)
    control_names = tuple(names(c) for c in CONTROLS) if controls and ports else ()
    prefixes = _prefixes(ports)
    if not control_names and not any(prefixes) and all(_as_served(p) for p in ports):
        return Served(model, tuple(_wired(p, p.before.name, p.after) for p in ports), ())
    edit = _Edit(changed.graph, names, control_names)
    states = tuple(edit.state(port, prefix) for port, prefix in zip(ports, prefixes, strict=True))
    edit.finish()
    kept = [entry for entry in changed.metadata_props if entry.key != KEY]
    del changed.metadata_props[:]
    changed.metadata_props.extend(kept)
    changed.doc_string = "Step form, for a server that keeps the states: the batch is their first axis."
    return Served(changed, states, control_names)


class _Edit:
    """The states of a graph put between the server and the model, one after another."""

    def __init__(self, graph: GraphProto, names: Names, controls: Sequence[str]) -> None:
        self._graph, self._names, self._controls = graph, names, controls
        self._before: list[NodeProto] = []
        self._after: list[NodeProto] = []
        self._renamed: dict[str, str] = {}
        self._flags: dict[tuple[str, int], str] = {}
        self._node_names = Names()
        for node in nodes(graph):
            self._node_names(node.name)
        self._infos = {info.name: info for info in (*graph.input, *graph.output)}

    def state(self, port: StatePort, prefix: str) -> Wired:
        """Put one state through; what it is for the server."""
        name, after = port.before.name, port.after
        wired = _wired(port, *(self._names(f"{prefix}{n}") if prefix else n for n in (name, after)))
        type = TensorType(short_dtype(wired.dtype)).with_shape("B", *wired.dims)
        self._infos[name].CopyFrom(value_info(wired.input, type))
        self._infos[after].CopyFrom(value_info(wired.output, type))
        if not self._controls:
            self._renamed[name] = self._inward(port, wired.input)
            self._renamed[after] = self._outward(port, wired.output)
            return wired
        initial = self._constant(wired.initial[None], f"{wired.input}/initial")
        before = self._where(self._before, "START", type, initial, wired.input, f"{wired.input}/start")
        self._renamed[name] = self._inward(port, before)
        stepped = self._names(f"{wired.output}/step")
        self._graph.value_info.append(value_info(stepped, type))
        self._renamed[after] = self._outward(port, stepped)
        ended = self._where(self._after, "END", type, initial, stepped, f"{wired.output}/end")
        self._after.append(self._choice("READY", type.rank, ended, before, wired.output))
        return wired

    def finish(self) -> None:
        """Give the model's own nodes the new names, and put what is new around them."""
        for node in nodes(self._graph):
            node.input[:] = [self._renamed.get(n, n) for n in node.input]
            node.output[:] = [self._renamed.get(n, n) for n in node.output]
        own = list(self._graph.node)
        del self._graph.node[:]
        self._graph.node.extend([*self._before, *own, *self._after])
        for name in self._controls:
            self._graph.input.append(value_info(name, TensorType("bool").with_shape("B", 1)))

    def _inward(self, port: StatePort, x: str) -> str:
        """The tensor that the model takes, made of the server's ``x``."""
        if _as_served(port):
            return x
        name, order = self._inner(port, port.before.name), _order(port)
        perm = [order.index(axis) for axis in range(len(order))]
        if len(order) == 1:
            node = self._node("Squeeze", [x, self._axes([1])], name)
        else:
            node = self._node("Transpose", [x], name, perm=perm)
        self._before.append(node)
        return name

    def _outward(self, port: StatePort, y: str) -> str:
        """The tensor that the model gives, of which the server's ``y`` is made."""
        if _as_served(port):
            return y
        name, order = self._inner(port, port.after), _order(port)
        if len(order) == 1:
            node = self._node("Unsqueeze", [name, self._axes([1])], y)
        else:
            node = self._node("Transpose", [name], y, perm=order)
        self._after.append(node)
        return name

    def _inner(self, port: StatePort, name: str) -> str:
        """A new name for a state's tensor within the model, whose type stays."""
        name = self._names(f"{name}/inner")
        type = TensorType(short_dtype(port.before.dtype)).with_shape(*port.before.shape)
        self._graph.value_info.append(value_info(name, type))
        return name

    def _where(self, out: list[NodeProto], flag: str, type: TensorType, yes: str, no: str, name: str) -> str:
        """A tensor chosen by a control, stream by stream."""
        name = self._names(name)
        out.append(self._choice(flag, type.rank, yes, no, name))
        self._graph.value_info.append(value_info(name, type))
        return name

    def _choice(self, flag: str, rank: int, yes: str, no: str, name: str) -> NodeProto:
        return self._node("Where", [self._flag(flag, rank), yes, no], name)

    def _node(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> NodeProto:
        return helper.make_node(op, inputs, [output], name=self._node_names(output), **attributes)

    def _flag(self, flag: str, rank: int) -> str:
        """A control with the axes that it takes to choose among tensors of that rank."""
        name = self._controls[CONTROLS.index(flag)]
        if rank == 2:
            return name
        if (flag, rank) not in self._flags:
            wide = self._flags[flag, rank] = self._names(f"{name}/{rank}")
            axes = self._axes(list(range(2, rank)))
            self._before.append(self._node("Unsqueeze", [name, axes], wide))
            type = TensorType("bool").with_shape("B", *[1] * (rank - 1))
            self._graph.value_info.append(value_info(wide, type))
        return self._flags[flag, rank]

    def _axes(self, axes: list[int]) -> str:
        return self._constant(np.array(axes, np.int64), f"axes_{'_'.join(map(str, axes))}")

    def _constant(self, array: Array, name: str) -> str:
        name = self._names(name)
        self._graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name


def _wired(port: StatePort, before: str, after: str) -> Wired:
    first = port.first(1)
    shape = port.before.shape
    one = first if len(shape) == 1 else np.moveaxis(first, shape.index("B"), 0)[0]
    return Wired(port.path, before, after, port.before.dtype, np.ascontiguousarray(one))


def _as_served(port: StatePort) -> bool:
    return len(port.before.shape) > 1 and port.before.shape[0] == "B"


def _prefixes(ports: Sequence[StatePort]) -> list[str]:
    """What stands before each state's names, so that sorted by either all states come in the same order."""
    befores, afters = [p.before.name for p in ports], [p.after for p in ports]
    ranked = [sorted(range(len(ports)), key=names.__getitem__) for names in (befores, afters)]
    width = len(str(len(ports) - 1))
    return [""] * len(ports) if ranked[0] == ranked[1] else [f"s{n:0{width}}_" for n in range(len(ports))]


def _order(port: StatePort) -> list[int]:
    """The axes of a state, that of the batch first."""
    axis = port.before.shape.index("B")
    return [axis, *(a for a in range(len(port.before.shape)) if a != axis)]


def _taken(graph: GraphProto) -> Names:
    """The names of a graph, those in the graphs inside its nodes included, as taken."""
    names = Names()
    infos = [info.name for info in (*graph.input, *graph.output, *graph.initializer, *graph.value_info)]
    for name in dict.fromkeys([*infos, *(n for node in nodes(graph) for n in (*node.input, *node.output))]):
        names(name)
    return names
