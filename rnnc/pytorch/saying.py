"""What a user says of a module's inputs and outputs, by name or by place, as places."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rnnc.errors import FormError
from rnnc.pytorch.rows import Row


def inputs_of(names: str | Collection[str | int], row: Row) -> list[int]:
    """The places of inputs; a name stands for all parts of an input that is a tuple."""
    found: list[int] = []
    for name in (names,) if isinstance(names, str) else names:
        parts = [k for k, n in enumerate(row.names) if n == name or _is_part(n, name)]
        if isinstance(name, int) and -len(row.names) <= name < len(row.names):
            parts = [name % len(row.names)]
        if not parts:
            raise FormError(
                f"the module has no input {name!r}", hint=f"It has {', '.join(row.names)}, in this order."
            )
        found += parts
    return found


def _is_part(name: str, of: str | int) -> bool:
    return isinstance(of, str) and name.startswith(f"{of}_") and name.removeprefix(f"{of}_").isdigit()


def pairs_of(state: Any, row: Row, count: int) -> dict[int, int]:
    """The states, as the place of the input by that of the output, of ``count``, that goes back into it."""
    if isinstance(state, Mapping):
        return {_output(out, row, count): inputs_of([into], row)[0] for out, into in state.items()}
    if isinstance(state, int):
        if not 0 <= state <= min(len(row.names), count):
            raise FormError(f"state={state} of {len(row.names)} inputs and {count} outputs")
        inputs: Sequence[int] = range(len(row.names) - state, len(row.names))
    else:
        inputs = inputs_of(state, row)
    if len(inputs) > count:
        raise FormError(f"there are {len(inputs)} states, and the module gives {count} tensors")
    return {count - len(inputs) + k: into for k, into in enumerate(inputs)}


def _output(name: str | int, row: Row, count: int) -> int:
    if isinstance(name, str) and name in row.outputs:
        return row.outputs.index(name)
    if isinstance(name, int) and -count <= name < count:
        return name % count
    known = f", {', '.join(row.outputs)}" if row.outputs else ""
    raise FormError(f"the module has no output {name!r}", hint=f"It has {count}, from 0{known}.")


def times_of(time: Any, row: Row, others: Collection[int]) -> dict[int, int]:
    """The axis of time by the place of the input; one number is that of all inputs but ``others``."""
    if time is None:
        return {}
    if isinstance(time, int):
        pairs = [(k, time) for k in range(len(row.names)) if k not in others]
    else:
        pairs = [(inputs_of([name], row)[0], axis) for name, axis in time.items()]
    found = {}
    for k, axis in pairs:
        rank = row.tensors[k].dim()
        if not -rank <= axis < rank:
            shape = list(row.tensors[k].shape)
            raise FormError(f"the input {row.names[k]!r} has shape {shape}, and no axis {axis}")
        found[k] = axis % rank
    return found
