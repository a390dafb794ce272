"""Files that compute whole sequences, as stream graphs: time followed through the ops."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rnnc.dims import Dim, Poly, dim, substitute
from rnnc.errors import FileError, FormError
from rnnc.importer.calls import Context
from rnnc.importer.file import File
from rnnc.importer.items import Known, Value
from rnnc.importer.protos import Dims, plain
from rnnc.importer.reader import Reader
from rnnc.importer.step import checked
from rnnc.ir import Graph, Interface, State
from rnnc.rewrite import sweep
from rnnc.stripping import strip
from rnnc.stripping.places import STEPS
from rnnc.types import TensorType


class SequenceFile:
    """A sequence file while it is read: ``time`` maps inputs to the axis that is time."""

    def __init__(self, file: File, time: Mapping[str, int], block: int) -> None:
        if block < 1:
            raise FormError(f"a step of {block} frames", hint="Give --block 1 or more.")
        if not time:
            raise FormError("no input is said to have time", hint="Name one with its axis: --time x:0.")
        for name in time:
            file.input(name)
        self.file, self.time, self.block = file, time, block

    def graph(self) -> Graph:
        """The stream graph."""
        file, proto = self.file, self.file.model.graph
        types, params = self._types()
        stated = {v.name: v.type for v in (*proto.value_info, *proto.output)}
        context = Context(file.opsets, stated, Dims(params))
        function = Graph(plain(proto.name or Path(file.shown).stem), level="function")
        reader = Reader(context, function)
        before = set(file.state.values())
        states: dict[str, State] = {}
        for name, kind in types.items():
            if name in file.constants:
                reader.items[name] = Known(file.constants[name], name)
                continue
            value = function.add("input", type=kind, name=plain(name))
            reader.items[name] = Value(value)
            if name in before:
                path = file.paths.get(name, value)
                states[value] = State(path, kind, 1, file.initial.get(name))
        reader.read(proto)
        paths = {
            name: states[item.name].path for name in before if isinstance(item := reader.items[name], Value)
        }
        for after, name in file.state.items():
            function.finals[paths[name]] = reader.value(reader.item(after))
        for name in file.outputs:
            if name not in file.state:
                function.outputs[plain(name)] = reader.value(reader.item(name))
        reader.finish()
        function.interface = Interface(params=context.weights)
        sweep(function)
        times = {plain(name): axis % len(types[name].shape) for name, axis in self.time.items()}
        return checked(strip(function, times, states, function.outputs), file.shown)

    def _types(self) -> tuple[dict[str, TensorType], dict[str, Dim]]:
        """The types of the inputs, with the sizes of time as multiples of the number of steps."""
        dims, file = Dims(), self.file
        types: dict[str, TensorType] = {}
        env: dict[str, Dim] = {}
        for name, info in file.inputs.items():
            kind = dims.type(info.type, name, f"the input {name!r}")
            if kind is None:
                raise FileError(f"the input {name!r} has no shape", hint="State it in the file.")
            if name in self.time:
                axis = self.time[name]
                if not -kind.rank <= axis < kind.rank:
                    raise FileError(f"the input {name!r} is {kind}, and has no axis {axis}")
                d = kind.shape[axis]
                if isinstance(d, Poly) and str(d).isidentifier():
                    env[str(d)] = self.block * STEPS
                shape = list(kind.shape)
                shape[axis] = self.block * STEPS
                kind = TensorType(kind.dtype, tuple(shape))
            types[name] = kind
        batch = {
            d
            for name in self.time
            for axis, d in enumerate(types[name].shape)
            if isinstance(d, Poly) and axis != self.time[name] % types[name].rank and str(d) not in env
        }
        if len(batch) == 1:
            env[str(batch.pop())] = dim("B")
        params = {p: substitute(d, env) for p, d in dims.known.items()}
        return {n: t.substitute(env) for n, t in types.items()}, params
