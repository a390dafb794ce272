"""A file that is to be read: its model, and what is said of its inputs and outputs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import onnx
from google.protobuf.descriptor import FieldDescriptor
from onnx import GraphProto, ModelProto, ValueInfoProto, inliner

from rnnc.dims import Poly
from rnnc.emit.manifest import decode
from rnnc.errors import FileError
from rnnc.importer.protos import Dims, array_type, first_line, plain
from rnnc.importer.states import check_pairs, evident, proposal
from rnnc.inspect import manifest_of
from rnnc.inspect.reading import EXPANDED, expanded
from rnnc.ir import Array
from rnnc.loops.naming import free

#: The oldest and the newest opset that is read.
OPSETS = (7, onnx.defs.onnx_opset_version())


class File:
    """A model with its inputs and outputs by name, the pairs of those that are states, and what is fixed.

    Errors call it ``shown``. ``initial`` has the initial values of states that the file itself states, and
    ``paths`` what it calls them, by their inputs.
    """

    def __init__(
        self,
        model: ModelProto,
        shown: str,
        state: Mapping[str, str] | None,
        given: Collection[str],
        constants: Mapping[str, Any],
        forms: Collection[str],
    ) -> None:
        self.shown = shown
        self.state, self.given = dict(state or {}), tuple(given)
        if not _is_text(model):
            raise FileError(f"{shown} has a name that is not UTF-8")
        self.model = _whole(model, shown)
        self.opsets = _opsets(self.model, shown)
        fixed = {t.name for t in self.model.graph.initializer}
        self.inputs = {i.name: i for i in self.model.graph.input if i.name not in fixed}
        self.outputs = {o.name: o for o in self.model.graph.output}
        self.called, self.results = _called(self.inputs), _called(self.outputs)
        self.initial: dict[str, Array] = {}
        self.paths: dict[str, str] = {}
        self.manifest = manifest_of(self.model)
        if self.manifest is not None:
            self._take(self.manifest, forms)
        elif state is None and (pairs := evident([*self.inputs.values()], [*self.outputs.values()])):
            raise FileError(
                f"{self.shown} does not say which of its tensors are states",
                hint=f"These seem to be: {proposal(pairs)}. Give them, or others; "
                "give --state none if there are none.",
            )
        for name in (*given, *constants):
            self.input(name)
        self.constants = {name: _constant(name, v, self.inputs[name]) for name, v in constants.items()}
        check_pairs(self.state, self.inputs, self.outputs, {*self.given, *constants})

    def input(self, name: str) -> ValueInfoProto:
        """The input of that name; :class:`FileError` if there is none."""
        if name not in self.inputs:
            raise FileError(f"the file has no input {name!r}", hint=f"It has {', '.join(self.inputs)}.")
        found: ValueInfoProto = self.inputs[name]
        return found

    def _take(self, manifest: Mapping[str, Any], forms: Collection[str]) -> None:
        """Take from a file of our own what it says of its states and given inputs."""
        if manifest["form"] not in forms:
            raise FileError(
                f"{self.shown} is in the {manifest['form']} form, and cannot be read as a {min(forms)}",
                hint='Read it as what it is: one in the form "step" as it is, others with --time.',
            )
        for s in manifest["states"]:
            self.state.setdefault(s["output"], s["input"])
            self.initial[s["input"]] = decode(s["initial"], s["dtype"])
            self.paths[s["input"]] = s["name"]
        self.given += tuple(i["name"] for i in manifest["inputs"] if i["kind"] == "given")


def _called(tensors: Iterable[str]) -> dict[str, str]:
    """The names of tensors as graph text can write them, each another."""
    found: dict[str, str] = {}
    for name in tensors:
        found[name] = free(plain(name), found.values())
    return found


def _is_text(message: Any) -> bool:
    """Whether all text in a protobuf is UTF-8; where it is not, it comes as bytes."""
    if isinstance(message, onnx.TensorProto):  # the elements of strings are bytes, and may be large
        return isinstance(message.name, str)
    for field, value in message.ListFields():
        parts = value if field.is_repeated else [value]
        if field.type == FieldDescriptor.TYPE_STRING and any(isinstance(v, bytes) for v in parts):
            return False
        if field.type == FieldDescriptor.TYPE_MESSAGE and not all(map(_is_text, parts)):
            return False
    return True


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
    if expanded(model) > EXPANDED:
        raise FileError(f"{shown} has functions that expand to more than {EXPANDED:,} nodes")
    try:
        return inliner.inline_local_functions(model)
    except (onnx.checker.ValidationError, RuntimeError, ValueError) as error:
        raise FileError(f"{shown} has functions that cannot be written out: {first_line(error)}") from None


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
    for domain, number in found.items():
        if not 0 <= number < 2**31:
            raise FileError(f"{shown} is of opset {number} of {domain or 'ai.onnx'!r}, which cannot be")
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
