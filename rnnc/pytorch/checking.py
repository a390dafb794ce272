"""Whether a graph is what the module it was read of computes, at sizes other than the example's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from rnnc.errors import FormError
from rnnc.importer.protos import plain
from rnnc.ir import Array, Graph
from rnnc.machine.reference import run
from rnnc.pytorch.axes import Axes
from rnnc.pytorch.rows import Row

#: How far a module in float32 may be from its graph in float64, of the largest number that it gives.
CLOSE = 1e-4
#: How many steps a step module is run for.
STEPS = 3
#: How many steps a sequence has about, at most.
LONGEST = 40


@dataclass(frozen=True)
class Roles:
    """What the inputs and outputs of a module are, by their places.

    ``time`` has the axis of time of inputs, ``states`` the input by the output that goes back into it, and
    ``batch`` the batch axis of each input, if there is one.
    """

    time: Mapping[int, int]
    states: Mapping[int, int]
    given: Sequence[int]
    batch: Axes | None
    block: int = 1


def check(graph: Graph, row: Row, roles: Roles) -> None:
    """Raise :class:`FormError` if ``graph`` is not what the module of ``row`` computes."""
    for tensors in _examples(row, roles):
        try:
            wanted = list(_over_time(row, roles, tensors))
        except Exception:  # noqa: BLE001, S112 - a module may be made for the sizes of its example
            continue
        found = _reference(graph, row, roles, tensors)
        steps = _steps(roles, tensors)
        for k, (y, array) in enumerate(zip(found, wanted, strict=True)):
            error = _error(y, array, steps if roles.time else 0)
            if not error <= CLOSE:
                shapes = ", ".join(f"{n} {list(t.shape)}" for n, t in zip(row.names, tensors, strict=True))
                raise FormError(
                    f"what PyTorch exports of {type(row.module).__name__} is not what it computes: output {k}"
                    f" is off by {error:.1g} for {shapes}",
                    hint="Something in it depends on the sizes of the example: use its tensors' own sizes.",
                )
        return


def _examples(row: Row, roles: Roles) -> Iterator[list[Any]]:
    """Inputs of another length and batch, made of the example; then the example itself."""
    for more in (True, False):
        found = []
        for k, t in enumerate(row.tensors):
            if more and roles.batch is not None and (axis := roles.batch[k]) is not None:
                t = torch.cat([t, _varied(t, 1), _varied(t, 2)], axis)
            if more and k in roles.time:
                t = _resized(t, roles.time[k], roles.block)
            found.append(t)
        yield found


def _resized(t: Any, axis: int, block: int) -> Any:
    """A sequence of another length, a little longer than that of the example, if that is not too long."""
    wanted = min(t.shape[axis], LONGEST * block) + 5 * block
    parts = [_varied(t, k) for k in range(-(-wanted // max(t.shape[axis], 1)))]
    return torch.cat(parts, axis).narrow(axis, 0, wanted)


def _varied(t: Any, k: int) -> Any:
    """Numbers like those of the example; what is no fraction stays, for it may be an index."""
    return t * (1 - 0.25 * k) if t.is_floating_point() and k else t


def _steps(roles: Roles, tensors: Sequence[Any]) -> int:
    """How many steps there are."""
    lengths = [tensors[k].shape[axis] for k, axis in roles.time.items()]
    return lengths[0] // roles.block if lengths else STEPS


def _over_time(row: Row, roles: Roles, tensors: Sequence[Any]) -> Iterator[Array]:
    """What the module gives: for a step module, of several steps, one after another."""
    if roles.time:
        found = row.run(tensors)
        yield from (v.detach().numpy() for k, v in enumerate(found) if k not in roles.states)
        return
    now, steps = list(tensors), []
    for t in range(STEPS):
        found = row.run([_stepped(row, roles, now, k, t) for k in range(len(now))])
        for out, into in roles.states.items():
            now[into] = found[out]
        steps.append([v.detach().numpy() for k, v in enumerate(found) if k not in roles.states])
    yield from (np.stack(parts) for parts in zip(*steps, strict=True))


def _stepped(row: Row, roles: Roles, now: Sequence[Any], k: int, t: int) -> Any:
    """An input of a step module at a step."""
    carried = k in roles.given or k in roles.states.values()
    return now[k] if carried else _varied(now[k], t)


def _reference(graph: Graph, row: Row, roles: Roles, tensors: Sequence[Any]) -> list[Array]:
    """What the graph gives."""
    inputs, states = {}, {}
    for k, (name, t) in enumerate(zip(row.names, tensors, strict=True)):
        if k in roles.states.values():
            states[plain(name)] = t.numpy()
        elif k in roles.time:
            inputs[plain(name)] = by_step(t.numpy(), roles.time[k], roles.block)
        elif roles.time or k in roles.given:
            inputs[plain(name)] = t.numpy()
        else:
            inputs[plain(name)] = np.stack([_varied(t, step).numpy() for step in range(STEPS)])
    known = {i.name for i in graph.interface.inputs}
    paths = {s.path for s in graph.interface.states}
    inputs = {n: a for n, a in inputs.items() if n in known}
    states = {n: a for n, a in states.items() if n in paths}
    result = run(graph, inputs, states, sizes={"T": _steps(roles, tensors)})
    return list(result.outputs.values())


def by_step(array: Array, axis: int, block: int) -> Array:
    """A whole sequence as a stream: its steps first, the frames of a block where time was."""
    if block > 1:
        shape = array.shape
        array = array.reshape(*shape[:axis], shape[axis] // block, block, *shape[axis + 1 :])
    return np.moveaxis(array, axis, 0)


def _error(found: Array, wanted: Array, steps: int) -> float:
    """How far two outputs are apart, of the largest number; time may be any axis of ``wanted``."""
    ways = [wanted] if not steps else []
    for axis, n in enumerate(wanted.shape if steps else ()):
        if n and n % steps == 0:
            ways.append(by_step(wanted, axis, n // steps))
    ways.append(wanted)
    scale = max(1.0, float(np.max(np.abs(wanted), initial=0.0))) if wanted.size else 1.0
    fits = [w for w in ways if w.shape == found.shape]
    return min((float(np.max(np.abs(found - w), initial=0.0)) / scale for w in fits), default=np.inf)
