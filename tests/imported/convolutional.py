"""Streams that convolve over time with what they kept of it: each history is a state that frames join."""

from __future__ import annotations

import torch
from torch import nn

from tests.imported.exported import export, seeded
from tests.imported.step_model import StepModel


class Gated(nn.Module):
    """A dilated causal convolution, gated as in WaveNet, with its history ``[B, C, (k-1)·d]``."""

    def __init__(self, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.kept = (kernel - 1) * dilation
        self.conv = nn.Conv1d(channels, 2 * channels, kernel, dilation=dilation)
        self.skip, self.out = nn.Conv1d(channels, channels, 1), nn.Conv1d(channels, channels, 1)

    def forward(self, x, history):
        seen = torch.cat([history, x], dim=2)
        a, b = self.conv(seen).chunk(2, dim=1)
        z = torch.tanh(a) * torch.sigmoid(b)
        return x + self.out(z), self.skip(z), seen[:, :, -self.kept :]


class TCN(nn.Module):
    """Residual layers with dilations 1, 2, 4, …; a call takes a sample of all channels, ``[B, C, 1]``."""

    def __init__(self, inputs: int, channels: int, layers: int, kernel: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(inputs, channels, 1)
        self.layers = nn.ModuleList(Gated(channels, kernel, 2**k) for k in range(layers))
        self.last = nn.Conv1d(channels, 1, 1)

    def forward(self, x, *histories):
        x, total, kept = self.first(x), 0, []
        for layer, history in zip(self.layers, histories, strict=True):
            x, skip, history = layer(x, history)
            total = total + skip
            kept.append(history)
        return (self.last(torch.relu(total)), *kept)


def tcn(inputs: int = 2, channels: int = 16, layers: int = 8, kernel: int = 3) -> StepModel:
    """An audio effect, a sample a call."""
    module = seeded(TCN, inputs, channels, layers, kernel)
    tensors = {"x": torch.zeros(1, inputs, 1)}
    for k, layer in enumerate(module.layers):
        tensors[f"buf{k}"] = torch.zeros(1, channels, layer.kept)
    names = [f"buf{k}_out" for k in range(layers)]
    proto = export(module, tensors, ["y", *names], 18, dynamo=True)
    return StepModel(proto, {name: name.removesuffix("_out") for name in names})


class Memory(nn.Module):
    """A feed-forward layer with memory: a depthwise convolution over its last outputs."""

    def __init__(self, size: int, inner: int, order: int) -> None:
        super().__init__()
        self.linear, self.project = nn.Linear(size, inner), nn.Linear(inner, size, bias=False)
        self.memory = nn.Conv2d(size, size, (order + 1, 1), groups=size, bias=False)
        self.order = order

    def forward(self, x, cache):
        p = self.project(torch.relu(self.linear(x)))
        now = p.unsqueeze(1).permute(0, 3, 2, 1)  # B, D, T, 1
        seen = torch.cat([cache, now], dim=2)
        y = now + self.memory(seen)
        return y.permute(0, 3, 2, 1).squeeze(1), seen[:, :, -self.order :, :]


class FSMN(nn.Module):
    """A detector of speech of four layers with memory; a call takes a frame ``[B, 1, F]``."""

    def __init__(self, features: int, size: int, inner: int, order: int, layers: int, classes: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(features, inner), nn.Linear(inner, size)
        self.layers = nn.ModuleList(Memory(size, inner, order) for _ in range(layers))
        self.last = nn.Linear(size, classes)

    def forward(self, x, *caches):
        x, kept = torch.relu(self.second(self.first(x))), []
        for layer, cache in zip(self.layers, caches, strict=True):
            x, cache = layer(x, cache)
            kept.append(cache)
        return (torch.softmax(self.last(x), dim=-1), *kept)


def memory_detector(
    features: int = 400,
    size: int = 128,
    inner: int = 250,
    order: int = 19,
    layers: int = 4,
    classes: int = 248,
) -> StepModel:
    """Like FunASR's FSMN detector of speech."""
    inputs = {"speech": torch.zeros(1, 1, features)}
    inputs |= {f"in_cache{k}": torch.zeros(1, size, order, 1) for k in range(layers)}
    names = [f"out_cache{k}" for k in range(layers)]
    module = seeded(FSMN, features, size, inner, order, layers, classes, gain=1.8)
    proto = export(module, inputs, ["logits", *names], 14)
    return StepModel(proto, {name: name.replace("out", "in") for name in names})


class Personal(nn.Module):
    """A frame's features, normed by running means, convolved, scaled by who speaks; a GRU; a mask."""

    def __init__(self, bins: int, channels: int, units: int, speaker: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(bins, channels, 5)
        self.scale, self.shift = nn.Linear(speaker, channels), nn.Linear(speaker, channels)
        self.gru = nn.GRUCell(channels, units)
        self.mask = nn.Linear(units, bins)

    def forward(self, spec, speaker, mean, var, ring, h):
        x = torch.log(spec.abs() + 1e-3)
        mean = 0.99 * mean + 0.01 * x
        var = 0.99 * var + 0.01 * (x - mean) ** 2
        x = (x - mean) / torch.sqrt(var + 1e-2)
        ring = torch.cat([ring[:, :, 1:], x[:, :, None]], dim=2)
        y = torch.relu(self.conv(ring)[:, :, 0])
        y = y * torch.sigmoid(self.scale(speaker)) + self.shift(speaker)
        h = self.gru(y, h)
        return spec * torch.sigmoid(self.mask(h)), mean, var, ring, h


def personal_denoiser(bins: int = 161, channels: int = 96, units: int = 192, speaker: int = 64) -> StepModel:
    """A denoiser that is given whose voice to keep; its convolution's ring has the frame itself in it."""
    inputs = {
        "spec": torch.zeros(1, bins),
        "speaker": torch.zeros(1, speaker),
        "mean": torch.zeros(1, bins),
        "var": torch.zeros(1, bins),
        "ring": torch.zeros(1, bins, 5),
        "h": torch.zeros(1, units),
    }
    states = ["mean", "var", "ring", "h"]
    module = seeded(Personal, bins, channels, units, speaker)
    proto = export(module, inputs, ["out", *(f"{s}_out" for s in states)], 20, dynamo=True)
    return StepModel(proto, {f"{s}_out": s for s in states}, given=("speaker",))
