"""Views: scenes say what graphs are, steps replay what passes did, and pages hold data that cannot run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper

import rnnc
import rnnc.passes
from rnnc import Chain, cells, glorot, net, softmax, tanh, zeros
from rnnc.cli import cli
from rnnc.errors import Loc
from rnnc.frontend.assemble import trace
from rnnc.pipeline import Pipeline
from rnnc.view.assemble import ENGINE, SCRIPTS, STYLES, json_text, page
from rnnc.view.files import steps_of_file
from rnnc.view.scene import Scene, scene
from rnnc.view.sources import Sources
from rnnc.view.steps import steps_of

PAGE = Path(rnnc.__file__).parent / "view" / "page"
#: A name that a careless page would run, and two that a careless object would know.
HOSTILE = (
    '</script><script>document.title="run"</script><img src=x onerror=alert(1)>',
    "__proto__",
    "toString",
)


@net
def Odd(x, *, W=glorot("in", "out"), U=glorot("out", "out"), y=zeros("out")):
    y = softmax(tanh(x @ W) + y[-1] @ U)
    return y


def nowhere(loc: Loc) -> int:
    """No place."""
    return 0


def drawn(found: Scene, key: str, way: str = "") -> list[str]:
    """The keys that edges into a record are drawn from, of plain ones or of those that go back."""
    record = found.nodes[key]
    return [k for k, w in record.get("flow", [[k, ""] for k in record["in"]]) if w == way]


# -- scenes -----------------------------------------------------------------------------------------------


def test_delays_flow_back_inside_a_frame():
    found = scene(trace(cells.LSTM(3, 4)), nowhere)
    assert drawn(found, "y1", "back") == ["y"]
    assert drawn(found, "state1", "back") == ["state"]
    (frame,) = found.frames
    assert {found.nodes[k].get("frame") for k in ("y", "y1", "state", "state1")} == {frame}
    assert "frame" not in found.nodes["x"]
    assert found.frames[frame]["label"] == "loop of y, state"
    assert found.nodes["y"]["ends"] == ["output y", "state y"]


def test_a_delay_off_every_cycle_is_late_and_not_back():
    found = scene(trace(cells.CausalConv1d(3)(2, 4)), nowhere)
    delays = [key for key, r in found.nodes.items() if r["op"] == "delay"]
    assert delays and not found.frames
    assert all(drawn(found, key, "late") and not drawn(found, key, "back") for key in delays)


def test_a_region_is_a_frame_that_edges_go_into_and_out_of():
    graph = Pipeline.parse("canonicalize,lift").run(trace(cells.Recurrent(3, 4)))
    found = scene(graph, nowhere)
    (region,) = graph.find("region")
    ((frame, drawn_frame),) = found.frames.items()
    assert drawn_frame["label"] == "loop of T steps"
    assert found.nodes[region]["frame"] == frame
    body = graph[region].attrs["body"]
    assert sum(r.get("frame") == frame for r in found.nodes.values()) == len(body) + 1
    assert drawn(found, "y1", "back") == [f"{frame}/y"]
    assert drawn(found, "y1") == [key for key in found.nodes if key.endswith("y.init") and "/" in key]
    assert drawn(found, "y") == [f"{frame}/y"]
    assert found.nodes["y"]["in"] == [region]


def test_regions_with_the_same_names_inside():
    inner = net(lambda x, *, h=zeros(2): (h := tanh(h[-1] + x)))
    graph = Pipeline.parse("canonicalize,lift").run(trace(Chain(inner, inner)))
    found = scene(graph, nowhere)
    assert len(found.frames) == len(graph.find("region"))
    assert all(key in found.nodes for r in found.nodes.values() for key in r["in"])
    assert all(key in found.nodes for r in found.nodes.values() for key, _ in r.get("flow", ()))


@pytest.mark.parametrize("form", ["sequence", "step", "chunk"])
@pytest.mark.parametrize("layer", [cells.LSTM(3, 4), Odd(3, 4), Chain(Odd(3, 4), Odd(4, 2))], ids=repr)
def test_steps_replay_to_the_scene_after_each_pass(layer, form):
    made = rnnc.compile(layer, form)
    sources, scenes = Sources(), [scene(made.source, nowhere)]
    made.pipeline.run(made.source, lambda p, before, after: scenes.append(scene(after, nowhere)))
    shown = steps_of(made.source, made.pipeline)
    nodes: dict[str, Any] = {}
    frames: dict[str, Any] = {}
    for step, meant in zip(shown["steps"], scenes, strict=True):
        before = dict(nodes)
        for key in step.get("gone", ()):
            del nodes[key]
        nodes |= step.get("set", {})
        frames = step.get("frames", frames)
        assert nodes.keys() == meant.nodes.keys()
        assert frames == meant.frames
        for key, record in nodes.items():
            assert {**record, "at": None} == {**meant.nodes[key], "at": None}
        if marks := step.get("marks"):
            assert set(marks["added"]) == nodes.keys() - before.keys()
            assert set(marks["erased"]) == before.keys() - nodes.keys()
            assert set(marks["replaced"]) <= nodes.keys() & before.keys()
    assert not sources.numbers


def test_what_a_pass_did_is_marked():
    made = rnnc.compile(cells.LSTM(3, 4))
    shown = {step["name"]: step for step in steps_of(made.source, made.pipeline)["steps"]}
    fused = shown["fuse-gates"]
    assert {"forget", "input", "output"} <= set(fused["marks"]["replaced"])
    assert any(edit[:2] == ["replace", "forget"] for edit in fused["edits"])
    assert shown["taps"] == {"name": "taps"}, "a pass that changed nothing says nothing"


def test_places_have_their_lines_and_remarks_their_places():
    made = rnnc.compile(cells.LSTM(3, 4))
    shown = steps_of(made.source, made.pipeline)
    forget = shown["steps"][0]["set"]["forget"]
    file, line, start, _, end = shown["places"][forget["at"][0]]
    assert file == "rnnc/cells/lstm.py"
    assert shown["sources"][file][str(line)][start:end].startswith("σ(x @ Wxf")
    (choice,) = [r for r in shown["remarks"] if r["where"] == "choose"]
    assert shown["steps"][choice["step"]]["name"].startswith("choose")
    assert choice["at"] in range(len(shown["places"]))


# -- files ------------------------------------------------------------------------------------------------


def file_scene(path: Path) -> Scene:
    (step,) = steps_of_file(path)["steps"]
    return Scene(step["set"], step.get("frames", {}))


def test_the_states_of_a_step_file_flow_back(tmp_path):
    rnnc.compile(cells.LSTM(3, 4), "step").save(tmp_path / "a.onnx")
    found = file_scene(tmp_path / "a.onnx")
    assert drawn(found, "state_in", "back") == ["state_out"]
    assert drawn(found, "y_in", "back") == ["y_out"]
    assert found.nodes["x"]["type"] == "float32[B, 3]"
    assert "state y" in found.nodes["y_in"]["ends"]


def test_the_graphs_inside_a_file_are_framed(tmp_path):
    rnnc.compile(Odd(3, 4), "sequence").save(tmp_path / "a.onnx")
    found = file_scene(tmp_path / "a.onnx")
    labels = {key: frame["label"] for key, frame in found.frames.items()}
    assert sorted(labels.values()) == ["If", "Scan", "else_branch", "then_branch"]
    (scan,) = [key for key, label in labels.items() if label == "Scan"]
    outer = found.frames[scan]["frame"]
    assert labels[outer] == "else_branch"
    assert labels[found.frames[outer]["frame"]] == "If"
    inside = [key for key, r in found.nodes.items() if r.get("frame") == scan]
    assert [key for key in inside if drawn(found, key, "back")], "the state goes around"
    assert all(key in found.nodes for r in found.nodes.values() for key, _ in r.get("flow", ()))


def test_a_loop_of_someone_else(tmp_path):
    """Its state is its third input, its first output inside is its condition."""
    scalar = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2]) for n in ("h", "h2")]
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go2"]), helper.make_node("Tanh", ["h"], ["h2"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            scalar[0],
        ],
        [helper.make_tensor_value_info("go2", TensorProto.BOOL, []), scalar[1]],
    )
    graph = helper.make_graph(
        [
            helper.make_node("Loop", ["", "", "start"], ["end"], body=body),
            helper.make_node("Neg", ["end"], ["out"]),
        ],
        "g",
        [helper.make_tensor_value_info("start", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [2])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "a.onnx")
    found = file_scene(tmp_path / "a.onnx")
    assert drawn(found, "end/h") == ["start"]
    assert drawn(found, "end/h", "back") == ["end/h2"]
    assert drawn(found, "out") == ["end/h2"]
    assert found.nodes["out"]["in"] == ["end"]


def hostile_file(path: Path) -> Path:
    """A file whose names are hostile."""
    x, y, z = HOSTILE
    graph = helper.make_graph(
        [helper.make_node("Add", [x, "w"], [y], name=x), helper.make_node("Tanh", [y], [z], doc_string=x)],
        x,
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info(z, TensorProto.FLOAT, [2])],
        [onnx.numpy_helper.from_array(np.ones(2, np.float32), "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


# -- pages ------------------------------------------------------------------------------------------------


def test_names_cannot_leave_the_data(tmp_path):
    text = page(HOSTILE[0], steps_of_file(hostile_file(tmp_path / "a.onnx")))
    assert HOSTILE[0] not in text
    assert text.count("<script") == text.count("</script") == 4
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert data is not None
    (step,) = json.loads(data[1])["steps"]
    assert set(HOSTILE) <= step["set"].keys()
    assert json.loads(json_text("<\u2028\ud800")) == "<\u2028\ud800"


def test_a_page_is_the_same_every_time_and_asks_nobody(tmp_path):
    made = rnnc.compile(cells.LSTM(3, 4))
    texts = [page("lstm", steps_of(made.source, made.pipeline)) for _ in range(2)]
    assert texts[0] == texts[1]
    assert "default-src 'none'" in texts[0]
    outside = re.findall(r'(?:src|href)="(?!data:)', texts[0].partition('<script type="text/plain"')[0])
    assert outside == []


def test_the_parts_of_a_page_are_short_and_known():
    parts = {*(f"{n}.js" for n in (*SCRIPTS, "worker")), *(f"{n}.css" for n in STYLES), "page.html"}
    assert {f.name for f in PAGE.iterdir() if f.is_file()} == parts
    assert max(len((PAGE / name).read_text(encoding="utf-8").splitlines()) for name in parts) <= 400
    engine = (PAGE / ENGINE).read_text(encoding="utf-8")
    assert "</script" not in engine and "<!--" not in engine


def test_the_command_writes_a_page(tmp_path):
    rnnc.compile(cells.LSTM(3, 4), "step").save(tmp_path / "a.onnx")
    for what, options in (
        ("rnnc.cells:LSTM(3, 4)", ["-p", "canonicalize,lift"]),
        (str(tmp_path / "a.onnx"), []),
    ):
        out = tmp_path / "page.html"
        ran = CliRunner().invoke(cli, ["view", what, "-o", str(out), *options])
        assert (ran.exit_code, ran.output) == (0, f"{out}: {len(out.read_text(encoding='utf-8')):,} bytes\n")
        assert out.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_file_can_be_compiled_anew(tmp_path):
    rnnc.compile(cells.LSTM(3, 4), "step").save(tmp_path / "a.onnx")
    out = tmp_path / "page.html"
    ran = CliRunner().invoke(cli, ["view", str(tmp_path / "a.onnx"), "-o", str(out), "--form", "sequence"])
    assert ran.exit_code == 0
    assert '"summary":"sequence form"' in out.read_text(encoding="utf-8")


@pytest.mark.parametrize("what", ["none.onnx", "none.py", "rnnc.cells:LSTM(0, 4)"])
def test_what_cannot_be_shown_leaves_no_page(tmp_path, what):
    ran = CliRunner().invoke(cli, ["view", what, "-o", str(tmp_path / "page.html")])
    assert ran.exit_code == 1
    assert "error: " in ran.output
    assert list(tmp_path.iterdir()) == []


# -- notebooks --------------------------------------------------------------------------------------------


def test_models_show_themselves_without_a_script():
    shown = [
        cells.LSTM(3, 4)._repr_html_(),
        cells.LSTM._repr_html_(),
        rnnc.compile(Odd(3, 4), "step")._repr_html_(),
    ]
    assert all(
        text and "<script" not in text and "http" not in text.replace("http://www.w3.org/2000/svg", "")
        for text in shown
    )
    layer, open_net, compiled = map(str, shown)
    assert layer.count("<rect") == 2 * 28, "a ground and a box for each value that is no weight"
    assert layer.count("stroke-dasharray") == 2
    assert "in × out" in open_net
    assert "y: y_in → y_out" in compiled
    assert "Odd: step form by" in compiled


def test_a_notebook_escapes_names():
    graph = trace(cells.Recurrent(3, 4))
    graph.name = HOSTILE[0]
    made = rnnc.compile(graph, "step")
    assert HOSTILE[0] not in made._repr_html_()


def test_a_model_that_cannot_be_traced_shows_as_text():
    assert net(lambda x: x - x[-1])._repr_html_() is None
