"""A streaming transducer encoder like icefall's: LSTMs with projection between feed-forward layers.

The states of all layers are two tensors, ``[L, B, P]`` and ``[L, B, H]``. A call takes nine frames of
features, which convolutions make one. The cells are decomposed: the exporter has no LSTM with projection.
"""

from __future__ import annotations

import torch
from torch import nn

from tests.imported.exported import export, seeded
from tests.imported.step_model import StepModel


def double_swish(x):
    return x * torch.sigmoid(x - 1.0)


class ProjectedLSTM(nn.Module):
    """One step of an LSTM whose output is projected."""

    def __init__(self, size: int, units: int) -> None:
        super().__init__()
        self.x = nn.Linear(size, 4 * units)
        self.h = nn.Linear(size, 4 * units)
        self.project = nn.Linear(units, size, bias=False)

    def forward(self, x, h, c):
        i, f, g, o = torch.chunk(self.x(x) + self.h(h), 4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return self.project(torch.sigmoid(o) * torch.tanh(c)), c


class BasicNorm(nn.Module):
    """Divides by the root of the mean square."""

    def __init__(self) -> None:
        super().__init__()
        self.eps = nn.Parameter(torch.tensor(0.25))

    def forward(self, x):
        return x * (torch.mean(x**2, dim=-1, keepdim=True) + self.eps.exp()) ** -0.5


class Layer(nn.Module):
    """A cell and a feed-forward part, each added to what enters it."""

    def __init__(self, size: int, units: int) -> None:
        super().__init__()
        self.cell = ProjectedLSTM(size, units)
        self.up, self.down = nn.Linear(size, 4 * size), nn.Linear(4 * size, size)
        self.norm = BasicNorm()

    def forward(self, x, h, c):
        h, c = self.cell(x, h, c)
        x = x + h
        x = x + self.down(double_swish(self.up(x)))
        return self.norm(x), h, c


class Encoder(nn.Module):
    """Nine frames ``[B, 9, F]`` to one encoding ``[B, 1, D]``."""

    def __init__(self, layers: int, size: int, units: int, features: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=(0, 1)),
            nn.ReLU(),
            nn.Conv2d(8, 32, 3, stride=2),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=(1, 2)),
            nn.ReLU(),
        )
        with torch.no_grad():
            width = self.convs(torch.zeros(1, 1, 9, features)).shape[-1]
        self.out = nn.Linear(64 * width, size)
        self.layers = nn.ModuleList(Layer(size, units) for _ in range(layers))

    def forward(self, x, h, c):
        x = self.convs(x.unsqueeze(1))
        b, channels, t, f = x.shape
        x = self.out(x.transpose(1, 2).reshape(b, t, channels * f))[:, 0]
        hs, cs = [], []
        for k, layer in enumerate(self.layers):
            x, hk, ck = layer(x, h[k], c[k])
            hs.append(hk)
            cs.append(ck)
        return x.unsqueeze(1), torch.stack(hs), torch.stack(cs)


def transducer_encoder(layers: int = 4, size: int = 192, units: int = 512, features: int = 80) -> StepModel:
    """The encoder."""
    inputs = {
        "x": torch.zeros(1, 9, features),
        "h": torch.zeros(layers, 1, size),
        "c": torch.zeros(layers, 1, units),
    }
    module = seeded(Encoder, layers, size, units, features, gain=2.0)
    proto = export(module, inputs, ["encoder_out", "next_h", "next_c"], 13)
    return StepModel(proto, {"next_h": "h", "next_c": "c"})
