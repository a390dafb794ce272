"""The gate: what a client gives, checked against the file and copied, before it can meet anyone else's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnc.errors import RnncError
from rnnc.ir import Array
from rnnc.ports import Port
from rnnc.serving.engine import Engine, Frames


class Gate:
    """Checks frames, given values and states of one stream, all without the batch axis.

    ``max_steps`` is how long a piece may be; with ``refuse_nan`` frames may not have what is no number.
    """

    def __init__(self, engine: Engine, max_steps: int, refuse_nan: bool) -> None:
        self._engine, self._max_steps, self._refuse_nan = engine, max_steps, refuse_nan
        self._takes = tuple((port, np.dtype(port.dtype), port.shape) for port in engine.frames)

    def frames(self, xs: tuple[Any, ...]) -> tuple[Frames, int | None]:
        """A stream's frames as arrays of the pool's own, and how many steps they are if that is open."""
        self._refuse_number(xs)
        arrays: list[Array] = []
        sizes: dict[str, int] = {}
        for (port, dtype, shape), x in zip(self._takes, xs, strict=True):
            if type(x) is not np.ndarray or x.shape != shape or x.dtype != dtype:
                x = self._array(port, x, sizes)
            arrays.append(self._whole(port, x))
        return tuple(arrays), sizes.get("T")

    def many(self, count: int, xs: tuple[Any, ...]) -> list[tuple[Frames, int | None]]:
        """What :meth:`frames` gives for each of some streams, from arrays with the streams first."""
        self._refuse_number(xs)
        sizes = {"B": count}
        arrays = []
        for (port, _, shape), x in zip(self._takes, xs, strict=True):
            arrays.append(
                self._whole(port, self._array(Port(port.name, port.dtype, ("B", *shape)), x, sizes))
            )
        steps = sizes.get("T")
        return [(frames, steps) for frames in zip(*arrays, strict=True)]

    def states(self, values: Mapping[str, Any]) -> dict[str, Array]:
        """Some states of a stream by their paths."""
        rows = self._engine.states
        known = f"Its states are {', '.join(rows) or 'none'}."
        if not isinstance(values, Mapping):
            raise RnncError(f"states are given by their paths, in a dict, not {values!r:.40}", hint=known)
        for path in values:
            if path not in rows:
                raise RnncError(f"the file has no state {path}", hint=known)
        return {path: np.array(rows[path].one.array(x, {})) for path, x in values.items()}

    def given(self, values: Mapping[str, Any]) -> dict[str, Array]:
        """The values that a stream is given once, by the names of the inputs: all of them."""
        rows = self._engine.given
        if set(values) != set(rows):
            told = ", ".join(map(str, values)) or "nothing"
            raise RnncError(
                f"a stream is given {', '.join(rows) or 'nothing'} as it is opened, and was given {told}",
                hint="Write open(given={…}) with each of them, by name.",
            )
        return {name: rows[name].one.array(x, {}) for name, x in values.items()}

    def _array(self, port: Port, x: Any, sizes: dict[str, int]) -> Array:
        array = port.array(x, sizes)
        if sizes.get("T", 0) > self._max_steps:
            raise RnncError(
                f"{port.name} has {sizes['T']} steps, and a piece may have {self._max_steps}",
                hint="Push it in several pieces.",
            )
        return array

    def _whole(self, port: Port, array: Array) -> Array:
        """A copy, unless it has what is refused."""
        if self._refuse_nan and array.dtype.kind == "f" and np.isnan(array).any():
            raise RnncError(
                f"{port.name} has what is no number",
                hint="This pool refuses NaN, for it would stay in the state.",
            )
        return array.copy()

    def _refuse_number(self, xs: tuple[Any, ...]) -> None:
        if len(xs) != len(self._takes):
            names = ", ".join(port.name for port, _, _ in self._takes)
            raise RnncError(f"push got {len(xs)} arrays, and a stream takes {len(self._takes)}: {names}")
