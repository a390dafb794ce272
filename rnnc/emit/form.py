"""Forms: what one call of a file takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FormName = Literal["sequence", "chunk", "step", "unroll"]
FORMS: tuple[FormName, ...] = ("sequence", "chunk", "step", "unroll")


@dataclass(frozen=True)
class Form:
    """The form of a file.

    ``steps`` is how many steps an unrolled file runs, ``separate`` whether each has its own inputs and
    outputs. ``latency`` is how many steps an output waits for, ``None`` if it waits for the end. ``valid`` is
    the input, if there is one, that says whether a step is one of the sequence, for a file that gives its
    outputs so many steps late.
    """

    name: FormName = "sequence"
    steps: int | None = None
    separate: bool = False
    batch_first: bool = False
    latency: int | None = 0
    valid: str = ""

    @property
    def time_axis(self) -> int | None:
        """Which axis of a stream's tensor is time, ``None`` where there is none."""
        if self.name == "step" or self.separate:
            return None
        return int(self.batch_first)
