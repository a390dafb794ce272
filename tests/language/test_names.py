"""What values, states and outputs are called, and how unknown sizes are found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc import Chain, constant, delay, given, glorot, net, normal, ones, stream, tanh, zeros
from rnnc.errors import FormError, LanguageError, TypeMismatch
from rnnc.frontend.assemble import trace
from tests.semantics import Affine, Recurrent, difference, fibonacci, noise


# -- names -------------------------------------------------------------------------------------------
def test_states_are_named_after_what_they_delay() -> None:
    @net
    def model(x=stream(3), *, y=zeros(3)):
        h = tanh(x + x[-2])
        z = h[-1] + (2 * x)[-3] + delay(x * x, 1) + y[-1]
        y = z + delay(h, 2, init=1.0)
        return y

    assert [(s.path, s.depth) for s in trace(model).interface.states] == [
        ("y", 1),
        ("x", 2),
        ("h", 1),
        ("s0", 3),
        ("s1", 1),
        ("h_2", 2),
    ]


def test_delays_add_up() -> None:
    @net
    def model(x=stream(1), *, y=ones(1)):
        y = y[-1][-1] + x[-1][-2]
        return y

    assert [(s.path, s.depth) for s in trace(model).interface.states] == [("y", 2), ("x", 3)]
    ahead_of_back = net(lambda x: x[-1][1])
    np.testing.assert_allclose(ahead_of_back(noise(4, 1, 1))[-1], 0)


def test_a_delay_before_and_after_the_assignment() -> None:
    @net
    def before(x, *, y=ones(1)):
        z = y[-1]
        y = x * 2
        return z

    @net
    def after(x, *, y=ones(1)):
        y = x * 2
        z = y[-1]
        return z

    x = noise(4, 2, 1)
    np.testing.assert_array_equal(before(x), after(x))
    assert before(x)[0, 0] == 1


def test_a_delay_of_what_becomes_a_field_is_its_state() -> None:
    @net
    def model(x, *, y=constant(3, 1)):
        y = tanh(x)
        return y[-1]

    graph = trace(model)
    (state,) = graph.interface.states
    assert (state.path, float(state.init or 0)) == ("y", 3.0)


def test_outputs_are_named_as_returned() -> None:
    def names(model: Any) -> list[str]:
        return [o.name for o in trace(model, {"x": (2,)}).interface.outputs]

    @net
    def pair(x):
        h = tanh(x)
        out = h
        return out, h

    @net
    def alias(x, *, y=zeros(2)):
        y = y[-1] + x
        result = y
        return result

    @net
    def same(x):
        h = x * 2
        return h, h

    assert names(pair) == ["out", "h"]
    assert names(net(lambda x: (2 * x, x))) == ["y0", "x_out"]
    assert names(alias) == ["result"]
    assert names(same) == ["h", "h_2"]
    assert names(net(lambda x: x)) == ["x_out"]
    assert names(net(lambda x: tanh(x))) == ["y"]
    assert names(Chain(pair)) == ["y0", "y1"]
    assert names(Chain(alias)) == ["y"]


def test_values_are_named_after_locals() -> None:
    graph = trace(Chain(Recurrent(3, 3), net(lambda x: x * 2)))
    assert graph.outputs["y"].startswith("%")
    assert "0.y" in graph and "0.y1" in graph


def test_tap() -> None:
    @net
    def model(x, *, W=glorot(4, 3), cell=Recurrent(3, 3)):
        gate = tanh(x @ W)
        return cell(gate)

    graph = trace(model, tap=("gate", "cell.y"))
    assert [o.name for o in graph.interface.outputs] == ["y", "gate", "cell.y"]
    twice = trace(model, tap=("gate", "gate", "x"))
    assert [o.name for o in twice.interface.outputs] == ["y", "gate", "x_2"]
    with pytest.raises(FormError, match="tap asks for gat, which is not a value of model") as caught:
        trace(model, tap=("gat",))
    assert "gate" in caught.value.hint
    with pytest.raises(FormError, match="no stream"):
        trace(with_weight, tap=("U",))


@net
def with_weight(x, *, W=glorot(3, 3)):
    U = W * 2
    return x @ U


# -- sizes -------------------------------------------------------------------------------------------
def input_size(model: Any, **options: Any) -> Any:
    return trace(model, **options).interface.inputs[0].type.shape[1:]


def test_sizes_are_found() -> None:
    assert input_size(Affine(4, 3)) == (4,)
    assert input_size(net(lambda x, *, y=zeros(3): tanh(x) + y)) == (3,)
    assert input_size(
        net(lambda x, *, W=glorot(5, 2): rnnc.concat(x, x, x[-1])[..., :5] @ W), shapes={"x": 5}
    ) == (5,)
    assert input_size(net(lambda x, *, W=glorot(6, 2): rnnc.concat(x, 2 * x) @ W)) == (3,)


def test_a_size_meeting_a_field_never_broadcasts() -> None:
    @net
    def model(x, *, y=zeros(1)):
        y = y[-1] + x
        return y

    assert input_size(model) == (1,)
    assert input_size(net(lambda x, *, gain=ones(1), W=glorot(4, 3): (2 * gain * x) @ W)) == (4,)


def test_shapes() -> None:
    assert input_size(difference, shapes={"x": (2, 3)}) == (2, 3)
    with pytest.raises(FormError, match="shapes gives z, which is not an input"):
        trace(difference, {"z": (3,)})
    with pytest.raises(FormError, match="declared"):
        trace(net(lambda x=stream(3): x), {"x": (4,)})
    with pytest.raises(TypeMismatch, match="the size of x is not known"):
        trace(difference)


def test_unused_inputs_are_fine() -> None:
    graph = trace(net(lambda x=stream(2), unused=stream(5): x * 2))
    assert [i.name for i in graph.interface.inputs] == ["x", "unused"]
    assert "unused" in graph


def test_initial_values_computed_from_weights() -> None:
    @net
    def model(x=stream(2), *, start=constant(3, 2)):
        return delay(x, 1, init=2 * start + 1)

    (state,) = trace(model).interface.states
    assert state.init == 7.0
    np.testing.assert_allclose(model(np.zeros((1, 1, 2))), [[[7, 7]]])


def test_a_look_ahead_may_start_from_what_is_given() -> None:
    model = net(lambda x=stream(2), g=given(2): delay(x, -1, init=g))
    x, g = noise(3, 1, 2), noise(1, 2, seed=1)
    np.testing.assert_allclose(model(x, g), np.concatenate([x[1:], g[None]]))


def test_random_initial_values() -> None:
    @net
    def model(x, *, y=normal(3)):
        y = y[-1] + x
        return y

    np.testing.assert_allclose(model(np.zeros((1, 1, 3)))[0, 0], model.params["y"])


def test_a_model_must_be_one() -> None:
    for wrong in (3, tanh, lambda x: x):
        with pytest.raises(LanguageError, match="is not a model"):
            trace(wrong)


def test_unroll_is_a_model_of_its_own() -> None:
    assert rnnc.unroll(fibonacci, 3).steps == 3
    for n in (0, -1):
        with pytest.raises(FormError, match="at least one step"):
            rnnc.unroll(fibonacci, n)
