"""Ends: the inputs and outputs of an unrolled graph, one for each step.

The interface of a graph speaks of sequences, whatever passes do. Where a file is to take and give the steps
one by one, an input ``x`` becomes the inputs ``x_0``, ``x_1``, …, and an output ``y`` the outputs ``y_0``,
``y_1``, …
"""

from __future__ import annotations

from rnnc.build import Builder
from rnnc.errors import FormError
from rnnc.ir import Graph
from rnnc.loops.straightline import stack
from rnnc.rewrite import sweep


def separate_ends(graph: Graph, steps: int) -> Graph:
    """A copy of a function graph of ``steps`` steps whose streams come and go step by step.

    It is for writing to a file only: its inputs and outputs are no longer those that its interface declares.
    """
    new = graph.copy()
    for source in (i for i in graph.interface.inputs if i.kind == "stream" and i.name in graph):
        _split_input(new, source.name, [f"{source.name}_{t}" for t in range(steps)])
    outputs: dict[str, str] = {}
    for output in graph.interface.outputs:
        value = new.outputs[output.name]
        if output.kind == "final":
            outputs[output.name] = value
        else:
            outputs |= {f"{output.name}_{t}": v for t, v in enumerate(_parts(new, value, steps))}
    new.outputs = outputs
    sweep(new)
    return new.freeze()


def _split_input(graph: Graph, whole: str, names: list[str]) -> None:
    """Replace an input by one for each step."""
    kind = graph.type(whole)
    one = kind.with_shape(*kind.shape[1:])
    for name in names:
        if name in graph and graph[name].op == "input":
            raise FormError(f"{name} would be both an input and a step of another", hint="Rename that input.")
    parts = [graph.add("input", type=one, name=name, like=whole) for name in names]
    for user, _ in graph.uses(whole):
        if (step := _step_read(graph, user)) is not None:
            graph.replace(user, parts[step])
    if rest := graph.uses(whole):
        joined = stack(Builder(graph, like=whole), parts)
        for user, slot in rest:
            graph.connect(joined, user, slot)
    graph.erase(whole)


def _step_read(graph: Graph, value: str) -> int | None:
    """Which step a value takes of the sequence that it reads."""
    node = graph[value]
    if node.op != "gather" or node.attrs["axis"] != 0:
        return None
    at = graph[graph.operands(value)[1]]
    return int(at.attrs["value"]) if at.op == "const" and not at.tensor.rank else None


def _parts(graph: Graph, value: str, steps: int) -> list[str]:
    """A sequence as the values of its steps."""
    one = graph.type(value).with_shape(*graph.type(value).shape[1:])
    joined = graph.operands(value)[0] if graph[value].op == "reshape" else value
    if graph[joined].op == "concat" and graph[joined].attrs["axis"] == 0:
        found = graph.operands(joined)
        if all(graph[v].op == "unsqueeze" for v in found) and joined == value:
            found = tuple(graph.operands(v)[0] for v in found)
        if len(found) == steps and all(graph[v].type == one for v in found):
            return list(found)
    b = Builder(graph, like=value)
    return [b("gather", value, b.const(t, "i64"), axis=0) for t in range(steps)]
