"""What a file says of itself, and how it comes to lie in a folder."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from rnnc.emit import manifest
from rnnc.emit.form import Form
from rnnc.emit.model import find_place, write_model
from rnnc.emit.places import parse_place, place, relative
from rnnc.emit.save import save, tensors, to_bytes
from rnnc.errors import FileError, FormError, Loc
from rnnc.ir import State
from rnnc.machine.reference import random_arrays
from rnnc.text import parse
from rnnc.types import tensor
from tests.test_emit import REGION, graph, model

ROOT = Path(__file__).resolve().parent.parent


def test_producer() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    proto = model(REGION)
    assert (proto.producer_name, proto.producer_version) == (project["name"], project["version"])
    assert "y_out as y_in" in proto.doc_string


def test_manifest() -> None:
    said = manifest.read(model(REGION))
    state = {
        "name": "y",
        "input": "y_in",
        "output": "y_out",
        "shape": ["B", 3],
        "dtype": "float32",
        "depth": 1,
    }
    assert said == {
        "version": 1,
        "form": "chunk",
        "time_axis": 0,
        "latency": 0,
        "inputs": [{"name": "x", "kind": "stream", "shape": ["T", "B", 4], "dtype": "float32"}],
        "outputs": [{"name": "y", "kind": "stream", "shape": ["T", "B", 3], "dtype": "float32"}],
        "states": [{**state, "initial": 0.0}],
    }
    text = model(REGION).metadata_props[0].value
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


@pytest.mark.parametrize(
    ("init", "dtype", "written"),
    [
        (None, "f32", 0.0),
        (np.ones(2), "f32", 1.0),
        (np.float32(0.1), "f32", 0.10000000149011612),
        (np.array([1.0, 2.0]), "f32", {"base64": "AACAPwAAAEA=", "shape": [2]}),
        (np.array(np.inf), "f32", {"base64": "AACAfw==", "shape": []}),
        (np.array([-0.0, 0.0]), "f32", {"base64": "AAAAgAAAAAA=", "shape": [2]}),
        (np.array(7), "i64", 7),
        (np.array(True), "bool", True),
    ],
)
def test_initial_values_round_trip(init: Any, dtype: str, written: Any) -> None:
    state = State("y", tensor(dtype, "B", 2), 1, init)
    assert manifest.encode(state) == written
    back = manifest.decode(written, state.type.numpy.name)
    meant = np.zeros(()) if init is None else init
    assert np.array_equal(np.broadcast_to(back, (2, 2)), np.broadcast_to(meant, (2, 2)).astype(back.dtype))


def test_places(tmp_path: Path) -> None:
    package = tmp_path / "pkg" / "sub"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    assert relative(str(package / "cell.py")) == "pkg/sub/cell.py"
    assert relative(str(tmp_path / "model.py")) == "model.py"
    assert place(Loc("<stdin>", 3, 4)) == "<stdin>:3:5"
    assert parse_place("model.py:3:5") == Loc("model.py", 3, 4)
    assert parse_place("free text") is None


def test_a_node_leads_to_its_source(tmp_path: Path) -> None:
    source = graph("function net(stream x: f32[B]) -> (y) { y: f32[B] = tanh(x) }").copy()
    source.nx.nodes["y"]["node"] = replace(source["y"], locs=(Loc("/somewhere/model.py", 7, 4),))
    proto = write_model(source, Form("step"))
    assert find_place(to_bytes(proto), "y") == Loc("model.py", 7, 4)
    assert "somewhere" not in str(proto)


def test_a_weight_without_array_is_refused() -> None:
    source = parse("function net(stream x: f32[B, 2], param w: f32[2]) -> (y) { y: f32[B, 2] = add(x, w) }")
    with pytest.raises(FormError, match="the weight w has no value"):
        write_model(source, Form("step"))


def test_an_op_that_must_be_lowered_is_refused() -> None:
    with pytest.raises(FormError, match="shift has no form in ONNX"):
        model("function net(stream x: f32[T, B]) -> (y) { y: f32[T, B] = shift(x, 0.0) {k = 1} }")


def test_saved_whole(tmp_path: Path) -> None:
    proto = model(REGION)
    save(proto, tmp_path / "net.onnx")
    save(proto, tmp_path / "net.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]
    assert (tmp_path / "net.onnx").read_bytes() == to_bytes(proto)


def test_external_data(tmp_path: Path) -> None:
    proto = model(REGION)
    save(proto, tmp_path / "net.onnx", external_threshold=30)
    data, net = sorted(tmp_path.iterdir())
    assert data.name.startswith("net-")
    assert data.suffix == ".data"
    inside = [t.name for t in tensors(onnx.load(net, load_external_data=False).graph) if not t.raw_data]
    assert inside == ["Wxy", "Wyy"]
    arrays = random_arrays(graph(REGION), 1)
    feeds = {"x": arrays.inputs["x"], "y_in": arrays.states["y"]}
    one = onnxruntime.InferenceSession(to_bytes(proto)).run(None, feeds)
    two = onnxruntime.InferenceSession(net).run(None, feeds)
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    onnx.checker.check_model(net, full_check=True)
    save(proto, tmp_path / "net.onnx", external_threshold=30)
    assert sorted(tmp_path.iterdir()) == [data, net]


def test_sizes_and_axes_stay_in_the_model(tmp_path: Path) -> None:
    proto = model(REGION)
    save(proto, tmp_path / "net.onnx", external_threshold=1)
    inside = list(tensors(onnx.load(tmp_path / "net.onnx", load_external_data=False).graph))
    assert {t.data_type for t in inside if t.raw_data} == {onnx.TensorProto.INT64}
    onnx.checker.check_model(tmp_path / "net.onnx", full_check=True)
    onnxruntime.InferenceSession(tmp_path / "net.onnx")


def test_a_model_too_large_for_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnc.emit.save.ONE_FILE", 40)
    monkeypatch.setattr("rnnc.emit.save.EXTERNAL_THRESHOLD", 30)
    save(model(REGION), tmp_path / "net.onnx")
    assert [p.suffix for p in sorted(tmp_path.iterdir())] == [".data", ".onnx"]
    with pytest.raises(FileError, match="larger than the 2 GiB"):
        to_bytes(model(REGION))


def other_weights(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with other numbers."""
    new = onnx.ModelProto()
    new.CopyFrom(proto)
    for t in tensors(new.graph):
        t.raw_data = bytes(reversed(t.raw_data)) if t.data_type == onnx.TensorProto.FLOAT else t.raw_data
    return new


def test_the_data_of_a_replaced_model_are_removed(tmp_path: Path) -> None:
    net, copy, one = tmp_path / "net.onnx", tmp_path / "copy.onnx", model(REGION)
    save(one, net, 30)
    (first,) = tmp_path.glob("*.data")
    copy.write_bytes(net.read_bytes())
    save(other_weights(one), net, 30)
    assert first.exists()
    copy.unlink()
    save(one, net, 30)
    assert [*tmp_path.glob("*.data")] == [first]
    save(one, net)
    assert [*tmp_path.iterdir()] == [net]


def test_a_failure_leaves_the_old_model_and_its_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(model(REGION), tmp_path / "net.onnx", 30)
    before = sorted(tmp_path.iterdir())

    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(FileError, match="No space left"):
        save(other_weights(model(REGION)), tmp_path / "net.onnx", 30)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("threshold", [None, 8])
def test_nothing_is_left_where_nothing_can_be_written(tmp_path: Path, threshold: int | None) -> None:
    target = tmp_path / "net.onnx"
    target.mkdir()
    with pytest.raises(FileError, match=r"net\.onnx cannot be written"):
        save(model(REGION), target, threshold)
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(FileError, match="cannot be written"):
        save(model(REGION), tmp_path / "absent" / "net.onnx", threshold)
    assert list(tmp_path.iterdir()) == [target]
