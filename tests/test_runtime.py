"""Streams: compiled files run piece by piece, and what a caller gets wrong is said before it is run."""

from __future__ import annotations

import itertools
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from rnnc.emit.form import Form
from rnnc.emit.model import write_model
from rnnc.emit.save import save, to_bytes
from rnnc.errors import FileError, FormError, Loc, MissingExtra, RnncError
from rnnc.ir import Graph
from rnnc.machine.reference import Result
from rnnc.machine.reference import run as run_reference
from rnnc.pipeline import Pipeline
from rnnc.runtime import Stream, manifest_of, run_file, session, time_axis
from rnnc.text import parse

ROOT = Path(__file__).resolve().parent.parent

#: A sum with an initial state of its own, beside a state that is five steps deep.
NET = """
net net(stream x: f32[B, 2], given g: f32[B, 2], state y: f32[B, 2] {init = 1.0},
        state old: f32[B, 2] {k = 5} = x) -> (y, z) {
  y1: f32[B, 2] = delay(y, y.init) {k = 1}
  y: f32[B, 2] = add(y1, x)
  x5: f32[B, 2] = delay(x, old.init) {k = 5}
  z: f32[B, 2] = mul(x5, g)
}
"""

PASSES = {
    "step": "step",
    "chunk": "lift,lower-time",
    "sequence": "bind,lift,lower-time",
    "unroll": "unroll{steps=3},lower-time",
}


def compiled(text: str, form: Form) -> bytes:
    """The file of a stream graph in a form, without optimisations."""
    import rnnc.passes  # noqa: F401

    passes = PASSES[form.name] if not form.separate else "unroll{steps=3,separate=true}"
    return to_bytes(write_model(Pipeline.parse(passes).run(parse(text)), form))


def data(T: int, B: int = 2, seed: int = 0) -> tuple[Any, Any]:
    """A stream and a gain."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(T, B, 2)).astype(np.float32), rng.normal(size=(B, 2)).astype(np.float32)


def meant(x: Any, g: Any) -> Result:
    """What the reference machine says."""
    return run_reference(parse(NET), {"x": x, "g": g})


def close(a: Any, b: Any) -> None:
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("B", [1, 3, 17])
@pytest.mark.parametrize("pieces", [(7,), (1, 2, 4), (0, 3, 0, 4, 0), (1,) * 7, (6, 1)])
def test_pieces_equal_the_whole(B: int, pieces: tuple[int, ...]) -> None:
    x, g = data(sum(pieces), B)
    stream, result = Stream(compiled(NET, Form("chunk"))), meant(x, g)
    ends = np.cumsum([0, *pieces])
    parts = [stream.push(x[a:b], g) for a, b in itertools.pairwise(ends)]
    for k, name in enumerate(("y", "z")):
        close(np.concatenate([p[k] for p in parts]), result.outputs[name])
    for path, state in stream.state.items():
        close(state, result.finals[path])


def test_steps_equal_the_whole() -> None:
    x, g = data(7)
    stream, result = Stream(compiled(NET, Form("step"))), meant(x, g)
    ys = [stream.push(step, g)[0] for step in x]
    close(np.stack(ys), result.outputs["y"])
    close(stream.state["old"], result.finals["old"])


@pytest.mark.parametrize("separate", [False, True])
def test_unrolled_file(separate: bool) -> None:
    x, g = data(6)
    stream, result = Stream(compiled(NET, Form("unroll", 3, separate))), meant(x, g)
    ys = []
    for part in (x[:3], x[3:]):
        if separate:
            takes = [entry["name"] for entry in stream.manifest["inputs"]]
            found = stream.push(*(g if name == "g" else part[int(name[2:])] for name in takes))
            names = [entry["name"] for entry in stream.manifest["outputs"]]
            ys += [found[names.index(f"y_{t}")] for t in range(3)]
        else:
            ys += list(stream.push(part, g)[0])
    close(np.stack(ys), result.outputs["y"])


def test_reset_and_state() -> None:
    x, g = data(4)
    stream = Stream(compiled(NET, Form("chunk")))
    first = stream.push(x, g)
    kept = stream.state
    again = stream.push(x, g)
    stream.state = kept
    close(stream.push(x, g)[0], again[0])
    stream.state = {"y": kept["y"]}
    stream.reset()
    close(stream.push(x, g)[0], first[0])
    stream.reset()
    wide = data(2, B=5)
    assert stream.push(*wide)[0].shape == (2, 5, 2)


def test_states_are_copies() -> None:
    x, g = data(1)
    stream = Stream(compiled(NET, Form("chunk")))
    y, _ = stream.push(x, g)
    kept, mine = y.copy(), stream.state["y"]
    mine += 100
    x += 100
    close(stream.state["y"], kept[0])
    given = np.zeros((2, 2), np.float32)
    stream.state = {"y": given}
    given += 1
    assert not stream.state["y"].any()
    stream.push(*data(1))
    close(y, kept)


@pytest.mark.parametrize("form", [Form("step"), Form("unroll", 3)])
def test_outputs_are_the_callers_own(form: Form) -> None:
    """Where all stays bound, a push changes nothing that it gave, and keeps nothing that it took."""
    x, g = data(6)
    stream, result = Stream(compiled(NET, form)), meant(x, g)
    given = list(x) if form.name == "step" else [x[:3], x[3:]]
    pushed = []
    for piece in given:
        mine = piece.copy()
        pushed.append(stream.push(mine, g)[0])
        mine += 100
    joined = np.stack(pushed) if form.name == "step" else np.concatenate(pushed)
    close(joined, result.outputs["y"])
    close(stream.state["y"], result.finals["y"])


def test_any_memory_layout() -> None:
    x, g = data(4)
    stream, result = Stream(compiled(NET, Form("step"))), meant(x, g)
    wide = np.zeros((4, 2, 4), np.float32)
    wide[..., ::2] = x
    ways = [x[0].T.copy().T, wide[1, :, ::2], x[2].tolist(), np.flip(np.flip(x[3], 0).copy(), 0)]
    close(np.stack([stream.push(step, g)[0] for step in ways]), result.outputs["y"])


def test_state_before_any_push() -> None:
    stream = Stream(compiled(NET, Form("chunk")))
    with pytest.raises(RnncError, match="no batch size before the first push"):
        stream.state
    stream.state = {"y": np.zeros((3, 2), np.float32)}
    x, g = data(1, B=3)
    close(stream.push(x, g)[0], x)
    assert set(stream.state) == {"y", "old"}


def test_a_file_without_states() -> None:
    stream = Stream(compiled("net n(stream x: f32[B]) -> (y) { y: f32[B] = tanh(x) }", Form("step")))
    assert stream.state == {}
    stream.state = {}
    assert stream.push(np.zeros(3, np.float32)).shape == (3,)


def test_lists_are_arrays() -> None:
    stream = Stream(compiled(NET, Form("step")))
    close(stream.push([[1, 2]], [[1, 1]])[0], [[2, 3]])


@pytest.mark.parametrize(
    ("xs", "message"),
    [
        ((np.zeros((4, 2, 2), np.float32),), "push got 1 arrays, and the file takes 2: x, g"),
        ((np.zeros((4, 2, 2)), np.zeros((2, 2), np.float32)), "x is float64, and the file takes float32"),
        ((np.zeros((4, 2), np.float32), np.zeros((2, 2), np.float32)), "x has 2 axes"),
        (
            (np.zeros((4, 2, 3), np.float32), np.zeros((2, 2), np.float32)),
            "axis 2 of x has 3, and should have 2",
        ),
        (
            (np.zeros((4, 3, 2), np.float32), np.zeros((2, 2), np.float32)),
            "axis 1 of x has 3 sequences in the batch",
        ),
        (([["a"]], np.zeros((2, 2), np.float32)), "x is no array of numbers"),
    ],
)
def test_wrong_input_is_refused_and_changes_nothing(xs: tuple[Any, ...], message: str) -> None:
    stream = Stream(compiled(NET, Form("chunk")))
    stream.push(*data(3))
    before = stream.state
    with pytest.raises(RnncError, match=message):
        stream.push(*xs)
    assert all(np.array_equal(a, before[path]) for path, a in stream.state.items())


def test_inputs_must_agree_on_their_sizes() -> None:
    with pytest.raises(RnncError, match="axis 0 of g has 3 sequences in the batch, and should have 2"):
        Stream(compiled(NET, Form("chunk"))).push(
            np.zeros((4, 2, 2), np.float32), np.zeros((3, 2), np.float32)
        )


def test_a_wrong_number_of_steps() -> None:
    with pytest.raises(RnncError, match="axis 0 of x has 4, and should have 3"):
        Stream(compiled(NET, Form("unroll", 3))).push(*data(4))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"z": np.zeros((2, 2), np.float32)}, "no state z"),
        ({"y": np.zeros((2, 2))}, "float64"),
        ({"old": np.zeros((2, 2), np.float32)}, "2 axes"),
        ({"y": np.zeros((3, 2), np.float32)}, "axis 0 of y_in has 3"),
        (np.zeros((2, 2), np.float32), "states are set by their paths, in a dict"),
    ],
)
def test_wrong_states_are_refused(values: Any, message: str) -> None:
    stream = Stream(compiled(NET, Form("chunk")))
    stream.push(*data(1))
    with pytest.raises(RnncError, match=message):
        stream.state = values


def test_sequence_files_are_no_streams() -> None:
    with pytest.raises(FormError, match="a sequence file keeps no state"):
        Stream(compiled(NET, Form("sequence")))


def test_foreign_files(tmp_path: Path) -> None:
    info = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N"])
    out = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["N"])
    graph = helper.make_graph([helper.make_node("Tanh", ["x"], ["y"])], "g", [info], [out])
    opset = [helper.make_opsetid("", 17)]
    foreign = helper.make_model(graph, opset_imports=opset, ir_version=8)
    with pytest.raises(FileError, match="the file has no manifest"):
        Stream(to_bytes(foreign))
    assert manifest_of(session(to_bytes(foreign))) is None
    (found,) = run_file(to_bytes(foreign), {"x": np.zeros(3, np.float32)})
    assert not found["y"].any()
    entry = foreign.metadata_props.add()
    entry.key, entry.value = "rnnc.manifest", "{"
    with pytest.raises(FileError, match=r"rnnc\.manifest is damaged"):
        Stream(to_bytes(foreign))
    entry.value = '{"version": 99}'
    with pytest.raises(FileError, match="version 99"):
        Stream(to_bytes(foreign))
    with pytest.raises(FileError, match="there is no file"):
        Stream(tmp_path / "absent.onnx")
    (tmp_path / "cut.onnx").write_bytes(to_bytes(foreign)[:40])
    with pytest.raises(FileError, match=r"cut\.onnx is not a model that onnxruntime can run"):
        Stream(tmp_path / "cut.onnx")


def test_providers() -> None:
    source = compiled(NET, Form("step"))
    with pytest.raises(RnncError, match="this onnxruntime has no NoSuchProvider"):
        Stream(source, providers=["NoSuchProvider"])
    step = data(1)[0][0]
    for providers in (["CPUExecutionProvider"], "CPUExecutionProvider"):
        assert Stream(source, providers, threads=1).push(step, step)


def test_threads_take_turns() -> None:
    count = """net count(stream x: f32[B], state y: f32[B]) -> (y) {
      y1: f32[B] = delay(y, y.init) {k = 1}
      y: f32[B] = add(x, y1)
    }"""
    stream, one = Stream(compiled(count, Form("step"))), np.ones(2, np.float32)
    with ThreadPoolExecutor(4) as pool:
        seen = [y[0] for y in pool.map(lambda _: stream.push(one), range(400))]
    assert sorted(seen) == list(range(1, 401))


@pytest.mark.parametrize("form", ["step", "chunk"])
def test_one_thread_may_reset_while_another_pushes(form: Any) -> None:
    """Each push is the first since a reset, or one more than the push before."""
    one = np.ones((1, 2, 2) if form == "chunk" else (2, 2), np.float32)
    stream = Stream(compiled(NET, Form(form)))
    with ThreadPoolExecutor(1) as pool:
        resets = pool.submit(lambda: [stream.reset() for _ in range(300)])
        found = [stream.push(one, one.reshape(2, 2))[0] for _ in range(300)]
        resets.result()
    last = 1
    for y in found:
        assert y.shape == one.shape
        assert (y == y.flat[0]).all()
        assert y.flat[0] in (2, last + 1)
        last = y.flat[0]


def test_what_is_no_number_stays_in_its_sequence() -> None:
    stream, (x, g) = Stream(compiled(NET, Form("step"))), data(2)
    meant_y = meant(x, g).outputs["y"]
    x[0, 0] = np.nan
    for step, y in zip(x, meant_y, strict=True):
        found, _ = stream.push(step, g)
        assert np.isnan(found[0]).all()
        close(found[1], y[1])


def test_without_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match="needs onnxruntime"):
        Stream(b"")


def test_denormals_are_flushed(tmp_path: Path) -> None:
    (tmp_path / "n.onnx").write_bytes(
        compiled("net n(stream x: f32[B]) -> (y) { y: f32[B] = mul(x, 0.5) }", Form("step"))
    )
    # The first session of a process decides for its main thread.
    script = """
import sys, numpy as np
from rnnc.runtime import Stream
print(Stream(sys.argv[1]).push(np.full(4, np.finfo(np.float32).tiny, np.float32)).any())
"""
    argv = [sys.executable, "-c", script, str(tmp_path / "n.onnx")]
    run = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def test_failures_lead_to_the_source(tmp_path: Path) -> None:
    text = """
    net n(stream i: i64[B]) -> (y) {
      table: f32[2] = const() {value = f32[2] (1.0, 2.0)}
      y: f32[B] = gather(table, i) {axis = 0}
    }
    """
    graph: Graph = Pipeline.parse("step").run(parse(text)).copy()
    graph.nx.nodes["y"]["node"] = replace(graph["y"], locs=(Loc("/there/model.py", 3, 8),))
    save(write_model(graph, Form("step")), tmp_path / "n.onnx")
    with pytest.raises(RnncError, match="onnxruntime failed in y: ") as failed:
        Stream(tmp_path / "n.onnx").push(np.array([5]))
    assert failed.value.loc == Loc("model.py", 3, 8)


@pytest.mark.parametrize("form", ["chunk", "step", "unroll"])
@pytest.mark.parametrize("chunk", [None, 3, 6])
def test_files_run_in_pieces(form: Any, chunk: int | None) -> None:
    x, g = data(6)
    source = compiled(NET, Form(form, 3 if form == "unroll" else None))
    pieces = list(run_file(source, {"x": x, "g": g}, chunk))
    axis = time_axis(manifest_of(session(source)) or {})
    close(np.concatenate([p["y"] for p in pieces], axis), meant(x, g).outputs["y"])


def test_whole_files() -> None:
    x, g = data(6)
    source = compiled(NET, Form("sequence"))
    (found,) = run_file(source, {"g": g, "x": x})
    close(found["y"], meant(x, g).outputs["y"])
    with pytest.raises(FormError, match="can be run in pieces"):
        list(run_file(source, {"x": x, "g": g}, chunk=2))
    with pytest.raises(RnncError, match="takes the inputs x, g, and was given x"):
        list(run_file(source, {"x": x}))
    with pytest.raises(RnncError, match="4 steps cannot be run in pieces of 3"):
        list(run_file(compiled(NET, Form("unroll", 3)), {"x": x[:4], "g": g}))


@pytest.mark.parametrize("steps", [0, 4])
@pytest.mark.parametrize("form", ["chunk", "step"])
def test_what_comes_at_the_end_of_a_run_in_pieces(form: Any, steps: int) -> None:
    text = "net n(stream x: f32[B, 2]) -> (x_out = x, last end) { end: f32[B, 2] = last(x) }"
    x, _ = data(steps)
    *_, found = run_file(compiled(text, Form(form)), {"x": x})
    np.testing.assert_array_equal(found["x_out"], x)
    np.testing.assert_array_equal(found["end"], x[-1] if steps else np.zeros(x.shape[1:]))


def test_wrong_inputs_of_no_steps_are_refused() -> None:
    with pytest.raises(RnncError, match="axis 1 of x has 3, and should have 2"):
        list(run_file(compiled(NET, Form("step")), {"x": np.zeros((0, 2, 3), "f4"), "g": data(1)[1]}))
