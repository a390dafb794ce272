"""What is measured: cells × sizes × forms × processors.

This imports no library, so that a worker may know its entries before it is pinned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Form = Literal["sequence", "step"]

#: How many steps a sequence has.
STEPS = 100
#: How wide cells are: as many inputs as units.
WIDTHS = (16, 128, 512)
BATCHES = (1, 16)
#: From this width on a cell is measured on two processors too: its weights no longer fit one's cache.
WIDE = 512
#: How far from the reference machine a result may be, relative to the largest number of the answer, or 1.
TOLERANCE = 1e-4
#: The cell that does nothing, and so shows what a call costs.
FLOOR = "floor"
#: The cells of ``--quick``: what is native, what is linear, and what stays a loop.
QUICK = (
    "LSTM",
    "GatedRecurrentAfter",
    "Recurrent",
    "PeepholeLSTM",
    "MinimalGatedUnit",
    "JANET",
    "minGRU",
    "IndRNN",
    "DilatedRecurrent",
    "LayerNormLSTM",
)


@dataclass(frozen=True)
class Entry:
    """One cell at one size, run over a sequence or step by step on so many processors."""

    cell: str
    H: int
    B: int
    form: Form = "sequence"
    cpus: int = 1
    T: int = STEPS

    def __str__(self) -> str:
        cpus = f", {self.cpus} CPUs" if self.cpus > 1 else ""
        return f"{self.cell}, {self.form}, H={self.H}, B={self.B}{cpus}"


def whole(cells: Sequence[str]) -> Iterator[Entry]:
    """Every cell at every size: sequences and, one stream at a time as streaming is, steps."""
    yield Entry(FLOOR, WIDTHS[0], 1, "step")
    for cell in cells:
        for cpus in (1, 2):
            for width in (w for w in WIDTHS if cpus == 1 or w >= WIDE):
                yield from (Entry(cell, width, batch, cpus=cpus) for batch in BATCHES)
                yield Entry(cell, width, 1, "step", cpus)


def quick(cells: Sequence[str]) -> Iterator[Entry]:
    """The sizes at which most is at stake, on one processor."""
    yield Entry(FLOOR, WIDTHS[0], 1, "step")
    for cell in cells:
        yield from (Entry(cell, 16, 1), Entry(cell, 128, 1), Entry(cell, 128, 16))
        yield Entry(cell, 128, 1, "step")
