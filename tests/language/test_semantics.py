"""The semantics that must hold, on the reference machine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnc
from tests.semantics import Case, Recurrent, by_hand, cases, fibonacci, five_back, noise, r


def states(case: Case) -> dict[str, Any]:
    return dict(case.state) or None  # type: ignore[return-value]


def check(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("case", cases(), ids=str)
def test_case(case: Case) -> None:
    ys, finals = rnnc.reference(case.model, case.x, state=states(case))
    for found, expected in zip(ys if isinstance(ys, tuple) else (ys,), case.ys, strict=True):
        check(found, expected)
    for path, expected in case.finals.items():
        check(finals[path], expected)


@pytest.mark.parametrize("case", [c for c in cases() if "chunk" in c.forms], ids=str)
@pytest.mark.parametrize("size", [1, 2, 5])
def test_in_pieces(case: Case, size: int) -> None:
    pieces, state = [], states(case)
    for at in range(0, len(case.x), size):
        ys, state = rnnc.reference(case.model, case.x[at : at + size], state=state)
        pieces.append(ys if isinstance(ys, tuple) else (ys,))
    for found, expected in zip(zip(*pieces, strict=True), case.ys, strict=True):
        check(np.concatenate(found), expected)
    for path, expected in case.finals.items():
        check(state[path], expected)


@pytest.mark.parametrize("batch", [1, 3, 17])
@pytest.mark.parametrize("steps", [1, 2, 7, 64])
def test_any_steps_any_batch(steps: int, batch: int) -> None:
    x = noise(steps, batch, 3)
    check(rnnc.reference(r, x)[0], by_hand(r, x)[0])
    z = noise(steps, batch, 1)
    before = np.concatenate([np.full((5, batch, 1), 7.0), z])[:steps]
    check(five_back(z), z + before)


def test_no_steps_give_nothing_and_leave_the_state() -> None:
    state = {"y": np.array([5.0, 3.0]).reshape(2, 1, 1)}
    ys, after = rnnc.reference(fibonacci, np.zeros((0, 1, 1)), state=state)
    assert ys.shape == (0, 1, 1)
    check(after["y"], state["y"])


def test_by_hand_from_a_state() -> None:
    layer = Recurrent(10, 5)
    x, y = noise(3, 2, 10), noise(2, 5, seed=1)
    check(rnnc.reference(layer, x, state={"y": y})[0], by_hand(layer, x, y.astype(np.float64))[0])
