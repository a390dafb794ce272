"""Files that cannot be read, or not as they are said to be: one sentence each, and nothing left behind."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import ModelProto, TensorProto, helper

import rnnc
from rnnc.cli import cli
from rnnc.machine.reference import run
from rnnc.runtime import session
from tests.imported.sound import FLOAT, info, made, nested, step

#: How long the worst of these files may take, in seconds, on a busy machine.
LONG = 20.0


PAIRS = {"h_out": "h_in", "c_out": "c_in"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(model: ModelProto | bytes, state: dict[str, str] | None = None, **options: Any) -> str:
    """What the command says of a file, once it has exited with 1 and left nothing."""
    Path("m.onnx").write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    before = set(os.listdir())
    said = [f"--state={a}:{b}" for a, b in (state or {}).items()] or ["--state=none"]
    said += [f"--{name}={value}" for name, value in options.items()]
    start = time.perf_counter()
    result = CliRunner().invoke(cli, ["compile", "m.onnx", "-o", "out.onnx", *said])
    assert time.perf_counter() - start < LONG
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1
    assert set(os.listdir()) == before
    text = result.output.strip()
    assert text.count("error:") == 1
    assert "Traceback" not in text
    return text


# -- states --------------------------------------------------------------------------------------------------


def test_a_pair_that_does_not_exist(folder: Path) -> None:
    assert "no output 'k_out'" in refusal(step(), {"k_out": "h_in"})
    assert "Did you mean h_out" in refusal(step(), {"h_uot": "h_in"})
    assert "no input 'h'" in refusal(step(), {"h_out": "h"})
    assert "two outputs go into the input 'h_in'" in refusal(step(), {"h_out": "h_in", "c_out": "h_in"})
    assert "both a state and given" in refusal(step(), PAIRS, given="h_in")
    assert "both a state and given" in refusal(step(), PAIRS, constant="h_in=1")


def test_a_pair_of_other_shapes(folder: Path) -> None:
    model = step()
    model.graph.output.append(helper.make_tensor_value_info("p", FLOAT, [1, 3]))
    model.graph.input.append(helper.make_tensor_value_info("wide", FLOAT, [1, 4]))
    model.graph.input.append(helper.make_tensor_value_info("deep", FLOAT, [1, 1, 3]))
    assert "the output 'p' is f32[1, 3], and the input 'wide'" in refusal(model, {**PAIRS, "p": "wide"})
    assert "the output 'p' is f32[1, 3], and the input 'deep'" in refusal(model, {**PAIRS, "p": "deep"})


def test_a_pair_of_other_element_types(folder: Path) -> None:
    model = step()
    model.graph.input[1].type.tensor_type.elem_type = TensorProto.DOUBLE
    model.graph.node.insert(0, helper.make_node("Cast", ["h_in"], ["h"], to=FLOAT))
    model.graph.node[2].input[1] = "h"
    said = refusal(model, PAIRS)
    assert "the output 'h_out' is f32[1, 3], and the input 'h_in' that it goes back into is f64[1, 3]" in said


def test_a_state_without_effect_is_warned_of(folder: Path) -> None:
    model = step()
    model.graph.input.append(helper.make_tensor_value_info("idle_in", FLOAT, [4]))
    model.graph.output.append(helper.make_tensor_value_info("idle_out", FLOAT, [4]))
    model.graph.node.append(helper.make_node("Identity", ["idle_in"], ["idle_out"]))
    onnx.save(model, "m.onnx")
    unchanging = pytest.warns(RuntimeWarning, match="the state 'idle_in' never changes")
    with unchanging, pytest.warns(RuntimeWarning, match="the state 'idle_in' has no effect"):
        rnnc.from_onnx("m.onnx", {**PAIRS, "idle_out": "idle_in"})


def test_states_that_nobody_names(folder: Path) -> None:
    onnx.save(step(), "m.onnx")
    result = CliRunner().invoke(cli, ["compile", "m.onnx", "-o", "out.onnx"])
    assert result.exit_code == 1
    assert "--state h_out:h_in --state c_out:c_in" in " ".join(result.output.split())
    assert not Path("out.onnx").exists()


# -- graphs --------------------------------------------------------------------------------------------------


def test_an_empty_graph(folder: Path) -> None:
    assert "computes nothing" in refusal(made([], {"x": [1]}, {}))
    assert "not an .onnx file" in refusal(ModelProto())
    assert "'y' is read before a node gives it" in refusal(made([], {"x": [1]}, {"y": [1]}))


def test_names_that_two_tensors_have(folder: Path) -> None:
    model = step()
    model.graph.node[1].output[0] = "p"
    assert "two tensors of the name 'p'" in refusal(model, PAIRS)
    model = step()
    model.graph.input.append(model.graph.input[0])
    assert "two inputs 'x'" in refusal(model, PAIRS)
    model = step()
    model.graph.output.append(model.graph.output[0])
    assert "two outputs 'y'" in refusal(model, PAIRS)


def test_a_cycle(folder: Path) -> None:
    model = step()
    model.graph.node[0].input[0] = "q"
    assert "'q' is read before a node gives it" in refusal(model, PAIRS)
    model.graph.node[0].input[0] = "p"
    assert "'p' is read before a node gives it" in refusal(model, PAIRS)


def test_no_opset_and_others_than_are_read(folder: Path) -> None:
    model = step()
    del model.opset_import[:]
    assert "m.onnx is not an .onnx file" in refusal(model, PAIRS)
    for version in (1, 6, 99, 2**40):
        model = step()
        model.opset_import[0].version = version
        assert f"opset {version}" in refusal(model, PAIRS)


def test_a_function_that_calls_itself_and_functions_that_explode(folder: Path) -> None:
    def function(name: str, calls: list[str]) -> Any:
        nodes = [helper.make_node(c, ["x"], [f"y{i}"], domain="f") for i, c in enumerate(calls)]
        nodes += [helper.make_node("Sum", [f"y{i}" for i in range(len(calls))], ["y"])]
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
        return helper.make_function("f", name, ["x"], ["y"], nodes, opsets)

    def calling(functions: list[Any]) -> ModelProto:
        model = made([helper.make_node("F0", ["x"], ["y"], domain="f")], {"x": [1]}, {"y": [1]})
        model.functions.extend(functions)
        model.opset_import.append(helper.make_opsetid("f", 1))
        return model

    assert "calls itself" in refusal(calling([function("F0", ["F0"])]))
    levels = [function(f"F{k}", [f"F{k + 1}"] * 10) for k in range(9)]
    last = helper.make_function(
        "f", "F9", ["x"], ["y"], [helper.make_node("Neg", ["x"], ["y"])], [helper.make_opsetid("", 17)]
    )
    assert "nodes" in refusal(calling([*levels, last]))


def test_a_tensor_larger_than_memory(folder: Path) -> None:
    huge = made([helper.make_node("Neg", ["x"], ["y"])], {"x": [2**30, 2**30]}, {"y": [2**30, 2**30]})
    assert "more than fit in memory" in refusal(huge)
    expand = made([helper.make_node("Expand", ["x", "s"], ["y"])], {"x": [1]}, {"y": [None]}, s=[2**50])
    assert "more than fit in memory" in refusal(expand)
    node = helper.make_node("ConstantOfShape", ["s"], ["z"])
    zeros = made([node, helper.make_node("Add", ["x", "z"], ["y"])], {"x": [1]}, {"y": [None]}, s=[2**50])
    assert "more than fit in memory" in refusal(zeros)


def test_a_weight_that_is_not_all_there(folder: Path) -> None:
    model = step()
    model.graph.initializer[0].raw_data = b"\0" * 5
    assert "the weight 'W' cannot be read" in refusal(model, PAIRS)
    model.graph.initializer[0].dims[0] = 2**40
    assert "the weight 'W' cannot be read" in refusal(model, PAIRS)


# -- files ---------------------------------------------------------------------------------------------------


def test_truncated(folder: Path) -> None:
    whole = step().SerializeToString()
    for end in range(0, len(whole), 7):
        refusal(whole[:end])


def test_data_outside_the_folder_of_the_model(folder: Path) -> None:
    Path("secret").write_bytes(b"\0" * 24)
    inside = folder / "inside"
    inside.mkdir()
    os.chdir(inside)
    for location in ("../secret", str(folder / "secret"), "a/../../secret"):
        model = step()
        weight = model.graph.initializer[0]
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        entry = weight.external_data.add()
        entry.key, entry.value = "location", location
        assert "cannot be read with its weights" in refusal(model, PAIRS)
    os.symlink(folder / "secret", "link")
    model.graph.initializer[0].external_data[0].value = "link"
    assert "cannot be read with its weights" in refusal(model, PAIRS)
    model.graph.initializer[0].external_data[0].value = "gone"
    refusal(model, PAIRS)


# -- graphs inside nodes -------------------------------------------------------------------------------------


def test_eight_loops_inside_one_another_that_read_what_is_around_them(folder: Path) -> None:
    model = nested(8)
    onnx.save(model, "m.onnx")
    x = np.array([[0.5, -1.0], [0.25, 0.0]], np.float32)
    graph = rnnc.from_onnx("m.onnx", {})
    wanted = [session("m.onnx").run(None, {"x": one})[0] for one in x]
    np.testing.assert_allclose(run(graph, {"x": x}).outputs["y"], wanted, rtol=1e-5)
    (found,) = session(rnnc.compile(graph)).run(None, {"x": x})
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_more_graphs_inside_one_another_than_any_reader_takes(folder: Path) -> None:
    def field(number: int, content: bytes) -> bytes:
        size, length = len(content), b""
        while size > 127:
            size, length = size >> 7, length + bytes([size & 127 | 128])
        return bytes([number << 3 | 2]) + length + bytes([size]) + content

    graph = b""
    for _ in range(1000):
        graph = field(1, field(5, field(6, graph)))  # a node, its attribute, and the graph in that
    assert "not an .onnx file" in refusal(field(7, graph) + step().SerializeToString())


def test_a_scan_that_reads_what_is_around_it(folder: Path) -> None:
    inner = helper.make_graph(
        [helper.make_node("Mul", ["e", "gain"], ["g"]), helper.make_node("Add", ["s", "g"], ["t"])],
        "body",
        [info("s", []), info("e", [])],
        [info("t", [])],
    )
    nodes = [
        helper.make_node("Neg", ["w"], ["gain"]),
        helper.make_node("Scan", ["zero", "x"], ["y"], body=inner, num_scan_inputs=1),
    ]
    model = made(nodes, {"x": [4], "w": []}, {"y": []}, zero=np.zeros((), np.float32))
    onnx.save(model, "m.onnx")
    x, w = np.arange(12, dtype=np.float32).reshape(3, 4), np.array([1, 2, 3], np.float32)
    (y,) = session(rnnc.compile(rnnc.from_onnx("m.onnx", {}))).run(None, {"x": x, "w": w})
    np.testing.assert_allclose(y, -w * x.sum(axis=1), rtol=1e-5)
