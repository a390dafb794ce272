"""Inspection counts right, and checks find what is wrong with a file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

import rnnc
from rnnc import Chain, cells, glorot, net, softmax, tanh, zeros
from rnnc.cells.zoo import GatedDeltaNet
from rnnc.check import check
from rnnc.errors import FileError
from rnnc.inspect import inspect


@net
def Odd(x, *, W=glorot("in", "out"), U=glorot("out", "out"), y=zeros("out")):
    y = softmax(tanh(x @ W) + y[-1] @ U)
    return y


def report(model, form="chunk", **options):
    return inspect(rnnc.compile(model, form, **options).proto)


# -- inspection -------------------------------------------------------------------------------------------


def test_a_native_loop():
    found = report(cells.LSTM(30, 15))
    (loop,) = found.loops
    assert loop.became == "LSTM, forward, 15 units"
    assert loop.states == ("y", "state")
    assert (loop.steps, loop.multiply_adds) == ("T", 4 * 15 * (30 + 15))
    assert found.multiply_adds_per_step == 4 * 15 * (30 + 15)
    assert found.multiply_adds_per_run == 0


def test_a_scan():
    found = report(Odd(3, 4))
    (loop,) = found.loops
    assert loop.became == f"Scan of {loop.nodes} nodes"
    assert loop.multiply_adds == 4 * 4
    assert found.multiply_adds_per_step == 3 * 4 + 4 * 4, "the product of x is made outside"
    assert found.nodes_per_step == loop.nodes


def test_a_matrix_memory():
    (loop,) = report(GatedDeltaNet(3, 4, 5)).loops
    assert loop.became == "LinearAttention, gated_delta, 4 keys of 5 values"
    assert (loop.states, loop.steps, loop.multiply_adds) == (("S",), "T", 3 * 4 * 5)


@pytest.mark.parametrize(("form", "options"), [("step", {}), ("unroll", {"steps": 5})])
def test_a_straight_line(form, options):
    found = report(Chain(cells.Affine(2, 3), Odd(3, 4)), form, **options)
    (loop,) = found.loops
    assert loop.became.startswith("straight line of ")
    assert loop.states == ("1.y",)
    assert found.multiply_adds_per_step == 2 * 3 + 3 * 4 + 4 * 4
    assert found.nodes_per_run == found.multiply_adds_per_run == 0


def test_a_delay_line():
    found = report(cells.CausalConv1d(3)(2, 4), "step")
    (loop,) = found.loops
    assert loop.became.startswith("delay line")
    assert (loop.states, loop.multiply_adds) == (("x",), 0)
    assert [s.depth for s in found.states] == [2]


def test_states_and_weights():
    layer = cells.Recurrent(3, 4, y=np.array([1, 2, 3, 4], np.float32))
    found = report(layer, "step")
    (state,) = found.states
    assert (state.path, state.input, state.output) == ("y", "y_in", "y_out")
    assert (state.type, state.initial) == ("float32[B, 4]", "array")
    assert state.source.endswith("recurrent.py:13")
    assert found.weights["Wxy"] == 3 * 4 * 4
    assert found.weight_bytes == sum(found.weights.values())


def test_a_file_of_someone_else():
    ours = rnnc.compile(cells.LSTM(30, 15), "chunk").proto
    theirs = onnx.ModelProto()
    theirs.CopyFrom(ours)
    del theirs.metadata_props[:]
    del theirs.graph.value_info[:]
    mine, found = inspect(ours), inspect(theirs)
    assert found.form == ""
    assert [(s.input, s.output, bool(s.guessed)) for s in found.states] == [
        ("y_in", "y_out", True),
        ("state_in", "state_out", True),
    ]
    assert [loop.became for loop in found.loops] == [loop.became for loop in mine.loops]
    assert found.multiply_adds_per_step == mine.multiply_adds_per_step


def test_json_is_whole():
    found = json.loads(report(cells.LSTM(3, 4)).json())
    assert found["inputs"] == {"x": "float32[T, B, 3]", "y_in": "float32[B, 4]", "state_in": "float32[B, 4]"}


# -- checks -----------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A chunk file of a recurrent layer."""
    rnnc.compile(MODEL, "chunk").save(tmp_path / "a.onnx")
    return tmp_path / "a.onnx"


MODEL = cells.Recurrent(3, 4)


def damaged(file: Path, damage) -> Path:
    """The file after ``damage`` was done to it."""
    model = onnx.load(file)
    damage(model)
    onnx.save(model, file)
    return file


def verdicts(file: Path, against=None) -> dict[str, str]:
    return {f.check: f.verdict for f in check(file, against)}


def test_a_good_file_passes(file):
    assert set(verdicts(file, MODEL).values()) == {"ok"}


def test_against_another_model(file):
    assert verdicts(file, cells.Recurrent(3, 4, by=np.ones(4, np.float32)))["against"] == "failed"


def test_a_manifest_that_lies(file):
    def rename(model):
        text = model.metadata_props[0].value
        model.metadata_props[0].value = text.replace('"dtype":"float32"', '"dtype":"float64"', 1)

    assert verdicts(damaged(file, rename)) == {"sound": "ok", "manifest": "failed"}


@pytest.mark.parametrize("text", ["", "3", "{", '{"form": "chunk"}'])
def test_a_manifest_that_is_damaged(file, text):
    def damage(model):
        model.metadata_props[0].value = text

    with pytest.raises(FileError, match="manifest"):
        check(damaged(file, damage))


def test_a_graph_that_is_broken(file):
    def cut(model):
        del model.graph.node[-1]

    assert verdicts(damaged(file, cut)) == {"sound": "failed"}


def test_a_state_that_is_not_carried(file):
    """The final state is given as the initial one: pieces no longer make the whole."""

    def forget(model):
        for node in model.graph.node:
            for i, output in enumerate(node.output):
                if output == "y_out":
                    node.output[i] = "lost"
        model.graph.node.append(onnx.helper.make_node("Identity", ["y_in"], ["y_out"], name="forget"))

    found = verdicts(damaged(file, forget))
    assert found["sound"] == found["manifest"] == found["reference"] == "ok"
    assert found["pieces"] == "failed"


def test_a_file_without_a_manifest(file):
    def strip(model):
        del model.metadata_props[:]

    with pytest.raises(FileError, match="no manifest"):
        check(damaged(file, strip))
