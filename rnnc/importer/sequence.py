"""Files that compute whole sequences, as stream graphs: time followed through the ops."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from rnnc.dims import Dim, Poly, dim, substitute
from rnnc.errors import FileError, FormError
from rnnc.importer.calls import Context
from rnnc.importer.file import File
from rnnc.importer.items import Item, Known, Value
from rnnc.importer.protos import Dims, plain
from rnnc.importer.reader import Reader
from rnnc.importer.step import checked
from rnnc.ir import Graph, Interface, State
from rnnc.rewrite import sweep
from rnnc.stripping import strip
from rnnc.stripping.places import STEPS, TIME
from rnnc.stripping.rolled import Rolled
from rnnc.stripping.rolling import Roll, find
from rnnc.stripping.shifting import shifted
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
        self._kinds: dict[str, TensorType] = {}

    def graph(self) -> Graph:
        """The stream graph."""
        function, reader, states = self._read({})
        times = {self.file.called[n]: axis % len(self._kinds[n].shape) for n, axis in self.time.items()}
        lengths = {self._length(n) for n in self.time}
        length = lengths.pop() if len(lengths) == 1 else None
        if length is not None and self.block == 1:
            function.interface = Interface(params=reader.context.weights)
            roll = find(function, length)
            if isinstance(roll, Roll):
                function, reader, states = self._rolled(function, reader, roll)
        reader.finish()
        function.interface = Interface(params=reader.context.weights)
        sweep(function)
        return checked(strip(function, times, states, function.outputs), self.file.shown)

    def _length(self, name: str) -> int | None:
        """The length of a sequence, if the file fixes it."""
        dims = self.file.inputs[name].type.tensor_type.shape.dim
        return dims[self.time[name] % len(dims)].dim_value or None

    def _rolled(self, function: Graph, reader: Reader, roll: Roll) -> tuple[Graph, Reader, dict[str, State]]:
        """The function read again, with a loop for the copies of its step."""
        loops = (Rolled(function, r) for r in (shifted(function, roll), roll))
        rolled = next((loop for loop in loops if loop.agrees()), None)
        if rolled is None:
            raise FormError(
                f"{self.file.shown} is written out step by step, and its first step is not like the others",
                hint="Export it with the initial states as inputs, and name these with --state.",
            )
        tensors = {item.name: t for t, item in reader.items.items() if isinstance(item, Value)}
        return self._read({tensors[v]: v for v in (*roll.stacks, *roll.lasts) if v in tensors}, rolled)

    def _read(
        self, instead: Mapping[str, str], rolled: Rolled | None = None
    ) -> tuple[Graph, Reader, dict[str, State]]:
        """The function, its reader, and its states by the inputs that they are.

        ``instead`` are tensors for which the loop ``rolled`` has others, by the values that they were.
        """
        file, proto = self.file, self.file.model.graph
        self._kinds, params = self._types()
        stated = {v.name: v.type for v in (*proto.value_info, *proto.output)}
        context = Context(file.opsets, stated, Dims(params))
        function = Graph(plain(proto.name or Path(file.shown).stem), level="function")
        reader = Reader(context, function)
        made: dict[str, str] = {}

        def looped(value: str) -> Item:
            if rolled is not None and not made:
                made.update(rolled.add(function))
            return Value(made[value])

        reader.instead = {tensor: partial(looped, value) for tensor, value in instead.items()}
        before = set(file.state.values())
        states: dict[str, State] = {}
        for name, kind in self._kinds.items():
            if name in file.constants:
                reader.items[name] = Known(file.constants[name], name)
                continue
            value = function.add("input", type=kind, name=file.called[name])
            reader.items[name] = Value(value)
            if name in before:
                states[value] = State(file.paths.get(name, value), kind, 1, file.initial.get(name))
        reader.read(proto)
        for after, name in file.state.items():
            start = reader.items[name]
            assert isinstance(start, Value)
            function.finals[states[start.name].path] = reader.value(reader.item(after))
        for name in file.outputs:
            if name not in file.state:
                function.outputs[file.results[name]] = reader.value(reader.item(name))
        return function, reader, states

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
        params = {p: substitute(d, env) for p, d in dims.known.items()} | {TIME: STEPS}
        return {n: t.substitute(env) for n, t in types.items()}, params
