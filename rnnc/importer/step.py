"""Files that compute one step, as stream graphs: a delay for each state."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import networkx as nx

from rnnc.dims import Dim, Poly, dim, names, solve, substitute
from rnnc.errors import FileError, VerifyError
from rnnc.importer.calls import Context
from rnnc.importer.file import File
from rnnc.importer.items import Known, Value
from rnnc.importer.protos import Dims, plain
from rnnc.importer.reader import Reader
from rnnc.ir import Graph, Input, Interface, Output, State
from rnnc.rewrite import sweep
from rnnc.types import TensorType
from rnnc.verify import verify


class StepFile:
    """A step file while it is read."""

    def __init__(self, file: File) -> None:
        self.file = file
        self._params: dict[str, Dim] = {}

    # -- the graph ----------------------------------------------------------------------------------------
    def graph(self) -> Graph:
        """The stream graph, sizes that the states leave open found by what becomes of them.

        Exporters may call the batch differently in every input: where the sizes as they are called do not
        meet, those that may be the batch are.
        """
        try:
            return self._bound({})
        except FileError as error:
            one_batch = self._one_batch()
            if len(one_batch) < 2:
                raise
            try:
                return self._bound(one_batch)
            except FileError:
                raise error from None

    def _bound(self, bound: Mapping[str, Dim]) -> Graph:
        """The stream graph with sizes bound, and others by what becomes of the states."""
        bound = dict(bound)
        for _ in range(8):
            graph, open_ = self._read(bound)
            if not open_:
                return graph
            bound |= open_
        raise FileError("the types of the states cannot be made out", hint="State the sizes of their inputs.")

    def _read(self, bound: Mapping[str, Dim]) -> tuple[Graph, dict[str, Dim]]:
        """The graph with sizes bound, and the sizes that must be bound for the states to fit."""
        proto = self.file.model.graph
        types = self._types(bound)
        dims = Dims(self._params)
        stated = {v.name: v.type for v in (*proto.value_info, *proto.output)}
        context = Context(self.file.opsets, stated, dims)
        graph = Graph(plain(proto.name or Path(self.file.shown).stem))
        reader = Reader(context, graph)
        interface = self._sources(graph, reader, types)
        reader.read(proto)
        finals, open_ = self._finals(graph, reader, types)
        if open_:
            return graph, open_
        outputs = []
        for name in self.file.outputs:
            if name not in self.file.state:
                value = reader.value(reader.item(name))
                kind = graph.type(value)
                outputs.append(Output(self.file.results[name], kind))
                graph.outputs[self.file.results[name]] = value
        graph.finals = finals
        self._warn_of_idle(graph, reader)
        reader.finish()
        graph.interface = Interface(*interface[:1], tuple(outputs), interface[1], context.weights)
        return checked(graph, self.file.shown), {}

    def _types(self, bound: Mapping[str, Dim]) -> dict[str, TensorType]:
        """The types of the inputs; the size that all streams have first is the batch."""
        dims, types = self._stated()
        first = {kind.shape[:1] for name, kind in types.items() if name in self._streams()}
        env = dict(bound)
        if len(first) == 1 and (lead := next(iter(first))) and isinstance(lead[0], Poly):
            env.setdefault(str(lead[0]), dim("B"))
        self._params = dict(bound) | {p: substitute(d, env) for p, d in dims.known.items()}
        return {n: t.substitute(env) for n, t in types.items()}

    def _stated(self) -> tuple[Dims, dict[str, TensorType]]:
        """The types of the inputs as the file states them."""
        dims = Dims()
        types: dict[str, TensorType] = {}
        for name, info in self.file.inputs.items():
            kind = dims.type(info.type, name, f"the input {name!r}")
            if kind is None:
                raise FileError(f"the input {name!r} has no shape", hint="State it in the file.")
            types[name] = kind
        return dims, types

    def _streams(self) -> set[str]:
        others = {*self.file.state.values(), *self.file.constants, *self.file.given}
        return self.file.inputs.keys() - others

    def _one_batch(self) -> dict[str, Dim]:
        """The batch for each size with a name that may be it: the first of a stream, any of another input."""
        streams, (_, types) = self._streams(), self._stated()
        taken = {str(d) for n in streams for d in types[n].shape[1:]}
        open_ = {str(d) for n, t in types.items() for d in t.shape[: 1 if n in streams else None]}
        return {d: dim("B") for d in sorted(open_ - taken) if d.isidentifier()}

    def _sources(
        self, graph: Graph, reader: Reader, types: Mapping[str, TensorType]
    ) -> tuple[tuple[Input, ...], tuple[State, ...]]:
        """Add the inputs, and a delay for each state, which reads its own initial value for now."""
        inputs, states = [], []
        back = {before: after for after, before in self.file.state.items()}
        for name in self.file.inputs:
            if name in self.file.constants:
                reader.items[name] = Known(self.file.constants[name], name)
                continue
            kind = types[name]
            if name in back:
                path = self.file.paths.get(name, self.file.called[name])
                state = State(path, kind, 1, self.file.initial.get(name))
                source = graph.add("init", type=kind, name=state.source)
                named = graph.fresh(self.file.called[name])
                before = graph.add("delay", source, source, type=kind, name=named, k=1)
                states.append(state)
                reader.items[name] = Value(before)
            else:
                value = graph.add("input", type=kind, name=self.file.called[name])
                inputs.append(Input(value, kind, "given" if name in self.file.given else "stream"))
                reader.items[name] = Value(value)
        return tuple(inputs), tuple(states)

    def _finals(
        self, graph: Graph, reader: Reader, types: Mapping[str, TensorType]
    ) -> tuple[dict[str, str], dict[str, Dim]]:
        """Close the cycles: what each state follows, and sizes to bind where it does not fit yet."""
        finals: dict[str, str] = {}
        open_: dict[str, Dim] = {}
        for after, before in self.file.state.items():
            value = reader.value(reader.item(after))
            delay = reader.items[before]
            assert isinstance(delay, Value)
            found, wanted = graph.type(value), types[before]
            if found != wanted:
                open_ |= _bindings(found, wanted, after, before)
                continue
            if value == delay.name:
                unchanging = f"the state {before!r} never changes: {after!r} is what came in"
                warnings.warn(unchanging, RuntimeWarning, stacklevel=6)
            graph.connect(value, delay.name, 0)
            finals[self.file.paths.get(before, self.file.called[before])] = value
        return finals, open_

    def _warn_of_idle(self, graph: Graph, reader: Reader) -> None:
        """Tell of states that no output depends on, not even in later steps."""
        roots = list(graph.outputs.values())
        needed = set(roots).union(*(nx.ancestors(graph.nx, v) for v in roots))
        for before in self.file.state.values():
            delay = reader.items[before]
            if isinstance(delay, Value) and delay.name not in needed:
                idle = f"the state {before!r} has no effect: no output depends on it"
                warnings.warn(idle, RuntimeWarning, stacklevel=6)


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


def checked(graph: Graph, shown: str) -> Graph:
    """The stream graph of a file, frozen; :class:`FileError` if no stream can be what it is."""
    sweep(graph)
    try:
        verify(graph)
    except VerifyError as error:
        lines = error.message.splitlines()
        first = lines[-1 if len(lines) == 1 else 1].removeprefix("  - ")
        raise FileError(f"{shown} is no step that can be repeated: {first}") from None
    return graph.freeze()
