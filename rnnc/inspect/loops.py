"""Loops: where an ONNX model carries values from step to step.

A ``Scan``, ``Loop`` or recurrent op is a loop by itself, wherever it stands. Others close only outside the
file, when the caller gives a state back: with the output and the input of every state tied, each strongly
connected component is a loop, or, where nothing is computed, a delay line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import networkx as nx
import onnx

from rnnc.inspect.chains import longest
from rnnc.inspect.cost import Cost, all_of, body_cost, item_cost, step_bytes, step_cost, trips_of
from rnnc.inspect.graphs import MEMORY, NATIVE, Body, Item
from rnnc.inspect.sizes import at, single

#: Ops that move values and compute none: a loop of these alone only remembers.
MOVES = {
    *("Concat", "Slice", "Split", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Gather", "Transpose"),
    *("Shape", "Where", "Expand", "Equal", "Less", "Cast", "Range", "ReverseSequence"),
}

#: Ops that a value passes through as it is, element by element.
PASSING = frozenset(
    {"Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Expand", "Tile", "Transpose", "Slice"}
)

#: Of the values on a cycle, as many are named.
NAMED = 40


@dataclass(frozen=True)
class Tie:
    """A state of the model: what it is called, the tensors that carry it in and out, and what it holds."""

    path: str
    input: str
    output: str
    type: str = ""
    initial: str = ""
    depth: int = 1


@dataclass(frozen=True)
class Carried:
    """A value that a loop carries: its type, its value before the first step, and after how many it returns.

    ``initial`` is a number, ``array``, or the name of the tensor that holds it.
    """

    name: str
    type: str
    initial: str
    delay: int


@dataclass(frozen=True)
class Loop:
    """One loop: ``became`` says what runs it.

    ``nodes``, ``multiply_adds``, ``bytes`` and ``critical_path``, the longest chain of nodes, are a step's,
    at batch 1. ``inside`` is the loop whose body it stands in. ``through`` names values on its cycle, which
    has ``cycle_nodes`` nodes.
    """

    became: str
    name: str
    states: tuple[str, ...]
    steps: str
    nodes: int
    multiply_adds: int
    bytes: int
    critical_path: int
    carried: tuple[Carried, ...]
    through: tuple[str, ...]
    cycle_nodes: int
    inside: str = ""


def find_loops(body: Body, ties: Sequence[Tie], steps: int = 1) -> list[Loop]:
    """Every loop of a model, those of its sub-graphs included, in the order of the file.

    ``steps`` is how many steps a run takes where no op loops.
    """
    cycles = _cycles(body, [(t.output, t.input) for t in ties])
    within = {item.place: n for n, cycle in enumerate(cycles) for item in cycle.items}
    found: list[Loop] = []
    for item in body.items:
        number = within.get(item.place)
        tied = tuple(ties[k] for k in cycles[number].ties) if number is not None else ()
        found += _loops_in(item, body, tied, "")
        if number is not None and item is cycles[number].items[0]:
            members = cycles[number].items
            if not any(i.loops for m in members for i in _all(m)):
                found.append(_straight(members, body, tied, steps))
    return found


@dataclass(frozen=True)
class _Cycle:
    """The items on one cycle, in order, and which ties close it."""

    items: list[Item]
    ties: list[int]


def _cycles(body: Body, ties: Sequence[tuple[str, str]]) -> list[_Cycle]:
    """The cycles that tying each pair's first tensor to its second closes."""
    if not ties:
        return []
    flow: nx.DiGraph[int] = nx.DiGraph()
    places = {item.place: item for item in body.items}
    tie = {after: -1 - k for k, (_, after) in enumerate(ties)}  # items count from 0, ties from -1 down

    def source(tensor: str) -> int | None:
        writer = body.writers.get(tensor)
        return writer.place if writer else tie.get(tensor)

    for item in body.items:
        sources = {source(t) for t in item.reads}
        flow.add_edges_from((s, item.place) for s in sources if s is not None)
    for k, (before, _) in enumerate(ties):
        s = source(before)
        if s is not None:
            flow.add_edge(s, -1 - k)
    found = []
    for component in nx.strongly_connected_components(flow):
        items = [places[n] for n in sorted(component) if n >= 0]
        if len(component) > 1 and items:
            found.append(_Cycle(items, sorted(-1 - n for n in component if n < 0)))
    return found


def _all(item: Item) -> Iterator[Item]:
    yield item
    for body in item.bodies:
        yield from (i for i, _ in body.everything())


def _loops_in(item: Item, body: Body, tied: tuple[Tie, ...], inside: str) -> Iterator[Loop]:
    """The loop that ``item`` is, and those inside it."""
    if item.loops:
        yield _loop(item, body, tied, inside)
        tied, inside = (), item.name
    for inner in item.bodies:
        for i in inner.items:
            yield from _loops_in(i, inner, tied, inside)


def _loop(item: Item, body: Body, tied: tuple[Tie, ...], inside: str) -> Loop:
    """A loop op; where its states are not the model's own, they are called as the op calls them."""
    sizes, given = body.sizes, item.attributes
    if item.op in NATIVE:
        direction = given.get("direction", b"forward").decode(errors="replace")
        units = given.get("hidden_size") or (sizes[item.input(2)] or ("?",))[-1]
        became = f"{item.op}, {direction}, {units} units"
        carried = [("h", item.input(5), 1)] + [("c", item.input(6), 2)] * ("LSTM" in item.op)
    elif item.op == MEMORY:
        rule = given.get("update_rule", b"gated_delta").decode(errors="replace")
        *_, keys, values = ("?", "?", *(sizes[item.input(3)] or ()))
        became = f"{item.op}, {rule}, {keys} keys of {values} values"
        carried = [("S", item.input(3), 1)]
    else:
        return _body_loop(item, body, tied, inside)
    values_ = tuple(
        Carried(name, _state_type(item, body, first, slot), initial(first, body), 1)
        for name, first, slot in carried
    )
    names = tuple(t.path for t in tied) or tuple(c.name for c in values_)
    cost = step_cost(item, sizes)
    moved = at(step_bytes(item, sizes))
    own = tuple(o for o in item.outputs if o)
    trips = str(trips_of(item, sizes))
    return Loop(became, item.name, names, trips, 0, cost, moved, 0, values_, own, 1, inside)


def _state_type(item: Item, body: Body, first: str, slot: int) -> str:
    """The type of a native op's state, of its initial value or of its final one."""
    final = item.outputs[slot] if slot < len(item.outputs) else ""
    return body.sizes.shown(first or final) if first or final else "?"


def _body_loop(item: Item, body: Body, tied: tuple[Tie, ...], inside: str) -> Loop:
    """A Scan or a Loop: its body's first inputs return from its first outputs."""
    if not item.bodies:
        return Loop(f"{item.op} without a body", item.name, (), "", 0, 0, 0, 0, (), (), 0, inside)
    inner = item.bodies[0]
    count = len(inner.graph.input)
    pairs = returns(item)
    states = [after for _, after in pairs]
    # Until opset 8, a Scan's lengths came before all others.
    firsts = item.inputs[2:] if item.op == "Loop" else item.inputs[-count:] if count else ()
    carried = tuple(
        Carried(name, inner.sizes.shown(name), initial(first, body), 1)
        for name, first in zip(states, firsts, strict=False)
    )
    cost = body_cost(inner)
    cycle = [i for c in _cycles(inner, pairs) for i in c.items]
    return Loop(
        became=f"{item.op} of {at(cost.nodes)} nodes",
        name=item.name,
        states=tuple(t.path for t in tied) or tuple(states),
        steps=str(trips_of(item, body.sizes)),
        nodes=at(cost.nodes),
        multiply_adds=at(cost.multiply_adds),
        bytes=at(cost.bytes),
        critical_path=longest(inner, {}).nodes,
        carried=carried,
        through=_named(cycle),
        cycle_nodes=len(cycle),
        inside=inside,
    )


def returns(item: Item) -> list[tuple[str, str]]:
    """Of a Scan or a Loop, the outputs of its body with the inputs that they are at the next step."""
    inner = item.bodies[0]
    ins = [i.name for i in inner.graph.input]
    if item.op == "Loop":  # after the number of the step, and whether to go on
        return list(zip(inner.outputs[1:], ins[2:], strict=False))
    scanned = int(item.attributes.get("num_scan_inputs", 0))
    return list(zip(inner.outputs, ins[: len(ins) - scanned], strict=False))


def _straight(members: list[Item], body: Body, tied: tuple[Tie, ...], steps: int) -> Loop:
    cost: Cost = all_of(item_cost(i, body.sizes) for i in members)
    what = "delay line" if all(i.op in MOVES for i in members) else "straight line"
    own = Body(body.graph, body.sizes, members, frozenset())
    return Loop(
        became=f"{what} of {len(members)} nodes",
        name=next((i.name for i in reversed(members) if i.op != "Identity"), members[-1].name),
        states=tuple(t.path for t in tied),
        steps="",
        nodes=round(at(cost.nodes) / steps),
        multiply_adds=round(at(cost.multiply_adds) / steps),
        bytes=round(at(cost.bytes) / steps),
        critical_path=round(longest(own, {}).nodes / steps),
        carried=tuple(Carried(t.path, t.type, t.initial, t.depth) for t in tied),
        through=_named(members),
        cycle_nodes=len(members),
    )


def _named(items: list[Item]) -> tuple[str, ...]:
    """The first values that the items give, each once."""
    return tuple(next((o for o in i.outputs if o), i.name) for i in items[:NAMED])


def initial(tensor: str, body: Body) -> str:
    """What a tensor is before any step: a number, ``array``, or the name of what it comes from."""
    if not tensor:
        return "0.0"
    for _ in range(NAMED):
        fixed = body.sizes.constant(tensor)
        if fixed is not None:
            return _number(fixed)
        writer = body.writers.get(tensor)
        if writer is not None and writer.op == "ConstantOfShape":
            value = writer.attributes.get("value")
            return "0.0" if value is None else _number(value)
        if writer is None or writer.op not in PASSING:
            break
        tensor = writer.input(0)
    return tensor


def _number(fixed: onnx.TensorProto) -> str:
    """A fixed tensor as a number, if it is one everywhere."""
    external = fixed.data_location == onnx.TensorProto.EXTERNAL
    if external or not (single(fixed) or fixed.ByteSize() < 1 << 20):
        return "array"
    try:
        array = onnx.numpy_helper.to_array(fixed)
    except (ValueError, TypeError, NotImplementedError):
        return "array"
    return str(array.flat[0].item()) if array.size and (array == array.flat[0]).all() else "array"
