"""``rnnc check --against``: files of one model in any two forms, ours and anyone's, on the same sequences."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from onnx import ModelProto, TensorProto, helper, numpy_helper, save

import rnnc
from rnnc.check import check
from rnnc.check.files import Reading
from rnnc.cli import cli
from rnnc.errors import FileError

FLOAT = TensorProto.FLOAT
STATE = ("--state", "h_out:h_in")


def recurrent(w: float = 0.5, at: tuple[int, int] | None = None, batch: int | str = 1) -> ModelProto:
    """One step of ``h = tanh(W x + h)``, somebody else's; ``at`` names a weight that is off by 0.1."""
    weights = np.full((3, 3), w, np.float32)
    if at is not None:
        weights[at] += 0.1
    nodes = [
        helper.make_node("MatMul", ["x", "W"], ["p"]),
        helper.make_node("Add", ["p", "h_in"], ["q"]),
        helper.make_node("Tanh", ["q"], ["h_out"]),
        helper.make_node("Mul", ["h_out", "gain"], ["y"]),
    ]
    infos: dict[str, list[Any]] = {"x": [batch, 3], "h_in": [batch, 3], "gain": [1]}
    graph = helper.make_graph(
        nodes,
        "recurrent",
        [helper.make_tensor_value_info(n, FLOAT, s) for n, s in infos.items()],
        [helper.make_tensor_value_info(n, FLOAT, [batch, 3]) for n in ("y", "h_out")],
        [numpy_helper.from_array(weights, "W")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def lstm(time: int | str = "T") -> ModelProto:
    """Somebody else's LSTM over whole sequences, batch first, and a sum with what is left of the batch."""
    rng = np.random.default_rng(0)
    weights = {"W": (1, 16, 3), "R": (1, 16, 4), "B": (1, 32)}
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["t", "W", "R", "B"], ["Y", "", ""], hidden_size=4),
        helper.make_node("Squeeze", ["Y", "one"], ["s"]),
        helper.make_node("Transpose", ["s"], ["y"], perm=[1, 0, 2]),
    ]
    graph = helper.make_graph(
        nodes,
        "lstm",
        [helper.make_tensor_value_info("x", FLOAT, ["N", time, 3])],
        [helper.make_tensor_value_info("y", FLOAT, ["N", time, 4])],
        [numpy_helper.from_array(rng.uniform(-1, 1, s).astype(np.float32), n) for n, s in weights.items()]
        + [numpy_helper.from_array(np.array([1]), "one")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def verdict(file: str, other: str, **reading: Any) -> Any:
    (found,) = [f for f in check(file, other, 0, Reading(**reading)) if f.check == "against"]
    return found


def test_all_forms_agree_with_one_another(folder: Path) -> None:
    model = rnnc.cells.LSTM(3, 4)
    forms: dict[Any, dict[str, Any]] = {
        "step": {},
        "chunk": {},
        "sequence": {"batch_first": True},
        "unroll": {"steps": 4},
    }
    for form, options in forms.items():
        rnnc.compile(model, form, **options).save(f"{form}.onnx")
    for one, two in combinations(forms, 2):
        found = verdict(f"{one}.onnx", f"{two}.onnx")
        assert found.verdict == "ok"
        assert found.error < 1e-5


@pytest.mark.parametrize("batch", [1, "N"])
@pytest.mark.parametrize("form", ["sequence", "chunk", "step"])
def test_a_step_file_of_somebody_agrees_with_what_was_made_of_it(
    folder: Path, form: Any, batch: int | str
) -> None:
    save(recurrent(batch=batch), "theirs.onnx")
    reading: dict[str, Any] = {"state": {"h_out": "h_in"}, "given": ["gain"]}
    rnnc.compile(rnnc.from_onnx("theirs.onnx", **reading), form).save("ours.onnx")
    assert verdict("ours.onnx", "theirs.onnx", **reading).verdict == "ok"
    assert verdict("theirs.onnx", "ours.onnx", **reading).verdict == "ok"
    assert verdict("theirs.onnx", "theirs.onnx", **reading).error == 0


def test_a_constant_is_fed_to_a_file_that_takes_it(folder: Path) -> None:
    save(recurrent(), "theirs.onnx")
    reading: dict[str, Any] = {"state": {"h_out": "h_in"}, "constants": {"gain": 2.0}}
    rnnc.compile(rnnc.from_onnx("theirs.onnx", **reading)).save("ours.onnx")
    assert verdict("ours.onnx", "theirs.onnx", **reading).verdict == "ok"
    other = verdict("ours.onnx", "theirs.onnx", **{**reading, "constants": {"gain": 2.5}})
    assert other.verdict == "failed"


def test_a_sequence_file_of_somebody_agrees_with_its_step(folder: Path) -> None:
    save(lstm(), "theirs.onnx")
    graph = rnnc.from_onnx("theirs.onnx", time={"x": 1})
    forms: list[Any] = ["step", "sequence"]
    for form in forms:
        rnnc.compile(graph, form).save(f"{form}.onnx")
        assert verdict(f"{form}.onnx", "theirs.onnx", time={"x": 1}).verdict == "ok"


def test_where_a_difference_began_is_told(folder: Path) -> None:
    """The output ``y`` of the weight [1, 2] differs from the first step on, and nothing else does."""
    save(recurrent(), "one.onnx")
    save(recurrent(at=(1, 2)), "two.onnx")
    result = CliRunner().invoke(
        cli, ["check", "one.onnx", "--against", "two.onnx", *STATE, "--given", "gain"], terminal_width=400
    )
    assert result.exit_code == 1
    found = verdict("one.onnx", "two.onnx", state={"h_out": "h_in"}, given=["gain"])
    assert "y first differs at step 0, element [0, 2]: " in found.note
    assert found.error > 0.01


def test_a_difference_that_grows_is_found_when_it_is_too_large(folder: Path) -> None:
    save(recurrent(0.1), "one.onnx")
    save(recurrent(0.102), "two.onnx")
    found = verdict("one.onnx", "two.onnx", state={"h_out": "h_in"}, given=["gain"])
    step = int(found.note.partition("at step ")[2].partition(",")[0])
    assert 0 < step < 12


def test_files_that_take_or_give_other_things_fail(folder: Path) -> None:
    save(recurrent(), "theirs.onnx")
    rnnc.compile(rnnc.cells.LSTM(3, 3), "step").save("gru.onnx")
    rnnc.compile(rnnc.cells.LSTM(4, 3), "step").save("wide.onnx")
    rnnc.compile(rnnc.cells.LSTM(3, 4), "step").save("more.onnx")
    reading: dict[str, Any] = {"state": {"h_out": "h_in"}}
    assert "has the input gain" in verdict("gru.onnx", "theirs.onnx", **reading).note
    assert "one step of x is" in verdict("gru.onnx", "wide.onnx").note
    assert "y has the shape [12, 3, 3] in one and" in verdict("gru.onnx", "more.onnx").note


def test_files_that_say_nothing_of_their_states_are_refused(folder: Path) -> None:
    save(recurrent(), "theirs.onnx")
    with pytest.raises(FileError, match="has no manifest"):
        check("theirs.onnx")
    with pytest.raises(FileError, match="does not say which of its tensors are states"):
        check("theirs.onnx", "theirs.onnx", reading=Reading())
    result = CliRunner().invoke(cli, ["check", "theirs.onnx", "--against", "theirs.onnx"])
    assert result.exit_code == 1
    assert "--state h_out:h_in" in result.output


def test_the_command_exits_with_0_where_they_agree(folder: Path) -> None:
    save(recurrent(), "theirs.onnx")
    runner = CliRunner()
    made = runner.invoke(cli, ["compile", "theirs.onnx", "-o", "ours.onnx", *STATE, "--constant", "gain=2"])
    assert made.exit_code == 0, made.output
    same = ["check", "ours.onnx", "--against", "theirs.onnx", *STATE, "--constant", "gain=2"]
    found = runner.invoke(cli, same, terminal_width=400)
    assert found.exit_code == 0, found.output
    assert "against" in found.output
