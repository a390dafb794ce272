"""The benchmark of step calls: what PyTorch offers for a cell is compared and timed. No time is asserted."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("torch")

from tools.bench import steps
from tools.bench.matrix import Entry
from tools.bench.peers.torch import serving
from tools.bench.subject import Subject

OTHERS = {"module", "cell", "by hand"}


@pytest.mark.torch
@pytest.mark.parametrize(
    ("cell", "others"),
    [
        ("LSTM", OTHERS),
        ("GatedRecurrentAfter", OTHERS),
        ("Recurrent", OTHERS),
        ("JANET", {"by hand"}),
    ],
)
def test_all_that_offer_a_step_are_timed(cell: str, others: set[str]) -> None:
    found = steps.measured(cell, 4, 0.0)
    assert set(found) == {"rnnc", *others}
    assert all(us > 0 for us in found.values())


@pytest.mark.torch
def test_every_offer_carries_its_states() -> None:
    subject = Subject.of(Entry("LSTM", 4, 1, "step", T=5))
    with serving():
        answers = {name: ready.answer() for name, ready in steps.offers(subject)}
    assert set(answers) == {"rnnc", *OTHERS}
    assert all(subject.error(answer) < 1e-5 for answer in answers.values())


@pytest.mark.torch
def test_a_wrong_answer_is_told_and_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = steps.cell_of

    def wrong(subject: Any) -> Any:
        ready = real(subject)
        return replace(ready, answer=lambda: [y + 1 for y in ready.answer()])

    monkeypatch.setattr(steps, "cell_of", wrong)
    found = steps.measured("LSTM", 4, 0.0)
    assert math.isnan(found["cell"]) and found["module"] > 0


@pytest.mark.torch
def test_the_command_tells_a_line_for_each(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(steps, "pin", lambda cpus: None)
    given = "steps --cells LSTM,JANET --widths 4 --seconds 0"
    monkeypatch.setattr(sys, "argv", given.split())
    steps.main()
    head, lstm, janet, mean = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["cell", "H"] and mean.startswith("geometric mean")
    assert lstm.split()[:2] == ["LSTM", "4"] and janet.split()[3:5] == ["–", "–"]
