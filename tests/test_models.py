"""Every model in ``models`` compiles, and its files give what the reference machine gives."""

from __future__ import annotations

import importlib
import subprocess
import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import rnnc
from models import seed
from rnnc.runtime import run_file

TOLERANCE = 1e-5

#: Module, name in it, and what one step of the input is.
MODELS = [
    ("seed", "recurrent", (10,)),
    ("seed", "lstm", (30,)),
    ("seed", "chain", (784,)),
    ("amplifier", "model", (1,)),
    ("denoiser", "model", (257,)),
    ("fir", "bank", (1,)),
    ("fir", "tdnn", (16,)),
]


@pytest.fixture(params=MODELS, ids=lambda p: f"{p[0]}:{p[1]}")
def model_and_input(request) -> tuple[Any, np.ndarray]:
    """A model, and 9 steps of input for it: positive, as magnitudes of a spectrum are."""
    module, name, step = request.param
    x = np.random.default_rng(0).uniform(0, 1, (9, 2, *step)).astype(np.float32)
    return getattr(importlib.import_module(f"models.{module}"), name), x


def close(a, b) -> bool:
    assert a.shape == b.shape
    return bool(np.abs(a - b).max(initial=0) <= TOLERANCE)


def output(found):
    (y,) = found.values()
    return y


def test_sequence(model_and_input):
    model, x = model_and_input
    (found,) = run_file(rnnc.compile(model), {name_of(model): x})
    assert close(output(found), model(x))


def test_pieces_and_steps(model_and_input):
    model, x = model_and_input
    ys, state = rnnc.reference(model, x)
    chunk, step = (rnnc.Stream(rnnc.compile(model, form)) for form in ("chunk", "step"))
    assert close(np.concatenate([chunk.push(x[a:b]) for a, b in pairwise((0, 4, 5, 9))]), ys)
    assert close(np.stack([step.push(one) for one in x]), ys)
    assert all(close(chunk.state[p], state[p]) and close(step.state[p], state[p]) for p in state)


def name_of(model):
    """The name of a model's only input."""
    (spec,) = model.inputs()
    return spec.name


def test_the_seed_unrolled(tmp_path):
    """Twenty steps without a loop, run where there is no rnnc, are twenty steps of the reference machine."""
    compiled = rnnc.compile(seed.unrolled)
    assert {n.op_type for n in compiled.proto.graph.node}.isdisjoint({"Scan", "Loop", "LSTM", "GRU", "RNN"})
    compiled.save(tmp_path / "unrolled.onnx")
    x = np.random.default_rng(0).normal(size=(20, 2, 784)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    script = (
        "import sys; sys.modules['rnnc'] = None\n"
        "import numpy as np, onnxruntime as ort\n"
        "s = ort.InferenceSession('unrolled.onnx')\n"
        "zeros = lambda i: np.zeros([2 if d == 'B' else d for d in i.shape], 'float32')\n"
        "feeds = {i.name: zeros(i) for i in s.get_inputs()}\n"
        "y, *_ = s.run(None, feeds | {'x': np.load('x.npy')})\n"
        "np.save('y.npy', y)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert close(np.load(tmp_path / "y.npy"), seed.chain(x))


def test_unrolled_by_hand():
    """``unroll(Recurrent(10, 5), 3)`` is three times the equation."""
    r = seed.Recurrent(10, 5)
    W, U, b = (np.float64(r.params[name]) for name in ("Wxy", "Wyy", "by"))
    x = np.random.default_rng(0).normal(size=(3, 2, 10)).astype(np.float32)
    y, ys = np.zeros((2, 5)), []
    for step in x:
        y = np.tanh(step @ W + y @ U + b)
        ys.append(y)
    for separate in (False, True):
        stream = rnnc.Stream(rnnc.compile(rnnc.unroll(r, 3, separate=separate)))
        found = np.stack(stream.push(*x)) if separate else stream.push(x)
        assert close(found, np.stack(ys))
        assert close(stream.state["y"], y)


def test_the_lstm_is_one_node():
    graph = rnnc.compile(seed.lstm).proto.graph
    assert [n.op_type for n in graph.node].count("LSTM") == 1
    assert "Scan" not in {n.op_type for n in graph.node}


def test_the_bank_is_a_convolution():
    from models import fir

    x = np.random.default_rng(0).normal(size=(100, 1, 1)).astype(np.float32)
    y = fir.bank(x)
    for band in range(fir.BANDS):
        assert np.allclose(y[:, 0, band], np.convolve(x[:, 0, 0], fir.octaves()[:, band])[:100], atol=1e-6)
