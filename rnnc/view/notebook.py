"""Pictures for notebooks: a graph as HTML with an inline drawing, which no script is part of.

Values stand in rows, each below all that it reads, as networkx ranks them; a delayed value goes back up to
its delay, dashed. What has many values is told in text alone: ``rnnc view`` draws it.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping

import networkx as nx

from rnnc.ir import Graph
from rnnc.text import show
from rnnc.view.scene import Record, scene

#: Graphs of more values than this are not drawn.
DRAWN = 90
WIDTH, HEIGHT, GAP, ROW = 132, 36, 14, 62

#: The ground of a notebook, as JupyterLab and VS Code call it.
_GROUND = "var(--jp-layout-color0, var(--vscode-editor-background, Canvas))"
_BLUE, _ORANGE = "#3b82f6", "#d9622b"
_MONO = "font-family:ui-monospace,Menlo,Consolas,monospace"


def picture(graph: Graph, title: str, facts: Mapping[str, str] | None = None, notes: str = "") -> str:
    """The HTML of a graph: what it is to the outside, its drawing, its text, and ``notes``."""
    found = scene(graph, lambda loc: 0).nodes
    boxes = {k: r for k, r in found.items() if r.get("kind") != "weight" or r.get("ends")}
    parts = [
        f'<div style="{_MONO};font-size:12px"><strong style="font-size:14px">{html.escape(title)}</strong>',
        _table({**_face(graph), **(facts or {})}),
    ]
    if len(boxes) <= DRAWN:
        parts.append(_drawing(found, boxes))
    else:
        parts.append(f"<p>{len(boxes)} values: rnnc view draws them.</p>")
    parts.append(_folded("graph", show(graph)))
    if notes:
        parts.append(_folded("remarks", notes))
    return "".join([*parts, "</div>"])


def _face(graph: Graph) -> dict[str, str]:
    face = graph.interface
    return {
        "inputs": ", ".join(f"{i.name}: {i.type}" for i in face.inputs),
        "outputs": ", ".join(f"{o.name}: {o.type}" for o in face.outputs),
        "states": ", ".join(f"{s.path}: {s.tensor}" for s in face.states),
    }


def _table(facts: Mapping[str, str]) -> str:
    rows = (
        f'<tr><td style="text-align:left;opacity:.7">{html.escape(name)}</td>'
        f'<td style="text-align:left">{html.escape(value)}</td></tr>'
        for name, value in facts.items()
        if value
    )
    return f'<table style="{_MONO}">{"".join(rows)}</table>'


def _folded(title: str, text: str) -> str:
    return (
        f'<details><summary>{title}</summary><pre style="{_MONO};overflow-x:auto">{html.escape(text)}</pre>'
        "</details>"
    )


def _drawing(found: Mapping[str, Record], boxes: Mapping[str, Record]) -> str:
    """Boxes in rows, and the edges between them."""
    edges = [(a, b, way) for b, r in boxes.items() for a, way in _flow(r) if a in boxes]
    down: nx.DiGraph[str] = nx.DiGraph()
    down.add_nodes_from(boxes)
    down.add_edges_from((b, a) if way == "back" else (a, b) for a, b, way in edges)
    down.remove_edges_from(list(nx.selfloop_edges(down)))
    at: dict[str, tuple[float, float]] = {}
    rows = _rows(down)
    widest = max(map(len, rows), default=0) * (WIDTH + GAP)
    for y, row in enumerate(rows):
        left = (widest - len(row) * (WIDTH + GAP)) / 2
        for x, key in enumerate(_ordered(down, row, at)):
            at[key] = (left + x * (WIDTH + GAP) + GAP / 2, y * ROW + 8.0)
    lines = "".join(_edge(at[a], at[b], widest if way == "back" else 0, way) for a, b, way in edges)
    shown = "".join(_box(found, k, boxes[k], at[k]) for k in boxes)
    size = f'viewBox="0 0 {widest + 40} {len(rows) * ROW}" width="{widest + 40}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="The graph; its text is below" {size}'
        f' style="max-width:100%;height:auto;{_MONO}">{lines}{shown}</svg>'
    )


def _rows(down: nx.DiGraph[str]) -> list[list[str]]:
    """The values by rank; those that read nothing are as near as may be to what reads them."""
    rank = {key: i for i, row in enumerate(nx.topological_generations(down)) for key in row}
    for key in [k for k in rank if not down.in_degree(k) and down.out_degree(k)]:
        rank[key] = min(rank[user] for user in down.successors(key)) - 1
    rows: list[list[str]] = [[] for _ in range(max(rank.values(), default=-1) + 1)]
    for key in down:
        rows[rank[key]].append(key)
    return rows


def _ordered(down: nx.DiGraph[str], row: list[str], at: Mapping[str, tuple[float, float]]) -> list[str]:
    """A row, each value as near as may be below what it reads."""

    def wanted(key: str) -> float:
        above = [at[p][0] for p in down.predecessors(key) if p in at]
        return sum(above) / len(above) if above else math.inf  # delays go right, where edges come up

    return sorted(row, key=wanted)


def _flow(record: Record) -> list[list[str]]:
    flow: list[list[str]] = record.get("flow") or [[key, ""] for key in record["in"]]
    return flow


def _edge(a: tuple[float, float], b: tuple[float, float], around: float, way: str) -> str:
    """A curve down, or, ``around`` the right end of the rows, back up; dashed into a delay."""
    if around:
        (x0, y0), (x1, y1) = (a[0] + WIDTH, a[1] + HEIGHT / 2), (b[0] + WIDTH, b[1] + HEIGHT / 2)
        path = f"M{x0:g},{y0:g}C{around + 40:g},{y0:g} {around + 40:g},{y1:g} {x1:g},{y1:g}"
        tip = "l7,-4v8z"
    else:
        (x0, y0), (x1, y1) = (a[0] + WIDTH / 2, a[1] + HEIGHT), (b[0] + WIDTH / 2, b[1])
        bow = WIDTH if y1 - y0 > ROW else 0  # past the boxes between
        near = min((y1 - y0) / 2, ROW)
        path = f"M{x0:g},{y0:g}C{x0 + bow:g},{y0 + near:g} {x1 + bow:g},{y1 - near:g} {x1:g},{y1:g}"
        tip = "l-4,-6h8z"
    delayed = f'stroke="{_ORANGE}" stroke-width="1.6" stroke-dasharray="5 3"'
    style = delayed if way else 'stroke="currentColor" stroke-opacity=".45"'
    return f'<path d="{path}M{x1:g},{y1:g}{tip}" fill="none" {style}/>'


def _box(found: Mapping[str, Record], key: str, record: Record, at: tuple[float, float]) -> str:
    kind = record.get("kind", "")
    colour = {"input": _BLUE, "delay": _ORANGE}.get(kind, "currentColor")
    weights = [found[w].get("label", w) for w in record["in"] if found[w].get("kind") == "weight"]
    title = record["op"] if key.rpartition("/")[2].startswith("%") else key.rpartition("/")[2]
    below = " ".join([record["op"] if title != record["op"] else "", *weights]).strip() or record["type"]
    ends = "2.5" if record.get("ends") else "1.2"
    hover = html.escape(f"{key}: {record['type']} = {record['op']}({', '.join(record['in'])})")
    (x, y), middle = at, at[0] + WIDTH / 2
    place = f'x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="{16 if kind else 4}"'
    return (
        f"<g><title>{hover}</title>"
        f'<rect {place} style="fill:{_GROUND}"/>'
        f'<rect {place} fill="{colour}" fill-opacity=".09" stroke="{colour}" stroke-width="{ends}"/>'
        + _text(middle, y + 15, title, 'font-size="12" font-weight="600"')
        + _text(middle, y + 29, below, 'font-size="10" fill-opacity=".75"')
        + "</g>"
    )


def _text(x: float, y: float, text: str, style: str, most: int = 20) -> str:
    shown = html.escape(text if len(text) <= most else f"{text[: most - 1]}…")
    return f'<text x="{x:g}" y="{y:g}" text-anchor="middle" fill="currentColor" {style}>{shown}</text>'


def signature(title: str, fields: Mapping[str, Iterable[object]], dims: Iterable[str]) -> str:
    """The HTML of a net whose sizes are open: the dimensions of its fields, and what it wants."""
    shown = _table({name: " × ".join(map(str, of)) or "1" for name, of in fields.items()})
    return (
        f'<div style="{_MONO};font-size:12px"><strong style="font-size:14px">{html.escape(title)}</strong>'
        f" a net of sizes {html.escape(', '.join(dims))}{shown}</div>"
    )
