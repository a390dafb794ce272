"""Voice detectors like Silero's: a short-time spectrum by convolution, a convolutional encoder, an LSTM.

The last 64 samples of a frame are kept as state before the next; h and c of the LSTM are one tensor
``[2, 1, H]``.
"""

from __future__ import annotations

import torch
from torch import nn

from tests.imported.exported import export, quietly, seeded
from tests.imported.step_model import StepModel

FRAME, CONTEXT, WINDOW, HOP = 512, 64, 256, 128
BINS = WINDOW // 2 + 1


class Encoder(nn.Module):
    """Samples ``[N, 576]`` to features ``[N, H]``: a spectrum of four windows, then four convolutions."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.spectrum = nn.Conv1d(1, 2 * BINS, WINDOW, stride=HOP, bias=False)
        sizes = [
            (BINS, units, 1),
            (units, units // 2, 2),
            (units // 2, units // 2, 2),
            (units // 2, units, 1),
        ]
        self.convs = nn.ModuleList(nn.Conv1d(i, o, 3, stride=s, padding=1) for i, o, s in sizes)

    def forward(self, samples):
        padded = nn.functional.pad(samples[:, None], (0, CONTEXT), mode="reflect")
        parts = self.spectrum(padded)
        y = torch.sqrt(parts[:, :BINS] ** 2 + parts[:, BINS:] ** 2)
        for conv in self.convs:
            y = torch.relu(conv(y))
        return y[:, :, 0]


class OneFrame(nn.Module):
    """One frame a call, by an LSTM of sequence length 1."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.encoder = Encoder(units)
        self.rnn = nn.LSTM(units, units)
        self.head = nn.Conv1d(units, 1, 1)

    def forward(self, frame, state, context):
        samples = torch.cat([context, frame], 1)
        y, (h, c) = self.rnn(self.encoder(samples)[None], (state[:1], state[1:]))
        p = torch.sigmoid(self.head(torch.relu(y[0])[:, :, None])).mean(2)
        return p, torch.cat([h, c]), samples[:, -CONTEXT:]


class TwoRates(nn.Module):
    """Two detectors in one file, of which the sampling rate chooses, as Silero's."""

    def __init__(self, units: int) -> None:
        super().__init__()
        example = (torch.zeros(1, FRAME), torch.zeros(2, 1, units), torch.zeros(1, CONTEXT))
        self.fast = torch.jit.trace(OneFrame(units).eval(), example)
        self.slow = torch.jit.trace(OneFrame(units).eval(), example)

    def forward(self, frame, sr, state, context):
        if sr == 16000:
            found = self.fast(frame, state, context)
        else:
            found = self.slow(frame, state, context)
        return found


class ManyFrames(nn.Module):
    """Some frames a call: the encoder has them as its batch, the LSTM as its time."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.encoder = Encoder(units)
        self.rnn = nn.LSTM(units, units, batch_first=True)
        self.head = nn.Linear(units, 1)

    def forward(self, frames, state, context):
        samples = torch.cat([context, frames], 1)
        windows = samples.unfold(1, FRAME + CONTEXT, FRAME)
        y, (h, c) = self.rnn(self.encoder(windows[0])[None], (state[0][None], state[1][None]))
        return (
            torch.sigmoid(self.head(torch.relu(y)))[..., 0],
            torch.stack([h[0], c[0]]),
            samples[:, -CONTEXT:],
        )


def voice_detector(units: int = 128) -> StepModel:
    """One frame a call."""
    inputs = {
        "input": torch.zeros(1, FRAME),
        "state": torch.zeros(2, 1, units),
        "context": torch.zeros(1, CONTEXT),
    }
    proto = export(seeded(OneFrame, units, gain=2.2), inputs, ["output", "stateN", "contextN"], 16)
    return StepModel(proto, {"stateN": "state", "contextN": "context"})


def voice_detector_two_rates(units: int = 128) -> StepModel:
    """One frame a call, after an ``If`` on the sampling rate."""
    inputs = {
        "input": torch.zeros(1, FRAME),
        "sr": torch.tensor(16000),
        "state": torch.zeros(2, 1, units),
        "context": torch.zeros(1, CONTEXT),
    }
    with quietly():
        module = torch.jit.script(seeded(TwoRates, units, gain=2.2))
    proto = export(module, inputs, ["output", "stateN", "contextN"], 16)
    return StepModel(proto, {"stateN": "state", "contextN": "context"}, constants={"sr": 16000})


def voice_detector_frames(units: int = 128, frames: int = 4) -> StepModel:
    """Some frames a call."""
    inputs = {
        "input": torch.zeros(1, frames * FRAME),
        "state": torch.zeros(2, 1, units),
        "context": torch.zeros(1, CONTEXT),
    }
    proto = export(
        seeded(ManyFrames, units, gain=2.2), inputs, ["output", "stateN", "contextN"], 18, dynamo=True
    )
    return StepModel(proto, {"stateN": "state", "contextN": "context"})
