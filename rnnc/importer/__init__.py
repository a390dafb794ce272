"""Import: an ONNX file of somebody's as a stream graph.

A *step* file computes one step; its states are inputs to which outputs go back at the next call. With these
pairs it is a stream graph with a delay for each, and can be compiled to any form.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, ValueInfoProto, inliner

from rnnc.dims import Dim, Poly, dim, names, solve, substitute
from rnnc.emit.manifest import decode
from rnnc.errors import FileError, VerifyError
from rnnc.importer import composed, joining, loops, recurrent, shapes
from rnnc.importer.calls import Context
from rnnc.importer.items import Known, Value
from rnnc.importer.protos import Dims, array_type, plain
from rnnc.importer.reader import Reader
from rnnc.importer.states import check_pairs, evident, proposal
from rnnc.inspect import manifest_of, read_model
from rnnc.ir import Array, Graph, Input, Interface, Output, State
from rnnc.rewrite import sweep
from rnnc.types import TensorType
from rnnc.verify import verify

__all__ = ["from_onnx"]

#: The modules whose rules reading uses.
RULES = (composed, joining, loops, recurrent, shapes)
#: The oldest and the newest opset that is read.
OPSETS = (7, onnx.defs.onnx_opset_version())


def from_onnx(
    path: str | os.PathLike[str],
    state: Mapping[str, str] | None = None,
    given: Collection[str] = (),
    constants: Mapping[str, Any] | None = None,
) -> Graph:
    """The stream graph of an ONNX file that computes one step.

    ``state`` maps outputs to the inputs that they go back into, and is empty if there are none; ``given``
    names inputs that are the same at every step; ``constants`` gives values to inputs for good. Every other
    input and output is a stream. A step file that rnnc wrote says itself which its states are. States start
    at zeros, those of our own files at their initial values. Raises :class:`FileError` for a file that cannot
    be read, and for pairs that do not fit.
    """
    shown = os.fspath(path)
    model = read_model(shown)
    return _Step(model, shown, state, tuple(given), dict(constants or {})).graph()


class _Step:
    """A step file while it is read."""

    def __init__(
        self,
        model: ModelProto,
        shown: str,
        state: Mapping[str, str] | None,
        given: tuple[str, ...],
        constants: dict[str, Any],
    ) -> None:
        self.shown, self.state, self.given = shown, dict(state or {}), given
        self.model = _whole(model, shown)
        self.opsets = _opsets(self.model, shown)
        fixed = {t.name for t in self.model.graph.initializer}
        self.inputs = {i.name: i for i in self.model.graph.input if i.name not in fixed}
        self.outputs = {o.name: o for o in self.model.graph.output}
        self.initial: dict[str, Array] = {}
        self.paths: dict[str, str] = {}
        self._manifest(told=state is not None)
        for name in (*given, *constants):
            if name not in self.inputs:
                raise FileError(f"the file has no input {name!r}", hint=f"It has {', '.join(self.inputs)}.")
        self.constants = {name: _constant(name, v, self.inputs[name]) for name, v in constants.items()}
        check_pairs(self.state, self.inputs, self.outputs, {*given, *constants})

    def _manifest(self, told: bool) -> None:
        """Take from our own files what they say of their states and given inputs.

        Of others, refuse one whose states are evident, unless it is ``told`` which they are.
        """
        found = manifest_of(self.model)
        if found is None:
            if not told and (pairs := evident([*self.inputs.values()], [*self.outputs.values()])):
                raise FileError(
                    f"{self.shown} does not say which of its tensors are states",
                    hint=f"These seem to be: {proposal(pairs)}. Give them, or others; "
                    "give --state none if there are none.",
                )
            return
        if found["form"] != "step":
            raise FileError(
                f"{self.shown} is in the {found['form']} form, and only a step file can be read as a step",
                hint='Compile the model again with form="step".',
            )
        for s in found["states"]:
            self.state.setdefault(s["output"], s["input"])
            self.initial[s["input"]] = decode(s["initial"], s["dtype"])
            self.paths[s["input"]] = s["name"]
        self.given += tuple(i["name"] for i in found["inputs"] if i["kind"] == "given")

    # -- the graph ----------------------------------------------------------------------------------------
    def graph(self) -> Graph:
        """The stream graph, sizes that the states leave open found by what becomes of them."""
        bound: dict[str, Dim] = {}
        for _ in range(8):
            graph, open_ = self._read(bound)
            if not open_:
                return graph
            bound |= open_
        raise FileError("the types of the states cannot be made out", hint="State the sizes of their inputs.")

    def _read(self, bound: Mapping[str, Dim]) -> tuple[Graph, dict[str, Dim]]:
        """The graph with sizes bound, and the sizes that must be bound for the states to fit."""
        proto = self.model.graph
        types = self._types(bound)
        dims = Dims(self._params)
        stated = {v.name: v.type for v in (*proto.value_info, *proto.output)}
        context = Context(self.opsets, stated, dims)
        graph = Graph(plain(proto.name or Path(self.shown).stem))
        reader = Reader(context, graph)
        interface = self._sources(graph, reader, types)
        reader.read(proto)
        finals, open_ = self._finals(graph, reader, types)
        if open_:
            return graph, open_
        outputs = []
        for name in self.outputs:
            if name not in self.state:
                value = reader.value(reader.item(name))
                kind = graph.type(value)
                outputs.append(Output(plain(name), kind))
                graph.outputs[plain(name)] = value
        graph.finals = finals
        reader.finish()
        graph.interface = Interface(*interface[:1], tuple(outputs), interface[1], context.weights)
        return _checked(graph, self.shown), {}

    def _types(self, bound: Mapping[str, Dim]) -> dict[str, TensorType]:
        """The types of the inputs; the size that all streams have first is the batch."""
        dims = Dims()
        types: dict[str, TensorType] = {}
        for name, info in self.inputs.items():
            kind = dims.type(info.type, name, f"the input {name!r}")
            if kind is None:
                raise FileError(f"the input {name!r} has no shape", hint="State it in the file.")
            types[name] = kind
        states = set(self.state.values())
        others = {*states, *self.constants, *self.given}
        first = {kind.shape[:1] for name, kind in types.items() if name not in others}
        env = dict(bound)
        if len(first) == 1 and (lead := next(iter(first))) and isinstance(lead[0], Poly):
            env.setdefault(str(lead[0]), dim("B"))
        self._params = {p: substitute(d, env) for p, d in dims.known.items()}
        return {n: t.substitute(env) for n, t in types.items()}

    def _sources(
        self, graph: Graph, reader: Reader, types: Mapping[str, TensorType]
    ) -> tuple[tuple[Input, ...], tuple[State, ...]]:
        """Add the inputs, and a delay for each state, which reads its own initial value for now."""
        inputs, states = [], []
        back = {before: after for after, before in self.state.items()}
        for name in self.inputs:
            if name in self.constants:
                reader.items[name] = Known(self.constants[name], name)
                continue
            kind = types[name]
            if name in back:
                path = self.paths.get(name, plain(name))
                state = State(path, kind, 1, self.initial.get(name))
                source = graph.add("init", type=kind, name=state.source)
                before = graph.add("delay", source, source, type=kind, name=graph.fresh(plain(name)), k=1)
                states.append(state)
                reader.items[name] = Value(before)
            else:
                value = graph.add("input", type=kind, name=plain(name))
                inputs.append(Input(value, kind, "given" if name in self.given else "stream"))
                reader.items[name] = Value(value)
        return tuple(inputs), tuple(states)

    def _finals(
        self, graph: Graph, reader: Reader, types: Mapping[str, TensorType]
    ) -> tuple[dict[str, str], dict[str, Dim]]:
        """Close the cycles: what each state follows, and sizes to bind where it does not fit yet."""
        finals: dict[str, str] = {}
        open_: dict[str, Dim] = {}
        for after, before in self.state.items():
            value = reader.value(reader.item(after))
            delay = reader.items[before]
            assert isinstance(delay, Value)
            found, wanted = graph.type(value), types[before]
            if found != wanted:
                open_ |= _bindings(found, wanted, after, before)
                continue
            if value == delay.name:
                unchanging = f"the state {before!r} never changes: {after!r} is what came in"
                warnings.warn(unchanging, RuntimeWarning, stacklevel=5)
            graph.connect(value, delay.name, 0)
            finals[self.paths.get(before, plain(before))] = value
        return finals, open_


def _bindings(found: TensorType, wanted: TensorType, after: str, before: str) -> dict[str, Dim]:
    """The sizes that make the type of an output that of the input it goes back into."""
    bound: dict[str, Dim] = {}
    if found.dtype == wanted.dtype and found.rank == wanted.rank:
        for f, w in zip(found.shape, wanted.shape, strict=True):
            one = solve(substitute(w, bound), substitute(f, bound), names(w) | names(f))
            if one is None:
                break
            bound |= one
        else:
            return bound
    raise FileError(
        f"the output {after!r} is {found}, and the input {before!r} that it goes back into is {wanted}",
        hint="A state has one type, before a step and after it.",
    )


def _checked(graph: Graph, shown: str) -> Graph:
    sweep(graph)
    try:
        verify(graph)
    except VerifyError as error:
        raise FileError(f"{shown} is no step that can be repeated: {error.message}") from None
    return graph.freeze()


def _whole(model: ModelProto, shown: str) -> ModelProto:
    """The model, its own functions written out."""
    names_ = [o.name for o in model.graph.output]
    if not names_:
        raise FileError(f"{shown} computes nothing: its graph has no output")
    inputs = [i.name for i in model.graph.input]
    for kind, found in (("inputs", inputs), ("outputs", names_)):
        twice = next((n for n in found if found.count(n) > 1), None)
        if twice is not None:
            raise FileError(f"{shown} has two {kind} {twice!r}")
    _once(model.graph, shown)
    if not model.functions:
        return model
    try:
        return inliner.inline_local_functions(model)
    except (RuntimeError, ValueError) as error:
        raise FileError(f"{shown} has functions that cannot be written out: {error}") from None


def _once(graph: GraphProto, shown: str) -> None:
    """Refuse a graph that gives one name to two tensors."""
    seen: set[str] = {i.name for i in graph.input}
    for node in graph.node:
        for name in node.output:
            if name and name in seen:
                raise FileError(f"{shown} has two tensors of the name {name!r}")
            seen.add(name)


def _opsets(model: ModelProto, shown: str) -> dict[str, int]:
    found = {"" if o.domain == "ai.onnx" else o.domain: int(o.version) for o in model.opset_import}
    version = found.get("", OPSETS[1])
    if not OPSETS[0] <= version <= OPSETS[1]:
        oldest, newest = OPSETS
        raise FileError(f"{shown} is of opset {version}, and those that are read are {oldest} to {newest}")
    return found


def _constant(name: str, value: Any, info: ValueInfoProto) -> Array:
    """A value for an input, in the input's type."""
    kind = Dims().type(info.type, name)
    array = np.asarray(value)
    if kind is None:
        return array
    array = array.astype(kind.numpy)
    fits = array.ndim == kind.rank and all(
        isinstance(d, Poly) or d == n for d, n in zip(kind.shape, array.shape, strict=True)
    )
    if array.ndim == 0 and all(isinstance(d, int) for d in kind.shape):
        return np.broadcast_to(array, tuple(d for d in kind.shape if isinstance(d, int)))
    if not fits:
        raise FileError(f"the constant {name!r} is {array_type(array)}, and the input is {kind}")
    return array
