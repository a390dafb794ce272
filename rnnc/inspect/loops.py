"""Loops: where an ONNX model carries values from step to step.

A ``Scan``, ``Loop`` or recurrent op is a loop by itself. Others close only outside the file, when the caller
gives a state back: the manifest says which output becomes which input, and with these ties drawn as edges
each strongly connected component is a loop, or, where nothing is computed, a delay line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import networkx as nx
import onnx

from rnnc.inspect.cost import LOOPS, MEMORY, NATIVE, Cost, graph_cost, node_cost, step_cost, trips_of
from rnnc.inspect.sizes import Sizes, at, attributes, bodies

#: Ops that move values and compute none: a loop of these alone only remembers.
MOVES = {
    *("Concat", "Slice", "Split", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Gather", "Transpose"),
    *("Shape", "Where", "Expand", "Equal", "Less", "Cast", "Range", "ReverseSequence"),
}


@dataclass(frozen=True)
class Tie:
    """A state of the model: what it is called, and the tensors that carry it in and out."""

    path: str
    input: str
    output: str


@dataclass(frozen=True)
class Loop:
    """One loop: ``became`` says what runs it; ``nodes`` and ``multiply_adds`` are a step's, at batch 1."""

    became: str
    name: str
    states: tuple[str, ...]
    steps: str
    nodes: int
    multiply_adds: int


def find_loops(graph: onnx.GraphProto, ties: Sequence[Tie], steps: int = 1) -> list[Loop]:
    """Every loop of a model, those of its sub-graphs included, in the order of the file.

    ``steps`` is how many steps a run takes where no op loops.
    """
    flow = _flow(graph, ties)
    component = {v: frozenset(c) for c in nx.strongly_connected_components(flow) for v in c}
    found: list[Loop] = []
    seen: set[frozenset[str]] = set()
    for i, node in enumerate(graph.node):
        around = component[f"node {i}"]
        tied = tuple(t.path for t in ties if f"tensor {t.input}" in around)
        inner = list(_loop_nodes(node, Sizes(graph)))
        found += [_loop(n, s, tied) for n, s in inner]
        if tied and around not in seen:
            seen.add(around)
            members = [n for j, n in enumerate(graph.node) if f"node {j}" in around]
            if not any(True for n in members for _ in _loop_nodes(n, Sizes(graph))):
                found.append(_straight(members, Sizes(graph), tied, steps))
    return found


def _flow(graph: onnx.GraphProto, ties: Iterable[Tie]) -> nx.DiGraph[str]:
    """Which node reads which tensor, with every state tied from its output back to its input."""
    flow: nx.DiGraph[str] = nx.DiGraph()
    for i, node in enumerate(graph.node):
        flow.add_node(f"node {i}")
        flow.add_edges_from((f"tensor {t}", f"node {i}") for t in _reads(node) if t)
        flow.add_edges_from((f"node {i}", f"tensor {t}") for t in node.output if t)
    flow.add_edges_from((f"tensor {t.output}", f"tensor {t.input}") for t in ties)
    return flow


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """The tensors that a node reads, its sub-graphs' readings of this graph among them."""
    yield from node.input
    for body in bodies(node):
        yield from (t for n in body.node for t in _reads(n))


def _loop_nodes(node: onnx.NodeProto, sizes: Sizes) -> Iterator[tuple[onnx.NodeProto, Sizes]]:
    """The loop ops that ``node`` is, or has inside a branch; a loop inside a loop counts as its body."""
    if node.op_type in LOOPS:
        yield node, sizes
        return
    for body in bodies(node):
        for n in body.node:
            yield from _loop_nodes(n, Sizes(body, sizes))


def _loop(node: onnx.NodeProto, sizes: Sizes, tied: tuple[str, ...]) -> Loop:
    """A loop op; where its states are not the model's own, they are called as the op calls them."""
    given = attributes(node)
    trips = str(trips_of(node, sizes))
    if node.op_type in NATIVE:
        carried = ("h", "c") if node.op_type == "LSTM" else ("h",)
        direction = given.get("direction", b"forward").decode()
        became = f"{node.op_type}, {direction}, {given['hidden_size']} units"
        return Loop(became, node.name, tied or carried, trips, 0, step_cost(node, sizes))
    if node.op_type == MEMORY:
        rule, (_, _, keys, values) = given["update_rule"].decode(), sizes[node.input[3]] or ("?",) * 4
        became = f"{node.op_type}, {rule}, {keys} keys of {values} values"
        return Loop(became, node.name, tied or ("S",), trips, 0, step_cost(node, sizes))
    body = bodies(node)[0]
    first, scanned = (0, given["num_scan_inputs"]) if node.op_type == "Scan" else (2, 0)
    carried = tuple(i.name for i in body.input[first : len(body.input) - scanned])
    cost = graph_cost(body, Sizes(body, sizes))
    became = f"{node.op_type} of {at(cost.nodes)} nodes"
    return Loop(became, node.name, tied or carried, trips, at(cost.nodes), at(cost.multiply_adds))


def _straight(members: Sequence[onnx.NodeProto], sizes: Sizes, tied: tuple[str, ...], steps: int) -> Loop:
    cost = sum((node_cost(n, sizes) for n in members), Cost())
    what = "delay line" if all(n.op_type in MOVES for n in members) else "straight line"
    return Loop(
        became=f"{what} of {len(members)} nodes",
        name=next((n.name for n in reversed(members) if n.op_type != "Identity"), ""),
        states=tied,
        steps="",
        nodes=round(at(cost.nodes) / steps),
        multiply_adds=round(at(cost.multiply_adds) / steps),
    )
