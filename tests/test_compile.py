"""Compiling: models in every form, what their files promise, and the sentences for what cannot be."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import rnnc
from rnnc import Chain, cells, flip, given, glorot, last, net, sigmoid, stream, tanh, unroll, zeros
from rnnc.compiler import Compiled
from rnnc.errors import FileError, FormError, TextError
from rnnc.runtime import Stream, run_file, session
from tests.streaming import close, push_all

ROOT = Path(__file__).resolve().parent.parent

#: The page that the project starts from: its three models.
SEED = {
    "recurrent": cells.Recurrent(10, 5),
    "chain": Chain(cells.Affine(784, 20), sigmoid, cells.Recurrent(20, 30), cells.LSTM(30, 15)),
    "lstm": cells.LSTM(30, 15),
}
FORMS: tuple[Any, ...] = ("sequence", "chunk", "step", "unroll")


@net
def total(x, *, y=zeros(2)):
    y = x + y[-1]
    return y


def noise(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def compiled(model: Any, form: Any, steps: int, **options: Any) -> Compiled:
    """The model in a form, checked by ONNX's own checker."""
    found = rnnc.compile(model, form, steps=steps if form == "unroll" else None, **options)
    onnx.checker.check_model(found.proto, full_check=True)
    return found


# -- meaning ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SEED)
@pytest.mark.parametrize("form", FORMS)
def test_seed_models(name: str, form: Any) -> None:
    model = SEED[name]
    x = noise(20, 3, 784 if name == "chain" else 10 if name == "recurrent" else 30)
    meant, after = rnnc.reference(model, x)
    file = compiled(model, form, 20)
    if form == "sequence":
        close(session(file).run(None, {"x": x})[0], meant)
        return
    (found,), stream = push_all(file, x)
    close(found, meant)
    for path, state in after.items():
        close(stream.state[path], state)


def test_unroll_is_the_form_unroll() -> None:
    model, x = SEED["recurrent"], noise(3, 2, 10)
    meant = rnnc.reference(model, x)[0]
    for file in (rnnc.compile(unroll(model, 3)), rnnc.compile(unroll(model, 3, separate=True))):
        close(push_all(file, x)[0][0], meant)
    one = rnnc.compile(unroll(model, 3)).proto
    two = rnnc.compile(model, "unroll", steps=3).proto
    assert one.SerializeToString(deterministic=True) == two.SerializeToString(deterministic=True)
    names = [i.name for i in rnnc.compile(unroll(model, 3, separate=True)).proto.graph.input]
    assert names == ["x_0", "x_1", "x_2", "y_in"]


# -- options ------------------------------------------------------------------------------------------


def test_batch_first_of_an_input_that_is_an_output() -> None:
    file = rnnc.compile(net(lambda x: (x, x[-1])), shapes={"x": (3,)}, batch_first=True)
    x = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    (whole,) = run_file(file, {"x": x})
    np.testing.assert_array_equal(whole["x_out"], x)
    np.testing.assert_array_equal(whole["y1"][:, 1:], x[:, :-1])


def test_separate_steps_in_order_whatever_their_names() -> None:
    """x_out_2 is the third step of x_out, and another output."""
    file = rnnc.compile(unroll(net(lambda x: (x, 2 * x, x)), 3, separate=True), shapes={"x": (2,)})
    x = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    np.testing.assert_array_equal(Stream(file).push(*x), [*x, *2 * x, *x])


def test_batch_first() -> None:
    x = noise(7, 3, 30)
    meant = rnnc.reference(SEED["lstm"], x)[0]
    file = compiled(SEED["lstm"], "sequence", 0, batch_first=True)
    close(session(file).run(None, {"x": x.swapaxes(0, 1)})[0], meant.swapaxes(0, 1))
    assert file.manifest["time_axis"] == 1
    chunk = compiled(SEED["lstm"], "chunk", 0, batch_first=True)
    pieces = [p["y"] for p in run_file(chunk, {"x": x.swapaxes(0, 1)}, 2)]
    close(np.concatenate(pieces, 1), meant.swapaxes(0, 1))


@pytest.mark.parametrize("form", ["sequence", "chunk"])
@pytest.mark.parametrize("name", ["lstm", "recurrent", "own"])
def test_lengths(form: Any, name: str) -> None:
    @net
    def own(x, *, W=glorot(30, 30), y=zeros(30)):
        y = tanh(x @ W + y[-1] * y[-2])
        return y

    model = own if name == "own" else SEED[name]
    x, lengths = noise(5, 4, 10 if name == "recurrent" else 30), np.array([5, 0, 1, 3])
    meant, after = rnnc.reference(model, x, lengths=lengths)
    file = compiled(model, form, 0, lengths=True)
    assert file.manifest["inputs"][1] == {
        "name": "lengths",
        "kind": "lengths",
        "dtype": "int64",
        "shape": ["B"],
    }
    if form == "sequence":
        close(session(file).run(None, {"x": x, "lengths": lengths})[0], meant)
        return
    stream = Stream(file)
    close(stream.push(x, lengths), meant)
    for path, state in after.items():
        close(stream.state[path], state)
    pieces = [p["y"] for p in run_file(file, {"x": x, "lengths": lengths}, 2)]
    close(np.concatenate(pieces), meant)


def test_tap_and_last() -> None:
    @net
    def model(x, *, y=zeros(2)):
        inner = x + y[-1]
        y = tanh(inner)
        return last(y)

    x = noise(4, 1, 2)
    file = rnnc.compile(model, tap="inner")
    assert [(o["name"], o["kind"]) for o in file.manifest["outputs"]] == [("y", "final"), ("inner", "stream")]
    final, inner = session(file).run(None, {"x": x})
    close(final, np.tanh(inner)[-1])


def test_shapes_are_given() -> None:
    difference = net(lambda x: x - x[-1])
    file = rnnc.compile(difference, "step", shapes={"x": (3,)})
    assert file.manifest["inputs"][0]["shape"] == ["B", 3]


def test_pipelines_are_replaced() -> None:
    file = rnnc.compile(total, pipeline="bind,lift,lower-time")
    x = noise(4, 2, 2)
    close(session(file).run(None, {"x": x})[0], np.cumsum(x, 0))
    with pytest.raises(TextError, match="there is no pass nonsense"):
        rnnc.compile(total, pipeline="nonsense")
    with pytest.raises(FormError, match="leaves a graph of streams"):
        rnnc.compile(total, pipeline="canonicalize")
    with pytest.raises(FormError, match="does not make the chunk form of the states"):
        rnnc.compile(total, "chunk", pipeline="bind,lift,lower-time")
    with pytest.raises(FormError, match="does not make the step form of the inputs"):
        rnnc.compile(total, "step", pipeline="lift,lower-time")


def test_sizes_decide_plans() -> None:
    assert "T=1000" in rnnc.compile(SEED["lstm"], sizes={"T": 1000, "B": 4}).explain()


def test_explained() -> None:
    text = rnnc.compile(SEED["lstm"]).explain()
    assert text.startswith("LSTM: sequence form by bind,")
    assert "lstm: can run as one ONNX LSTM" in text


def test_opset() -> None:
    assert rnnc.compile(total).proto.opset_import[0].version == 17
    assert rnnc.compile(total, opset=20).proto.opset_import[0].version == 20


def test_latency() -> None:
    assert rnnc.compile(total).manifest["latency"] == 0
    smooth = net(lambda x=stream(2): x[-1] + x + x[2])
    assert rnnc.compile(smooth).manifest["latency"] == 2
    assert rnnc.compile(flip(total)).manifest["latency"] is None


# -- files --------------------------------------------------------------------------------------------

STRANGER = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("rnnc", "onnx", "torch"):
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, Block())
import json
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1])
feeds = dict(np.load(sys.argv[2]))
said = json.loads(session.get_modelmeta().custom_metadata_map["rnnc.manifest"])
for state in said["states"]:
    shape = [feeds["x"].shape[-2] if d == "B" else d for d in state["shape"]]
    feeds[state["input"]] = np.full(shape, state["initial"], state["dtype"])
np.save(sys.argv[3], session.run(["y"], feeds)[0])
assert "rnnc" not in sys.modules
"""


@pytest.mark.parametrize("name", SEED)
@pytest.mark.parametrize("form", FORMS)
def test_files_run_where_rnnc_is_not(name: str, form: Any, tmp_path: Path) -> None:
    x = noise(1 if form == "step" else 20, 2, {"chain": 784, "recurrent": 10, "lstm": 30}[name])
    rnnc.compile(SEED[name], form, steps=20 if form == "unroll" else None).save(tmp_path / "m.onnx")
    np.savez(tmp_path / "x.npz", x=x[0] if form == "step" else x)
    files = [str(tmp_path / name) for name in ("m.onnx", "x.npz", "y.npy")]
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", STRANGER, *files],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr, run.stdout) == (0, "", "")
    meant = rnnc.reference(SEED[name], x)[0]
    close(np.load(tmp_path / "y.npy"), meant[0] if form == "step" else meant)


DIGESTS = """
import hashlib, json
from tests.test_compile import digests
print(json.dumps(digests()))
"""


def digests() -> dict[str, str]:
    """The content of every form of every seed model, in short."""
    return {
        f"{name} {form}": hashlib.sha256(
            rnnc.compile(model, form, steps=4 if form == "unroll" else None).proto.SerializeToString(
                deterministic=True
            )
        ).hexdigest()
        for name, model in SEED.items()
        for form in FORMS
    }


def test_files_are_the_same_to_the_byte() -> None:
    here = digests()
    assert here == digests()
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        argv = [sys.executable, "-c", DIGESTS]
        run = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
        assert json.loads(run.stdout) == here


def test_files_name_no_folder() -> None:
    said = rnnc.compile(total, "step").manifest["states"]
    assert [s["source"].partition(":")[0] for s in said] == ["test_compile.py"]
    assert str(ROOT) not in str(rnnc.compile(total, "step").proto)
    (state,) = rnnc.compile(SEED["recurrent"], "step").manifest["states"]
    assert state["source"].startswith("rnnc/cells/recurrent.py:")


def test_external_data(tmp_path: Path) -> None:
    file = rnnc.compile(SEED["chain"], "step")
    file.save(tmp_path / "m.onnx", external_threshold=256)
    assert len(list(tmp_path.iterdir())) == 2
    x = noise(3, 2, 784)
    stream = Stream(tmp_path / "m.onnx")
    close(np.stack([stream.push(step) for step in x]), rnnc.reference(SEED["chain"], x)[0])


def test_nothing_is_left_of_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"absent/m\.onnx cannot be written: No such file"):
        rnnc.compile(total).save(tmp_path / "absent" / "m.onnx")
    assert list(tmp_path.iterdir()) == []


# -- what cannot be ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "whole"}, "there is no form 'whole'"),
        ({"target": "tpu"}, "there is no target 'tpu'"),
        ({"form": "unroll"}, "unroll needs the number of steps"),
        ({"form": "unroll", "steps": 0}, "unroll by 0"),
        ({"form": "unroll", "steps": -1}, "unroll by -1"),
        ({"form": "unroll", "steps": 2.5}, r"unroll by 2\.5"),
        ({"steps": 3}, "the sequence form runs as many steps as it is given"),
        ({"form": "step", "batch_first": True}, "one step has no axis T"),
        ({"form": "step", "lengths": True}, "lengths are of sequences"),
        ({"sizes": {"N": 3}}, "sizes cannot hint that N is 3"),
        ({"sizes": {"T": 0}}, "sizes cannot hint that T is 0"),
        ({"opset": 11}, "opset 11 is not one of those"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(FormError, match=message):
        rnnc.compile(total, **options)


def test_too_many_steps_are_refused_with_their_number() -> None:
    with pytest.raises(FormError, match=r"\d{8,}|\d+[,_ ]\d{3}"):
        rnnc.compile(SEED["lstm"], "unroll", steps=10**7)


def test_an_unrolled_model_has_no_other_form() -> None:
    with pytest.raises(FormError, match="unrolled by 3 steps already"):
        rnnc.compile(unroll(total, 3), "step")
    with pytest.raises(FormError, match="unrolled by 3 steps already"):
        rnnc.compile(unroll(total, 3), "unroll", steps=4)


@pytest.mark.parametrize("form", ["step", "chunk"])
def test_looking_ahead_needs_the_whole_sequence(form: Any) -> None:
    with pytest.raises(FormError, match=f"the {form} form cannot look ahead") as refused:
        rnnc.compile(net(lambda x=stream(2): x + x[1]), form)
    assert refused.value.loc is not None
    assert refused.value.loc.file == __file__


# -- time ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_compiling_is_quick(form: Any) -> None:
    def seconds() -> float:
        start = time.process_time()
        rnnc.compile(SEED["lstm"], form, steps=20 if form == "unroll" else None)
        return time.process_time() - start

    assert min(seconds() for _ in range(3)) < 0.5


def test_given_inputs() -> None:
    @net
    def gain(x, *, y=zeros(2)):
        y = x + y[-1]
        return y

    model = net(lambda x=stream(2), g=given(2): gain(x) * g)
    x, g = noise(3, 2, 2), noise(2, 2, seed=1)
    meant = rnnc.reference(model, x, g)[0]
    close(Stream(rnnc.compile(model, "chunk")).push(x, g), meant)
    stream_ = Stream(rnnc.compile(model, "step"))
    close(np.stack([stream_.push(step, g) for step in x]), meant)
