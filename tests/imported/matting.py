"""Video matting like RVM: an encoder of images, and at each scale on the way back up a convolutional GRU.

A GRU sees half of the channels. Its states, one a scale, have the size of its image.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import interpolate

from tests.imported.exported import export, seeded
from tests.imported.step_model import StepModel


class ConvGRU(nn.Module):
    """One step of a GRU whose products are convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.ih = nn.Sequential(nn.Conv2d(2 * channels, 2 * channels, 3, padding=1), nn.Sigmoid())
        self.hh = nn.Sequential(nn.Conv2d(2 * channels, channels, 3, padding=1), nn.Tanh())

    def forward(self, x, h):
        r, z = self.ih(torch.cat([x, h], 1)).chunk(2, 1)
        c = self.hh(torch.cat([x, r * h], 1))
        return (1 - z) * h + z * c


class HalfGRU(nn.Module):
    """A GRU on half of the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gru = ConvGRU(channels // 2)

    def forward(self, x, h):
        a, b = x.chunk(2, 1)
        h = self.gru(b, h)
        return torch.cat([a, h], 1), h


class Inverted(nn.Module):
    """An inverted residual block as MobileNetV3's, that halves the image."""

    def __init__(self, i: int, o: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(i, 3 * i, 1, bias=False),
            nn.BatchNorm2d(3 * i),
            nn.Hardswish(),
            nn.Conv2d(3 * i, 3 * i, 3, stride=2, padding=1, groups=3 * i, bias=False),
            nn.BatchNorm2d(3 * i),
            nn.Hardswish(),
            nn.Conv2d(3 * i, o, 1, bias=False),
            nn.BatchNorm2d(o),
        )

    def forward(self, x):
        return self.block(x)


class Up(nn.Module):
    """Twice the size, with what the encoder saw there, then a GRU."""

    def __init__(self, i: int, skip: int, o: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(i + skip + 3, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU()
        )
        self.recur = HalfGRU(o)

    def forward(self, x, skip, image, h):
        x = interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return self.recur(self.conv(torch.cat([x, skip, image], 1)), h)


class Matting(nn.Module):
    """An image ``[1, 3, h, w]`` to the foreground and its alpha."""

    def __init__(self, sizes: tuple[int, int, int, int]) -> None:
        super().__init__()
        one, two, three, four = sizes
        self.down = nn.ModuleList(Inverted(i, o) for i, o in zip((3, one, two, three), sizes, strict=True))
        self.bottom = HalfGRU(four)
        self.up3, self.up2, self.up1 = Up(four, three, three), Up(three, two, two), Up(two, one, one)
        self.out = nn.Conv2d(one + 3, 4, 3, padding=1)
        self.pool = nn.AvgPool2d(2, 2, count_include_pad=False, ceil_mode=True)

    def forward(self, src, r1, r2, r3, r4):
        images, features = [], []
        image, x = src, (src - 0.45) / 0.225
        for down in self.down:
            x, image = down(x), self.pool(image)
            images.append(image)
            features.append(x)
        x, r4 = self.bottom(features[3], r4)
        x, r3 = self.up3(x, features[2], images[2], r3)
        x, r2 = self.up2(x, features[1], images[1], r2)
        x, r1 = self.up1(x, features[0], images[0], r1)
        x = interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        residual, pha = self.out(torch.cat([x, src], 1)).split([3, 1], 1)
        return (residual + src).clamp(0.0, 1.0), pha.clamp(0.0, 1.0), r1, r2, r3, r4


def video_matting(
    height: int = 96, width: int = 160, sizes: tuple[int, int, int, int] = (16, 24, 40, 64)
) -> StepModel:
    """One image a call."""
    inputs = {"src": torch.zeros(1, 3, height, width)}
    for k, channels in enumerate(sizes, 1):
        inputs[f"r{k}i"] = torch.zeros(1, channels // 2, height >> k, width >> k)
    outputs = ["fgr", "pha", "r1o", "r2o", "r3o", "r4o"]
    proto = export(seeded(Matting, sizes), inputs, outputs, 12)
    return StepModel(proto, {f"r{k}o": f"r{k}i" for k in range(1, 5)})
