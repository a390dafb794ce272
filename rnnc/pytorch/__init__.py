"""PyTorch in: a module as a stream graph, and the weights of ``torch.nn``'s layers in layers of ours.

rows.py, recurrent.py    what is exported: tensors in a row, recurrent modules as nodes
export.py                PyTorch's own exporters
saying.py, axes.py       what the tensors are
checking.py              whether what was read is right
layers.py                the weights of a layer in a layer of ours
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from rnnc.errors import missing_torch
from rnnc.ir import Graph

__all__ = ["from_torch"]


def from_torch(
    module: Any,
    example_inputs: Any,
    state: int | str | Sequence[str | int] | Mapping[int | str, str | int] = (),
    given: Collection[str | int] = (),
    time: int | Mapping[str | int, int] | None = None,
    block: int = 1,
    exporter: str | None = None,
) -> Graph:
    """The stream graph of a ``torch.nn.Module``, for :func:`rnnc.compile` and :func:`rnnc.reference`.

    ``example_inputs`` is a tensor, a tuple of what ``forward`` takes, or a dict by name. Inputs are called as
    the parameters of ``forward``, or by their place; parts of a tuple have numbers, ``hx_0``, ``hx_1``.

    Without ``time`` the module computes one step, ``forward(x, *states) -> (y, *states)``. ``state`` says
    which inputs are states: their names, in the order in which their new values are returned last
    (``("h", "c")``), how many there are where they are the last inputs and outputs (``2``), or outputs with
    the inputs that they go back into (``{1: "h", 2: "c"}``).

    With ``time`` it computes whole sequences. ``time`` is the axis that is time, or that of each input by
    name; any other input is given. ``block`` frames of it are one step. A Python loop over steps is found and
    may then have any length. ``given`` inputs are the same at every step. States start at zeros, unless the
    module says otherwise.

    The graph has time first: an input ``[B, C, T]`` becomes a stream of ``[B, C]``. The batch is the axis
    along which two examples give two results. The module is exported in evaluation mode, by one of PyTorch's
    exporters (``exporter``, "torchscript" or "dynamo", if it must be that one), and left as it was. What was
    read is run and compared with the module, at another length and batch where it takes them.

    Raises :class:`FormError` for what cannot be streamed, or is not said.
    """
    if not find_spec("torch"):
        raise missing_torch("reading a module")
    from rnnc.pytorch.reading import read

    return read(module, example_inputs, state, given, time, block, exporter)
