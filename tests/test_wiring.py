"""The lines that wire states: those of Python and JavaScript run, and give what a Stream gives."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import rnnc
from rnnc import cells, glorot, net, tanh, zeros
from rnnc.errors import FileError
from rnnc.inspect.wiring import LANGUAGES, read_wires
from rnnc.inspect.wiring.wires import times
from tests import foreign

INIT = np.array([1, -2, 0.1, 3], np.float32)


@net
def Far(x, *, W=glorot("in", "out"), y=zeros("out")):
    y = tanh(x @ W + 0.5 * y[-1] - 0.3 * y[-3])
    return y


@net
def Counting(x=rnnc.stream("n", dtype="int64"), *, count=zeros("n", dtype="int64")):
    count = count[-1] + x
    return count


FILES: dict[str, tuple[Any, Any]] = {
    "lstm": (cells.LSTM(3, 4, y=INIT), "step"),
    "far": (Far(3, 4, y=INIT), "step"),
    "chunk": (cells.GatedRecurrent(3, 4), "chunk"),
    "infinite": (cells.Recurrent(3, 4, y=np.array([np.inf, -np.inf, 0, 1], np.float32)), "step"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wiring")
    for name, (layer, form) in FILES.items():
        rnnc.compile(layer, form).save(folder / f"{name}.onnx")
    return Path(folder)


def lines(folder: Path, name: str, language: str, batch: int = 2) -> str:
    """The lines for a file, for a batch of that size."""
    file = folder / f"{name}.onnx"
    text = LANGUAGES[language](read_wires(onnx.load(file), str(file)))
    return re.sub(r"^((?:const )?B = )1\b", rf"\g<1>{batch}", text, flags=re.MULTILINE)


def inputs(name: str, batch: int = 2):
    shape = (batch, 3) if FILES[name][1] == "step" else (5, batch, 3)
    return np.random.default_rng(0).normal(size=(6, *shape)).astype(np.float32)


def streamed(folder: Path, name: str, xs):
    stream = rnnc.Stream(folder / f"{name}.onnx")
    return np.stack([stream.push(x) for x in xs])


@pytest.mark.parametrize("name", FILES)
def test_python(folder, name):
    names: dict[str, Any] = {}
    exec(lines(folder, name, "python"), names)
    states, ys = names["states"], []
    for x in inputs(name):
        y, states = names["call"](states, x)
        ys.append(y)
    np.testing.assert_array_equal(np.stack(ys), streamed(folder, name, inputs(name)))


def test_python_of_a_guess(tmp_path):
    """A file of someone else, whose pair is guessed: it carries the state, from zeros."""
    onnx.save(foreign.vad(), tmp_path / "vad.onnx")
    wires = read_wires(onnx.load(tmp_path / "vad.onnx"), str(tmp_path / "vad.onnx"))
    text = LANGUAGES["python"](wires)
    assert "guessed" in text
    names: dict[str, Any] = {}
    exec(text, names)
    x = np.ones((1, 4), np.float32)
    first, after = names["call"](names["states"], x)
    second, _ = names["call"](after, x)
    assert after["state"].shape == (1, 6)
    assert not np.array_equal(first, second)


RUNNER = """
import * as ort from "onnxruntime-node";
import { readFileSync } from "node:fs";
const { first, call } = await import(process.argv[2]);
let states = first();
const found = [];
for (const { data, shape } of JSON.parse(readFileSync(process.argv[3], "utf8"))) {
  let ys;
  [ys, states] = await call(states, new ort.Tensor("float32", Float32Array.from(data), shape));
  found.push(Array.from(ys.y.data));
}
console.log(JSON.stringify(found));
"""


@pytest.fixture(scope="module")
def node_modules() -> Path:
    """A folder of npm's that has onnxruntime-node: the one that NODE_PATH names, or the one above."""
    if not shutil.which("node"):
        pytest.skip("needs node")
    for place in [*os.environ.get("NODE_PATH", "").split(os.pathsep), "node_modules"]:
        if place and (Path(place) / "onnxruntime-node").is_dir():
            return Path(place).absolute()
    pytest.skip("needs npm's onnxruntime-node: npm install onnxruntime-node, and NODE_PATH=…/node_modules")


@pytest.mark.parametrize("name", ["lstm", "far", "chunk"])
def test_javascript(folder, name, node_modules):
    if not (folder / "node_modules").exists():
        (folder / "node_modules").symlink_to(node_modules)
    (folder / "run.mjs").write_text(RUNNER)
    (folder / f"{name}.mjs").write_text(lines(folder, name, "js"))
    xs = inputs(name)
    given = [{"data": x.ravel().tolist(), "shape": x.shape} for x in xs]
    (folder / "xs.json").write_text(json.dumps(given))
    command = ["node", "run.mjs", f"./{name}.mjs", "xs.json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ys = streamed(folder, name, xs)
    np.testing.assert_array_equal(np.array(json.loads(done.stdout), np.float32).reshape(ys.shape), ys)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", FILES)
def test_every_tensor_is_named(folder, name, language):
    text = lines(folder, name, language)
    manifest = rnnc.Stream(folder / f"{name}.onnx").manifest
    for s in manifest["states"]:
        assert re.search(rf"""["']{s["input"]}["']""", text)
        assert re.search(rf"""["']{s["output"]}["']""", text)


def test_first_values_have_plain_literals(folder):
    inf = {"python": "float('-inf')", "js": "-Infinity", "rust": "f32::NEG_INFINITY"}
    for language, text in inf.items():
        assert text in lines(folder, "infinite", language)
    assert "-std::numeric_limits<float>::infinity()" in lines(folder, "infinite", "cpp")
    assert "0.10000000149011612f" in lines(folder, "lstm", "cpp"), "as it is in float32"


def test_whole_numbers():
    wires = read_wires(rnnc.compile(Counting(3), "step").proto, "m.onnx")
    assert 'new ort.Tensor("int64", new BigInt64Array(3 * B).fill(0n), [B, 3])' in LANGUAGES["js"](wires)
    assert "filled<int64_t>({B_, 3}, [](std::size_t) { return int64_t(0ll); })" in LANGUAGES["cpp"](wires)
    assert "vec![0i64; 3 * B]" in LANGUAGES["rust"](wires)


@pytest.mark.parametrize("shape", [("B", 4), (3, "B", 4), (2, "B", 3, 2), (4,)])
def test_which_first_value_is_which(shape):
    """The expression that programs use takes the element that broadcasting would."""
    fixed = [1 if d == "B" else d for d in shape]
    whole = [5 if d == "B" else d for d in shape]
    wires = read_wires(rnnc.compile(cells.LSTM(3, 4), "step").proto, "m.onnx")
    port = type(wires.states[0].before)("s", "s", "float32", shape)
    first = np.arange(np.prod(fixed)).reshape(fixed)
    wire = type(wires.states[0])(port, "t", first)
    index = wire.index(lambda a, b: f"{a} // ({b})")
    names = {"B": 5}
    found = [first.ravel()[eval(index, {**names, "i": i})] for i in range(eval(times(shape), names))]
    assert found == np.broadcast_to(first, whole).ravel().tolist()


def test_names_that_no_variable_can_have():
    renamed = foreign.vad()
    for n in renamed.graph.node:
        n.input[:] = ["for" if i == "input" else i for i in n.input]
    renamed.graph.input[0].name = "for"
    renamed.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "session"
    renamed.graph.input[1].type.tensor_type.shape.dim[0].dim_param = "session"
    renamed.graph.output[1].type.tensor_type.shape.dim[0].dim_param = "session"
    text = LANGUAGES["python"](read_wires(renamed, 'a"b\\.onnx'))
    compile(text, "<wiring>", "exec")
    assert "def call(states, tensor):" in text
    assert "size = 1" in text


def test_nothing_to_wire():
    with pytest.raises(FileError, match="no states"):
        read_wires(rnnc.compile(cells.LSTM(3, 4)).proto, "m.onnx")
    with pytest.raises(FileError, match="evidently"):
        read_wires(foreign.chain(3), "m.onnx")
