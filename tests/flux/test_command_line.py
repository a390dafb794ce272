"""A .jl file as the SRC of each command."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_cli import MODEL, ROOT, bad, good


@pytest.fixture
def flux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the code of the seed page, and a model file in Python."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recurrent.jl").write_bytes((ROOT / "models" / "recurrent.jl").read_bytes())
    (tmp_path / "model.py").write_text(MODEL)
    return tmp_path


def test_flux_source(flux):
    for src in (
        "recurrent.jl:LSTM(30,15)",
        "recurrent.jl:LSTM(30, 15)",
        "recurrent.jl",
        "recurrent.jl:model[3:4]",
    ):
        good("compile", src, "-o", "out.onnx", "--form", "step")
        assert "failed" not in good("check", "out.onnx", "--against", src)
    assert "net Recurrent(stream x: f32[B, 3]" in good("show", "recurrent.jl:Recurrent(3, 2)")
    assert "recurrent.jl:34" in good("inspect", "recurrent.jl:LSTM(30,15)", "--form", "step")
    assert "unroll form" in good("compile", "recurrent.jl:unroll(model, 20)", "-o", "u.onnx")


def test_flux_source_and_python_agree(flux):
    good("compile", "recurrent.jl:LSTM(3,4)", "-o", "flux.onnx", "--form", "chunk")
    assert "failed" not in good("check", "flux.onnx", "--against", "model.py:LSTM(3, 4)")


def test_bad_flux_source(flux):
    assert 'as in "recurrent.jl:LSTM(8, 9)"' in bad("compile", "recurrent.jl:LSTM", "-o", "a.onnx")
    said = bad("compile", "recurrent.jl:LTSM(3,4)", "-o", "a.onnx")
    assert said.startswith("<LTSM(3,4)>:1:1: error: LTSM is not defined\n    LTSM(3,4)\n    ^^^^\n")
    assert "Did you mean LSTM?" in said
    assert "expected ')' or ','" in bad("compile", "recurrent.jl:LSTM(3", "-o", "a.onnx")
    assert "is no expression" in bad("compile", "recurrent.jl:m = model", "-o", "a.onnx")
    assert "there is no file missing.jl" in bad("compile", "missing.jl", "-o", "a.onnx")
    assert "2 + 2 of recurrent.jl is no layer, but a int" in bad(
        "compile", "recurrent.jl:2 + 2", "-o", "a.onnx"
    )
    Path("open.jl").write_text("@net struct Dense\n W; b\n x -> x*W + b\nend\n")
    assert 'as in "open.jl:Dense(8, 9)"' in bad("compile", "open.jl", "-o", "a.onnx")
    Path("two.jl").write_text("a = Affine(2, 3)\nb = Affine(3, 2)\n")
    assert "Add one of :a, :b" in bad("compile", "two.jl", "-o", "a.onnx")
    Path("one.jl").write_text("n = 3\nonly = Affine(n, 2)\n")
    good("compile", "one.jl", "-o", "a.onnx")
