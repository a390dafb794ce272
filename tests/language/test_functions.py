"""The language's functions: each means in a net what NumPy means by it, axes counted over features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc import glorot, net, stream
from rnnc.errors import LanguageError, TypeMismatch
from rnnc.frontend import elementwise, language
from tests.semantics import noise

X = noise(4, 2, 3, 6)  # T, B and two feature axes

#: A function of features and what NumPy calls the same, its axes counted over features too.
CASES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "sum": (rnnc.sum, lambda f: f.sum()),
    "sum, first axis": (lambda x: rnnc.sum(x, axis=0), lambda f: f.sum(0)),
    "sum, kept": (lambda x: rnnc.sum(x, axis=-1, keepdims=True), lambda f: f.sum(-1, keepdims=True)),
    "mean of both": (lambda x: rnnc.mean(x, axis=(0, 1)), lambda f: f.mean()),
    "max": (lambda x: rnnc.max(x, axis=1), lambda f: f.max(1)),
    "min": (lambda x: rnnc.min(x, axis=0), lambda f: f.min(0)),
    "prod": (lambda x: rnnc.prod(x, axis=0), lambda f: f.prod(0)),
    "cumsum": (rnnc.cumsum, lambda f: f.cumsum(-1)),
    "argmax": (lambda x: rnnc.argmax(x, axis=0), lambda f: f.argmax(0)),
    "softmax": (rnnc.softmax, lambda f: np.exp(f) / np.exp(f).sum(-1, keepdims=True)),
    "log_softmax": (lambda x: rnnc.log_softmax(x, axis=0), lambda f: f - np.log(np.exp(f).sum(0))),
    "layer_norm": (
        lambda x: rnnc.layer_norm(x, np.ones(6)),
        lambda f: (f - f.mean(-1, keepdims=True)) / np.sqrt(f.var(-1, keepdims=True) + 1e-5),
    ),
    "rms_norm": (
        lambda x: rnnc.rms_norm(x, np.ones(6)),
        lambda f: f / np.sqrt((f * f).mean(-1, keepdims=True) + 1e-5),
    ),
    "concat": (lambda x: rnnc.concat(x, 2 * x), lambda f: np.concatenate([f, 2 * f], -1)),
    "concat of a list": (lambda x: rnnc.concat([x, x], axis=0), lambda f: np.concatenate([f, f], 0)),
    "stack": (lambda x: rnnc.stack(x, 2 * x), lambda f: np.stack([f, 2 * f])),
    "stack last": (lambda x: rnnc.stack(x, 2 * x, axis=-1), lambda f: np.stack([f, 2 * f], -1)),
    "split": (lambda x: rnnc.split(x, 2)[1], lambda f: f[:, 3:]),
    "split by sizes": (lambda x: rnnc.split(x, (1, 2), axis=0)[1], lambda f: f[1:]),
    "reshape": (lambda x: rnnc.reshape(x, 9, 2), lambda f: f.reshape(9, 2)),
    "reshape, rest": (lambda x: rnnc.reshape(x, (2, -1)), lambda f: f.reshape(2, -1)),
    "transpose": (rnnc.transpose, lambda f: f.T),
    "T": (lambda x: x.T, lambda f: f.T),
    "unsqueeze": (lambda x: rnnc.unsqueeze(x, 0), lambda f: f[None]),
    "squeeze": (lambda x: rnnc.squeeze(rnnc.unsqueeze(x)), lambda f: f),
    "pad": (lambda x: rnnc.pad(x, 1, 2, axis=0), lambda f: np.pad(f, ((1, 2), (0, 0)))),
    "slice": (lambda x: x[..., 1:4], lambda f: f[..., 1:4]),
    "slice with a place for the batch": (lambda x: x[:, 1:, ::2], lambda f: f[1:, ::2]),
    "slice backwards": (lambda x: x[..., ::-1], lambda f: f[..., ::-1]),
    "pick": (lambda x: x[..., 2], lambda f: f[..., 2]),
    "pick from the end": (lambda x: x[..., -1, :], lambda f: f[-1]),
    "einsum": (lambda x: rnnc.einsum("ij,kj->ik", x, np.ones((2, 6))), lambda f: f @ np.ones((6, 2))),
    "matmul": (lambda x: rnnc.matmul(x, np.ones((6, 2))), lambda f: f @ np.ones((6, 2))),
    "where": (lambda x: rnnc.where(x > 0, x, 0.5), lambda f: np.where(f > 0, f, 0.5)),
    "where of numbers": (lambda x: rnnc.where(x > 0, 1, 0), lambda f: (f > 0) * 1.0),
    "comparisons": (lambda x: (x <= 0) == (x < 1), lambda f: (f <= 0) == (f < 1)),
    "unequal": (lambda x: rnnc.where(x != x, 1.0, x), lambda f: f),
    "minimum": (lambda x: rnnc.minimum(x, 0), lambda f: np.minimum(f, 0)),
    "maximum": (lambda x: rnnc.maximum(0.1, x), lambda f: np.maximum(0.1, f)),
    "silu": (rnnc.silu, lambda f: f / (1 + np.exp(-f))),
    "sigmoid": (rnnc.sigmoid, lambda f: 1 / (1 + np.exp(-f))),
    "leaky_relu": (rnnc.leaky_relu, lambda f: np.where(f > 0, f, 0.01 * f)),
    "elu": (lambda x: rnnc.elu(x, 2), lambda f: np.where(f > 0, f, 2 * (np.exp(f) - 1))),
    "celu": (lambda x: rnnc.celu(x, 2), lambda f: np.where(f > 0, f, 2 * (np.exp(f / 2) - 1))),
    "hard_sigmoid": (rnnc.hard_sigmoid, lambda f: np.clip(0.2 * f + 0.5, 0, 1)),
    "thresholded_relu": (rnnc.thresholded_relu, lambda f: np.where(f > 1, f, 0)),
    "gelu": (lambda x: rnnc.gelu(x) - rnnc.gelu(x), lambda f: 0 * f),
    "selu": (lambda x: rnnc.selu(x) - rnnc.selu(x), lambda f: 0 * f),
    "cast": (lambda x: rnnc.cast(rnnc.cast(x, "int64"), float), lambda f: np.trunc(f)),
    "abs and powers": (lambda x: abs(x) ** 2 % 1, lambda f: abs(f) ** 2 % 1),
    "reflected": (lambda x: 1 - 2 / (3 + x * x), lambda f: 1 - 2 / (3 + f * f)),
    "sums of Python": (lambda x: sum([x, x, x]), lambda f: 3 * f),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_over_features(name: str) -> None:
    ours, numpys = CASES[name]
    found = net(lambda x=stream(3, 6): ours(x))(X)
    expected = np.array([[numpys(features) for features in step] for step in X.astype(np.float64)])
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", [n for n in CASES if n != "slice with a place for the batch"])
def test_over_weights(name: str) -> None:
    """A weight has no batch axis; its axes are counted alike."""
    ours, numpys = CASES[name]

    @net
    def model(x=stream(1), *, W=glorot(3, 6)):
        value = ours(W)
        flat = rnnc.reshape(rnnc.cast(value, float), -1)
        return x @ rnnc.reshape(flat, 1, -1)

    W = model.params["W"].astype(np.float64)
    found = model(np.ones((1, 1, 1)))
    np.testing.assert_allclose(found.ravel(), np.ravel(numpys(W)), rtol=1e-5, atol=1e-6)


def test_on_numbers_and_arrays() -> None:
    assert rnnc.sqrt(4) == 2
    assert isinstance(rnnc.exp(0.0), float)
    np.testing.assert_allclose(rnnc.tanh(np.ones(3)), np.tanh(np.ones(3)))
    np.testing.assert_allclose(rnnc.softmax(np.zeros((2, 4)), axis=0), 0.5)


def test_embedding() -> None:
    @net
    def embed(x=stream(dtype="int64"), *, E=glorot(9, 4)):
        return rnnc.gather(E, x)

    tokens = np.arange(6).reshape(3, 2)
    np.testing.assert_allclose(embed(tokens), embed.params["E"][tokens])
    one_hot = net(lambda x=stream(dtype="int64"): rnnc.one_hot(x, 9))
    np.testing.assert_array_equal(one_hot(tokens), np.eye(9)[tokens])


def test_conv() -> None:
    @net
    def model(x=stream(2, 5), *, w=glorot(3, 2, 3), b=glorot(3)):
        return rnnc.conv(x, w, b, pads=1)

    x = noise(1, 1, 2, 5)
    w, b = model.params["w"].astype(float), model.params["b"].astype(float)
    around = np.pad(x[0, 0].astype(float), ((0, 0), (1, 1)))
    expected = [[(around[:, t : t + 3] * w[o]).sum() + b[o] for t in range(5)] for o in range(3)]
    np.testing.assert_allclose(model(x)[0, 0], expected, rtol=1e-6)


def test_every_function_is_on_the_face() -> None:
    own = {
        name
        for module in (elementwise, language)
        for name, f in vars(module).items()
        if callable(f) and getattr(f, "__module__", "") == module.__name__ and not name.startswith("_")
    }
    assert own - {"apply", "symbolic", "element_type"} <= set(rnnc.__all__)
    assert all(getattr(rnnc, name).__doc__ for name in own & set(rnnc.__all__))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: rnnc.concat(),
        lambda x: rnnc.einsum("ij->i", x, x),
        lambda x: rnnc.reshape(x, 5, 5),
        lambda x: rnnc.reshape(x, -1, 5),
        lambda x: rnnc.cast(x, "colour"),
        lambda x: rnnc.sum(x, axis=2),
        lambda x: rnnc.stack(x, x, axis=-4),
        lambda x: rnnc.delay(3, 1),
        lambda x: rnnc.last(3),
        lambda x: x + None,
        lambda x: x + "y",
        lambda x: x @ x,
        lambda x: rnnc.einsum("bij->b", x),
        lambda x: rnnc.split(x, 0),
        lambda x: range(x),
        lambda x: complex(x),
        lambda x: x[True],
        lambda x: x[..., "a"],
        lambda x: x[..., None],
        lambda x: x[..., ..., 1:],
    ],
)
def test_refused_with_a_place(wrong: Callable[[Any], Any]) -> None:
    with pytest.raises((LanguageError, TypeMismatch)) as caught:
        net(lambda x=stream(3, 6): wrong(x))(X)
    assert caught.value.loc is not None
    assert caught.value.loc.file == __file__


def test_numbers_are_as_exact_as_what_they_meet() -> None:
    x = noise(5, 2, 3).astype(np.float64)
    scaled = net(lambda x=stream(3, dtype="float64"): 0.9 * x)
    np.testing.assert_array_equal(rnnc.reference(scaled, x)[0], 0.9 * x)
    assert rnnc.compile(scaled).proto.graph.output[0].type.tensor_type.elem_type == 11


def test_an_initial_value_shows_the_size_of_what_is_delayed() -> None:
    @net
    def model(x, *, start=glorot(4)):
        return rnnc.delay(x, 2, init=start * 2)

    file = rnnc.compile(model, "step")
    assert file.manifest["inputs"][0]["shape"] == ["B", 4]


def test_what_the_reference_machine_cannot_run() -> None:
    model = net(lambda x: x - x[-1])
    with pytest.raises(LanguageError, match="net takes 1 input, and 2 are given"):
        rnnc.reference(model, noise(2, 1, 3), noise(2, 1, 3))
    with pytest.raises(TypeMismatch, match=r"x is given with shape \(3,\), and a stream is \[T, B, …\]"):
        rnnc.reference(model, noise(3))
    with pytest.raises(rnnc.RnncError, match="takes no stream"):
        rnnc.reference(net(lambda g=rnnc.given(3): g * 2), noise(1, 3))
