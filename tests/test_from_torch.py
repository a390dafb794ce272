"""Modules of PyTorch read as streams: equal to the module, whole and step by step, at sizes of their own."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import onnxruntime
import pytest

import rnnc
from rnnc.errors import FormError, MissingExtra
from rnnc.runtime import Stream

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore:LSTM with projections")]
torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
nn: Any = torch.nn
subjects = pytest.importorskip("tools.torch_modules")

CLOSE = 1e-4
MODULES = {s.name: s for s in subjects.MODULES}
ROLLS = {r.name: r for r in subjects.ROLLS}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.manual_seed(1)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def of(module, *xs) -> Any:
    with torch.no_grad():
        return module(*xs).numpy()


def run(compiled: Any, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(compiled.proto.SerializeToString())
    y: np.ndarray = session.run(None, {session.get_inputs()[0].name: x})[0]
    return y


def sequence(graph: Any, x: np.ndarray) -> np.ndarray:
    return run(rnnc.compile(graph), x)


def steps(graph: Any, x: np.ndarray) -> np.ndarray:
    stream = Stream(rnnc.compile(graph, "step"))
    return np.stack([stream.push(frame) for frame in x])


@pytest.mark.parametrize(
    ("name", "exporter"),
    [
        *((n, "torchscript") for n in MODULES if "cell" not in n),
        pytest.param("convolutions, LSTM stack", "dynamo", marks=pytest.mark.slow),
        pytest.param("projected LSTM", "dynamo", marks=pytest.mark.slow),
    ],
)
def test_sequence_modules(name: str, exporter: str) -> None:
    subject = MODULES[name]
    module = subject.made()
    graph = rnnc.from_torch(module, subject.example(7, 2), exporter=exporter, **subject.options)
    for t, batch in ((5, 3), (33, 1)):
        x = subject.example(t, batch)
        wanted = np.moveaxis(of(module, x), subject.time, 0)
        first = np.moveaxis(x.numpy(), subject.time, 0)
        np.testing.assert_allclose(sequence(graph, first), wanted, atol=CLOSE)
        np.testing.assert_allclose(rnnc.reference(graph, first)[0], wanted, atol=CLOSE)
        if subject.causal:
            np.testing.assert_allclose(steps(graph, first), wanted, atol=CLOSE)
    if not subject.causal:
        with pytest.raises(FormError, match="cannot look ahead"):
            rnnc.compile(graph, "step")


@pytest.mark.parametrize("state", [2, ("h", "c"), {1: "h", 2: "c"}, {1: 1, 2: 2}])
def test_step_modules(state: Any) -> None:
    subject = MODULES["LayerNorm-LSTM cell"]
    module = subject.made()
    x, h, c = subject.example(9, 3), torch.zeros(3, 10), torch.zeros(3, 10)
    example = (x[0, :1], h[:1], c[:1])  # a batch of one
    graph = rnnc.from_torch(module, example, state=state)
    wanted = []
    with torch.no_grad():
        for frame in x:
            y, h, c = module(frame, h, c)
            wanted.append(y.numpy())
    assert [s.path for s in graph.interface.states] == ["h", "c"]
    np.testing.assert_allclose(sequence(graph, x.numpy()), np.stack(wanted), atol=CLOSE)
    np.testing.assert_allclose(steps(graph, x.numpy()), np.stack(wanted), atol=CLOSE)


@pytest.mark.parametrize("name", ROLLS)
def test_loops_in_python_have_any_length(name: str) -> None:
    roll = ROLLS[name]
    module = roll.made()
    compiled = rnnc.compile(rnnc.from_torch(module, roll.example(12, 2), time=roll.time))
    assert len(compiled.proto.graph.node) < 30
    kind = "If" if "LayerNorm" in name else name.partition("Cell")[0]
    assert [n.op_type for n in compiled.proto.graph.node].count(kind) == 1
    for t, batch in ((7, 3), (50, 2), (333, 1)):
        x = roll.example(t, batch)
        y = run(compiled, np.moveaxis(x.numpy(), roll.time, 0))
        wanted = of(module, x)
        wanted = np.moveaxis(wanted, roll.time, 0) if roll.stacked else wanted
        np.testing.assert_allclose(y, wanted, atol=CLOSE)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["LayerNorm-LSTM, batch first, last", "LSTMCell from 0.5"])
def test_the_other_exporter_writes_loops_that_roll_up_too(name: str) -> None:
    roll = ROLLS[name]
    module = roll.made()
    graph = rnnc.from_torch(module, roll.example(5, 2), time=roll.time, exporter="dynamo")
    x = roll.example(31, 3)
    wanted = of(module, x)
    wanted = np.moveaxis(wanted, roll.time, 0) if roll.stacked else wanted
    np.testing.assert_allclose(sequence(graph, np.moveaxis(x.numpy(), roll.time, 0)), wanted, atol=CLOSE)


class First(nn.Module):
    """The outputs of a recurrent module without its final states."""

    def __init__(self, inner) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)[0]


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize(
    "options",
    [{}, {"num_layers": 2, "bias": False}, {"bidirectional": True, "num_layers": 2}, {"batch_first": True}],
    ids=str,
)
def test_recurrent_modules(kind: Any, options: dict[str, Any]) -> None:
    module = First(kind(4, 12, **options))
    time = int(bool(options.get("batch_first")))
    graph = rnnc.from_torch(module, torch.rand(4, 1, 4), time=time)
    x = torch.rand(9, 9, 4)
    with torch.no_grad():
        wanted = np.moveaxis(module(x).numpy(), time, 0)
    found, _ = rnnc.reference(graph, np.moveaxis(x.numpy(), time, 0))
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert "inner.weight_hh_l0" in graph.interface.params


def test_final_states_are_known_at_the_end() -> None:
    module = nn.LSTM(4, 6, 2)
    graph = rnnc.from_torch(module, torch.rand(4, 1, 4), time=0)
    x = torch.rand(9, 2, 4)
    with torch.no_grad():
        y, (h, c) = module(x)
    found, after = rnnc.reference(graph, x.numpy())
    for mine, wanted in zip(found, (y, h, c), strict=True):
        np.testing.assert_allclose(mine, wanted, atol=1e-5)
    np.testing.assert_allclose(after["rnn.l1.c"][0], c[1], atol=1e-5)
    both = nn.LSTM(4, 6, bidirectional=True)
    with pytest.raises(FormError, match=r"rnn\.l0_reverse.*runs in reverse is that of the first step"):
        rnnc.from_torch(both, torch.rand(4, 1, 4), time=0, exporter="torchscript")


def test_states_of_a_recurrent_module_are_states() -> None:
    class Streaming(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.out = nn.LSTM(4, 6, 2), nn.Linear(6, 3)

        def forward(self, x, states):
            y, states = self.lstm(x[None], states)
            return self.out(y[0]), states

    module = Streaming()
    zeros = torch.zeros(2, 1, 6)
    graph = rnnc.from_torch(module, (torch.rand(1, 4), (zeros, zeros)), state="states")
    assert [s.path for s in graph.interface.states] == ["states_0", "states_1"]
    x = torch.rand(11, 3, 4)
    with torch.no_grad():
        wanted = module.out(module.lstm(x)[0]).numpy()
    compiled = rnnc.compile(graph)
    np.testing.assert_allclose(run(compiled, x.numpy()), wanted, atol=CLOSE)
    assert [n.op_type for n in compiled.proto.graph.node].count("LSTM") == 2
    np.testing.assert_allclose(steps(graph, x.numpy()), wanted, atol=CLOSE)


def test_the_module_is_left_as_it_was() -> None:
    subject = MODULES["convolutions, LSTM stack"]
    module = subject.made().train()
    module.lstm.eval()
    before = {n: t.clone() for n, t in module.state_dict().items()}
    rnnc.from_torch(module, subject.example(5, 2), time=1)
    assert [module.norm.training, module.lstm.training, module.mask.training] == [True, False, True]
    assert "forward" not in module.lstm.__dict__
    assert all(bool((t == before[n]).all()) for n, t in module.state_dict().items())
    assert torch.is_grad_enabled()


def test_nothing_is_said(capfd) -> None:
    subject = MODULES["projected LSTM"]
    rnnc.from_torch(subject.made(), subject.example(4, 2), time=0)
    assert capfd.readouterr() == ("", "")


class Mean(nn.Module):
    def forward(self, x):
        return x - x.mean(1, keepdim=True)


class Fixed(nn.Module):
    """What it multiplies by depends on the length of its example."""

    def forward(self, x):
        return x * float(x.shape[1])


def test_what_was_fixed_by_the_example_is_noticed() -> None:
    with pytest.raises(FormError, match=r"of Fixed is not what it computes: .* off by .* \[6, 10, 3\]"):
        rnnc.from_torch(Fixed(), torch.rand(2, 5, 3), time=1, exporter="torchscript")


def test_what_cannot_be_read_says_why() -> None:
    x = torch.rand(2, 5, 3)
    with pytest.raises(FormError, match=r"ReduceMean.*it reduces over time"):
        rnnc.from_torch(Mean(), x, time=1, exporter="torchscript")
    with pytest.raises(FormError, match="nothing says which"):
        rnnc.from_torch(nn.GRU(3, 2, batch_first=True), x)
    with pytest.raises(FormError, match="no input 'z'"):
        rnnc.from_torch(Mean(), x, state="z")
    with pytest.raises(FormError, match="no axis 3"):
        rnnc.from_torch(Mean(), x, time=3)
    with pytest.raises(FormError, match="does not take the example inputs"):
        rnnc.from_torch(Mean(), (x, x), time=1)
    with pytest.raises(FormError, match=r"no torch\.nn\.Module"):
        rnnc.from_torch(len, x)


def test_without_torch(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match="PyTorch"):
        rnnc.from_torch(None, ())
