"""Ops along time, against the definition of ``delay``, one step after another."""

from __future__ import annotations

import numpy as np
import pytest

from rnnc.ops import final, reverse, shift, window
from tests.ops.cases import Array

B = 3
LENGTHS = np.array([4, 0, 2])


def arrays(steps: int, k: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(4)
    one = (B, 2)
    return rng.normal(size=(steps, *one)), rng.normal(size=one if abs(k) == 1 else (abs(k), *one))


def delayed(v: Array, init: Array, k: int) -> Array:
    """The definition: at step ``t`` slot ``k-1-t`` of ``init``; for lookahead the same with time reversed."""
    steps, slots = len(v), init[None] if abs(k) == 1 else init
    out = np.empty_like(v)
    for t in range(steps):
        if k > 0:
            out[t] = v[t - k] if t >= k else slots[k - 1 - t]
        else:
            out[t] = v[t - k] if t - k < steps else slots[-k - 1 - (steps - 1 - t)]
    return out


def state_after(v: Array, init: Array, k: int) -> Array:
    """The register of a delay by ``k``, newest first, after each value was pushed into it."""
    slots = list(init[None] if k == 1 else init)
    for value in v:
        slots = [value, *slots[:-1]]
    return slots[0] if k == 1 else np.stack(slots)


@pytest.mark.parametrize("k", [1, 2, 3, 7, -1, -2, -3, -7])
@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_shift_is_delay_over_time(k, steps) -> None:
    v, init = arrays(steps, k)
    np.testing.assert_array_equal(shift(v, init, k=k), delayed(v, init, k))


@pytest.mark.parametrize("k", [1, 2, 7, -1, -2, -7])
def test_a_ragged_shift_means_what_it_means_alone(k) -> None:
    v, init = arrays(4, k)
    found = shift(v, init, LENGTHS, k=k)
    for i, n in enumerate(LENGTHS):
        np.testing.assert_array_equal(found[:n, i], delayed(v[:n, i], init[..., i, :], k))


@pytest.mark.parametrize("k", [1, 2, 7])
@pytest.mark.parametrize("steps", [0, 1, 5])
def test_final_is_the_register_after_the_run(k, steps) -> None:
    v, init = arrays(steps, k)
    np.testing.assert_array_equal(final(v, init, k=k), state_after(v, init, k))


@pytest.mark.parametrize("k", [1, 2, 7])
def test_a_ragged_final_is_each_sequences_own(k) -> None:
    v, init = arrays(4, k)
    found = final(v, init, LENGTHS, k=k)
    for i, n in enumerate(LENGTHS):
        np.testing.assert_array_equal(found[..., i, :], state_after(v[:n, i], init[..., i, :], k))


@pytest.mark.parametrize("k", [1, 3])
def test_runs_in_pieces(k) -> None:
    """Chunk invariance: final states carried over, pieces shorter than the delay."""
    v, init = arrays(6, k)
    found, state = [], init
    for piece in (v[:1], v[1:1], v[1:3], v[3:]):
        found.append(shift(piece, state, k=k))
        state = final(piece, state, k=k)
    np.testing.assert_array_equal(np.concatenate(found), shift(v, init, k=k))
    np.testing.assert_array_equal(state, final(v, init, k=k))


@pytest.mark.parametrize("k", [1, 2, -2])
def test_init_broadcasts(k) -> None:
    v, _ = arrays(4, k)
    for init in (np.array(0.5), np.array([0.5, 0.25])):
        whole = np.broadcast_to(init, (B, 2) if abs(k) == 1 else (abs(k), B, 2))
        np.testing.assert_array_equal(shift(v, init, k=k), shift(v, whole, k=k))
        if k > 0:
            np.testing.assert_array_equal(final(v, init, k=k), final(v, whole, k=k))


def test_reverse_keeps_padding_in_place() -> None:
    v, _ = arrays(4, 1)
    found = reverse(v, LENGTHS)
    for i, n in enumerate(LENGTHS):
        np.testing.assert_array_equal(found[:n, i], v[:n, i][::-1])
        np.testing.assert_array_equal(found[n:, i], v[n:, i])
    np.testing.assert_array_equal(reverse(v), v[::-1])


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("held", [1, 3])
def test_a_window_is_what_came_before_a_step_and_then_the_step(axis, held) -> None:
    rng = np.random.default_rng(3)
    v = rng.normal(size=(4, 2, 3))
    init = rng.normal(size=(held, 3) if axis == 1 else (2, held))
    line = init
    for step, found in zip(v, window(v, init, axis=axis), strict=True):
        line = np.concatenate([line, step], axis=axis - 1)
        size = held + step.shape[axis - 1]
        np.testing.assert_array_equal(found, np.moveaxis(np.moveaxis(line, axis - 1, 0)[-size:], 0, axis - 1))
