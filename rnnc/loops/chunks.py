"""Chunks: a sequence laid out as chunks of equal size side by side, so that all of them can run at once.

With chunks of 4 steps, a sequence of 11 lies in three rows:

    0 1 2 3 4 5 6 7 8 9 10          ->      0 1 2  3
                                            4 5 6  7
                                            8 9 10 10

What is missing in the last row repeats the last step, comes after all steps that count, and is left out on
the way back. Both ways are one ``gather`` of whole steps, so that a sequence may have any length.
"""

from __future__ import annotations

import numpy as np

from rnnc.build import Builder
from rnnc.dims import Dim


class Chunks:
    """How a sequence of ``steps`` steps lies in chunks of ``size``; in ``reverse``, its last step is first.

    ``count`` is the number of chunks, also of sequences without a step: 0; ``starts`` are the steps that are
    the first of each.
    """

    def __init__(self, b: Builder, steps: Dim, size: int, *, reverse: bool = False) -> None:
        self.b, self.size = b, size
        times = b("arange", stop=steps)
        self.starts = starts = b("every", times, k=size)
        self.count = b.graph.type(starts).shape[0]
        last = b("sub", b("size", times, axis=0), 1)
        step = b("add", b("unsqueeze", starts, axes=(1,)), b.const(np.arange(size), "i64"))
        taken = b("minimum", step, last)
        self._taken = b("sub", last, taken) if reverse else taken
        self._places = b("sub", last, times) if reverse else times

    def lay(self, v: str) -> str:
        """``[T, …]`` as ``[count, size, …]``."""
        return self.b("gather", v, self._taken, axis=0)

    def join(self, v: str) -> str:
        """``[count, size, …]`` as ``[T, …]``."""
        shape = self.b.graph.type(v).shape
        flat = self.b("reshape", v, shape=(shape[0] * shape[1], *shape[2:]))
        return self.b("gather", flat, self._places, axis=0)
