"""Every op, on every case: types are those of results, libraries agree, float32 stays within the tolerance,
and further axes in front mean what the notation of axes says."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations

import numpy as np
import pytest

from rnnc import ops
from rnnc.ops import OPS
from rnnc.ops.axes import Leading, leading
from rnnc.types import type_of
from tests.ops.cases import CASES, Array, Case

cases = pytest.mark.parametrize("case", CASES, ids=str)


def close(found: Array, wanted: Array, tolerance: float) -> None:
    """Equal to within ``tolerance``, relative to the larger of 1 and what is wanted; NaN equals NaN."""
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


def test_every_op_has_a_case() -> None:
    assert {c.op.name for c in CASES} == {name for name, op in OPS.items() if not op.structural}


def test_every_op_is_exported() -> None:
    assert set(ops.__all__) == {*OPS, "OPS", "Op"}
    assert all(getattr(ops, name) is op for name, op in OPS.items())


@cases
def test_types_are_those_of_results(case: Case) -> None:
    for c in (case.in_floats("float32"), case):
        assert tuple(type_of(np.asarray(r)) for r in c.run()) == c.types()


@cases
def test_float32_is_within_the_tolerance(case: Case) -> None:
    single = case.in_floats("float32")
    for found, wanted in zip(single.run(), single.in_floats("float64").run(), strict=True):
        close(np.asarray(found), np.asarray(wanted), case.op.tolerance)


@pytest.mark.torch
@pytest.mark.parametrize("case", [c for c in CASES if c.arrays], ids=str)
def test_torch_agrees(case: Case) -> None:
    torch = pytest.importorskip("torch")
    given = [torch.tensor(a) for a in case.arrays]
    for found, wanted in zip(case.run(*given), case.run(), strict=True):
        assert isinstance(found, torch.Tensor)
        assert str(found.dtype).removeprefix("torch.") == wanted.dtype.name
        close(found.numpy(), np.asarray(wanted), 1e-12)


@pytest.mark.parametrize("case", [c for c in CASES if c.op.linear or c.op.multilinear], ids=str)
def test_linear_ops_are_linear(case: Case) -> None:
    singles = [(s,) for s in range(len(case.arrays))]
    together = tuple(range(len(case.arrays))) if not case.op.operands else case.op.linear
    for slots in singles if case.op.multilinear else [together]:
        if any(case.arrays[s].dtype.kind != "f" for s in slots):
            continue
        rng = np.random.default_rng(1)
        other = [rng.normal(size=a.shape) if s in slots else a for s, a in enumerate(case.arrays)]
        mixed = [
            2 * a + 3 * b if s in slots else a
            for s, (a, b) in enumerate(zip(case.arrays, other, strict=True))
        ]
        for a, b, c in zip(case.run(), case.run(*other), case.run(*mixed), strict=True):
            np.testing.assert_allclose(c, 2 * a + 3 * b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("case", [c for c in CASES if c.op.commutative], ids=str)
def test_commutative_ops_commute(case: Case) -> None:
    np.testing.assert_array_equal(case.run()[0], case.run(*reversed(case.arrays))[0])


# -- further axes in front ------------------------------------------------------------------------------

STEPS = 3


def subsets(n: int) -> Iterator[tuple[int, ...]]:
    return chain.from_iterable(combinations(range(n), k) for k in range(1, n + 1))


def over_time(array: Array, rng: np.random.Generator) -> Array:
    """Different arrays of the same type at each step: the same elements in other orders."""
    return np.stack([rng.permutation(array.ravel()).reshape(array.shape) for _ in range(STEPS)])


def lifted(case: Case, how: Leading, given: dict[int, Array]) -> tuple[Array, ...]:
    """The op on all steps at once, where ``given`` are the operands that have time, by slot."""
    rank = case.types()[0].rank
    arrays = []
    for slot, own in enumerate(case.arrays):
        array, timed = given.get(slot, own), slot in given
        if how.whole(slot) and not timed:
            array, timed = np.broadcast_to(own, (STEPS, *own.shape)), True
        if timed and how.how == "fold":
            array = merged(array, how.batch(slot))
        elif timed:
            array = array.reshape(STEPS, *(1,) * how.gap(slot, own.ndim, rank), *own.shape)
        arrays.append(array)
    if how.how == "fold":
        return tuple(parted(r, how.result_batch(k)) for k, r in enumerate(case.run(*arrays)))
    return case.run(*arrays, **how.attrs(case.attrs, STEPS))


def merged(array: Array, at: int) -> Array:
    """The first axis merged into the one that is at ``at`` without it."""
    moved = np.moveaxis(array, 0, at)
    return moved.reshape(*moved.shape[:at], -1, *moved.shape[at + 2 :])


def parted(array: Array, at: int) -> Array:
    """What :func:`merged` merged, taken apart."""
    return np.moveaxis(array.reshape(*array.shape[:at], STEPS, -1, *array.shape[at + 1 :]), at, 0)


@cases
def test_a_leading_axis_is_independent(case: Case) -> None:
    rng = np.random.default_rng(2)
    for slots in subsets(len(case.arrays)):
        how = leading(case.op, case.attrs, slots)
        if isinstance(how, str):
            continue
        given = {s: over_time(case.arrays[s], rng) for s in slots}
        steps = [
            case.run(*(given[s][t] if s in given else a for s, a in enumerate(case.arrays)))
            for t in range(STEPS)
        ]
        for k, found in enumerate(lifted(case, how, given)):
            np.testing.assert_allclose(found, np.stack([step[k] for step in steps]), rtol=1e-12, atol=1e-12)


def test_what_takes_a_leading_axis() -> None:
    def ways(case: Case) -> set[str]:
        found = [leading(case.op, case.attrs, slots) for slots in subsets(len(case.arrays))]
        return {how.how for how in found if isinstance(how, Leading)}

    taking = {c.op.name for c in CASES if ways(c)}
    others = {"gemm", "size", "tail", "every", "arange", "shift", "final", "reverse", "window"}
    assert {c.op.name for c in CASES} - taking == others
    folding = {"conv", "einsum", "linear_attention", "lstm", "gru", "rnn"}
    assert {c.op.name for c in CASES if "fold" in ways(c)} == folding
