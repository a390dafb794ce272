"""What people put around recurrent modules, exported by PyTorch: streamed, or refused with the reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.errors import FormError, RnncError
from rnnc.runtime import Stream

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning"),
]
torch = pytest.importorskip("torch")
nn: Any = torch.nn
F: Any = torch.nn.functional


class Of(nn.Module):
    """A function of its modules and an input ``[B, T, 8]``."""

    def __init__(self, function, **modules) -> None:
        super().__init__()
        self.function = function
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, x):
        return self.function(self, x)


class Dilated(nn.Module):
    """A block of a temporal convolutional network: padded on both sides, and cut."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.d, self.conv = d, nn.Conv1d(8, 8, 3, padding=2 * d, dilation=d)
        nn.utils.parametrizations.weight_norm(self.conv)

    def forward(self, x):
        return x + F.gelu(self.conv(x)[:, :, : -2 * self.d])


def turned(x):
    return x.transpose(1, 2)


def front(x, n):
    return F.pad(turned(x), (n, 0))


def noisy(norm):
    """Statistics as after training."""
    norm.running_mean.uniform_(-1, 1)
    norm.running_var.uniform_(0.5, 2)
    return norm


# fmt: off
LAYERS = {
    "layer norm": lambda: Of(
        lambda s, x: s.r(s.n(x))[0], n=nn.LayerNorm(8), r=nn.GRU(8, 9, batch_first=True)),
    "batch norm": lambda: Of(lambda s, x: turned(s.n(turned(x))), n=noisy(nn.BatchNorm1d(8))),
    "group norm of frames": lambda: Of(
        lambda s, x: s.n(x.reshape(-1, 8)).view(x.shape[0], x.shape[1], 8), n=nn.GroupNorm(2, 8)),
    "gelu": lambda: Of(lambda s, x: F.gelu(s.w(x)) + F.gelu(x, approximate="tanh"), w=nn.Linear(8, 8)),
    "activations": lambda: Of(
        lambda s, x: F.silu(x) + F.elu(x) + F.hardswish(x) + F.softplus(x) + F.mish(x) + F.relu6(x)
        + F.leaky_relu(x) + F.prelu(x, s.p), p=nn.Parameter(torch.rand(1))),
    "chunks": lambda: Of(
        lambda s, x: (lambda a, b: a * b.sigmoid())(*s.w(x).chunk(2, -1)), w=nn.Linear(8, 16)),
    "split and join": lambda: Of(lambda s, x: torch.cat(x.split([3, 5], -1)[::-1], -1)),
    "glu": lambda: Of(lambda s, x: F.glu(s.w(x), -1), w=nn.Linear(8, 16)),
    "depthwise": lambda: Of(lambda s, x: turned(s.c(front(x, 3))), c=nn.Conv1d(8, 8, 4, groups=8)),
    "weight norm": lambda: Of(lambda s, x: turned(s.b(s.a(turned(x)))), a=Dilated(1), b=Dilated(2)),
    "weight norm of old": lambda: Of(
        lambda s, x: turned(s.c(front(x, 2))), c=nn.utils.weight_norm(nn.Conv1d(8, 8, 3))),
    "cut at the length": lambda: Of(
        lambda s, x: turned(s.c(turned(x))[:, :, : x.shape[1]]), c=nn.Conv1d(8, 8, 3, padding=2)),
    "image": lambda: Of(
        lambda s, x: s.c(F.pad(x[:, None], (1, 1, 2, 0))).permute(0, 2, 1, 3).flatten(2),
        c=nn.Conv2d(1, 3, 3)),
    "largest of three": lambda: Of(lambda s, x: turned(F.max_pool1d(front(x, 2), 3, 1))),
    "mean of three": lambda: Of(lambda s, x: turned(F.avg_pool1d(front(x, 2), 3, 1))),
    "residual": lambda: Of(lambda s, x: x + s.r(x)[0], r=nn.LSTM(8, 8, batch_first=True)),
    "running mean": lambda: Of(lambda s, x: x.cumsum(1) / torch.arange(1, x.shape[1] + 1)[None, :, None]),
    "frame before, padded": lambda: Of(lambda s, x: x - F.pad(x, (0, 0, 1, 0))[:, :-1]),
    "frame before, joined": lambda: Of(
        lambda s, x: x - torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], 1)),
    "masked": lambda: Of(
        lambda s, x: s.r(x.masked_fill(x < 0.2, 0.0))[0], r=nn.GRU(8, 5, batch_first=True)),
    "positions": lambda: Of(lambda s, x: x + s.p[: x.shape[1]], p=nn.Parameter(torch.rand(64, 8))),
    "start that is learnt": lambda: Of(
        lambda s, x: s.r(x, s.h.expand(1, x.shape[0], 9).contiguous())[0],
        r=nn.GRU(8, 9, batch_first=True), h=nn.Parameter(torch.rand(1, 1, 9))),
    "start that is repeated": lambda: Of(
        lambda s, x: s.r(x, s.h.repeat(1, x.shape[0], 1))[0],
        r=nn.GRU(8, 9, batch_first=True), h=nn.Parameter(torch.rand(1, 1, 9))),
    "product of frames": lambda: Of(
        lambda s, x: torch.einsum("btf,fg->btg", x, s.w), w=nn.Parameter(torch.rand(8, 4))),
    "GRU over parts of a frame": lambda: Of(
        lambda s, x: torch.stack([s.r(a)[0] for a in x.split(4, -1)], -1).flatten(2),
        r=nn.GRU(4, 5, batch_first=True)),
}
LASTS = {
    "last": lambda: Of(
        lambda s, x: s.w(s.r(x)[0][:, -1]), r=nn.GRU(8, 9, batch_first=True), w=nn.Linear(9, 2)),
    "last state": lambda: Of(
        lambda s, x: s.w(s.r(x)[1][-1]), r=nn.GRU(8, 9, batch_first=True), w=nn.Linear(9, 2)),
}
REFUSED = {
    "mean": (lambda: Of(lambda s, x: x - x.mean(1, keepdim=True)), "ReduceMean.* it reduces over time"),
    "attention": (lambda: Of(lambda s, x: (x @ turned(x)).softmax(-1) @ x), "time to several axes"),
    "norm over time": (lambda: Of(lambda s, x: turned(s.n(turned(x))), n=nn.GroupNorm(1, 8)),
                       "InstanceNormalization gives, .*along time"),
    "backwards": (lambda: Of(lambda s, x: x.flip(1)), "turns time around"),
    "every other frame": (lambda: Of(lambda s, x: x[:, ::2]), "Slice that gives 'y'.*with step 2"),
    "the first frame": (lambda: Of(lambda s, x: x[:, 0]), "frames of fixed numbers"),
}
# fmt: on


@pytest.fixture(autouse=True)
def _one_thread():
    torch.manual_seed(0)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def read(module):
    return rnnc.from_torch(module, torch.rand(1, 6, 8), time=1, exporter="torchscript")


@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_streamed(name: str) -> None:
    module = LAYERS[name]().eval()
    graph, x = read(module), 2 * torch.rand(2, 11, 8) - 1
    with torch.no_grad():
        wanted = module(x).numpy().swapaxes(0, 1)
    np.testing.assert_allclose(rnnc.reference(graph, x.numpy().swapaxes(0, 1))[0], wanted, atol=1e-5)
    stream = Stream(rnnc.compile(graph, "step"))
    found = np.stack([stream.push(frame) for frame in x.numpy().swapaxes(0, 1)])
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("name", LASTS)
def test_what_is_known_at_the_end_is_final(name: str) -> None:
    module = LASTS[name]().eval()
    graph, x = read(module), torch.rand(2, 11, 8)
    with torch.no_grad():
        wanted = module(x).numpy()
    assert [o.kind for o in graph.interface.outputs] == ["final"]
    np.testing.assert_allclose(rnnc.reference(graph, x.numpy().swapaxes(0, 1))[0], wanted, atol=1e-5)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_stream_is_refused_by_name(name: str) -> None:
    make, reason = REFUSED[name]
    with pytest.raises(RnncError, match=reason):
        read(make().eval())


def test_lengths_of_packed_sequences_are_refused() -> None:
    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru = nn.GRU(8, 5, batch_first=True)

        def forward(self, x, lengths):
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            return nn.utils.rnn.pad_packed_sequence(self.gru(packed)[0], batch_first=True)[0]

    with pytest.raises(FormError, match="gru reads a packed sequence"):
        rnnc.from_torch(
            Packed(), (torch.rand(2, 5, 8), torch.tensor([5, 3])), time={"x": 1}, exporter="torchscript"
        )


def test_a_look_ahead_can_wait() -> None:
    module = Of(lambda s, x: turned(s.c(turned(x))), c=nn.Conv1d(8, 4, 3, padding=1)).eval()
    x = torch.rand(2, 9, 8)
    with torch.no_grad():
        wanted = module(x).numpy().swapaxes(0, 1)
    stream = Stream(rnnc.compile(read(module), "step", latency=1))
    found = [stream.push(frame) for frame in x.numpy().swapaxes(0, 1)]
    found = [*found[1:], *stream.flush()]
    np.testing.assert_allclose(np.stack(found), wanted, atol=1e-5)
