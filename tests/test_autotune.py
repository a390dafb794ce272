"""Autotuning: every plan is run, and the fastest kept. No real time is asserted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import rnnc
from rnnc import autotune, cells
from rnnc.cli import cli
from rnnc.errors import FormError
from rnnc.runtime import session

SIZES = {"T": 5, "B": 2}


@pytest.mark.parametrize("fast", ["scan", "lstm"])
def test_the_fastest_is_kept(monkeypatch: pytest.MonkeyPatch, fast: str) -> None:
    def timed(files: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, float]:
        return {name: 1.5 if name == fast else 77.5 for name in files}

    monkeypatch.setattr(autotune, "timed", timed)
    both = rnnc.Chain(cells.LSTM(3, 4), cells.LSTM(4, 2))
    found = rnnc.compile(both, sizes=SIZES, autotune=True)
    decided = autotune.decisions(found)
    assert [d.chosen for d in decided] == [fast, fast]
    told = found.explain()
    assert told.count("timed") == 2 and told.count(" 1.5") >= 2 and told.count("77.5") == 2
    again = rnnc.compile(both, pipeline=str(found.pipeline))
    assert again.proto.SerializeToString() == found.proto.SerializeToString()


def test_what_is_measured_is_right() -> None:
    layer, x = cells.PeepholeLSTM(3, 4), np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
    found = rnnc.compile(layer, sizes=SIZES, autotune=True, lengths=True)
    (decision,) = autotune.decisions(found)
    times = {c.name: c.measured for c in decision.candidates}
    assert set(times) == {"lstm", "scan"} and min(times, key=lambda n: times[n] or 1e9) == decision.chosen
    given = {"x": x, "lengths": np.array([5, 2])}
    usual = session(rnnc.compile(layer, lengths=True)).run(None, given)
    for a, b in zip(session(found).run(None, given), usual, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("sizes", [None, {"T": 5}, {"B": 2}])
def test_sizes_are_needed(sizes: dict[str, int] | None) -> None:
    with pytest.raises(FormError, match="autotune runs the file, and needs to know how large"):
        rnnc.compile(cells.LSTM(3, 4), sizes=sizes, autotune=True)


def test_command(tmp_path: Path) -> None:
    options = ["compile", "rnnc.cells:LSTM(3, 4)", "-o", str(tmp_path / "l.onnx"), "--autotune", "--explain"]
    assert "needs to know how large" in CliRunner().invoke(cli, options).output
    assert "timed" in CliRunner().invoke(cli, [*options, "--size", "T=5", "--size", "B=2"]).output
