"""The code of the page that rnnc starts from, byte for byte, is what its Python nets are."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import rnnc
from models import seed
from rnnc import Chain, sigmoid
from rnnc.cells import Affine
from rnnc.emit.manifest import KEY
from rnnc.frontend.assemble import trace
from rnnc.runtime import run_file
from rnnc.text import show
from tests.streaming import close, push_all, push_on

FILE = Path(seed.__file__).with_name("recurrent.jl")
PAGE = Path(__file__).resolve().parents[3] / "shared" / "seed" / "recurrent-models.md"

#: An expression of the source, the same in Python, and what one step of the input is.
MODELS = {
    "Recurrent(10, 5)": (lambda: seed.Recurrent(10, 5), 10),
    "LSTM(30, 15)": (lambda: seed.LSTM(30, 15), 30),
    "LSTM(30,15)": (lambda: seed.LSTM(30, 15), 30),
    "model": (lambda: Chain(Affine(784, 20), sigmoid, seed.Recurrent(20, 30), seed.Recurrent(30, 15)), 784),
}


@pytest.fixture
def page():
    return rnnc.from_flux(FILE)


@pytest.mark.skipif(not PAGE.exists(), reason="the page is not beside the project")
def test_the_file_is_the_code_of_the_page():
    blocks = re.findall(r"^```julia\n(.*?)^```$", PAGE.read_bytes().decode(), re.MULTILINE | re.DOTALL)
    assert FILE.read_bytes() == "\n".join(blocks).encode()


@pytest.mark.parametrize("expression", MODELS)
def test_graphs(page, expression):
    """The same equations, names and weights; only the prime is another letter in Python."""
    found = page(expression)
    meant = MODELS[expression][0]()
    assert show(trace(found)) == show(trace(meant)).replace("ʹ", "′")
    assert found.params.keys() == meant.params.keys()
    assert all(np.array_equal(found.params[p], meant.params[p]) for p in meant.params)


@pytest.mark.parametrize("form", ["sequence", "chunk", "step", "unroll", "separate"])
@pytest.mark.parametrize("expression", MODELS)
def test_forms(page, expression, form):
    """With the Python net's weights, each file gives what the Python net means."""
    make, features = MODELS[expression]
    meant, model = make(), page(expression)
    rng = np.random.default_rng(0)
    weights = {p: rng.normal(0, 0.3, a.shape).astype(np.float32) for p, a in meant.params.items()}
    meant.load(weights)
    model.load(weights)
    x = rng.normal(size=(7, 2, features)).astype(np.float32)
    ys, state = rnnc.reference(meant, x)
    if form == "separate":
        compiled = rnnc.compile(rnnc.unroll(model, 7, separate=True))
    else:
        compiled = rnnc.compile(model, form, steps=7 if form == "unroll" else None)
    if form == "sequence":
        (outputs,) = run_file(compiled, {"x": x})
        close(outputs["y"], ys)
        return
    (found,), stream = push_all(compiled, x)
    close(found, ys)
    for path in state:
        close(stream.state[path], state[path])
    if form == "chunk":
        pieces = rnnc.Stream(compiled)
        close(np.concatenate([push_on(pieces, x[a:b])[0] for a, b in pairwise((0, 3, 4, 7))]), ys)


def test_files_are_those_of_the_python_nets(page):
    """The same but for the places in the source, of nodes and of states."""
    files = []
    for model in (page.model, seed.chain):
        proto = rnnc.compile(model, "step").proto
        (entry,) = [p for p in proto.metadata_props if p.key == KEY]
        entry.value = re.sub(r'"source": *"[^"]*"', "", entry.value)
        for node in proto.graph.node:
            node.ClearField("doc_string")
        files.append(proto.SerializeToString(deterministic=True))
    assert files[0] == files[1]


def test_unrolled(page):
    unrolled = page("unroll(model, 20)")
    assert (unrolled.model, unrolled.steps) == (page.model, 20)
    x = np.random.default_rng(0).normal(size=(20, 1, 784)).astype(np.float32)
    (ys,), _ = push_all(rnnc.compile(unrolled), x)
    close(ys, seed.chain(x))


def test_lines_that_only_explain(page):
    """``y1 = f(W, x1)`` stands on the page, and is an error only for who asks for it."""
    assert dir(page) == ["LSTM", "Recurrent", "model", "s", "y1", "y2", "y3"]
    with pytest.raises(rnnc.RnncError, match="f is not defined"):
        _ = page.y1
