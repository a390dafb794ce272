"""Documents: a drawing in the languages that documents include, DOT of Graphviz and Mermaid's flowcharts.

Boxes are called ``n0``, ``n1``, …, so that no name of a model can break the text; names stand in labels,
escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rnnc.inspect.drawing import Box, Drawing, Frame, Kind

#: How each kind of box looks: in DOT, and around a label in Mermaid.
SHAPES: dict[Kind, tuple[str, str, str]] = {
    "op": ("shape=box", "[", "]"),
    "input": ("shape=ellipse", "([", "])"),
    "output": ("shape=ellipse", "([", "])"),
    "loop": ("shape=box, peripheries=2", "[[", "]]"),
    "delay": ("shape=box, style=rounded", "(", ")"),
    "group": ("shape=folder", "[/", "/]"),
}


def dot(drawing: Drawing) -> str:
    """The drawing in DOT."""

    def text(drawing: Drawing) -> Iterator[str]:
        yield f"digraph {_dot(drawing.name)} {{"
        yield "  rankdir=TB; node [fontname=sans, fontsize=10]; edge [fontname=sans, fontsize=9];"
        yield from _framed(drawing, "", "  ", _dot_frame, "}", _dot_box)
        for a in drawing.arrows:
            # What goes back does not pull its end above its beginning.
            looks = [f"label={_dot(a.label)}"] * bool(a.label)
            looks += ["style=dashed", "constraint=false"] * a.back
            yield f"  {a.tail} -> {a.head}" + (f" [{', '.join(looks)}];" if looks else ";")
        yield "}"

    return "\n".join(text(drawing.small()))


def mermaid(drawing: Drawing) -> str:
    """The drawing as a flowchart of Mermaid."""

    def text(drawing: Drawing) -> Iterator[str]:
        yield "flowchart TB"
        yield from _framed(drawing, "", "  ", _mermaid_frame, "end", _mermaid_box)
        for a in drawing.arrows:
            line = "-.->" if a.back else "-->"
            yield f"  {a.tail} {line}" + (f"|{_mermaid(a.label)}| " if a.label else " ") + a.head

    return "\n".join(text(drawing.small()))


def _framed(
    drawing: Drawing,
    frame: str,
    margin: str,
    opening: Callable[[Frame], str],
    closing: str,
    shown: Callable[[Box], str],
) -> Iterator[str]:
    """The boxes of a frame, and the frames in it."""
    yield from (f"{margin}{shown(b)}" for b in drawing.boxes if b.frame == frame)
    for inner in drawing.frames:
        if inner.frame == frame:
            yield f"{margin}{opening(inner)}"
            yield from _framed(drawing, inner.key, margin + "  ", opening, closing, shown)
            yield f"{margin}{closing}"


def _dot_frame(frame: Frame) -> str:
    return f"subgraph cluster_{frame.key} {{ label={_dot(frame.title)}; style=rounded;"


def _dot_box(box: Box) -> str:
    label = "\\n".join(_dot(line)[1:-1] for line in box.lines)
    return f'{box.key} [label="{label}", {SHAPES[box.kind][0]}];'


def _dot(text: str) -> str:
    """Text as a quoted string of DOT, in which a backslash would begin an escape."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{plain}"'


def _mermaid_frame(frame: Frame) -> str:
    return f"subgraph {frame.key}[{_mermaid(frame.title)}]"


def _mermaid_box(box: Box) -> str:
    _, left, right = SHAPES[box.kind]
    label = "<br/>".join(_mermaid(line)[1:-1] for line in box.lines)
    return f'{box.key}{left}"{label}"{right}'


def _mermaid(text: str) -> str:
    """Text as a quoted string of Mermaid, what could mean something written by its number."""
    return '"' + "".join(c if c.isalnum() or c in " .,_-:/×[]()" else f"#{ord(c)};" for c in text) + '"'
