"""Random shapes and attributes: types are those of results, which are what NumPy and torch give."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import mutually_broadcastable_shapes

from rnnc.errors import TypeMismatch
from rnnc.ops import OPS
from rnnc.types import type_of

few = settings(max_examples=60, deadline=None, derandomize=True)
sizes = st.integers(1, 4)


def numbers(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(sum(shape)).normal(size=shape)


def typed(op: str, *arrays: np.ndarray[Any, Any], **attrs: Any) -> np.ndarray[Any, Any]:
    """The op's result, which must be of the type that its rule gives."""
    found = OPS[op](*arrays, **attrs)
    assert type_of(found) == OPS[op].infer(*map(type_of, arrays), **attrs)
    return np.asarray(found)


@few
@given(mutually_broadcastable_shapes(num_shapes=3, max_dims=4, max_side=3))
def test_broadcasting(shapes) -> None:
    x, y, z = (numbers(*s) for s in shapes.input_shapes)
    assert typed("where", x > 0, y, z).shape == shapes.result_shape


@few
@given(mutually_broadcastable_shapes(signature="(m,k),(k,n)->(m,n)", max_dims=2, max_side=3))
def test_products(shapes) -> None:
    x, w = (numbers(*s) for s in shapes.input_shapes)
    np.testing.assert_allclose(typed("matmul", x, w), x @ w)
    np.testing.assert_allclose(typed("einsum", x, w, equation="...mk,...kn->...mn"), x @ w, atol=1e-12)


@few
@given(st.integers(0, 6), st.integers(-8, 8), st.none() | st.integers(-8, 8), st.sampled_from([-3, -1, 1, 2]))
def test_slices_are_pythons(size, start, stop, step) -> None:
    x = numbers(2, size)
    np.testing.assert_array_equal(
        typed("slice", x, axis=1, start=start, stop=stop, step=step), x[:, start:stop:step]
    )


@few
@given(st.permutations(range(4)))
def test_transposition(perm) -> None:
    x = numbers(1, 2, 3, 4)
    np.testing.assert_array_equal(typed("transpose", x, perm=tuple(perm)), x.transpose(perm))


@few
@given(st.sets(st.integers(0, 3), min_size=1), st.booleans())
def test_reductions(axes, keepdims) -> None:
    x, along = numbers(2, 3, 1, 2), tuple(axes)
    for name in ("sum", "mean", "max", "min", "prod"):
        found = typed(f"reduce_{name}", x, axes=along, keepdims=keepdims)
        np.testing.assert_allclose(found, getattr(np, name)(x, axis=along, keepdims=keepdims))


@pytest.mark.torch
@few
@given(st.data(), st.integers(1, 2))
def test_convolutions(data, n) -> None:
    torch = pytest.importorskip("torch")
    group, each, outs = (data.draw(st.integers(1, 2)) for _ in range(3))
    kernel = data.draw(st.lists(st.integers(1, 3), min_size=n, max_size=n))
    space, strides, dilations, begins, ends = (
        tuple(data.draw(st.lists(s, min_size=n, max_size=n)))
        for s in (
            st.integers(1, 8),
            st.integers(1, 3),
            st.integers(1, 2),
            st.integers(0, 2),
            st.integers(0, 2),
        )
    )
    x, w = numbers(2, group * each, *space), numbers(group * outs, each, *kernel)
    b, attrs = numbers(group * outs), {"strides": strides, "dilations": dilations, "group": group}
    padded = np.pad(x, ((0, 0), (0, 0), *zip(begins, ends, strict=True)))
    if any(d * (k - 1) >= s for d, k, s in zip(dilations, kernel, padded.shape[2:], strict=True)):
        with pytest.raises(TypeMismatch, match="does not fit"):
            OPS["conv"].infer(*map(type_of, (x, w, b)), pads=begins + ends, **attrs)
        return
    conv = torch.nn.functional.conv1d if n == 1 else torch.nn.functional.conv2d
    wanted = conv(*map(torch.tensor, (padded, w, b)), strides, 0, dilations, group)
    np.testing.assert_allclose(
        typed("conv", x, w, b, pads=begins + ends, **attrs), wanted, rtol=1e-9, atol=1e-9
    )
