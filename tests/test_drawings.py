"""Drawings for documents are well formed, whatever a model is called, and small, however large it is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import lark
import onnx
import pytest
from click.testing import CliRunner

import rnnc
from rnnc import Chain, cells
from rnnc.cli import cli
from rnnc.frontend.assemble import trace
from rnnc.inspect.documents import dot, mermaid
from rnnc.inspect.drawing import ARROWS, BOXES, of_model, of_net
from tests import foreign
from tests.foreign import model, node, port

#: As much of Mermaid's flowcharts as is written, stricter than Mermaid: a label is quoted, and has no quote,
#: angle bracket, hash, ampersand or backtick but in an entity such as #35; or a line break.
MERMAID = lark.Lark(r"""
    start: "flowchart TB\n" line*
    line: /[ ]+/? (box | arrow | frame | "end") "\n"
    box: NAME ("([" LABEL "])" | "[[" LABEL "]]" | "[/" LABEL "/]" | "(" LABEL ")" | "[" LABEL "]")
    arrow: NAME " " ("-->" | "-.->") ("|" LABEL "| " | " ") NAME
    frame: "subgraph " NAME "[" LABEL "]"
    NAME: /[nf]\d+/
    LABEL: /"([^"<>#&`\n]|#\d+;|<br\/>)*"/
""")

#: The part of Graphviz's own grammar that is written.
DOT = lark.Lark(r"""
    start: "digraph" ID "{" _statement* "}"
    _statement: (node | edge | graph | kinds | assignment) ";"?
    kinds: ("node" | "edge") attributes
    node: ID attributes?
    edge: ID "->" ID attributes?
    graph: "subgraph" ID "{" _statement* "}"
    assignment: ID "=" ID
    attributes: "[" (assignment ","?)* "]"
    ID: /[A-Za-z_]\w*|\d+|"([^"\\\n]|\\.)*"/
    %ignore /\s+/
""")

ODD = 'a"b\\c\n]|;{}<i>&amp;#35;`%→\u202e' + "x" * 500


def odd() -> onnx.ModelProto:
    nodes = [node("Neg", [ODD], ["b"], name=ODD), node('Odd"Op', ["b"], ["c" + ODD], domain="d>\\")]
    return model(nodes, [port(ODD, ["B" + ODD])], [port("c" + ODD, None)], opsets=(("", 17), ("d>\\", 1)))


DRAWN = {
    "lstm": lambda: of_model(rnnc.compile(cells.LSTM(3, 4), "step").proto, "lstm"),
    "scan": lambda: of_model(rnnc.compile(cells.LayerNormLSTM(3, 4), "chunk").proto, "scan"),
    "nested": lambda: of_model(foreign.nested(), "nested"),
    "guess": lambda: of_model(foreign.vad(), "guess"),
    "odd": lambda: of_model(odd(), ODD),
    "empty": lambda: of_model(model([], [port("x", [1])], [port("x", [1])]), ""),
    "net": lambda: of_net(trace(Chain(cells.Affine(3, 4), cells.LSTM(4, 5)), None, (), 0)),
    "large": lambda: of_model(foreign.chain(3_000), "large"),
}


@pytest.mark.parametrize("name", DRAWN)
def test_mermaid_is_well_formed(name):
    text = mermaid(DRAWN[name]())
    MERMAID.parse(text + "\n")
    assert text.count("subgraph ") == len(re.findall(r"^ *end$", text, re.MULTILINE))


@pytest.mark.parametrize("name", DRAWN)
def test_dot_is_well_formed(name):
    DOT.parse(dot(DRAWN[name]()))


@pytest.mark.skipif(not shutil.which("dot"), reason="needs Graphviz")
@pytest.mark.parametrize("name", DRAWN)
def test_graphviz_draws_it(name):
    drawing = DRAWN[name]().small()
    command = ["dot", "-Tjson"]
    done = subprocess.run(command, input=dot(drawing), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    drawn = [x for x in found.get("objects", ()) if not x["name"].startswith("cluster")]
    assert len(drawn) == len(drawing.boxes)
    assert len(found.get("edges", ())) == len(drawing.arrows)


def test_states_go_back():
    drawing = of_model(rnnc.compile(cells.LSTM(3, 4), "step").proto, "lstm")
    boxes = {b.key: b for b in drawing.boxes}
    back = [(boxes[a.tail].lines[0], boxes[a.head].lines[0], a.label) for a in drawing.arrows if a.back]
    assert back == [("y_out", "y_in", "y, next call"), ("state_out", "state_in", "state, next call")]


def test_a_scan_has_its_body_in_a_frame():
    drawing = of_model(foreign.nested(), "nested")
    branches = ["If choice, else_branch", "If choice, then_branch"]
    assert [f.title for f in drawing.frames] == ["Loop loop", *branches, "Scan scan"]
    assert [f.frame for f in drawing.frames] == ["", "f0", "f0", "f2"]
    assert sum(a.back for a in drawing.arrows) == 2


def test_delays_of_a_net_go_back():
    drawing = of_net(trace(cells.LSTM(3, 4), None, (), 0))
    assert [a.label for a in drawing.arrows if a.back] == ["1 step later"] * 2
    assert sum(b.kind == "delay" for b in drawing.boxes) == 2


def test_a_large_model_is_drawn_small():
    large = of_model(foreign.chain(3_000), "large")
    assert len(large.boxes) == 3_002
    small = large.small()
    assert len(small.boxes) <= BOXES
    assert len(small.arrows) <= ARROWS
    counted = sum(int(b.lines[0].split()[0].replace(",", "")) for b in small.boxes if b.kind == "group")
    assert counted == 3_000
    assert small.small() is small


def test_commands(tmp_path):
    onnx.save(foreign.vad(), tmp_path / "vad.onnx")

    def said(*args: str) -> str:
        done = CliRunner().invoke(cli, ["inspect", *args])
        assert done.exit_code == 0, done.output
        return done.output

    assert said(str(tmp_path / "vad.onnx"), "--mermaid").startswith("flowchart TB\n")
    assert said(str(tmp_path / "vad.onnx"), "--dot").startswith('digraph "vad.onnx" {\n')
    assert "-.->" in said('rnnc.cells:"LSTM(3, 4)"'.replace('"', ""), "--mermaid")
    assert "class Stream" in said("rnnc.cells:LSTM(3, 4)", "--form", "step", "--wiring", "cpp")
    done = CliRunner().invoke(cli, ["inspect", "x.onnx", "--dot", "--wiring", "js"])
    assert done.exit_code == 2
