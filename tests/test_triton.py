"""Triton repositories: a server that knows nothing else computes what a ``Stream`` of the file does."""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import rnnc
from rnnc import given, net, ones, stream, tanh, zeros
from rnnc.cells import LSTM, Embedding
from rnnc.cli import cli
from rnnc.errors import FileError, FormError, MissingExtra, RnncError
from rnnc.ir import Array
from tests.triton import Request, Triton, serving
from tools.triton import main as compare

pytest.importorskip("tritonclient.grpc", reason="needs tritonclient, of the extra triton")

from rnnc.export import triton


@net
def Deep(x=stream(3), g=given(2), *, h=ones(3), h_new=zeros(3), n=zeros()):
    """States of depth 1 and 2 and without features, whose names sort differently before and after."""
    h = tanh(h[-1] * 0.5 + h_new[-2] * x)
    h_new = h + x * rnnc.sum(g, axis=-1, keepdims=True)
    n = n[-1] + 1.0
    return h_new, n


@net
def Ring(x=stream("n", dtype="int64"), *, held=zeros("n", dtype="int64")):
    """Whole numbers, three steps late."""
    held = x + held[-3]
    return held


START = {"h": np.array([0.5, -2.0, 3.0], np.float32)}

MODELS = {
    "deep": lambda: Deep(**START),
    "ring": lambda: Ring(2, held=np.array([7, -1])),
    "tokens": lambda: rnnc.Chain(Embedding(11, 4), LSTM(4, 5)),
    "stateless": lambda: net(lambda x=stream(3): tanh(x)),
}


@pytest.fixture
def exported(tmp_path: Path) -> Any:
    """Compiles one of ``MODELS`` to a step file and exports it; the file, and the model's folder."""

    def export(name: str, **options: Any) -> tuple[Path, Path]:
        file = tmp_path / f"{name}.onnx"
        rnnc.compile(MODELS[name](), "step").save(file)
        triton.export(file, tmp_path / "models", **options)
        return file, tmp_path / "models" / name

    return export


def inputs(server: Triton, rng: np.random.Generator) -> dict[str, Array]:
    """A step of each input, for one stream."""
    return {
        t.name: rng.integers(0, 11, t.dims)
        if server.dtype(t) == "int64"
        else rng.normal(size=t.dims).astype(np.float32)
        for t in server.config.input
    }


def pushed(opened: rnnc.Stream, xs: Mapping[str, Array]) -> list[Array]:
    """What a stream of its own gives for the step."""
    ports = opened.manifest["inputs"]
    ys = opened.push(*(xs[port["name"]].reshape(1, *port["shape"][1:]) for port in ports))
    return [y[0] for y in (ys if isinstance(ys, tuple) else (ys,))]


@pytest.mark.parametrize(
    ("controls", "initial"),
    [(True, True), (False, True), (True, False)],
    ids=["both", "no-controls", "no-initial-state"],
)
@pytest.mark.parametrize("name", ["deep", "ring", "tokens"])
def test_a_server_computes_what_streams_do(exported, name: str, controls: bool, initial: bool) -> None:
    file, folder = exported(name, controls=controls)
    server, rng, chance = Triton(folder, initial=initial), np.random.default_rng(1), random.Random(1)
    alone = {s: rnnc.Stream(file) for s in "abcde"}
    going: set[str] = set()
    for _ in range(40):
        batch = []
        for sequence in chance.sample("abcde", chance.randint(1, 5)):
            start = sequence not in going or chance.random() < 0.1  # a start may come in the middle as well
            if start:
                alone[sequence].reset()
            going.add(sequence)
            batch.append(Request(sequence, inputs(server, rng), start, end=chance.random() < 0.1))
        for request, ys in zip(batch, server.infer(batch), strict=True):
            for y, expected in zip(ys, pushed(alone[request.sequence], request.inputs), strict=True):
                np.testing.assert_allclose(y, expected.reshape(y.shape), rtol=1e-6, atol=1e-6)
            if request.end:
                going.discard(request.sequence)


@pytest.mark.parametrize("name", ["deep", "ring", "tokens"])
def test_a_running_server_is_compared(exported, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    file, folder = exported(name)
    with serving(folder.parent) as address:
        assert compare([str(file), "--url", address, "--streams", "4", "--steps", "30"]) == 0
    assert capsys.readouterr().out == "4 streams of 30 steps differ from rnnc.Stream by at most 0.0e+00\n"


def test_a_server_with_wrong_states_is_found_out(exported, monkeypatch: pytest.MonkeyPatch) -> None:
    file, folder = exported("deep", controls=False)
    value = Triton._value
    monkeypatch.setattr(Triton, "_value", lambda self, state: value(self, state) + 1)
    with serving(folder.parent) as address:
        assert compare([str(file), "--url", address, "--streams", "2", "--steps", "9"]) == 1


def test_a_row_that_is_not_ready_keeps_its_state_and_an_ended_one_is_wiped(exported) -> None:
    _, folder = exported("deep")
    server, rng = Triton(folder), np.random.default_rng(0)
    steps = [Request(s, inputs(server, rng), start=True) for s in "ab"]
    server.infer(steps)
    before = {s: {k: v.copy() for k, v in server.states(s).items()} for s in "ab"}
    server.infer([replace(r, start=False) for r in steps], ready=[True, False])
    for name, value in server.states("b").items():
        np.testing.assert_array_equal(value, before["b"][name])
        assert not np.array_equal(server.states("a")[name], before["a"][name])
    kept = server.states("a")
    server.infer([replace(steps[0], start=False, end=True)])
    assert {name: value[0].tolist() for name, value in kept.items()} == {
        "s0_h_in": START["h"].tolist(),
        "s1_h_new_in": np.zeros((2, 3)).tolist(),
        "s2_n_in": [0.0],
    }


def test_names_that_would_cross_states_are_changed_and_others_stay(exported) -> None:
    file, folder = exported("deep", controls=False)
    states = rnnc.Stream(file).manifest["states"]
    assert [s["name"] for s in sorted(states, key=lambda s: s["input"])] == ["h", "h_new", "n"]
    assert [s["name"] for s in sorted(states, key=lambda s: s["output"])] == ["h_new", "h", "n"]
    assert [s.output_name for s in Triton(folder).config.sequence_batching.state] == [
        "s0_h_out", "s1_h_new_out", "s2_n_out",
    ]  # fmt: skip
    file, folder = exported("tokens", controls=False)
    assert (folder / "1" / "model.onnx").read_bytes() == file.read_bytes()


def test_states_that_would_be_crossed_are_refused(exported, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnc.export.wiring._prefixes", lambda ports: [""] * len(ports))
    with pytest.raises(RnncError, match="sort differently before and after a step"):
        exported("deep")


def test_the_configuration(exported) -> None:
    _, folder = exported("deep", limits=triton.Limits(batch=8, streams=100, idle=1.5))
    config = Triton(folder).config
    assert (config.name, config.backend, config.max_batch_size) == ("deep", "onnxruntime", 8)
    batching = config.sequence_batching
    assert batching.WhichOneof("strategy_choice") == "oldest"
    assert batching.oldest.max_candidate_sequences == 100
    assert batching.max_sequence_idle_microseconds == 1_500_000
    assert [c.name for c in batching.control_input] == ["START", "END", "READY"]
    assert [(s.initial_state[0].WhichOneof("state_data"), list(s.dims)) for s in batching.state] == [
        ("data_file", [3]), ("zero_data", [2, 3]), ("zero_data", [1]),
    ]  # fmt: skip
    assert (folder / "initial_state" / "s0_h_in").read_bytes() == START["h"].tobytes()
    assert [(t.name, list(t.dims), t.HasField("reshape")) for t in (*config.input, *config.output)] == [
        ("x", [3], False), ("g", [2], False), ("h_new", [3], False), ("n", [1], True),
    ]  # fmt: skip
    onnx.checker.check_model(str(folder / "1" / "model.onnx"), full_check=True)


def test_a_model_without_states_needs_no_sequences(exported) -> None:
    _, folder = exported("stateless")
    config = Triton(folder).config
    assert config.WhichOneof("scheduling_choice") == "dynamic_batching"


def test_twice_the_same_bytes(exported, tmp_path: Path) -> None:
    def content() -> dict[str, bytes]:
        files = (f for f in folder.rglob("*") if f.is_file())
        return {str(f.relative_to(folder)): f.read_bytes() for f in files}

    file, folder = exported("deep")
    first = content()
    assert first.keys() == {"config.pbtxt", "1/model.onnx", "initial_state/s0_h_in"}
    triton.export(file, tmp_path / "models", replace=True)
    assert content() == first
    assert [p.name for p in (tmp_path / "models").iterdir()] == ["deep"]


def test_a_model_that_is_there_stays(exported, tmp_path: Path) -> None:
    file, _ = exported("deep")
    with pytest.raises(FileError, match="is there already"):
        triton.export(file, tmp_path / "models")
    (tmp_path / "models" / "taken").touch()
    with pytest.raises(FileError, match="it is no folder"):
        triton.export(file, tmp_path / "models", "taken", replace=True)
    assert sorted(p.name for p in (tmp_path / "models").iterdir()) == ["deep", "taken"]


def test_a_failure_leaves_what_was_there(exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, folder = exported("deep")
    before = (folder / "config.pbtxt").read_bytes()

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(triton, "save", fail)
    with pytest.raises(FileError, match="cannot be written: No space left on device"):
        triton.export(file, tmp_path / "models", replace=True, controls=False)
    with pytest.raises(FileError, match="cannot be written"):
        triton.export(file, tmp_path / "models", "other")
    assert [p.name for p in (tmp_path / "models").iterdir()] == ["deep"]
    assert (folder / "config.pbtxt").read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("dims: 2", "dims: 4", "the configuration says"),
        ('output_name: "s0_h_out"', 'output_name: "s1_h_new_out"', "the configuration says"),
        ("zero_data: true", 'data_file: "s0_h_in"', "the state h_new is"),
        ('data_file: "s0_h_in"', "zero_data: true", "the state h is"),
        ("max_batch_size", "max_size", "is no configuration of Triton"),
    ],
)
def test_what_does_not_agree_is_found(exported, old: str, new: str, what: str) -> None:
    file, folder = exported("deep")
    config = folder / "config.pbtxt"
    assert old in config.read_text()
    config.write_text(config.read_text().replace(old, new))
    with pytest.raises(RnncError, match=what):
        triton.check(folder, rnnc.Stream(file).manifest)


def test_files_that_cannot_be_served(tmp_path: Path) -> None:
    chunk, foreign = tmp_path / "chunk.onnx", tmp_path / "foreign.onnx"
    rnnc.compile(LSTM(2, 3), "chunk").save(chunk)
    with pytest.raises(FormError, match="of chunk form") as raised:
        triton.export(chunk, tmp_path / "models")
    assert raised.value.hint == "Compile the model with --form step."
    model = rnnc.compile(LSTM(2, 3), "step").proto
    del model.metadata_props[:]
    onnx.save(model, foreign)
    with pytest.raises(FileError, match="has no manifest"):
        triton.export(foreign, tmp_path / "models")
    with pytest.raises(RnncError, match="is not the name of a folder"):
        triton.export(chunk, tmp_path / "models", "a/b")
    assert not (tmp_path / "models").exists()


def test_states_that_controls_cannot_choose_among(tmp_path: Path) -> None:
    late = net(lambda x=stream(2, dtype="bool"), *, h=zeros(2, dtype="bool"): (h := x, h[-1])[1])
    rnnc.compile(late, "step").save(tmp_path / "late.onnx")
    with pytest.raises(FormError, match="no Where for the state h, which is bool") as raised:
        triton.export(tmp_path / "late.onnx", tmp_path / "models")
    assert raised.value.hint == "Leave the controls out: --no-controls."
    triton.export(tmp_path / "late.onnx", tmp_path / "models", controls=False)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "tritonclient.grpc", None)
    triton._protos.cache_clear()
    with pytest.raises(MissingExtra, match="tritonclient") as raised:
        triton.export("none.onnx", tmp_path)
    assert raised.value.hint == "Install it: pip install 'rnnc[triton]'"


def test_the_command_shows_each_state(exported, tmp_path: Path) -> None:
    file, _ = exported("deep")
    result = CliRunner().invoke(cli, ["export", "triton", str(file), "-o", str(tmp_path), "--name", "m"])
    assert result.exit_code == 0, result.output
    heading, *rows = (" ".join(line.split()) for line in result.output.splitlines())
    assert heading == "state manifest initial config.pbtxt initial_state"
    assert rows == [
        "h h_in → h_out, float32 [B, 3] array [3] s0_h_in → s0_h_out, TYPE_FP32 [3] initial_state/s0_h_in",
        "h_new h_new_in → h_new_out, float32 [2, B, 3] 0.0"
        " s1_h_new_in → s1_h_new_out, TYPE_FP32 [2, 3] zero_data",
        "n n_in → n_out, float32 [B] 0.0 s2_n_in → s2_n_out, TYPE_FP32 [1] zero_data",
    ]
    again = CliRunner().invoke(cli, ["export", "triton", str(file), "-o", str(tmp_path), "--name", "m"])
    assert (again.exit_code, "is there already" in again.output) == (1, True)
