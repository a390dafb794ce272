"""Reading a module: what its tensors are, how it is exported, and whether what is read of it is right."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch

from rnnc.errors import FormError, RnncError
from rnnc.importer import from_model
from rnnc.ir import Graph
from rnnc.pytorch.axes import batch_axes, twice
from rnnc.pytorch.checking import Roles, check
from rnnc.pytorch.export import EXPORTERS, export, quiet, still
from rnnc.pytorch.rows import Row
from rnnc.pytorch.saying import inputs_of, pairs_of, times_of


def read(
    module: Any,
    example_inputs: Any,
    state: int | str | Sequence[str | int] | Mapping[int | str, str | int],
    given: Collection[str | int],
    time: int | Mapping[str | int, int] | None,
    block: int,
    exporter: str | None,
) -> Graph:
    """The stream graph of a module, as :func:`rnnc.from_torch` says."""
    if not isinstance(module, torch.nn.Module):
        raise FormError(f"{module!r:.60} is no torch.nn.Module")
    with still(module), quiet():
        row = Row(module, example_inputs)
        once = row.run(row.tensors)
        states = pairs_of(state, row, len(once))
        fixed = inputs_of(given, row)
        times = times_of(time, row, {*states.values(), *fixed})
        if time is None and not state and _recurrent(module):
            raise _unsaid(module)
        roles = Roles(times, states, fixed, batch_axes(row, times, states, fixed), block)
        return _first(row, roles, _called(row, roles, len(once)), exporter)


def _recurrent(module: Any) -> bool:
    return any(isinstance(m, torch.nn.RNNBase) for m in module.modules())


def _unsaid(module: Any) -> FormError:
    first = {bool(m.batch_first) for m in module.modules() if isinstance(m, torch.nn.RNNBase)}
    axis = "1" if first == {True} else "0"
    return FormError(
        f"{type(module).__name__} may compute steps or whole sequences, and nothing says which",
        hint=f"Name the axis of time (here perhaps time={axis}), or the states of a step (state=…).",
    )


def _first(row: Row, roles: Roles, outputs: Sequence[str], exporter: str | None) -> Graph:
    """The graph by the first way of exporting that can be read, and is right."""
    names = list(EXPORTERS) if exporter is None else [exporter]
    if not EXPORTERS.keys() >= {*names}:
        raise FormError(f"there is no exporter {exporter!r}", hint=f"They are {', '.join(EXPORTERS)}.")
    refused: RnncError | None = None
    failed: Exception | None = None
    for name in names:
        for open_time in (True, False) if roles.time else (True,):
            try:
                graph = _attempt(row, roles, outputs, name, open_time)
                check(graph, row, roles)
                return graph
            except RnncError as error:
                refused = refused or error
            except Exception as error:  # noqa: BLE001 - exporters raise whatever comes to pass
                failed = failed or error
    if refused is not None:
        raise refused
    first = next(iter(str(failed).strip().splitlines()), type(failed).__name__)
    raise FormError(
        f"PyTorch cannot export {type(row.module).__name__}: {first}",
        hint="torch.onnx.export says more of it.",
    ) from failed


def _attempt(row: Row, roles: Roles, outputs: Sequence[str], exporter: str, open_time: bool) -> Graph:
    """The graph by one exporter, which leaves the length open or fixes that of the example."""
    open_ = []
    batch = roles.batch or (None,) * len(row.tensors)
    tensors = twice(row.tensors, batch)
    for k, axis in enumerate(batch):
        axes = {} if axis is None else {axis: "B"}
        if open_time and k in roles.time:
            axes[roles.time[k]] = "T"
            if tensors[k].shape[roles.time[k]] < 2:
                tensors[k] = torch.cat([tensors[k]] * 2, roles.time[k])
        open_.append(axes)
    model = export(exporter, row, tensors, outputs, open_)
    state = {outputs[out]: row.names[into] for out, into in roles.states.items()}
    given = [row.names[k] for k in roles.given]
    time = {row.names[k]: axis for k, axis in roles.time.items()} or None
    return from_model(model, type(row.module).__name__, state, given, time=time, block=roles.block)


def _called(row: Row, roles: Roles, count: int) -> list[str]:
    """The names of the outputs: ``y``, or ``y0``, ``y1``, …; those of a dict its keys."""
    own = [k for k in range(count) if k not in roles.states]
    found = []
    for k in range(count):
        if k in roles.states:
            name = f"{row.names[roles.states[k]]}_next"
        elif row.outputs:
            name = row.outputs[k]
        else:
            name = "y" if len(own) == 1 else f"y{own.index(k)}"
        while name in row.names or name in found:
            name += "_out"
        found.append(name)
    return found
