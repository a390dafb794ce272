"""Timing: which values of a stream graph change from step to step."""

from __future__ import annotations

from typing import Literal

from rnnc.ir import Graph

Timing = Literal["invariant", "stream", "final"]


def timing(graph: Graph) -> dict[str, Timing]:
    """The timing of every value of a stream graph.

    ``invariant``   the same at every step: no stream input and no delay is below it
    ``stream``      one value a step
    ``final``       known at the last step only: a ``last`` is below it

    A delay is a stream whatever it delays, since its first values are its initial ones; so is what somebody
    else's op makes of nothing, which is another number at every step.
    """
    streams = {i.name for i in graph.interface.inputs if i.kind == "stream"}
    found: dict[str, Timing] = {}
    for value in graph.order():
        op = graph[value].op
        if op == "last":
            found[value] = "final"
        elif op == "delay" or (op == "input" and value in streams) or _is_dice(graph, value):
            found[value] = "stream"
        else:
            below = {found[o] for o in graph.operands(value)}
            found[value] = "final" if "final" in below else "stream" if "stream" in below else "invariant"
    return found


def _is_dice(graph: Graph, value: str) -> bool:
    return graph[value].op == "opaque" and not graph.operands(value)
