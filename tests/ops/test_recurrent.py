"""The recurrent ops: against torch.nn, and sequences of different lengths."""

from __future__ import annotations

import numpy as np
import pytest

from rnnc.ops import gru, lstm, rnn
from tests.ops.cases import Array

T, B, I, H = 7, 3, 4, 5
GATES = {"lstm": 4, "gru": 3, "rnn": 1}
OPS = {"lstm": lstm, "gru": gru, "rnn": rnn}


def arrays(name: str, d: int = 1, steps: int = T) -> tuple[list[Array], list[Array]]:
    """``x, w, r, b``, and the initial states."""
    rng = np.random.default_rng(3)
    g = GATES[name] * H
    weights = [rng.normal(size=s) for s in ((steps, B, I), (d, g, I), (d, g, H), (d, 2 * g))]
    return weights, [rng.normal(size=(d, B, H)) for _ in range(2 if name == "lstm" else 1)]


def ragged(name: str, lengths: Array, d: int) -> list[Array]:
    return [np.zeros((d, 3 * H)), lengths] if name == "lstm" else [lengths]


@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_a_ragged_sequence_means_what_it_means_alone(name, direction) -> None:
    d = 2 if direction == "bidirectional" else 1
    (x, *weights), states = arrays(name, d)
    lengths = np.array([T, 0, 3])
    y, *finals = OPS[name](x, *weights, *states, *ragged(name, lengths, d), direction=direction)
    for i, n in enumerate(lengths):
        alone = [s[:, i : i + 1] for s in states]
        wanted, *ends = OPS[name](x[:n, i : i + 1], *weights, *alone, direction=direction)
        np.testing.assert_allclose(y[:n, :, i : i + 1], wanted, rtol=1e-12)
        assert not y[n:, :, i].any()
        for final, end in zip(finals, ends, strict=True):
            np.testing.assert_allclose(final[:, i : i + 1], end, rtol=1e-12)


@pytest.mark.parametrize("name", OPS)
def test_without_steps_states_stay(name) -> None:
    (x, *weights), states = arrays(name, steps=0)
    y, *finals = OPS[name](x, *weights, *states)
    assert y.shape == (0, 1, B, H)
    for final, state in zip(finals, states, strict=True):
        np.testing.assert_array_equal(final, state)


def reordered(a: Array, name: str) -> Array:
    """Gates in torch's order: ``ifgo`` and ``rzn``."""
    order = {"lstm": (0, 2, 3, 1), "gru": (1, 0, 2), "rnn": (0,)}[name]
    gates = np.split(a, GATES[name])
    return np.concatenate([gates[k] for k in order])


@pytest.mark.torch
@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("d", [1, 2])
def test_torch_nn_agrees(name, d) -> None:
    torch = pytest.importorskip("torch")
    (x, w, r, b), states = arrays(name, d)
    module = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[name]
    layer = module(I, H, bidirectional=d == 2, dtype=torch.float64)
    for k, end in enumerate(("", "_reverse")[:d]):
        halves = np.split(b[k], 2)
        for own, value in (
            ("weight_ih", w[k]),
            ("weight_hh", r[k]),
            ("bias_ih", halves[0]),
            ("bias_hh", halves[1]),
        ):
            getattr(layer, f"{own}_l0{end}").data = torch.tensor(reordered(value, name))
    given = tuple(map(torch.tensor, states))
    wanted, ends = layer(torch.tensor(x), given if name == "lstm" else given[0])
    attrs = {"linear_before_reset": True} if name == "gru" else {}
    direction = "bidirectional" if d == 2 else "forward"
    y, *finals = OPS[name](x, w, r, b, *states, direction=direction, **attrs)
    np.testing.assert_allclose(y.transpose(0, 2, 1, 3).reshape(T, B, d * H), wanted.detach(), rtol=1e-9)
    for final, end in zip(finals, ends if name == "lstm" else (ends,), strict=True):
        np.testing.assert_allclose(final, end.detach(), rtol=1e-9)


@pytest.mark.torch
@pytest.mark.parametrize("name", OPS)
def test_gradients_flow_through_time(name) -> None:
    torch = pytest.importorskip("torch")
    weights, states = arrays(name)
    given = [torch.tensor(a, requires_grad=True) for a in (*weights, *states)]
    y, *_ = OPS[name](*given)
    slopes = torch.autograd.grad(y[-1].sum(), given)
    assert all(torch.isfinite(s).all() and s.abs().sum() > 0 for s in slopes)
