"""The benchmark of choices: every plan of a small cell is compared and timed. No time is asserted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rnnc.plans.profile import builtin, written
from tools.bench import plans
from tools.bench.matrix import Entry
from tools.bench.subject import Subject

TINY = Entry("LSTM", 4, 2, T=6)
ROW: dict[str, Any] = {
    "cell": "LSTM", "H": 4, "B": 2, "T": 6, "chosen": "lstm",
    "plans": {"lstm": [10.0, 13.0], "scan": [20.0, 10.0]}, "wrong": [],
}  # fmt: skip


def test_every_candidate_is_predicted_and_timed() -> None:
    row = plans.measured(TINY, seconds=0.01)
    assert row["chosen"] == "lstm" and set(row["plans"]) == {"lstm", "scan"} and not row["wrong"]
    assert all(a > 0 and b > 0 for a, b in row["plans"].values())


def test_a_profile_predicts(tmp_path: Path) -> None:
    dear = {**builtin("cpu").table, "call": 1e6}
    (tmp_path / "p.json").write_text(written({k: v for k, v in dear.items() if k != "digest"}))
    row = plans.measured(TINY, str(tmp_path / "p.json"), seconds=0.01)
    assert row["chosen"] == "scan" and row["plans"]["lstm"][0] > 1e6


def test_what_answers_wrongly_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = Subject.of(TINY)
    other = replace(subject, inputs={name: x + 1 for name, x in subject.inputs.items()})
    run = plans._run
    monkeypatch.setattr(plans, "_run", lambda file, subject: run(file, other))
    row = plans.measured(TINY, seconds=0.01)
    assert row["wrong"] == ["lstm", "scan"] and not row["plans"]


def test_regret_and_share() -> None:
    good = {**ROW, "plans": {"lstm": [10.0, 10.0], "scan": [20.0, 9.0]}}
    assert plans.regret(ROW) == pytest.approx(1.3) and plans.regret({**ROW, "plans": {}}) == 1
    assert plans.line(ROW) == " 1.30  LSTM H=4 B=2: *lstm 10 → 13, scan 20 → 10"
    said = plans.told([ROW, good, {**ROW, "plans": {}}])
    assert "1 of 2 entries with a choice (50.0 %); 1 entries with one candidate" in said


def test_the_command_goes_on_from_its_notes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[int, int]] = []

    def noted(entry: Entry, profile: str | None) -> plans.Row:
        asked.append((entry.H, entry.B))
        return {**ROW, "H": entry.H, "B": entry.B}

    monkeypatch.setattr(plans, "measured", noted)
    options = ["--cells", "LSTM", "--batches", "1,16", "--out", str(tmp_path / "n.jsonl")]
    plans.main([*options, "--widths", "16"])
    plans.main([*options, "--widths", "16,128"])
    assert asked == [(16, 1), (16, 16), (128, 1), (128, 16)]
    assert "0 of 4 entries with a choice" in capsys.readouterr().out.splitlines()[-1]
