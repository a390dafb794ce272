"""What ops mean: values known from elsewhere, the ends of the number line, gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rnnc.ops import OPS
from rnnc.ops.operators import Arithmetic

INF, NAN = math.inf, math.nan

#: op, attributes, and pairs of argument and result
KNOWN = [
    ("sigmoid", {}, [(0, 0.5), (-INF, 0), (INF, 1), (-1000, 0), (1000, 1), (NAN, NAN)]),
    ("sigmoid", {}, [(-40, 4.248354255291589e-18), (-700, 9.859676543759771e-305)]),
    ("tanh", {}, [(0, 0), (-INF, -1), (INF, 1), (NAN, NAN)]),
    ("relu", {}, [(-1, 0), (2, 2), (-INF, 0), (INF, INF), (NAN, NAN)]),
    ("leaky_relu", {"alpha": 0.1}, [(-2, -0.2), (2, 2)]),
    ("elu", {"alpha": 2.0}, [(-INF, -2), (1, 1), (1000, 1000), (-1, 2 * math.expm1(-1)), (NAN, NAN)]),
    ("celu", {"alpha": 2.0}, [(-INF, -2), (1, 1), (-1, 2 * math.expm1(-0.5))]),
    ("selu", {}, [(1, 1.0507009873554805), (-INF, -1.7580993408473766)]),
    ("hard_sigmoid", {}, [(-INF, 0), (INF, 1), (1, 0.7), (NAN, NAN)]),
    ("hard_swish", {}, [(-4, 0), (4, 4), (1, 4 / 6), (NAN, NAN)]),
    ("softplus", {}, [(0, math.log(2)), (1000, 1000), (-1000, 0), (INF, INF), (NAN, NAN)]),
    ("softplus", {}, [(-40, 4.248354255291589e-18)]),
    ("softsign", {}, [(1, 0.5), (-3, -0.75)]),
    ("gelu", {}, [(0, 0), (1, 0.8413447460685429), (-1, -0.15865525393145707)]),
    ("gelu", {"approximate": "tanh"}, [(0, 0), (1, 0.8411919906082768)]),
    ("thresholded_relu", {"alpha": 1.0}, [(1, 0), (1.5, 1.5), (NAN, NAN)]),
    ("mish", {}, [(0, 0), (1000, 1000), (1, math.tanh(math.log1p(math.e)))]),
    ("erf", {}, [(0, 0), (1, 0.8427007929497149), (-INF, -1), (NAN, NAN)]),
    ("round", {}, [(0.5, 0), (1.5, 2), (2.5, 2), (-0.5, -0.0)]),
    ("sign", {}, [(-3, -1), (0, 0), (5, 1)]),
    ("log", {}, [(0, -INF), (-1, NAN), (1, 0)]),
    ("exp", {}, [(1000, INF), (-1000, 0)]),
    ("sqrt", {}, [(4, 2), (-1, NAN)]),
    ("reciprocal", {}, [(0, INF), (4, 0.25)]),
]  # fmt: skip


@pytest.mark.parametrize(("op", "attrs", "pairs"), KNOWN)
def test_known_values(op, attrs, pairs) -> None:
    given, wanted = np.array(pairs, np.float64).T
    np.testing.assert_allclose(OPS[op](given, **attrs), wanted, rtol=1e-14)
    for x, y in pairs:
        np.testing.assert_allclose(OPS[op](np.array(float(x)), **attrs), y, rtol=1e-14)


@pytest.mark.torch
@pytest.mark.parametrize("name", ["sigmoid", "softplus", "tanh", "gelu", "elu", "softsign", "mish"])
def test_gradients_are_right_at_zero_and_finite_everywhere(name) -> None:
    torch = pytest.importorskip("torch")
    x = torch.tensor([-1e4, -1.0, 0.0, 1.0, 1e4], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(OPS[name](x).sum(), x)
    (wanted,) = torch.autograd.grad(getattr(torch.nn.functional, name)(x).sum(), x)
    torch.testing.assert_close(slope, wanted)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_does_not_overflow(name) -> None:
    x = np.array([[1000.0, 1000.0], [-1000.0, 0.0]])
    found = OPS[name](x, axis=1)
    wanted = np.array([[0.5, 0.5], [0.0, 1.0]]) if name == "softmax" else [[-math.log(2)] * 2, [-1000.0, 0.0]]
    np.testing.assert_allclose(found, wanted, rtol=1e-14)


def test_mod_has_the_sign_of_c_for_floats_and_of_python_for_integers() -> None:
    x, y = np.array([-7, 7, -7, 7]), np.array([3, -3, -3, 3])
    np.testing.assert_array_equal(OPS["mod"](x, y), [2, -2, -1, 1])
    np.testing.assert_array_equal(OPS["mod"](x.astype(float), y.astype(float)), [-1, 1, -1, 1])


def test_nan_compares_as_unequal() -> None:
    x, y = np.array([NAN, 1.0]), np.array([NAN, 2.0])
    for name in ("equal", "less_equal", "greater", "greater_equal"):
        assert not OPS[name](x, y)[0]
    for name in ("minimum", "maximum"):
        assert np.isnan(OPS[name](x, y)[0])


def test_integers_keep_their_type() -> None:
    x = np.arange(6, dtype=np.int32).reshape(2, 3)
    for name in ("reduce_sum", "reduce_prod", "reduce_max"):
        assert OPS[name](x, axes=(1,)).dtype == np.int32
    assert OPS["cumsum"](x, axis=1).dtype == np.int32


def test_convolution_by_hand() -> None:
    x = np.arange(1.0, 6.0).reshape(1, 1, 5)
    w = np.array([1.0, 10.0]).reshape(1, 1, 2)
    np.testing.assert_array_equal(OPS["conv"](x, w)[0, 0], [21, 32, 43, 54])
    np.testing.assert_array_equal(OPS["conv"](x, w, pads=(2, 0), dilations=(2,))[0, 0], [10, 20, 31, 42, 53])
    np.testing.assert_array_equal(OPS["conv"](x, w, np.array([0.5]), strides=(2,))[0, 0], [21.5, 43.5])


def test_operators_call_ops() -> None:
    class Shown(Arithmetic):
        def __init__(self, text: str) -> None:
            self.text = text

        def __rnnc_op__(self, op, args, attrs) -> Shown:
            return Shown(f"{op.name}({', '.join(a.text if isinstance(a, Shown) else str(a) for a in args)})")

    x, y = Shown("x"), Shown("y")
    assert (1 + x * 2 - y / x).text == "sub(add(1, mul(x, 2)), div(y, x))"
    assert (2 * x + 1).text == "add(mul(2, x), 1)"
    assert (1 - x).text == "sub(1, x)"
    assert (1 / x).text == "div(1, x)"
    assert (x @ y).text == "matmul(x, y)"
    assert (-(abs(x) ** 2)).text == "neg(pow(abs(x), 2))"
    assert (2**x).text == "pow(2, x)"
    assert (x % 3).text == "mod(x, 3)"
    assert (3 % x).text == "mod(3, x)"
    for name in ("equal", "less", "less_equal", "greater", "greater_equal"):
        assert getattr(x, name)(0).text == f"{name}(x, 0)"
    assert x != y
