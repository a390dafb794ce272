"""Every cell, compiled in every form that it has, gives what the reference machine and PyTorch give."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc import cells
from rnnc.errors import FormError
from rnnc.runtime import run_file
from tools.oracles import GATES, fields, oracle

FIXTURES = Path(__file__).parent / "fixtures"

#: float32 against float64.
TOLERANCE = 1e-5

#: A small layer of every cell, and one step of its input.
LAYERS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "Affine": (lambda: cells.Affine(3, 4), (3,)),
    "Recurrent": (lambda: cells.Recurrent(3, 4), (3,)),
    "LSTM": (lambda: cells.LSTM(3, 4), (3,)),
    "GatedRecurrent": (lambda: cells.GatedRecurrent(3, 4), (3,)),
    "GatedRecurrentAfter": (lambda: cells.GatedRecurrentAfter(3, 4), (3,)),
    "PeepholeLSTM": (lambda: cells.PeepholeLSTM(3, 4), (3,)),
    "CoupledLSTM": (lambda: cells.CoupledLSTM(3, 4), (3,)),
    "ProjectedLSTM": (lambda: cells.ProjectedLSTM(3, 6, 4), (3,)),
    "LayerNorm": (lambda: cells.LayerNorm(3), (3,)),
    "LayerNormLSTM": (lambda: cells.LayerNormLSTM(3, 4), (3,)),
    "MinimalGatedUnit": (lambda: cells.MinimalGatedUnit(3, 4), (3,)),
    "IndRNN": (lambda: cells.IndRNN(3, 4), (3,)),
    "DilatedRecurrent": (lambda: cells.DilatedRecurrent(3, 4, d=3), (3,)),
    "Embedding": (lambda: cells.Embedding(2, 4), ()),
    "CausalConv1d": (lambda: cells.CausalConv1d(3)(3, 4), (3,)),
    "CausalConv1d, dilated": (lambda: cells.CausalConv1d(2, dilation=3)(3, 4), (3,)),
    "ConvLSTM": (lambda: cells.ConvLSTM(2, 4, 3, 2), (2, 4, 3)),
}


@pytest.fixture(params=LAYERS)
def layer_and_step(request) -> tuple[Any, tuple[int, ...]]:
    """A layer, its fields drawn at random, and the shape of one step."""
    make, step = LAYERS[request.param]
    return randomised(make()), step


def randomised(layer):
    """The layer with all its fields, initial values included, drawn at random."""
    rng = np.random.default_rng(1)
    layer.load({path: rng.uniform(-0.5, 0.5, a.shape).astype(a.dtype) for path, a in layer.params.items()})
    return layer


def inputs(step: tuple[int, ...], T: int, B: int, seed: int = 0) -> np.ndarray:
    """A sequence: numbers between -1 and 1, or tokens where a step has no features."""
    rng = np.random.default_rng(seed)
    if not step:
        return rng.integers(0, 2, (T, B))
    return rng.uniform(-1, 1, (T, B, *step)).astype(np.float32)


def close(a, b) -> bool:
    """Whether shapes agree, and numbers within the tolerance."""
    assert a.shape == b.shape
    return bool(np.abs(a - b).max(initial=0) <= TOLERANCE)


def test_every_cell_is_tested() -> None:
    assert {name.partition(",")[0] for name in LAYERS} | {"Bidirectional"} == set(cells.__all__)


def test_sequence(layer_and_step) -> None:
    layer, step = layer_and_step
    compiled = rnnc.compile(layer)
    for T, B in ((1, 1), (7, 3)):
        x = inputs(step, T, B)
        (found,) = run_file(compiled, {"x": x})
        assert close(found["y"], layer(x))


def test_chunks(layer_and_step) -> None:
    layer, step = layer_and_step
    stream = rnnc.Stream(rnnc.compile(layer, "chunk"))
    x = inputs(step, 9, 2)
    ys, state = rnnc.reference(layer, x)
    pieces = [stream.push(x[a:b]) for a, b in pairwise((0, 2, 3, 3, 9))]
    assert close(np.concatenate(pieces), ys)
    assert stream.state.keys() == state.keys()
    assert all(close(stream.state[path], state[path]) for path in state)


def test_steps(layer_and_step) -> None:
    layer, step = layer_and_step
    stream = rnnc.Stream(rnnc.compile(layer, "step"))
    x = inputs(step, 6, 2)
    ys, state = rnnc.reference(layer, x)
    assert close(np.stack([stream.push(step) for step in x]), ys)
    assert all(close(stream.state[path], state[path]) for path in state)


def test_unrolled(layer_and_step) -> None:
    layer, step = layer_and_step
    stream = rnnc.Stream(rnnc.compile(rnnc.unroll(layer, 3)))
    x = inputs(step, 6, 2)
    ys, _ = rnnc.reference(layer, x)
    assert close(np.concatenate([stream.push(x[:3]), stream.push(x[3:])]), ys)


def test_bidirectional() -> None:
    layer = randomised(cells.Bidirectional(cells.LSTM(3, 4), cells.GatedRecurrent(3, 2)))
    (found,) = run_file(rnnc.compile(layer), {"x": inputs((3,), 7, 2)})
    assert close(found["y"], layer(inputs((3,), 7, 2)))
    with pytest.raises(FormError, match="look ahead"):
        rnnc.compile(layer, "step")


def test_bidirectional_is_two_layers_side_by_side() -> None:
    forward, backward = cells.Recurrent(3, 4), cells.Recurrent(3, 4)
    x = inputs((3,), 5, 2)
    y = cells.Bidirectional(forward, backward)(x)
    assert np.array_equal(y[..., :4], forward(x))
    assert np.array_equal(y[..., 4:], backward(x[::-1])[::-1])


@pytest.mark.parametrize(
    ("make", "op"),
    [
        (lambda: cells.Recurrent(3, 4), "RNN"),
        (lambda: cells.LSTM(3, 4), "LSTM"),
        (lambda: cells.PeepholeLSTM(3, 4), "LSTM"),
        (lambda: cells.CoupledLSTM(3, 4), "LSTM"),
        (lambda: cells.GatedRecurrent(3, 4), "GRU"),
        (lambda: cells.GatedRecurrentAfter(3, 4), "GRU"),
        (lambda: cells.IndRNN(3, 4), "RNN"),
        (lambda: cells.LayerNormLSTM(3, 4), "Scan"),
    ],
)
def test_becomes(make: Callable[[], Any], op: str) -> None:
    assert op in {n.op_type for n in nodes(rnnc.compile(make()).proto.graph)}


def nodes(graph) -> Iterator[Any]:
    """The nodes of an ONNX graph and of those inside."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            yield from nodes(attribute.g)


# -- against PyTorch --------------------------------------------------------------------------------------

CELLS = {
    "rnn": cells.Recurrent,
    "lstm": cells.LSTM,
    "gru": cells.GatedRecurrentAfter,
    "gru_before": cells.GatedRecurrent,
}


def agrees(kind: str, found: dict[str, np.ndarray]) -> None:
    """The cell, compiled as chunk and as step, and on the reference machine, gives what the oracle gave."""
    layer = CELLS[kind](**fields(kind, found))
    state = {"y": found["h"], **({"state": found["c"]} if kind == "lstm" else {})}
    after = {"y": found["h_after"], **({"state": found["c_after"]} if kind == "lstm" else {})}
    x, y = found["x"], found["y"]
    chunk, step = (rnnc.Stream(rnnc.compile(layer, form)) for form in ("chunk", "step"))
    chunk.state = step.state = state
    assert close(chunk.push(x), y)
    assert close(np.stack([step.push(one) for one in x]), y)
    ys, finals = rnnc.reference(layer, x, state=state)
    assert close(ys, y)
    for states in (chunk.state, step.state, finals):
        assert all(close(states[path], after[path]) for path in after)


@pytest.mark.parametrize("kind", GATES)
def test_pytorch_recorded(kind: str) -> None:
    with np.load(FIXTURES / f"{kind}.npz") as file:
        agrees(kind, dict(file))


@pytest.mark.torch
@pytest.mark.parametrize("kind", GATES)
def test_pytorch_live(kind: str) -> None:
    pytest.importorskip("torch")
    agrees(kind, oracle(kind, seed=7))
