"""Layers as torch modules: the same numbers as the reference machine, and gradients."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from rnnc import Chain, concat, delay, flip, glorot, last, net, stream, tanh, zeros
from rnnc.cells import (
    LSTM,
    Affine,
    Bidirectional,
    Embedding,
    GatedRecurrent,
    LayerNormLSTM,
    PeepholeLSTM,
    Recurrent,
)
from rnnc.errors import FormError, MissingExtra, RnncError, TypeMismatch

pytestmark = pytest.mark.torch


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@net
def Running(x, *, W=glorot("in", "out"), U=glorot("out", "out"), y=zeros("out")):
    y = tanh(x @ W + y[-1] @ U + 0.5 * y[-3])
    return y


@net
def Two(x, g=stream(2), *, W=glorot("in", "out"), s=zeros("out")):
    s = tanh(x @ W + s[-1])
    return s, concat(s, g)


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, shape)


def numpy(value) -> Any:
    return value.detach().numpy()


def layers() -> dict[str, Any]:
    shared = Recurrent(3, 3)
    return {
        "recurrent": Recurrent(3, 4),
        "lstm": LSTM(3, 4),
        "gru": GatedRecurrent(3, 4),
        "chain": Chain(Affine(3, 5), tanh, LSTM(5, 4), Recurrent(4, 2)),
        "depth 3": Running(3, 4),
        "shared": Chain(shared, shared),
        "peephole": PeepholeLSTM(3, 4),
        "layer norm": LayerNormLSTM(3, 4),
        "flipped": flip(LSTM(3, 4)),
        "both ways": Bidirectional(LSTM(3, 4), Recurrent(3, 2)),
        "difference": Chain(Affine(3, 2), net(lambda x: x - x[-1])),
    }


@pytest.mark.parametrize("name", layers())
def test_a_sequence_is_what_the_reference_machine_says(torch, name):
    layer = layers()[name]
    module, x = layer.to_torch().double(), random(6, 2, 3)
    np.testing.assert_allclose(numpy(module(torch.tensor(x))), layer(x), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in layers() if name not in ("flipped", "both ways")])
def test_steps_and_pieces_are_the_sequence(torch, name):
    module, x = layers()[name].to_torch().double(), torch.tensor(random(7, 2, 3))
    whole, after = module(x, state={})
    state, steps = module.initial_state(2), []
    for x_t in x:
        y, state = module.step(x_t, state=state)
        steps.append(y)
    torch.testing.assert_close(torch.stack(steps), whole)
    first, state_2 = module(x[:2], state={})
    second, state_2 = module(x[2:], state=state_2)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    for found in (state, state_2):
        assert found.keys() == after.keys()
        for path, value in after.items():
            torch.testing.assert_close(found[path], value)


@pytest.mark.parametrize("name", layers())
def test_parameters_are_the_layer_s_under_its_paths(torch, name):
    layer = layers()[name]
    saved = layer.to_torch().state_dict()
    assert saved.keys() == layer.params.keys()
    for path, array in layer.params.items():
        np.testing.assert_array_equal(saved[path].numpy(), array)


def test_what_is_trained_is_what_is_loaded(torch):
    layer, x = Chain(LSTM(3, 8), Affine(8, 1)), random(10, 4, 3)
    module = layer.to_torch()
    inputs = torch.tensor(x, dtype=torch.float32)
    target = inputs.sum(-1, keepdim=True).cumsum(0).tanh()
    optimizer = torch.optim.Adam(module.parameters(), lr=0.03)
    losses = []
    for _ in range(40):
        loss = ((module(inputs) - target) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 4
    layer.load(module.state_dict())
    np.testing.assert_allclose(layer(x), numpy(module(inputs)), atol=1e-5)
    assert any(layer.params["0.y"])


def test_gradients_reach_every_parameter_and_are_right(torch):
    module = LSTM(2, 3).to_torch().double()
    x = torch.tensor(random(4, 2, 2), requires_grad=True)
    names = [name for name, _ in module.named_parameters()]

    def run(x, *parameters):
        return torch.func.functional_call(module, dict(zip(names, parameters, strict=True)), (x,))

    torch.autograd.gradcheck(run, (x, *module.parameters()))
    module(x).sum().backward()
    assert [name for name, p in module.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_several_inputs_and_outputs(torch):
    layer = Two(3, 4)
    x, g = random(5, 2, 3), random(5, 2, 2, seed=1)
    found = layer.to_torch().double()(torch.tensor(x), torch.tensor(g))
    assert isinstance(found, tuple)
    for y, wanted in zip(found, layer(x, g), strict=True):
        np.testing.assert_allclose(numpy(y), wanted, rtol=1e-9)


def test_tokens(torch):
    layer, x = Chain(Embedding(7, 3), Recurrent(3, 2)), np.array([[0, 6], [3, 2], [1, 1]])
    np.testing.assert_allclose(numpy(layer.to_torch()(torch.tensor(x))), layer(x), atol=1e-6)


def test_fields_may_be_called_like_methods_of_modules(torch):
    layer = net(lambda x, *, forward=Recurrent(3, 2), step=glorot(2, 2): forward(x) @ step)
    module, x = layer.to_torch().double(), random(4, 2, 3)
    assert module.state_dict().keys() == layer.params.keys()
    np.testing.assert_allclose(numpy(module(torch.tensor(x))), layer(x), rtol=1e-9)


def test_the_precision_is_that_of_the_parameters(torch):
    module = Chain(LSTM(3, 4), net(lambda x: 2.0 * delay(x, 2))).to_torch()
    assert module(torch.tensor(random(3, 1, 3), dtype=torch.float32)).dtype == torch.float32
    assert module.double()(torch.tensor(random(3, 1, 3))).dtype == torch.float64


def test_the_last_step_and_no_steps(torch):
    final = net(lambda x, *, r=LSTM(3, 4): last(r(x)))
    x = random(5, 2, 3)
    np.testing.assert_allclose(numpy(final.to_torch().double()(torch.tensor(x))), final(x), rtol=1e-9)
    module = LSTM(3, 4).to_torch()
    y, state = module(torch.zeros(0, 2, 3), state={"y": torch.ones(2, 4)})
    assert y.shape == (0, 2, 4)
    assert bool((state["y"] == 1).all())


def test_a_model_that_looks_ahead_has_no_steps(torch):
    module = net(lambda x, *, W=glorot(3, 2): (x @ W)[1]).to_torch()
    assert module(torch.zeros(4, 1, 3)).shape == (4, 1, 2)
    with pytest.raises(FormError, match="looks ahead"):
        module.step(torch.zeros(1, 3))


def test_wrong_arguments_are_refused(torch):
    module = LSTM(3, 4).to_torch()
    with pytest.raises(RnncError, match="takes 1 input"):
        module()
    with pytest.raises(TypeMismatch, match=r"x should be f32\[T, B, 3\], and has shape \[2, 3\]"):
        module(torch.zeros(2, 3))
    with pytest.raises(RnncError, match="has no state q"):
        module(torch.zeros(2, 1, 3), state={"q": torch.zeros(1, 4)})
    with pytest.raises(TypeMismatch, match="the state y should be"):
        module(torch.zeros(2, 1, 3), state={"y": torch.zeros(1, 5)})


def test_without_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "rnnc.torch", raising=False)
    with pytest.raises(MissingExtra, match="PyTorch"):
        LSTM(3, 4).to_torch()
