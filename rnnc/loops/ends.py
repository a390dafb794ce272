"""Ends: the inputs and outputs of an unrolled graph, one for each step.

The interface of a graph speaks of sequences, whatever passes do. Where a file is to take and give the steps
one by one, an input ``x`` becomes the inputs ``x_0``, ``x_1``, …, and an output ``y`` the outputs ``y_0``,
``y_1``, …
"""

from __future__ import annotations

from dataclasses import replace

from rnnc.build import Builder
from rnnc.ir import SOURCES, Graph, Input, Interface, Output
from rnnc.loops.naming import free
from rnnc.loops.straightline import stack
from rnnc.rewrite import sweep


def separate_ends(graph: Graph, steps: int) -> Graph:
    """A copy of a function graph of ``steps`` steps whose streams come and go step by step.

    It is for writing to a file only: its interface is that of the steps. A name that is taken gets ``_2``.
    """
    new, face = graph.copy(), graph.interface
    whole = {i.name: new.rename(i.name) for i in face.inputs if i.kind == "stream" and i.name in graph}
    inputs: list[Input] = []
    for source in face.inputs:
        names = [source.name]
        if source.name in whole:
            names = _split_input(new, whole[source.name], [f"{source.name}_{t}" for t in range(steps)])
        inputs += [replace(source, name=name) for name in names]
    ends: dict[str, str] = {}
    outputs: list[Output] = []
    for output in face.outputs:
        value = new.outputs[output.name]
        parts = {output.name: value}
        if output.kind == "stream":
            parts = {f"{output.name}_{t}": v for t, v in enumerate(_parts(new, value, steps))}
        for name, part in parts.items():
            outputs.append(replace(output, name=free(name, ends)))
            ends[outputs[-1].name] = part
    new.outputs = ends
    new.interface = Interface(tuple(inputs), tuple(outputs), face.states, face.params)
    sweep(new)
    return new.freeze()


def _split_input(graph: Graph, whole: str, names: list[str]) -> list[str]:
    """Replace an input by one for each step, which only other sources may keep from their names."""
    kind = graph.type(whole)
    one = kind.with_shape(*kind.shape[1:])
    for name in names:
        if name in graph and graph[name].op not in SOURCES:
            graph.rename(name)
    parts = [graph.add("input", type=one, name=name, like=whole) for name in names]
    for user, _ in graph.uses(whole):
        if (step := _step_read(graph, user)) is not None:
            graph.replace(user, parts[step])
    if graph.uses(whole) or whole in graph.roots():
        graph.replace(whole, stack(Builder(graph, like=whole), parts))
    graph.erase(whole)
    return parts


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
