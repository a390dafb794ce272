"""Explanations: remarks with place, pass and reason, and every edit by the rule that made it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import rnnc
from rnnc import cells, passes
from rnnc.cli import cli
from rnnc.explain import Explanation
from rnnc.ir import Graph
from rnnc.pipeline import Pipeline
from rnnc.steps import steps
from rnnc.text import parse

SOURCE = """\
from rnnc import *

@net
def Gated(x, *, W=glorot("in", "out"), h=zeros("out")):
    z = sigmoid(x @ W + h[-1])
    h = (1 - z) * h[-1] + z * tanh(-(-(x @ W)) * 1)
    return h

@net
def Late(x, *, W=glorot("in", "out"), y=zeros("out")):
    y = tanh(x @ W + y[-2])
    return y

model = Gated(3, 4)
late = Late(3, 4)
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    (tmp_path / "m.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)


def explained(*args: str) -> str:
    done = CliRunner().invoke(cli, ["explain", *args])
    assert done.exit_code == 0, done.output
    return done.output


# -- remarks ----------------------------------------------------------------------------------------------


def test_remarks_are_one_a_line():
    for line in explained("m.py").splitlines():
        if not line.startswith(" "):
            assert re.fullmatch(r"m\.py:\d+:\d+: (passed|missed): [a-z-]+: .+", line), line


def test_what_was_missed_has_a_reason_and_a_place():
    text = explained("m.py")
    missed = [line for line in text.splitlines() if ": missed: " in line]
    assert "m.py:6:9: missed: rnn: not an ONNX RNN: " in "\n".join(missed)
    assert all(re.search(r": not an? .+: .+", line) for line in missed)


def test_a_step_has_no_loop_to_choose_for():
    text = explained("m.py", "--form", "step")
    assert ": passed: step: " in text
    assert "missed" not in text


def test_a_pass_that_did_nothing_is_not_told():
    text = explained("m.py")
    assert ": passed: bind: " in text
    assert "unroll" not in text
    assert "merge-loops" not in text


def test_the_choice_names_the_states():
    assert re.search(r": passed: choose: h runs as \w+ \(", explained("m.py"))


def test_a_pipeline_of_ones_own():
    text = explained("m.py", "-p", "bind,canonicalize,lift,recognize,choose,lower-time")
    assert "hoist" not in text
    assert ": passed: lift: " in text


def test_measured_times_stay():
    """The file's own remarks are shown, not those of the passes run again."""
    compiled = rnnc.compile(cells.LSTM(3, 4), sizes={"T": 5, "B": 1}, autotune=True)
    found = Explanation(compiled)
    assert [r for r in found.remarks if r in compiled.remarks] == list(compiled.remarks)
    assert any("file timed" in line for r in found.remarks for line in r.details)


# -- edits ------------------------------------------------------------------------------------------------


def test_each_shows_the_graph_after_every_pass_and_what_made_it():
    text = explained("m.py", "--each")
    assert text.startswith("// before\nnet Gated(")
    headings = re.findall(r"^// after ([\w-]+)", text, re.MULTILINE)
    assert headings[0] == "bind"
    assert "choose" in headings
    graphs = re.split(r"^// .*\n", text, flags=re.MULTILINE)
    assert all(parse(graph) for graph in graphs if graph.strip())


def test_each_is_what_show_shows_with_the_edits():
    shown = CliRunner().invoke(cli, ["show", "m.py", "-p", "sequence", "--each"]).output
    without = re.sub(r"^//  .*\n", "", explained("m.py", "--each"), flags=re.MULTILINE)
    assert shown == without


def test_a_rule_is_known_by_its_place_and_text():
    text = explained("m.py", "--each")
    (line,) = re.findall(
        r"^//   passes/algebra\.py:(\d+)  rewrite\(neg\(neg\(x\)\)\)\.to\(x\)$", text, re.MULTILINE
    )
    source = Path(passes.__file__).with_name("algebra.py").read_text().splitlines()
    assert "neg(neg(x))" in source[int(line) - 1]


def test_every_edit_is_by_a_pass_or_a_rule():
    compiled = rnnc.compile(cells.LayerNormLSTM(3, 4))
    names = {p.name for p in compiled.pipeline.passes} | {"share", "fold", "algebra"}
    for step in steps(compiled.pipeline, compiled.source):
        for edit in step.after.edits:
            assert edit.by in names or re.fullmatch(r"passes/\w+\.py:\d+", edit.by), edit
            assert edit.verb in ("add", "replace", "erase")


def test_edits_inside_a_loop_are_told_as_well():
    graph = parse("""
function f(stream x: f32[T, B, 3], state y: f32[B, 3] = %1) -> (z = %2) {
  %0: (f32[T, B, 3], f32[B, 3]) = region(x, y.init) {steps = T, body =
                                  net loop(stream x: f32[B, 3], state y: f32[B, 3]) -> (y) {
    y1: f32[B, 3] = delay(y, y.init) {k = 1}
    %0: f32[B, 3] = neg(y1)
    %1: f32[B, 3] = neg(%0)
    %2: f32[B, 3] = add(x, %1)
    y: f32[B, 3] = tanh(%2)
  }}
  %1: f32[B, 3] = item(%0) {k = 1}
  %2: f32[T, B, 3] = item(%0) {k = 0}
}
""")
    (step,) = steps(Pipeline.parse("canonicalize"), graph)
    inside = [(e.verb, e.value.partition("/")[2]) for e in step.after.edits if "/" in e.value]
    assert inside == [("replace", "%1"), ("erase", "%1"), ("erase", "%0")]


def test_a_watched_pipeline_makes_the_same_graph():
    compiled = rnnc.compile(cells.GatedRecurrent(3, 4))
    seen = steps(compiled.pipeline, compiled.source)
    assert [str(s.by) for s in seen] == str(compiled.pipeline).split(",")
    assert isinstance(seen[-1].after, Graph)
    assert rnnc.text.show(seen[-1].after) == rnnc.text.show(compiled.graph)


# -- for programs -----------------------------------------------------------------------------------------


def test_json():
    found = json.loads(explained("m.py:late", "--json"))
    assert (found["schema"], found["model"], found["form"]) == (1, "Late", "sequence")
    assert "passes" not in found
    keys = {"kind", "pass", "message", "file", "line", "column", "details"}
    for remark in found["remarks"]:
        assert keys <= remark.keys() <= keys | {"candidates", "chosen", "steps"}
        assert remark["file"] == "m.py"
    (choice,) = (r for r in found["remarks"] if r["pass"] == "choose")
    assert choice["chosen"] in [c["name"] for c in choice["candidates"]]


def test_json_of_each():
    found = json.loads(explained("m.py", "--json", "--each"))
    assert all(p["edits"] and p["graph"] for p in found["passes"])
    by = {e["by"] for p in found["passes"] for e in p["edits"]}
    assert any(b.startswith("passes/algebra.py:") for b in by)


def test_errors_have_their_place():
    Path("bad.py").write_text(SOURCE.replace("h = (1", "g = (1"))
    done = CliRunner().invoke(cli, ["explain", "bad.py"])
    assert done.exit_code == 1
    assert "bad.py:" in done.output
    assert CliRunner().invoke(cli, ["explain"]).exit_code == 2
