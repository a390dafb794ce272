"""Splicing: the values of one function graph, added to another."""

from __future__ import annotations

from collections.abc import Mapping

from rnnc.ir import Graph


def splice(graph: Graph, inner: Graph, known: Mapping[str, str]) -> dict[str, str]:
    """Add the values of ``inner`` to ``graph``, and return what each is there.

    ``known`` says so of its sources. Names go along where they are free.
    """
    found = dict(known)
    for value in (v for v in inner.order() if v not in found):
        node = inner[value]
        operands = [found[o] for o in inner.operands(value)]
        name = "" if value.startswith("%") else value
        found[value] = graph.add(node.op, *operands, type=node.type, name=name, locs=node.locs, **node.attrs)
    return found
