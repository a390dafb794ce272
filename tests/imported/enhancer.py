"""Speech enhancement like GTCRN's: depthwise causal convolutions over time and frequency, and grouped GRUs.

The histories of all convolutions are one tensor, of which each has a part along time; so are the states of
the GRUs that weigh the channels, and of those over time at every frequency. GRUs over frequency begin anew in
every frame.
"""

from __future__ import annotations

import torch
from torch import nn

from tests.imported.exported import export, seeded
from tests.imported.step_model import StepModel

LOW, HIGH = 65, 192
BANDS = LOW + 64
DILATIONS = (1, 2, 5)
HISTORY = [2 * d for d in DILATIONS]


class Neighbours(nn.Module):
    """Each bin with the two beside it, as channels."""

    def __init__(self) -> None:
        super().__init__()
        self.unfold = nn.Unfold((1, 3), padding=(0, 1))

    def forward(self, x):
        return self.unfold(x).reshape(x.shape[0], x.shape[1] * 3, x.shape[2], x.shape[3])


class Attention(nn.Module):
    """Weighs the channels by a GRU over their energies in time."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gru = nn.GRU(channels, 2 * channels, batch_first=True)
        self.fc = nn.Linear(2 * channels, channels)

    def forward(self, x, h):
        energy = torch.mean(x.pow(2), dim=-1)
        y, h = self.gru(energy.transpose(1, 2), h)
        return x * torch.sigmoid(self.fc(y)).transpose(1, 2)[..., None], h


class Block(nn.Module):
    """A depthwise convolution between two pointwise ones, on half of the channels, then shuffled."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        half = channels // 2
        self.neighbours = Neighbours()
        self.widen = nn.Sequential(nn.Conv2d(3 * half, channels, 1), nn.BatchNorm2d(channels), nn.PReLU())
        self.depthwise = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=(0, 1), dilation=(dilation, 1), groups=channels),
            nn.BatchNorm2d(channels),
            nn.PReLU(),
        )
        self.narrow = nn.Sequential(nn.Conv2d(channels, half, 1), nn.BatchNorm2d(half))
        self.attention = Attention(half)

    def forward(self, x, history, h):
        one, two = torch.chunk(x, 2, dim=1)
        seen = torch.cat([history, self.widen(self.neighbours(one))], dim=2)
        one, h = self.attention(self.narrow(self.depthwise(seen)), h)
        b, c, t, f = one.shape
        shuffled = torch.stack([one, two], dim=1).transpose(1, 2).reshape(b, 2 * c, t, f)
        return shuffled, seen[:, :, 1:], h


class GroupedGRU(nn.Module):
    """Two GRUs, each on half of the channels."""

    def __init__(self, channels: int, units: int, both: bool) -> None:
        super().__init__()
        size = channels // 2, units // 2
        self.one = nn.GRU(*size, batch_first=True, bidirectional=both)
        self.two = nn.GRU(*size, batch_first=True, bidirectional=both)

    def forward(self, x, h=None):
        a, b = torch.chunk(x, 2, dim=-1)
        ha, hb = (None, None) if h is None else torch.chunk(h, 2, dim=-1)
        a, ha = self.one(a, None if ha is None else ha.contiguous())
        b, hb = self.two(b, None if hb is None else hb.contiguous())
        return torch.cat([a, b], dim=-1), torch.cat([ha, hb], dim=-1)


class DualPath(nn.Module):
    """GRUs over frequency, both ways, then over time."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.within = GroupedGRU(channels, channels // 2, True)
        self.within_fc = nn.Linear(channels, channels)
        self.within_norm = nn.LayerNorm((width, channels), eps=1e-8)
        self.across = GroupedGRU(channels, channels, False)
        self.across_fc = nn.Linear(channels, channels)
        self.across_norm = nn.LayerNorm((width, channels), eps=1e-8)

    def forward(self, x, h):
        x = x.permute(0, 2, 3, 1)  # B, T, F, C
        b, t, f, c = x.shape
        y = self.within(x.reshape(b * t, f, c))[0]
        x = x + self.within_norm(self.within_fc(y).reshape(b, t, f, c))
        y, h = self.across(x.permute(0, 2, 1, 3).reshape(b * f, t, c), h)
        y = self.across_fc(y).reshape(b, f, t, c).permute(0, 2, 1, 3)
        return (x + self.across_norm(y)).permute(0, 3, 1, 2), h


class Enhancer(nn.Module):
    """A frame of a complex spectrum ``[1, 257, 1, 2]``, to itself times a mask."""

    def __init__(self, channels: int, scatter: bool) -> None:
        super().__init__()
        self.scatter = scatter
        self.erb, self.back = nn.Linear(HIGH, 64, bias=False), nn.Linear(64, HIGH, bias=False)
        self.neighbours = Neighbours()
        c = channels
        self.first = nn.Sequential(
            nn.Conv2d(9, c, (1, 5), stride=(1, 2), padding=(0, 2)), nn.BatchNorm2d(c), nn.PReLU()
        )
        self.second = nn.Sequential(
            nn.Conv2d(c, c, (1, 5), stride=(1, 2), padding=(0, 2), groups=2), nn.BatchNorm2d(c), nn.PReLU()
        )
        self.encoder = nn.ModuleList(Block(c, d) for d in DILATIONS)
        width = (BANDS + 3) // 4
        self.paths = nn.ModuleList(DualPath(c, width) for _ in range(2))
        self.decoder = nn.ModuleList(Block(c, d) for d in reversed(DILATIONS))
        self.third = nn.Sequential(
            nn.ConvTranspose2d(c, c, (1, 5), stride=(1, 2), padding=(0, 2), groups=2),
            nn.BatchNorm2d(c),
            nn.PReLU(),
        )
        self.last = nn.Sequential(
            nn.ConvTranspose2d(c, 2, (1, 5), stride=(1, 2), padding=(0, 2)), nn.BatchNorm2d(2), nn.Tanh()
        )

    def blocks(self, x, blocks, history, h, skips=()):
        """``x`` through blocks, which have their parts of the history in the order of their dilations."""
        ends = [sum(HISTORY[: k + 1]) for k in range(len(HISTORY))]
        places = [(e - n, e) for e, n in zip(ends, HISTORY, strict=True)]
        if skips:
            places.reverse()
        parts, states, seen = [None] * 3, [None] * 3, []
        for k, block in enumerate(blocks):
            at, (start, stop) = (2 - k if skips else k), places[k]
            if skips:
                x = x + skips[at]
            x, part, state = block(x, history[:, :, start:stop], h[at])
            seen.append(x)
            if self.scatter:
                history[:, :, start:stop] = part
                h[at] = state
            else:
                parts[at], states[at] = part, state
        if not self.scatter:
            history, h = torch.cat(parts, dim=2), torch.stack(states)
        return x, history, h, seen

    def forward(self, mix, conv_cache, tra_cache, inter_cache):
        if self.scatter:
            conv_cache, tra_cache = conv_cache.clone(), tra_cache.clone()
        real, imag = mix[..., 0].permute(0, 2, 1), mix[..., 1].permute(0, 2, 1)
        features = torch.stack([torch.sqrt(real**2 + imag**2 + 1e-12), real, imag], dim=1)  # B, 3, T, F
        x = torch.cat([features[..., :LOW], self.erb(features[..., LOW:])], dim=-1)
        a = self.first(self.neighbours(x))
        b = self.second(a)
        x, history_e, tra_e, seen = self.blocks(b, self.encoder, conv_cache[0], tra_cache[0])
        paths = []
        for path, h in zip(self.paths, (inter_cache[0], inter_cache[1]), strict=True):
            x, h = path(x, h)
            paths.append(h)
        x, history_d, tra_d, _ = self.blocks(x, self.decoder, conv_cache[1], tra_cache[1], seen)
        x = self.last(self.third(x + b) + a)
        mask = torch.cat([x[..., :LOW], self.back(x[..., LOW:])], dim=-1)
        mask_real, mask_imag = mask[:, 0], mask[:, 1]
        enhanced = torch.stack(
            [real * mask_real - imag * mask_imag, real * mask_imag + imag * mask_real], dim=-1
        )
        if self.scatter:
            conv_cache[0], conv_cache[1] = history_e, history_d
            tra_cache[0], tra_cache[1] = tra_e, tra_d
        else:
            conv_cache, tra_cache = torch.stack([history_e, history_d]), torch.stack([tra_e, tra_d])
        return enhanced.permute(0, 2, 1, 3), conv_cache, tra_cache, torch.stack(paths)


def _enhancer(channels: int, scatter: bool, opset: int, dynamo: bool) -> StepModel:
    width = (BANDS + 3) // 4
    inputs = {
        "mix": torch.zeros(1, LOW + HIGH, 1, 2),
        "conv_cache": torch.zeros(2, 1, channels, sum(HISTORY), width),
        "tra_cache": torch.zeros(2, 3, 1, 1, channels),
        "inter_cache": torch.zeros(2, 1, width, channels),
    }
    caches = [name for name in inputs if name != "mix"]
    outputs = ["enh", *(f"{name}_out" for name in caches)]
    proto = export(seeded(Enhancer, channels, scatter), inputs, outputs, opset, dynamo)
    return StepModel(proto, {f"{name}_out": name for name in caches})


def enhancer(channels: int = 16) -> StepModel:
    """With caches that are concatenated and stacked."""
    return _enhancer(channels, scatter=False, opset=17, dynamo=False)


def enhancer_scatter(channels: int = 16) -> StepModel:
    """With caches that are written in place, which exports as ``ScatterND``."""
    return _enhancer(channels, scatter=True, opset=16, dynamo=False)
