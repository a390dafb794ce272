"""The values of a trace as a graph.

What the outputs and the states need is kept. Cycles are checked here, where the whole model is known; then
every value is added after its operands, except that a delay does not wait for what it delays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import networkx as nx

from rnnc.dims import Poly
from rnnc.errors import CycleError, FormError, Note, TypeMismatch
from rnnc.frontend.layers import as_layer
from rnnc.frontend.locations import at_step
from rnnc.frontend.states import Register, initial, registers, settled
from rnnc.frontend.trace import Shapes, Trace
from rnnc.frontend.values import Delay, Value
from rnnc.ir import Attr, Graph, Input, Interface, Output, State
from rnnc.types import TensorType, TupleType, Type


def trace(model: Any, shapes: Shapes | None = None, tap: Iterable[str] = (), seed: int = 0) -> Graph:
    """The stream graph of a model, with its interface and its weights.

    ``shapes`` are the feature sizes of inputs that do not declare them; ``tap`` names values of the source
    that become outputs too; ``seed`` is that from which weights not given are drawn.
    """
    layer = as_layer(model)
    t = Trace(seed)
    with t.active():
        outputs = t.run(layer, shapes)
        return _Assembly(t, outputs, tuple(tap), layer.title).graph()


class _Assembly:
    """The work of turning one trace into one graph."""

    def __init__(self, t: Trace, outputs: tuple[Value, ...], tap: Sequence[str], title: str) -> None:
        self.t, self.title = t, title
        self.registers = registers(t)
        self.register_of = {delay: r for r in self.registers for delay in r.reads}
        self.outputs = self._named(outputs)
        self.outputs |= self._named_taps(tap)
        self.starts = {r: self._start(r) for r in self.registers if min(r.reads.values()) < 0}
        self.nx = self._reachable()
        self._check_cycles()

    # -- what there is ----------------------------------------------------------------
    def _named(self, outputs: tuple[Value, ...]) -> dict[str, Value]:
        """The outputs by name: what the body returns them as, else ``y``, or ``y0``, ``y1``, … of several."""
        root = self.t.scopes[0]
        _, written = root.returned
        found: dict[str, Value] = {}
        for i, value in enumerate(outputs):
            local = written[i] if len(written) == len(outputs) else root.names.get(id(value), "")
            if local in self.t.inputs:
                local = f"{local}_out"
            local = local or (f"y{i}" if len(outputs) > 1 else "y")
            found[self._free(local, found)] = settled(value)
        return found

    def _named_taps(self, tap: Sequence[str]) -> dict[str, Value]:
        """The tapped values that are no outputs yet, by name."""
        found: dict[str, Value] = {}
        for name in tap:
            value = self._tapped(name)
            if (self.outputs | found).get(name) is not value:
                found[self._free(name, self.outputs | found)] = value
        return found

    def _free(self, name: str, taken: Mapping[str, object]) -> str:
        """``name``, or ``name_2``, … if an input or output has it."""
        free, n = name, 1
        while free in taken or free in self.t.inputs:
            n += 1
            free = f"{name}_{n}"
        return free

    def _tapped(self, name: str) -> Value:
        value = self.t.names.get(name)
        if value is None:
            known = ", ".join(self.t.names) or "none"
            raise FormError(
                f"tap asks for {name}, which is not a value of {self.title}", hint=f"Its values are {known}."
            )
        value = settled(value)
        if not value.batched:
            raise FormError(f"tap asks for {name}, which is {value.type}, and no stream")
        return value

    def _start(self, r: Register) -> Value:
        """The initial value of a look ahead, an operand like any other: it holds no state."""
        if r.field is not None:
            return self.t.param(r.field.layer, r.field.name, r.field.array)
        return r.init if r.init is not None else self.t.const(0, r.of.type.dtype)

    def operands(self, value: Value) -> tuple[Value, ...]:
        """What a value reads, delays included."""
        if isinstance(value, Delay):
            r = self.register_of[value]
            return (r.of,) if r.reads[value] > 0 else (r.of, self.starts[r])
        return tuple(settled(a) for a in value.args)

    def _reachable(self) -> nx.DiGraph[int]:
        """The values that outputs and states need, each known by its place in order.

        An edge carries the distance: 0, or that of a delay.
        """
        graph: nx.DiGraph[int] = nx.DiGraph()
        waiting = [
            *self.t.inputs.values(),
            *self.outputs.values(),
            *(r.of for r in self.registers if r.depth),
        ]
        waiting += [d for r in self.registers if r.depth for d in r.reads]
        while waiting:
            value = waiting.pop()
            if graph.nodes.get(value.order):
                continue
            graph.add_node(value.order, value=value)
            k: int = self.register_of[value].reads[value] if isinstance(value, Delay) else 0
            for slot, operand in enumerate(self.operands(value)):
                graph.add_edge(operand.order, value.order, k=0 if slot else k)
                waiting.append(operand)
        return graph

    # -- cycles ----------------------------------------------------------------
    def _check_cycles(self) -> None:
        for component in nx.strongly_connected_components(self.nx):
            inside = self.nx.subgraph(component)
            if inside.number_of_edges():
                self._refuse_no_delay(inside)
                self._refuse_both_ways(sorted((v, k) for _, v, k in _edges(inside) if k))

    def _refuse_no_delay(self, component: nx.DiGraph[int]) -> None:
        now = nx.DiGraph([(a, b) for a, b, k in _edges(component) if not k])
        try:
            found = [a for a, _ in nx.find_cycle(now)]
        except nx.NetworkXNoCycle:
            return
        first = found.index(min(found))
        cycle = [self.t.values[i] for i in found[first:] + found[:first]]
        named = list(dict.fromkeys(v.name for v in cycle if v.name)) or [cycle[-1].label]
        ago = at_step("", -1, cycle[-1].loc)
        raise CycleError(
            f"{' and '.join(named)} {'need' if named[1:] else 'needs'} {'their' if named[1:] else 'its'}"
            " own value at the same step",
            hint=f"A cycle must go through a delay: write {ago} for the value one step ago.",
            loc=cycle[-1].loc,
            notes=tuple(
                Note(f"{v.label} needs {before.label}", v.loc)
                for before, v in zip([cycle[-1], *cycle], cycle, strict=False)
            ),
        )

    def _refuse_both_ways(self, delays: list[tuple[int, int]]) -> None:
        back = [self.t.values[v] for v, k in delays if k > 0]
        ahead = [self.t.values[v] for v, k in delays if k < 0]
        if back and ahead:
            raise CycleError(
                f"{ahead[0].label} looks ahead in a cycle that {back[0].label} looks back in",
                hint="A cycle runs in one direction of time: make two nets, one of them flipped.",
                loc=ahead[0].loc,
                notes=(Note(f"{back[0].label} looks back here", back[0].loc),),
            )

    # -- the graph ----------------------------------------------------------------
    def graph(self) -> Graph:
        """The graph, frozen."""
        self._check_sizes()
        states = [r for r in self.registers if r.depth]
        params = {p: v for p, v in self.t.params.items() if v.order in self.nx}
        interface = Interface(
            tuple(Input(n, self._type(v), self._kind(n), v.loc) for n, v in self.t.inputs.items()),
            tuple(
                Output(n, self._type(v), "final" if v.final else "stream", v.loc)
                for n, v in self.outputs.items()
            ),
            tuple(State(r.path, self._slot(r), r.depth, initial(r), r.loc) for r in states),
            {p: params[p].attrs["array"] for p in self.t.weights if p in params},
        )
        g = Graph(self.title, interface)
        self.g, self.value = g, {}
        for i in interface.inputs:
            self.value[self.t.inputs[i.name]] = g.add("input", type=i.type, name=i.name, locs=_locs(i.loc))
        for p in interface.params:
            self.value[params[p]] = g.add("param", type=params[p].type, name=p)
        for s in interface.states:
            g.add("init", type=s.tensor, name=s.source, locs=_locs(s.loc))
        self.slices: dict[tuple[str, int], str] = {}
        self.delays: dict[tuple[Register, int], str] = {}
        for v in self._order():
            if v not in self.value:
                self.value[v] = self._delay(v) if isinstance(v, Delay) else self._op(v)
        for (r, _), delay in self.delays.items():
            g.connect(self.value[r.of], delay, 0)
        g.outputs.update({n: self.value[v] for n, v in self.outputs.items()})
        g.finals.update({r.path: self.value[r.of] for r in states})
        return g.freeze()

    def _order(self) -> list[Value]:
        """As they were written, a value after its operands; a delay does not wait for what it delays."""
        now: nx.DiGraph[int] = nx.DiGraph()
        now.add_nodes_from(self.nx)
        now.add_edges_from((a, b) for a, b, k in _edges(self.nx) if not k)
        return [self.t.values[i] for i in nx.lexicographical_topological_sort(now)]

    def _op(self, v: Value) -> str:
        operands = [self.value[o] for o in self.operands(v)]
        attrs = {a: self._attr(x) for a, x in v.attrs.items()}
        return self.g.add(
            v.op, *operands, type=self._kind_of(v.kind), name=v.name, locs=_locs(v.loc), **attrs
        )

    def _delay(self, v: Delay) -> str:
        """The one delay of that register by that distance, yet without what it delays."""
        r = self.register_of[v]
        k = r.reads[v]
        if (r, k) not in self.delays:
            alike = [d for d, distance in r.reads.items() if distance == k]
            named = [d.name for d in alike if d.name] or [f"{r.path}{k}" if k > 0 else ""]
            init = self._slots(r, k) if k > 0 else self.value[self.starts[r]]
            locs = [d.loc for d in alike if d.loc]
            self.delays[r, k] = self.g.add("delay", type=self._slot(r), name=named[0], locs=locs, k=k)
            self.g.connect(init, self.delays[r, k], 1)
        return self.delays[r, k]

    def _slots(self, r: Register, k: int) -> str:
        """The newest ``k`` slots of a state's initial value; one slot has no axis of slots."""
        init, slot = f"{r.path}.init", self._slot(r)
        if k == r.depth:
            return init
        if (r.path, k) not in self.slices:
            part = TensorType(slot.dtype, (k, *slot.shape))
            value = self.g.add("slice", init, type=part, like=init, axis=0, start=0, stop=k)
            if k == 1:
                value = self.g.add("squeeze", value, type=slot, like=init, axes=(0,))
            self.slices[r.path, k] = value
        return self.slices[r.path, k]

    def _check_sizes(self) -> None:
        for name, v in self.t.inputs.items():
            if any(self.t.sizes.open(d) for d in self._type(v).shape):
                raise TypeMismatch(
                    f"the size of {name} is not known: nothing in {self.title} says how many features it has",
                    hint=f'Declare it, {name}=stream(3), or give compile(…, shapes={{"{name}": (3,)}}).',
                    loc=v.loc,
                )

    def _type(self, v: Value) -> TensorType:
        return self.t.sizes.type(v.type)

    def _kind_of(self, kind: Type) -> Type:
        if isinstance(kind, TupleType):
            return TupleType(tuple(self.t.sizes.type(t) for t in kind.items))
        return self.t.sizes.type(kind)

    def _kind(self, name: str) -> Any:
        return self.t.kinds[name]

    def _slot(self, r: Register) -> TensorType:
        return self._type(r.of)

    def _attr(self, x: Attr) -> Attr:
        if isinstance(x, tuple):
            return tuple(self._attr(e) for e in x)
        return self.t.sizes.resolve(x) if isinstance(x, Poly) else x


def _edges(graph: nx.DiGraph[int]) -> Iterator[tuple[int, int, int]]:
    """Each edge with its distance."""
    return ((a, b, data["k"]) for a, b, data in graph.edges(data=True))


def _locs(loc: Any) -> tuple[Any, ...]:
    return (loc,) if loc else ()
