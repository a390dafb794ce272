"""Rows: one tensor of every stream, kept in one array whose batch axis is as long as there may be streams."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnnc.errors import FormError
from rnnc.ir import Array
from rnnc.ports import Port


def batch_axis(port: Port) -> int:
    """Which axis of a port counts the streams."""
    if "B" not in port.shape:
        raise FormError(
            f"{port.name} is {port.shown}, the same for all streams", hint="It needs a batch axis."
        )
    return port.shape.index("B")


def of_one(port: Port, name: str = "") -> Port:
    """What one stream has of a port: the same without the batch axis."""
    axis = batch_axis(port)
    return Port(name or port.name, port.dtype, port.shape[:axis] + port.shape[axis + 1 :], port.kind)


def streams_first(batch: Array, axis: int) -> Array:
    """A view of a batch, one stream after another."""
    return np.moveaxis(batch, axis, 0) if axis else batch


class Rows:
    """A tensor ``[…, streams, …]`` in memory of its own, read and written a few streams at a time."""

    def __init__(self, port: Port, count: int, name: str = "") -> None:
        self.axis, self.one = batch_axis(port), of_one(port, name)
        self._whole = port.empty(count)
        self._rows = streams_first(self._whole, self.axis)

    def take(self, slots: Array) -> Array:
        """A batch of the streams in those slots, as the file takes it."""
        return np.take(self._whole, slots, self.axis)

    def put(self, slots: Array, batch: Array) -> None:
        """Write a batch, as the file gives it, to those slots."""
        self._rows[slots] = streams_first(batch, self.axis)

    def __getitem__(self, slots: int | Sequence[int]) -> Array:
        """A copy of one stream's tensor, or of several, streams first."""
        return np.array(self._rows[slots], order="C")

    def __setitem__(self, slots: int | Sequence[int], values: Array) -> None:
        self._rows[slots] = values
