"""Chunks: a sequence laid out as chunks of equal size side by side, so that all of them can run at once.

With chunks of 4 steps, a sequence of 11 lies in three lanes, one step of every chunk in a row:

    0 1 2 3 4 5 6 7 8 9 10          ->      0 4 8
                                            1 5 9
                                            2 6 10
                                            3 7 10

What is missing in the last lane repeats the last step, comes after all steps that count, and is left out on
the way back. Both ways are one ``gather`` of whole steps, so that a sequence may have any length.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnnc.build import Builder
from rnnc.dims import Dim


class Chunks:
    """How a sequence of ``steps`` steps lies in chunks of ``size``, a power of two; in ``reverse``, its last
    step is first.

    ``count`` is the number of chunks, also of sequences without a step: 0. It is known from the steps with
    which chunks start, so all that has this size is made from these.
    """

    def __init__(self, b: Builder, steps: Dim, size: int, *, reverse: bool = False) -> None:
        self.b, self.size = b, size
        times = b("arange", stop=steps)
        self._starts = starts = b("every", times, k=size)
        self.count = b.graph.type(starts).shape[0]
        row = np.arange(size)
        last = b("sub", b("size", times, axis=0), 1)
        step = b("minimum", b("add", starts, b.const(row[:, None], "i64")), last)
        self._taken = b("sub", last, step) if reverse else step
        # Where a step lies among all, row after row: halves are exact, and ONNX divides no integers down.
        lane = b("cast", b("mul", b("cast", starts, dtype="f64"), 1 / size), dtype="i64")
        offset = b("mul", b.const(row, "i64"), b("size", starts, axis=0))
        places = b("add", b("unsqueeze", lane, axes=(1,)), offset)
        flat = b("reshape", places, shape=(self.count * size,))
        self._places = b("gather", flat, b("sub", last, times) if reverse else times, axis=0)

    def lay(self, v: str) -> str:
        """``[T, …]`` as ``[size, count, …]``."""
        return self.b("gather", v, self._taken, axis=0)

    def join(self, v: str) -> str:
        """``[size, count, …]`` as ``[T, …]``."""
        shape = self.b.graph.type(v).shape
        flat = self.b("reshape", v, shape=(shape[0] * shape[1], *shape[2:]))
        return self.b("gather", flat, self._places, axis=0)

    def filled(self, value: float, dtype: str, shape: Sequence[Dim]) -> str:
        """The same number for every chunk: ``[count, *shape]``."""
        b = self.b
        zero = b("cast", b("minimum", self._starts, 0), dtype=dtype)
        number = b("add", zero, value) if value else zero
        column = b("reshape", number, shape=(self.count, *(1 for _ in shape)))
        return b("expand", column, shape=(self.count, *shape))
