"""Modules of PyTorch as people write them, for :mod:`tools.torch_report` and tests of ``from_torch``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn


class LayerNormLSTM(nn.Module):  # type: ignore[misc]
    """One step of an LSTM with layer normalisation, as in the paper of Ba et al.

    Its recurrent gains start below 1: with random weights it would be chaotic, and float32 then leaves
    float64 by 1e-4 and more within 300 steps, in PyTorch itself.
    """

    def __init__(self, size: int = 6, hidden: int = 10) -> None:
        super().__init__()
        self.ih = nn.Linear(size, 4 * hidden, bias=False)
        self.hh = nn.Linear(hidden, 4 * hidden, bias=False)
        self.norm_ih, self.norm_hh = nn.LayerNorm(4 * hidden), nn.LayerNorm(4 * hidden)
        self.norm_c = nn.LayerNorm(hidden)
        nn.init.constant_(self.norm_hh.weight, 0.5)
        nn.init.constant_(self.norm_c.weight, 0.5)

    def forward(self, x: Any, h: Any, c: Any) -> Any:
        """y, and the states after the step."""
        gates = self.norm_ih(self.ih(x)) + self.norm_hh(self.hh(h))
        i, f, g, o = gates.chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(self.norm_c(c))
        return h, h, c


class Denoiser(nn.Module):  # type: ignore[misc]
    """Causal convolutions, a stack of LSTMs, and a mask, over ``[B, T, F]``."""

    def __init__(self, size: int = 5, hidden: int = 12) -> None:
        super().__init__()
        self.inner = nn.Conv1d(size, 8, 3, dilation=2)
        self.norm = nn.BatchNorm1d(8)
        self.depth = nn.Conv1d(8, 8, 2, groups=8)
        self.lstm = nn.LSTM(8, hidden, 2, batch_first=True)
        self.mask = nn.Linear(hidden, size)
        self.norm.running_mean.uniform_(-0.5, 0.5)
        self.norm.running_var.uniform_(0.5, 1.5)

    def forward(self, x: Any) -> Any:
        """x, masked."""
        y = torch.relu(self.norm(self.inner(nn.functional.pad(x.transpose(1, 2), (4, 0)))))
        y = y + self.depth(nn.functional.pad(y, (1, 0)))
        y, _ = self.lstm(y.transpose(1, 2))
        return x * torch.sigmoid(self.mask(y))


class Tagger(nn.Module):  # type: ignore[misc]
    """Log-probabilities of a tag for each token, from both sides of it."""

    def __init__(self, words: int = 20, hidden: int = 12, tags: int = 5) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, 8)
        self.lstm = nn.LSTM(8, hidden, bidirectional=True, batch_first=True)
        self.out = nn.Linear(2 * hidden, tags)

    def forward(self, tokens: Any) -> Any:
        """Of ``[B, T]`` tokens, ``[B, T, tags]``."""
        return self.out(self.lstm(self.embedding(tokens))[0]).log_softmax(-1)


class LanguageModel(nn.Module):  # type: ignore[misc]
    """Scores of the next token, by GRUs."""

    def __init__(self, words: int = 20, hidden: int = 12) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, 8)
        self.gru = nn.GRU(8, hidden, 2, batch_first=True)
        self.out = nn.Linear(hidden, words)

    def forward(self, tokens: Any) -> Any:
        """Of ``[B, T]`` tokens, ``[B, T, words]``."""
        return self.out(self.gru(self.embedding(tokens))[0])


class Projected(nn.Module):  # type: ignore[misc]
    """A stack of LSTMs with projected outputs, time first."""

    def __init__(self, size: int = 6) -> None:
        super().__init__()
        self.lstm = nn.LSTM(size, 16, 2, proj_size=5)
        self.out = nn.Linear(5, 3)

    def forward(self, x: Any) -> Any:
        """Of ``[T, B, in]``, ``[T, B, 3]``."""
        return self.out(self.lstm(x)[0])


class Looped(nn.Module):  # type: ignore[misc]
    """A cell run by a loop in Python over the steps of its input.

    ``start`` is what the states are at first. ``stacked`` gives all outputs, and else the last one.
    """

    def __init__(self, cell: Any, states: int, start: float, batch_first: bool, stacked: bool) -> None:
        super().__init__()
        self.cell, self.states, self.start = cell, states, start
        self.batch_first, self.stacked = batch_first, stacked
        self.hidden = cell.hidden_size if hasattr(cell, "hidden_size") else cell.norm_c.normalized_shape[0]

    def forward(self, x: Any) -> Any:
        """The outputs of all steps, or of the last."""
        time = 1 if self.batch_first else 0
        state = [x.new_full((x.shape[1 - time], self.hidden), self.start) for _ in range(self.states)]
        outputs = []
        for t in range(x.shape[time]):
            frame = x[:, t] if time else x[t]
            if isinstance(self.cell, LayerNormLSTM):
                y, *state = self.cell(frame, *state)
            elif self.states == 2:
                state = list(self.cell(frame, tuple(state)))
                y = state[0]
            else:
                y = self.cell(frame, state[0])
                state = [y]
            outputs.append(y)
        return torch.stack(outputs, time) if self.stacked else outputs[-1]


@dataclass(frozen=True)
class Subject:
    """A module to read: ``example(steps, batch)`` makes inputs, ``options`` go to ``rnnc.from_torch``."""

    name: str
    module: Callable[[], nn.Module]
    example: Callable[[int, int], Any]
    options: Mapping[str, Any]
    time: int = 0
    causal: bool = True

    def made(self) -> nn.Module:
        """The module, the same at every call."""
        torch.manual_seed(0)
        return self.module().eval()


def _floats(*shape: int) -> Any:
    return torch.rand(shape) * 2 - 1


def _tokens(steps: int, batch: int) -> Any:
    return torch.randint(0, 20, (batch, steps))


MODULES = (
    Subject(
        "LayerNorm-LSTM cell",
        LayerNormLSTM,
        lambda steps, batch: _floats(steps, batch, 6),
        {"state": ("h", "c")},
    ),
    Subject("convolutions, LSTM stack", Denoiser, lambda s, b: _floats(b, s, 5), {"time": 1}, 1),
    Subject("bidirectional tagger", Tagger, _tokens, {"time": 1}, 1, causal=False),
    Subject("GRU language model", LanguageModel, _tokens, {"time": 1}, 1),
    Subject("projected LSTM", Projected, lambda s, b: _floats(s, b, 6), {"time": 0}),
)


@dataclass(frozen=True)
class Roll:
    """A cell in a loop, to be exported at one length and run at others."""

    name: str
    cell: Callable[[], nn.Module]
    states: int
    start: float = 0.0
    batch_first: bool = False
    stacked: bool = True
    size: int = field(default=6)

    @property
    def time(self) -> int:
        """The axis of time."""
        return int(self.batch_first)

    def made(self) -> nn.Module:
        """The module, the same at every call."""
        torch.manual_seed(0)
        return Looped(self.cell(), self.states, self.start, self.batch_first, self.stacked).eval()

    def example(self, steps: int, batch: int) -> Any:
        """An input of so many steps."""
        return _floats(*((batch, steps) if self.batch_first else (steps, batch)), self.size)


ROLLS = (
    Roll("LayerNorm-LSTM", LayerNormLSTM, 2),
    Roll("LayerNorm-LSTM, batch first, last", LayerNormLSTM, 2, batch_first=True, stacked=False),
    Roll("GRUCell, batch first", lambda: nn.GRUCell(6, 10), 1, batch_first=True),
    Roll("GRUCell, last", lambda: nn.GRUCell(6, 10), 1, stacked=False),
    Roll("LSTMCell from 0.5", lambda: nn.LSTMCell(6, 10), 2, start=0.5),
    Roll("LSTMCell from 0.5, batch first", lambda: nn.LSTMCell(6, 10), 2, start=0.5, batch_first=True),
)
