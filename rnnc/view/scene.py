"""Scenes: a graph as records that a page draws, by key.

A record of a value has its ``op``, ``type``, ``attrs`` (pairs of text) and ``in`` (the keys it reads, by
slot), and, where they are not empty: ``kind`` (``input``, ``weight``, ``delay``, ``region``, ``recurrent``),
``label`` (what to call it, if not by its key), ``flow`` (the edges to draw, as [key, way], if they are not
those of ``in``: the way is ``"back"`` into a delay on a cycle, ``"late"`` into another, else ``""``), ``at``
(places in the source, by number), ``ends`` (what it is to the outside), and ``frame``.

A frame surrounds records: the body of a region, or at stream level a strongly connected component, which is
what will become one. It has a ``label``, and in files perhaps a ``frame`` around it.

Keys stay the same from pass to pass as far as names do: a value inside a region is known by its own name
where no other value has that, and else as ``frame/value``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import networkx as nx
import numpy as np

from rnnc.errors import Loc
from rnnc.ir import Graph
from rnnc.loops.regions import operands
from rnnc.text.literals import show_array, show_attr, show_scalar

Record = dict[str, Any]
#: The number of a place in the source.
Places = Callable[[Loc], int]

WEIGHTS = {"param", "const", "init"}
RECURRENT = {"lstm", "gru", "rnn", "linear_attention"}


@dataclass(frozen=True)
class Scene:
    """Records and frames by key; ``inner`` has the keys of values inside regions, by ``region/value``."""

    nodes: dict[str, Record] = field(default_factory=dict)
    frames: dict[str, Record] = field(default_factory=dict)
    inner: dict[str, str] = field(default_factory=dict)


def scene(graph: Graph, places: Places) -> Scene:
    """The scene of a graph, regions' bodies included."""
    drawing = _Drawing(Scene(), places, set(graph))
    drawing.graph(graph, "", {v: v for v in graph}, {})
    return drawing.scene


@dataclass(frozen=True)
class _Drawing:
    """A scene in the making, and the keys that are taken."""

    scene: Scene
    places: Places
    taken: set[str]

    def graph(self, graph: Graph, frame: str, keys: dict[str, str], around: dict[str, str]) -> None:
        """Draw ``graph``, whose values have ``keys``; ``around`` has what flows into its own sources."""
        loops = _loops(graph) if graph.level == "stream" else {}
        around_again = {v for members in loops.values() for v in members}
        inside: dict[str, str] = {}
        for name, members in loops.items() if not frame else ():
            delayed = (graph.operands(v)[0] for v in members if graph[v].op == "delay")
            key = self._free(name)
            self.scene.frames[key] = {"label": f"loop of {', '.join(dict.fromkeys(delayed))}"}
            inside.update(dict.fromkeys(members, key))
        ends = _ends(graph)
        results: dict[str, tuple[str, ...]] = {}
        for value in graph.order():
            node, reads = graph[value], graph.operands(value)
            record = _record(graph, value, [keys[v] for v in reads], bool(frame))
            if node.locs:
                record["at"] = [self.places(loc) for loc in node.locs]
            if value in ends:
                record["ends"] = ends[value]
            if value in inside or frame:
                record["frame"] = inside.get(value, frame)
            self.scene.nodes[keys[value]] = record
            if value in around:
                record["flow"] = [[around[value], ""]]
            elif node.op == "delay":
                way = "back" if value in around_again else "late"
                record["flow"] = [[keys[v], "" if slot else way] for slot, v in enumerate(reads)]
            elif node.op == "item" and reads[0] in results:
                record["flow"] = [[results[reads[0]][node.attrs["k"]], ""]]
            elif node.op == "region":
                results[value] = self._region(graph, value, keys)

    def _region(self, graph: Graph, value: str, keys: dict[str, str]) -> tuple[str, ...]:
        """Draw a region's body in a frame, its own record at the head, and return the keys of its results."""
        node, reads = graph[value], operands(graph, value)
        body: Graph = node.attrs["body"]
        frame = self._free(f"loop {next(iter(body.roots()), value)}")
        direction = ", backwards" if node.attrs.get("reverse") else ""
        self.scene.frames[frame] = {"label": f"loop of {show_attr(node.attrs['steps'])} steps{direction}"}
        record = self.scene.nodes[keys[value]]
        record["frame"] = frame
        record["flow"] = [[keys[v], ""] for v in (*filter(None, [reads.lengths]), *reads.alternatives)]
        inner = {v: v if v[0] != "%" and v not in self.taken else f"{frame}/{v}" for v in body}
        self.taken.update(inner.values())
        self.scene.inner.update({f"{value}/{v}": key for v, key in inner.items()})
        sources = [*(i.name for i in body.interface.inputs), *(s.source for s in body.interface.states)]
        around = dict(zip(sources, (keys[v] for v in (*reads.inputs, *reads.inits)), strict=True))
        self.graph(body, frame, inner, around)
        return tuple(inner[v] for v in body.roots())

    def _free(self, name: str) -> str:
        """A key for a frame that no other has."""
        key, n = name, 1
        while key in self.scene.frames:
            n += 1
            key = f"{name} {n}"
        return key


def _record(graph: Graph, value: str, reads: list[str], inside: bool) -> Record:
    """What a value is by itself."""
    node = graph[value]
    record: Record = {"op": node.op, "type": str(node.type), "in": reads}
    if attrs := [[name, _attr(a)] for name, a in node.attrs.items() if not isinstance(a, Graph)]:
        record["attrs"] = attrs
    if kind := _kind(node.op, inside):
        record["kind"] = kind
    if label := _label(graph, value):
        record["label"] = label
    return record


def _loops(graph: Graph) -> dict[str, list[str]]:
    """The values on cycles, together with those on the same ones, known by their first delay."""
    place = {v: i for i, v in enumerate(graph.order())}
    found: dict[str, list[str]] = {}
    for component in nx.strongly_connected_components(graph.nx):
        members = sorted(component, key=place.__getitem__)
        delays = [v for v in members if graph[v].op == "delay"]
        if delays and (len(members) > 1 or delays[0] in graph.operands(delays[0])):
            found[f"loop {graph.operands(delays[0])[0]}"] = members
    return dict(sorted(found.items(), key=lambda item: place[item[1][0]]))


def _ends(graph: Graph) -> dict[str, list[str]]:
    """What each value is to the outside."""
    found: dict[str, list[str]] = {}
    for kind, ends in (("output", graph.outputs), ("state", graph.finals)):
        for name, value in ends.items():
            found.setdefault(value, []).append(f"{kind} {name}")
    return found


def _kind(op: str, inside: bool) -> str:
    if op in WEIGHTS:
        return "input" if op == "init" and inside else "weight"
    return "recurrent" if op in RECURRENT else op if op in ("input", "delay", "region") else ""


def _label(graph: Graph, value: str) -> str:
    """What a constant is called: its value if that is short, else its type."""
    node = graph[value]
    if node.op != "const" or not value.startswith("%"):
        return ""
    array = node.attrs["value"]
    return show_scalar(array) if isinstance(array, np.ndarray) and not array.shape else str(node.type)


def _attr(value: Any) -> str:
    return show_array(value) if isinstance(value, np.ndarray) else show_attr(value)
