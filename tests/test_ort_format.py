"""Files in ORT format compute what the files that they were made of do, and keep their states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import rnnc
from rnnc import net, ones, stream, tanh
from rnnc.cells import LSTM, Embedding, Recurrent
from rnnc.check import check
from rnnc.cli import cli
from rnnc.errors import FileError, RnncError
from rnnc.export import ort


@net
def Deep(x=stream(3), *, h=ones(3)):
    h = tanh(h[-2] * 0.5 + x)
    return h


CHAIN = rnnc.Chain(Embedding(7, 4), LSTM(4, 5), Recurrent(5, 3))


@pytest.mark.parametrize("form", ["sequence", "chunk", "step"])
@pytest.mark.parametrize("model", [Deep, CHAIN], ids=["deep", "chain"])
def test_a_file_and_its_export_compute_the_same(model, form: Any, tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    rnnc.compile(model, form).save(file)
    found = ort.export(file)
    assert found.model == tmp_path / "model.ort"
    assert (found.finding.verdict, found.finding.error) == ("ok", 0.0)
    names = [p.name for p in tmp_path.iterdir()]
    assert sorted(names) == ["model.onnx", "model.ort", "model.required_operators.config"]
    (against,) = (f for f in check(file, str(found.model)) if f.check == "against")
    assert against.verdict == "ok"


def test_an_export_is_checked_against_its_source(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    rnnc.compile(Deep, "chunk").save(file)
    found = {f.check: f.verdict for f in check(ort.export(file).model, Deep)}
    assert found == {
        "sound": "skipped", "manifest": "ok", "pieces": "ok", "reference": "skipped", "against": "ok",
    }  # fmt: skip


def test_a_stream_runs_the_export(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    rnnc.compile(Deep, "step").save(file)
    ort.export(file, tmp_path / "other.ort")
    ours, theirs = rnnc.Stream(file), rnnc.Stream(tmp_path / "other.ort")
    for x in np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32):
        np.testing.assert_array_equal(ours.push(x), theirs.push(x))
    np.testing.assert_array_equal(ours.state["h"], theirs.state["h"])


def test_the_operators_are_listed(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    rnnc.compile(LSTM(2, 3)).save(file)
    lines = ort.export(file).operators.read_text().splitlines()
    assert lines[0] == "# of model.ort"
    domain, opset, ops = next(line.split(";") for line in lines[1:] if "LSTM" in line)
    assert (domain, opset) == ("ai.onnx", "14")
    assert "LSTM" in ops.split(",")


def test_an_error_of_a_run_names_no_source(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    rnnc.compile(Embedding(7, 4), "step").save(file)
    opened = rnnc.Stream(ort.export(file).model)
    with pytest.raises(RnncError, match="onnxruntime failed in") as raised:
        opened.push(np.array([9]))
    assert raised.value.loc is None


def test_files_that_cannot_be_exported(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="there is no file"):
        ort.export(tmp_path / "none.onnx")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(FileError, match="onnxruntime cannot convert"):
        ort.export(broken)
    file = tmp_path / "model.onnx"
    rnnc.compile(Deep, "step").save(file)
    with pytest.raises(FileError, match=r"does not end in \.ort"):
        ort.export(file, tmp_path / "model.bin")
    with pytest.raises(FileError, match="cannot be written"):
        ort.export(file, tmp_path / "none" / "model.ort")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["broken.onnx", "model.onnx"]


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rnnc.compile(Deep, "step").save("model.onnx")
    result = CliRunner().invoke(cli, ["export", "ort", "model.onnx"])
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        "model.ort: computes what model.onnx does, within 0.0e+00",
        "model.required_operators.config: the operators that it takes",
    ]
