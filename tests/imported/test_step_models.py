"""Every step model, imported: as a sequence, in chunks, and as steps it is as it was frame by frame."""

from __future__ import annotations

from pathlib import Path

import pytest

import rnnc
from rnnc.emit.form import FormName
from tests.imported.forms import answers, imported, worst
from tests.imported.models import KINDS, step_model
from tests.imported.odd import ODD
from tests.imported.step_model import StepModel, frame_loop

#: How far an answer may be off, of its size where that is more than 1.
TOLERANCE = 1e-4
FRAMES = 13


@pytest.mark.parametrize("name", KINDS)
def test_equals_the_frame_loop(name: str) -> None:
    if KINDS[name].torch:
        pytest.importorskip("torch")
        pytest.importorskip("onnxscript")
    compare(step_model(name, small=True))


@pytest.mark.parametrize("name", KINDS)
def test_its_sequence_file_becomes_a_step_file_again(name: str, tmp_path: Path) -> None:
    if KINDS[name].torch:
        pytest.importorskip("torch")
        pytest.importorskip("onnxscript")
    model = step_model(name, small=True)
    sequence = rnnc.compile(imported(model))
    sequence.save(tmp_path / "sequence.onnx")
    times = {i["name"]: 0 for i in sequence.manifest["inputs"] if i["kind"] == "stream"}
    again = rnnc.compile(rnnc.from_onnx(tmp_path / "sequence.onnx", time=times), "step")
    xs, fixed = model.frames(FRAMES), model.fixed()
    found, _ = answers(again, model, xs, fixed)
    assert worst(found, frame_loop(model, xs, fixed)[0]) <= TOLERANCE


@pytest.mark.parametrize("name", ODD)
def test_odd_ones_too(name: str) -> None:
    compare(ODD[name]())


def compare(model: StepModel) -> None:
    """The files of all forms with the frame loop."""
    xs, fixed = model.frames(FRAMES), model.fixed()
    expected, graph = frame_loop(model, xs, fixed), imported(model)
    forms: tuple[FormName, ...] = ("sequence", "chunk", "step")
    for form in forms:
        found = answers(rnnc.compile(graph, form), model, xs, fixed)
        assert found[0].keys() == expected[0].keys()
        assert form == "sequence" or found[1].keys() == expected[1].keys()
        errors = [worst(a, b) for a, b in zip(found, expected, strict=True)]
        assert max(errors) <= TOLERANCE, form
