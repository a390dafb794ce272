"""Ports: what a compiled file takes, as its manifest says, and arrays checked against that.

What a caller gets wrong is said in a sentence here, before onnxruntime sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnnc.emit.manifest import decode
from rnnc.errors import RnncError
from rnnc.ir import Array


@dataclass(frozen=True)
class Port:
    """An input, output or state of a file: what an array there must be."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    kind: str = ""

    @staticmethod
    def read(entry: Mapping[str, Any], name: str = "name") -> Port:
        """The port that an entry of the manifest describes."""
        return Port(entry[name], entry["dtype"], tuple(entry["shape"]), entry.get("kind", ""))

    def array(self, given: Any, sizes: dict[str, int]) -> Array:
        """``given`` as a contiguous array, checked; named sizes must agree with ``sizes``, or join them."""
        array = given if hasattr(given, "dtype") else self._convert(given)
        array = np.asarray(array)
        if array.dtype != np.dtype(self.dtype):
            raise RnncError(
                f"{self.name} is {array.dtype}, and the file takes {self.dtype}",
                hint=f"Cast it to {self.dtype}.",
            )
        if array.ndim != len(self.shape):
            raise RnncError(
                f"{self.name} has {array.ndim} axes, {list(array.shape)}, and the file takes {self.shown}"
            )
        for axis, (size, declared) in enumerate(zip(array.shape, self.shape, strict=True)):
            wanted = declared if isinstance(declared, int) else sizes.get(declared, size)
            if size != wanted:
                meaning = {"B": " sequences in the batch", "T": " steps"}.get(str(declared), "")
                raise RnncError(
                    f"axis {axis} of {self.name} has {size}{meaning}, and should have {wanted}{meaning}",
                    hint="The batch stays the same until reset()." if declared == "B" else "",
                )
            if declared == "B" and size == 0:  # its recurrent ops end the process
                raise RnncError(f"axis {axis} of {self.name} has no sequences, and onnxruntime needs one")
            if isinstance(declared, str):
                sizes[declared] = size
        if self.kind == "lengths" and not np.all((array >= 0) & (array <= sizes.get("T", np.inf))):
            most = f"{sizes['T']}, the number of steps" if "T" in sizes else "the number of steps"
            raise RnncError(f"{self.name} are {array.tolist()}: each is from 0 to {most}")
        return np.ascontiguousarray(array).reshape(array.shape)

    def empty(self, batch: int) -> Array:
        """Memory for a batch, where that is the only size left open."""
        return np.empty([batch if isinstance(d, str) else d for d in self.shape], self.dtype)

    def _convert(self, given: Any) -> Array:
        try:
            return np.asarray(given, self.dtype)
        except (ValueError, TypeError) as error:
            raise RnncError(f"{self.name} is no array of numbers: {error}") from error

    @property
    def shown(self) -> str:
        """The type for messages."""
        return f"{self.dtype} [{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class StatePort:
    """A state of a file: the tensors before and after a run, and what it is at first."""

    path: str
    before: Port
    after: str
    initial: Array

    @staticmethod
    def read(entry: Mapping[str, Any]) -> StatePort:
        """The state that an entry of the manifest describes."""
        port = Port.read(entry, "input")
        return StatePort(entry["name"], port, entry["output"], decode(entry["initial"], port.dtype))

    def first(self, batch: int) -> Array:
        """The initial value for a batch."""
        shape = [batch if isinstance(d, str) else d for d in self.before.shape]
        return np.ascontiguousarray(np.broadcast_to(self.initial, shape)).reshape(shape)
