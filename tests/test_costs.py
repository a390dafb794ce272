"""What plans cost: profiles and their errors, prices, and choices that follow from them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import rnnc
from rnnc import cells
from rnnc import tune as tuning
from rnnc.cli import cli
from rnnc.errors import FileError
from rnnc.passes.choose import Choose, candidates
from rnnc.pipeline import Pipeline
from rnnc.plans import Sizes
from rnnc.plans.profile import FORMAT, NEAR, Grid, builtin, load, parse, written
from rnnc.remarks import collecting
from rnnc.text import parse as graph_of


def table(**changed: Any) -> dict[str, Any]:
    """The built-in table with some figures changed, and others (``None``) left out."""
    found = {**builtin("cpu").table, **changed}
    return {k: v for k, v in found.items() if v is not None and k != "digest"}


# -- profiles -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_built_in(target: str) -> None:
    text = written(table()) if target == "cpu" else written(dict(builtin("cuda").table))
    assert parse(text, "x", "x").table == builtin(target).table


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is damaged: it is not JSON"),
        ("[1]", "is no profile"),
        (json.dumps({"format": FORMAT + 1}), f"is of format {FORMAT + 1}, and this rnnc"),
        (written(table()).replace('"scan": ', '"scan": 1'), "its digest is not that of its figures"),
        (written(table(node=None)), "has no time above 0 for node"),
        (written(table(node=True)), "has no time above 0 for node"),
        (written(table(node={"other": 1.0, "split": 0})), "has no time above 0 for node of split"),
        (written(table(stream=None)), "has no time above 0 for stream"),
        (written(table(activation={"rnn": 1})), "has activations that are no times"),
        (written(table(activation={"rnn": {"Relu": "fast"}})), "has activations that are no times"),
        (written(table(scan=float("nan"))), "has no time above 0 for scan"),
        (written(table(iteration=float("inf"))), "has no time above 0 for iteration"),
        (written(table(element={"tanh": 1.0})), "has no time above 0 for element"),
        (written(table(lstm=None)), "lacks points of lstm"),
        (written(table(product={"rows": [1, 2], "weights": [4], "us": [[1.0]]})), "lacks points of product"),
        (written(table(gru={"rows": [2, 1], "units": [4], "us": [[1.0], [1.0]]})), "of gru out of order"),
        (written(table(rnn={"rows": [1], "units": [4], "us": [[0.0]]})), "has no time above 0 for rnn"),
        (written(table(rnn={"rows": "1", "units": [4], "us": [[1.0]]})), "lacks points of rnn"),
        (written(table(rnn={"rows": [0], "units": [4], "us": [[1.0]]})), "lacks points of rnn"),
    ],
)  # fmt: skip
def test_what_is_no_profile(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "p.json"
    file.write_text(text)
    with pytest.raises(FileError, match=said):
        load(str(file))
    with pytest.raises(FileError, match=said):
        rnnc.compile(cells.Recurrent(3, 4), profile=str(file))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be read: No such file"):
        load(str(tmp_path / "none.json"))


def test_between_points() -> None:
    grid = Grid([1, 4], [10, 1000], [[1.0, 100.0], [4.0, 400.0]])
    assert grid.at(2, 100) == pytest.approx(20)
    assert grid.at(1, 1) == 1
    assert grid.at(8, 2000) == pytest.approx(1600)


# -- prices -------------------------------------------------------------------------------------------------

PROJECTED = """
net p(stream x: f32[B, 4], param W: f32[4, 3], param U: f32[3, 3], state h: f32[B, 3]) -> (h) {
  h1: f32[B, 3] = delay(h, h.init) {k = 1}
  %0: f32[B, 3] = matmul(x, W)
  %1: f32[B, 3] = matmul(h1, U)
  %2: f32[B, 3] = add(%0, %1)
  h: f32[B, 3] = tanh(%2)
}
"""


def test_a_loop_pays_for_what_only_it_needs() -> None:
    """The product of the input is the native op's own, and a Scan's besides its body."""
    graph = Pipeline.parse("lift,recognize").run(graph_of(PROJECTED, "x"))
    (region,) = graph.find("region")
    pricing = Choose(T=50, B=2).pricing()
    found = {c.name: c.us for c in candidates(graph, region, pricing)}
    profile = builtin("cpu")
    outside = profile.product(100, 12)
    step = profile.product(2, 9) + profile.elements("tanh", 6)  # one node, written
    step += profile.figure("iteration") + 2 * profile.streamed(6, 1) + profile.node("identity", 0)
    assert found["scan"] == pytest.approx(outside + 50 * step + profile.figure("scan") + profile.figure("if"))


def test_activations_have_prices() -> None:
    profile = parse(written(table(activation={"rnn": {"Relu": -0.001}, "lstm": {"Affine": 0.002}})), "x", "x")
    usual = profile.step("rnn", 4, 64)
    assert profile.step("rnn", 4, 64, ("Tanh",)) == usual
    assert profile.step("rnn", 4, 64, ("Relu",)) == pytest.approx(usual - 0.001 * 4 * 64)
    assert profile.step("rnn", 4, 64, ("Relu", "Relu")) == pytest.approx(usual - 0.001 * 4 * 64)
    three = profile.step("lstm", 4, 64, ("Sigmoid", "Affine", "Affine"))
    assert three == pytest.approx(profile.step("lstm", 4, 64) + 2 * 0.002 * 4 * 64)


def test_large_tensors_cost_more() -> None:
    profile = builtin("cpu")
    near, far = (profile.elements("other", n) / n for n in (NEAR, NEAR + 1))
    assert far > 2 * near
    assert profile.streamed(1, NEAR + 1) > 1.0001 * profile.streamed(1, NEAR)


def test_spaced_steps() -> None:
    assert Sizes(100, 1).of(rnnc.dims.dim("every32_T")) == 4


# -- choices ------------------------------------------------------------------------------------------------


def test_a_profile_decides(tmp_path: Path) -> None:
    """Where a native step costs more than a loop's nodes, the loop is chosen; files differ accordingly."""
    dear = {**builtin("cpu").table["rnn"]}
    dear["us"] = [[1e3] * len(line) for line in dear["us"]]
    file = tmp_path / "dear.json"
    file.write_text(written(table(rnn=dear)))
    cell = cells.Recurrent(3, 4)
    usual, other = rnnc.compile(cell), rnnc.compile(cell, profile=str(file))
    assert "runs as rnn (the cheapest; T=100, B=1, profile cpu)" in usual.explain()
    assert "runs as scan (the cheapest; T=100, B=1, profile dear.json)" in other.explain()


def test_explained_as_a_table() -> None:
    lines = rnnc.compile(cells.LSTM(3, 4), sizes={"T": 7}).explain().splitlines()
    at = next(i for i, line in enumerate(lines) if "runs as lstm" in line)
    assert lines[at + 1].split() == ["plan", "µs", "a", "run", "a", "step"]
    assert lines[at + 2].split()[:2] == ["*", "lstm"]
    assert lines[at + 3].split()[0] == "scan"


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (cells.GatedRecurrent(3, 4), "gru falls back to the CPU for no linear_before_reset"),
        (cells.GatedRecurrentAfter(3, 4), ""),
        (cells.PeepholeLSTM(3, 4), "lstm falls back to the CPU for peepholes = True"),
        (cells.LSTM(3, 4), ""),
    ],
)
@pytest.mark.parametrize("lengths", [False, True])
def test_what_cuda_has_no_kernel_for(cell: Any, said: str, lengths: bool) -> None:
    told = rnnc.compile(cell, target="cuda", lengths=lengths).explain()
    assert said in told and ("falls back" in told) == bool(said)
    assert "falls back" not in rnnc.compile(cell, lengths=lengths).explain()


def test_a_risk_is_told_and_not_taken() -> None:
    text = """
net g(stream a: f32[B, 3], stream b: f32[B, 3], state h: f32[B, 3]) -> (h) {
  h1: f32[B, 3] = delay(h, h.init) {k = 1}
  %0: f32[B, 3] = mul(a, h1)
  h: f32[B, 3] = add(%0, b)
}
"""
    with collecting() as remarks:
        Pipeline.parse("lift,recognize{T=1000},choose{T=1000}").run(graph_of(text, "x"))
    (said,) = [str(r) for r in remarks if r.where == "choose" and "linear-chunks" in str(r)]
    assert "runs as scan" in said and "only if asked for: products of 8 steps could overflow" in said


def test_same_bytes_in_another_process(tmp_path: Path) -> None:
    """The built-in profile alone decides, whatever the machine or its user has."""
    script = (
        "import rnnc, sys; from rnnc import cells;"
        "rnnc.compile(cells.GatedRecurrent(3, 4), sizes={'T': 50, 'B': 2}).save(sys.argv[1])"
    )
    files = [tmp_path / "a.onnx", tmp_path / "b.onnx"]
    for file in files:
        subprocess.run([sys.executable, "-c", script, str(file)], check=True)
    assert files[0].read_bytes() == files[1].read_bytes()


# -- the command line ---------------------------------------------------------------------------------------


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tuning with few points, each of them timed once."""
    fastest = tuning.fastest
    for name, points in (
        ("ROWS", (1, 2)),
        ("WIDTHS", (4, 8)),
        ("BATCHES", (1, 2)),
        ("UNITS", (4, 8)),
        ("FAR", (8, 16)),
    ):
        monkeypatch.setattr(tuning, name, points)
    monkeypatch.setattr(tuning, "SAMPLE", 5.0)
    monkeypatch.setattr(
        tuning, "fastest", lambda calls, turns=1, sample=1.0: fastest(calls, turns=1, sample=1.0)
    )


@pytest.mark.usefixtures("hurried")
def test_tune_writes_a_profile_that_compile_takes(tmp_path: Path) -> None:
    mine, source = str(tmp_path / "mine.json"), "rnnc.cells:Recurrent(3, 4)"
    tuned = CliRunner().invoke(cli, ["tune", "-o", mine])
    assert tuned.exit_code == 0, tuned.output
    found = load(mine)
    assert [len(found.grids[name].us) for name in ("product", "lstm", "gru", "rnn")] == [2, 2, 2, 2]
    options = ["compile", source, "-o", str(tmp_path / "r.onnx"), "--explain"]
    assert "profile cpu)" in CliRunner().invoke(cli, options).output
    assert "profile mine.json)" in CliRunner().invoke(cli, [*options, "--profile", mine]).output


def test_tune_says_where_it_cannot_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "measured", lambda: pytest.fail("measured for nothing"))
    said = CliRunner().invoke(cli, ["tune", "-o", str(tmp_path / "none" / "p.json")])
    assert said.exit_code == 1 and "p.json cannot be written: No such file" in said.output


def test_a_profile_that_is_not_given_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "profile.json").write_text("{")
    assert rnnc.compile(cells.Recurrent(3, 4)).proto.SerializeToString()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is damaged: it is not JSON"),
        (json.dumps({"format": FORMAT + 1}), f"is of format {FORMAT + 1}, and this rnnc reads"),
        (written(table(lstm=None)), "lacks points of lstm"),
    ],
)
def test_a_profile_that_compile_cannot_take(tmp_path: Path, text: str, said: str) -> None:
    profile, out = tmp_path / "p.json", tmp_path / "r.onnx"
    profile.write_text(text)
    options = ["compile", "rnnc.cells:Recurrent(3, 4)", "-o", str(out), "--profile", str(profile)]
    found = CliRunner().invoke(cli, options)
    assert found.exit_code == 1 and said in found.output and "Traceback" not in found.output
    assert not out.exists()
