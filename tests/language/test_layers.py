"""Nets, layers and their composition: dimensions, fields, templates, weights, names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc import Chain, flip, given, glorot, last, net, stream, tanh, zeros
from rnnc.errors import FileError
from rnnc.frontend.assemble import trace
from rnnc.ir import Graph
from tests.semantics import Affine, Recurrent, difference, noise


def state_paths(graph: Graph) -> list[str]:
    return [s.path for s in graph.interface.states]


# -- dimensions and fields -------------------------------------------------------------------
def test_sizes_in_order_of_first_appearance() -> None:
    layer = Affine(4, 3)
    assert {k: v.shape for k, v in layer.params.items()} == {"W": (4, 3), "b": (3,)}
    assert repr(layer) == "Affine(4, 3)"


def test_inputs_come_before_fields() -> None:
    @net
    def image(x=stream("C", "H"), *, W=glorot("H", "out")):
        return x @ W

    assert image.dims == ("C", "H", "out")


def test_sizes_by_name_and_polynomials() -> None:
    @net
    def gates(x, *, W=glorot("in", "4*out"), b=zeros("4*out")):
        return x @ W + b

    assert gates(3, out=2).params["W"].shape == (3, 8)
    assert gates(W=np.ones((3, 8))).params["b"].shape == (8,)


def test_sizes_from_arrays() -> None:
    W = np.arange(12.0).reshape(4, 3)
    layer = Affine(W=W)
    assert repr(layer) == "Affine(4, 3)"
    np.testing.assert_array_equal(layer.params["W"], W)
    assert layer.params["W"].dtype == np.float32
    W[:] = 0
    assert layer.params["W"].any(), "the array is copied"


@pytest.mark.parametrize("shape", [(3,), (1, 3)])
def test_initial_values_broadcast_over_the_batch(shape: tuple[int, ...]) -> None:
    layer = Recurrent(3, 3, y=np.full(shape, 2.0))
    assert layer.params["y"].shape == (3,)
    (state,) = trace(layer).interface.states
    assert state.init == 2.0


def test_an_initial_value_without_declared_dimensions() -> None:
    @net
    def total(x, *, y):
        y = y[-1] + x
        return y

    layer = total(y=np.array([[1.0, 2.0, 3.0]]))
    np.testing.assert_array_equal(layer(np.zeros((1, 2, 3))), [[[1, 2, 3]] * 2])


def test_what_is_no_field_is_an_option() -> None:
    @net
    def scaled(x, *, by=2, through=tanh):
        return through(x * by)

    x = noise(4, 2, 3)
    np.testing.assert_allclose(scaled(x), np.tanh(2 * x), rtol=1e-6)
    np.testing.assert_allclose(scaled(by=3, through=rnnc.relu)(x), np.maximum(3 * x, 0), rtol=1e-6)


def test_a_net_as_default_is_a_template() -> None:
    @net
    def Two(x, *, first=Recurrent("in", "mid"), second=Recurrent("mid", "out"), skip=difference):
        return second(first(skip(x)))

    assert Two.dims == ("in", "mid", "out")
    a, b = Two(4, 5, 3), Two(4, 5, 3)
    assert a.layers["first"] is not b.layers["first"]
    assert a.params["first.Wxy"].shape == (4, 5)
    assert a.params["second.Wyy"].shape == (3, 3)
    assert state_paths(trace(a)) == ["skip.x", "first.y", "second.y"]


def test_a_net_left_open_takes_the_outer_dimensions() -> None:
    @net
    def Around(x, *, inner=Affine):
        return tanh(inner(x))

    assert Around(4, 3).params["inner.W"].shape == (4, 3)


def test_a_layer_as_default_is_shared() -> None:
    shared = Affine(3, 3)

    @net
    def Twice(x, *, inner=shared):
        return inner(inner(x))

    assert Twice().layers["inner"] is Twice().layers["inner"] is shared
    assert list(Twice.params) == ["inner.W", "inner.b"]


def test_a_field_given_as_layer_chain_or_function() -> None:
    @net
    def Residual(x, *, inner):
        return x + inner(x)

    x = noise(4, 2, 3)
    np.testing.assert_allclose(Residual(inner=tanh)(x), x + np.tanh(x), rtol=1e-6)
    assert list(Residual(inner=Chain(Affine(3, 3), tanh)).params) == ["inner.0.W", "inner.0.b"]


def test_a_closure_layer_has_its_nets_name() -> None:
    r = Recurrent(3, 3)
    other = Recurrent(3, 3)
    model = net(lambda x: r(x) + r(r(x)) + other(x))
    assert list(model.params) == [
        *(f"Recurrent.{f}" for f in ("Wxy", "Wyy", "by", "y")),
        *(f"Recurrent_4.{f}" for f in ("Wxy", "Wyy", "by", "y")),
    ]
    assert state_paths(trace(model)) == ["Recurrent.y", "Recurrent_2.y", "Recurrent_3.y", "Recurrent_4.y"]


def test_a_field_layer_called_twice() -> None:
    @net
    def model(x, *, cell=Recurrent(3, 3)):
        return cell(cell(x))

    assert state_paths(trace(model)) == ["cell.y", "cell_2.y"]
    assert list(model.params) == [f"cell.{f}" for f in ("Wxy", "Wyy", "by", "y")]


# -- weights ---------------------------------------------------------------------------------------
def test_draws_depend_on_seed_and_path_only() -> None:
    a, b = Recurrent(4, 3), Recurrent(4, 3)
    np.testing.assert_array_equal(a.params["Wxy"], b.params["Wxy"])
    first, second = (trace(Recurrent(4, 3), seed=s).interface.params["Wxy"] for s in (0, 1))
    assert first is not None and second is not None
    assert not np.array_equal(first, second)
    deep = Chain(Recurrent(3, 3), Recurrent(3, 3)).params
    assert not np.array_equal(deep["0.Wxy"], deep["1.Wxy"])


def test_weights_once_seen_stay() -> None:
    model = Chain(Affine(4, 3), tanh, Recurrent(3, 2))
    whole, x = model.params, noise(5, 2, 4)
    np.testing.assert_array_equal(model[2].params["Wxy"], whole["2.Wxy"])
    np.testing.assert_allclose(model[1:](model[:1](x)), model(x))


def test_drawn_in_float32_within_bounds() -> None:
    W = Affine(40, 20).params["W"]
    assert W.dtype == np.float32
    assert np.abs(W).max() <= np.sqrt(6 / 60)
    assert np.abs(W).max() > 0.9 * np.sqrt(6 / 60)


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_load(tmp_path: Any, suffix: str) -> None:
    from safetensors.numpy import save_file

    arrays = {k: noise(*v.shape) for k, v in Recurrent(4, 3).params.items() if k != "y"}
    file = str(tmp_path / f"w.{suffix}")
    if suffix == "npz":
        np.savez(file, **arrays)
    else:
        save_file(arrays, file)
    layer = Recurrent(4, 3)
    assert layer.load(file) is layer
    for name, array in arrays.items():
        np.testing.assert_array_equal(layer.params[name], array)
    np.testing.assert_array_equal(layer.params["y"], np.zeros(3))


def test_load_a_mapping_initial_values_too() -> None:
    layer = Chain(Recurrent(4, 3))
    mapping = {k: noise(*v.shape) for k, v in layer.params.items()}
    layer.load(mapping)
    np.testing.assert_array_equal(layer.params["0.y"], mapping["0.y"])
    mapping["0.y"][:] = 0
    assert layer.params["0.y"].any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"V": np.zeros(3, np.float32)}, "has a tensor V, which"),
        ({"W": None}, "has no tensor W, which"),
        ({"W": np.zeros((3, 4), np.float32)}, "the tensor W in .* has shape"),
        ({"W": np.zeros((4, 3))}, "the tensor W in .* has elements of type float64"),
    ],
)
def test_load_refuses(tmp_path: Any, change: dict[str, Any], message: str) -> None:
    layer = Affine(4, 3)
    before = layer.params
    arrays = {k: v + 1 for k, v in before.items()} | change
    file = str(tmp_path / "w.npz")
    np.savez(file, **{k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(FileError, match=message) as caught:
        layer.load(file)
    assert file in caught.value.message
    np.testing.assert_array_equal(layer.params["b"], before["b"])


@pytest.mark.parametrize("name", ["w.npz", "w.safetensors", "w.txt"])
@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 cut short", b"\x10\0\0\0\0\0\0\0{}"])
def test_load_refuses_foreign_files(tmp_path: Any, name: str, content: bytes | None) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(FileError, match=r"w\."):
        Affine(4, 3).load(file)


def test_load_refuses_pickles(tmp_path: Any) -> None:
    file = tmp_path / "w.npz"
    np.savez(file, W=np.array([{"a": 1}], object))
    with pytest.raises(FileError, match="plain arrays"):
        Affine(4, 3).load(file)


# -- composition -------------------------------------------------------------------------------------
def test_chain_is_a_sequence() -> None:
    model = Chain(Affine(4, 3), tanh, Chain(Recurrent(3, 3), last))
    assert len(model) == 3
    assert [repr(m) for m in model] == ["Affine(4, 3)", "tanh", "Chain(Recurrent(3, 3), last)"]
    assert model[0] is next(iter(model))
    assert isinstance(model[1:], Chain) and len(model[1:]) == 2
    graph = trace(model)
    assert state_paths(graph) == ["2.0.y"]
    assert [(o.name, o.kind) for o in graph.interface.outputs] == [("y", "final")]


def test_an_empty_chain_gives_what_it_takes() -> None:
    np.testing.assert_array_equal(Chain()(noise(3, 2, 1)), noise(3, 2, 1))


def test_chain_passes_tuples_on() -> None:
    both = net(lambda x: (x, 2 * x))
    difference = net(lambda a, b: b - a)
    x = noise(3, 2, 4)
    np.testing.assert_allclose(Chain(both, difference)(x), x)
    first, second = Chain(both)(x)
    np.testing.assert_allclose(second, 2 * first)


def test_functions_in_a_chain_may_delay() -> None:
    model = Chain(lambda x: x - x[-1], tanh)
    assert state_paths(trace(model, {"x": (2,)})) == ["0.x"]


def test_flip_twice_is_nothing() -> None:
    r = Recurrent(3, 3)
    assert flip(flip(r)) is r
    x = noise(5, 2, 3)
    np.testing.assert_allclose(flip(r)(x), r(x[::-1])[::-1])
    np.testing.assert_allclose(flip(Chain(r, flip(r)))(x), r(r(x[::-1])[::-1]))
    assert list(flip(r).params) == list(r.params)


def test_flip_turns_a_look_ahead_back() -> None:
    graph = trace(flip(net(lambda x: x[2])), {"x": (1,)})
    assert [(s.path, s.depth) for s in graph.interface.states] == [("x", 2)]


def test_last() -> None:
    r, x = Recurrent(3, 3), noise(5, 2, 3)
    np.testing.assert_allclose(net(lambda x: last(r(x)))(x), r(x)[-1])
    np.testing.assert_allclose(Chain(r, last, tanh)(x), np.tanh(r(x)[-1]))


def test_given_is_the_same_at_every_step() -> None:
    @net
    def gain(x, g=given(3)):
        return x * g

    x, g = noise(5, 2, 3), noise(2, 3, seed=1)
    np.testing.assert_allclose(gain(x, g), x * g)
    assert [i.kind for i in trace(gain).interface.inputs] == ["stream", "given"]
