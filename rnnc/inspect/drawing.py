"""Drawings: a model as boxes and arrows, small enough for a document, in the language of Graphviz or Mermaid.

A loop's way back is dashed, and says how many steps later the value returns. A body stands in a frame below
its op. Where a model has more boxes than a reader could follow, bodies are left out, and then neighbours in
the order of the file share a box that says what is in it; ops that loop keep their own as long as they can.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import onnx

from rnnc.inspect.graphs import Body, Item, short, whole
from rnnc.inspect.loops import returns
from rnnc.inspect.pairs import guessed, told
from rnnc.inspect.reading import manifest_of, prepared
from rnnc.ir import Graph

Kind = Literal["op", "input", "output", "loop", "delay", "group"]

#: No drawing has more boxes, nor more arrows: Mermaid draws no more than 500 of these.
BOXES = 250
ARROWS = 450


@dataclass(frozen=True, slots=True)
class Box:
    """A box: its lines of text, what it is, and the frame that it stands in. ``op`` is what groups count."""

    key: str
    lines: tuple[str, ...]
    kind: Kind = "op"
    frame: str = ""
    op: str = ""


@dataclass(frozen=True, slots=True)
class Arrow:
    """An arrow between boxes; one ``back`` in time is dashed."""

    tail: str
    head: str
    label: str = ""
    back: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around the body of an op, and in which other frame."""

    key: str
    title: str
    frame: str = ""


@dataclass(frozen=True)
class Drawing:
    """Boxes in the order in which they run, arrows, and frames, outer ones first."""

    name: str
    boxes: Sequence[Box]
    arrows: Sequence[Arrow]
    frames: Sequence[Frame] = ()

    def small(self) -> Drawing:
        """The same with so few boxes and arrows that it can be looked at."""
        found, boxes = self, BOXES
        if len(found.boxes) > boxes or len(found.arrows) > ARROWS:
            found = _without_frames(found)
        while len(found.boxes) > boxes or len(found.arrows) > ARROWS:
            found = _grouped(found, boxes)
            boxes = boxes * 2 // 3
        return found


class _Pen:
    """Draws the bodies of a model, one inside the other."""

    def __init__(self) -> None:
        self.boxes: list[Box] = []
        self.arrows: dict[Arrow, None] = {}
        self.frames: list[Frame] = []

    def box(self, lines: Iterable[str], kind: Kind, frame: str, op: str = "") -> str:
        key = f"n{len(self.boxes)}"
        self.boxes.append(Box(key, tuple(short(x, 40) for x in lines if x), kind, frame, op or kind))
        return key

    def arrow(self, tail: str, head: str, label: str = "", back: bool = False) -> None:
        self.arrows[Arrow(tail, head, short(label, 40), back)] = None

    def body(self, body: Body, around: dict[str, str], frame: str, owner: str = "") -> dict[str, str]:
        """Draw a graph, and give the box of every tensor in it."""
        where = dict(around)
        for name in body.inputs:
            where[name] = self.box((name, body.sizes.shown(name)), "input", frame)
            if owner:
                self.arrow(owner, where[name])
        for item in body.items:
            if item.free:
                continue
            kind: Kind = "loop" if item.loops else "op"
            key = self.box((item.op, item.name), kind, frame, item.op)
            for t in item.reads:
                if t in where:
                    self.arrow(where[t], key)
            where.update((o, key) for o in item.outputs if o)
            self.inside(item, where, key, frame)
        return where

    def inside(self, item: Item, where: dict[str, str], key: str, frame: str) -> None:
        branches = [a.name for a in item.node.attribute if a.type == onnx.AttributeProto.GRAPH]
        for n, inner in enumerate(item.bodies):
            which = f", {short(branches[n])}" if len(branches) == len(item.bodies) > 1 else ""
            title = f"{item.op} {short(item.name, 40)}{which}"
            own = Frame(f"f{len(self.frames)}", title, frame)
            self.frames.append(own)
            found = self.body(inner, {t: where[t] for t in inner.free if t in where}, own.key, key)
            if item.op not in ("Scan", "Loop"):
                continue
            for before, after in returns(item):
                if before in found:
                    self.arrow(found[before], found[after], "1 step later", back=True)


def of_model(model: onnx.ModelProto, name: str) -> Drawing:
    """A model as its nodes, its states going back from outputs to inputs."""
    manifest = manifest_of(model)
    model = model if manifest else prepared(model)[0]
    body = whole(model.graph)
    states = [told(s) for s in manifest["states"]] if manifest else guessed(body)
    pen = _Pen()
    where = pen.body(body, {}, "")
    ends = {}
    for o in body.outputs:
        ends[o] = pen.box((o, body.sizes.shown(o)), "output", "")
        if o in where:
            pen.arrow(where[o], ends[o])
    for s in states:
        if s.output in ends and s.input in where:
            pen.arrow(ends[s.output], where[s.input], f"{s.path}, next call", back=True)
    return Drawing(name, pen.boxes, list(pen.arrows), pen.frames)


def of_net(graph: Graph) -> Drawing:
    """A net as its equations, without weights: what a delay delays goes to it by a dashed arrow."""
    pen = _Pen()
    where: dict[str, str] = {}
    for v in graph.order():
        node = graph[v]
        if node.op in ("param", "const", "init"):
            continue
        kind: Kind = node.op if node.op in ("input", "delay") else "op"  # type: ignore[assignment]
        name = "" if v.startswith("%") else v
        where[v] = pen.box((node.op, name, str(node.type)), kind, "", node.op)
    for v in where:
        for operand in graph.operands(v):
            if operand in where:
                k = graph[v].attrs["k"] if graph[v].op == "delay" else 0
                pen.arrow(where[operand], where[v], later(k) if k else "", back=bool(k))
    for name, v in graph.outputs.items():
        if v in where:
            pen.arrow(where[v], pen.box((name,), "output", ""))
    return Drawing(graph.name, pen.boxes, list(pen.arrows))


def later(steps: int) -> str:
    """After how many steps a value returns."""
    return f"{abs(steps)} step{'s' * (abs(steps) != 1)} {'later' if steps > 0 else 'earlier'}"


def _without_frames(drawing: Drawing) -> Drawing:
    inside = {b.key for b in drawing.boxes if b.frame}
    kept = [a for a in drawing.arrows if a.tail not in inside and a.head not in inside]
    return Drawing(drawing.name, [b for b in drawing.boxes if not b.frame], kept)


def _grouped(drawing: Drawing, most: int) -> Drawing:
    """Neighbours of a kind in one box, so that there are about as many boxes as ``most``."""
    loops = sum(b.kind == "loop" for b in drawing.boxes)
    alone = loops <= most // 2
    size = max(2, -(-2 * len(drawing.boxes) // most))
    groups: list[list[Box]] = []
    for box in drawing.boxes:
        single = alone and box.kind == "loop"
        side = box.kind if box.kind in ("input", "output") else "op"
        last = groups[-1] if groups else []
        if not last or single or len(last) >= size or _side(last[-1], alone) != side:
            groups.append([box])
        else:
            last.append(box)
    new: dict[str, str] = {}
    boxes = []
    for n, group in enumerate(groups):
        new.update((b.key, f"n{n}") for b in group)
        boxes.append(replace(group[0] if len(group) == 1 else _group(group), key=f"n{n}"))
    arrows = (replace(a, tail=new[a.tail], head=new[a.head]) for a in drawing.arrows)
    return Drawing(drawing.name, boxes, list(dict.fromkeys(_merged(arrows))))


def _side(box: Box, alone: bool) -> str:
    """What a box may share a box with."""
    if alone and box.kind == "loop":
        return "nothing"
    return box.kind if box.kind in ("input", "output") else "op"


def _merged(arrows: Iterable[Arrow]) -> Iterable[Arrow]:
    """Those between boxes, without labels where many become one."""
    for a in arrows:
        if a.back:
            yield replace(a, label="later")
        elif a.tail != a.head:
            yield replace(a, label="")


def _group(group: list[Box]) -> Box:
    ops: Counter[str] = Counter()
    count = 0
    for b in group:
        inner = _counted(b)
        ops.update(inner)
        count += sum(inner.values())
    common = [f"{op} ×{n:,}" for op, n in ops.most_common(3)]
    more = [f"{len(ops) - 3} other ops"] if len(ops) > 3 else []
    kind: Kind = group[0].kind if group[0].kind in ("input", "output") else "group"
    what = {"input": "inputs", "output": "outputs"}.get(kind, "nodes")
    lines = [f"{count:,} {what}", *(([*common, *more]) if kind == "group" else [])]
    return Box("", tuple(lines), kind, "", "\n".join(f"{n} {op}" for op, n in ops.items()))


def _counted(box: Box) -> dict[str, int]:
    """How many of each op a box stands for."""
    if "\n" not in box.op and not (box.op[:1].isdigit()):
        return {box.op: 1}
    pairs = (line.split(" ", 1) for line in box.op.splitlines())
    return {op: int(n) for n, op in pairs}
