"""Import: an ONNX file of somebody's as a stream graph.

A *step* file computes one step; its states are inputs to which outputs go back at the next call. With these
pairs it is a stream graph with a delay for each. A *sequence* file computes all steps at once; followed
through its ops, time becomes steps again. Either way it can be compiled to any form.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any

from onnx import ModelProto

from rnnc.importer import composed, joining, layers, loops, recurrent, resizing, shapes
from rnnc.importer.file import File
from rnnc.importer.sequence import SequenceFile
from rnnc.importer.step import StepFile
from rnnc.inspect import read_model
from rnnc.ir import Graph

__all__ = ["from_model", "from_onnx"]

#: The modules whose rules reading uses.
RULES = (composed, joining, layers, loops, recurrent, resizing, shapes)


def from_onnx(
    path: str | os.PathLike[str],
    state: Mapping[str, str] | None = None,
    given: Collection[str] = (),
    constants: Mapping[str, Any] | None = None,
    time: Mapping[str, int] | None = None,
    block: int = 1,
) -> Graph:
    """The stream graph of an ONNX file.

    Without ``time`` the file computes one step. ``state`` maps outputs to the inputs that they go back into,
    and is empty if there are none; ``given`` names inputs that are the same at every step; ``constants``
    gives values to inputs for good. Every other input and output is a stream. A step file that rnnc wrote
    says itself which its states are. States start at zeros, those of our own files at their initial values.

    With ``time`` the file computes whole sequences: it maps inputs to the axis that is time, and every other
    input is given. ``block`` frames of it are one step.

    Raises :class:`FileError` for a file that cannot be read, and for pairs that do not fit, and
    :class:`FormError` for what cannot be streamed.
    """
    shown = os.fspath(path)
    return from_model(read_model(shown), shown, state, given, constants, time, block)


def from_model(
    model: ModelProto,
    shown: str,
    state: Mapping[str, str] | None = None,
    given: Collection[str] = (),
    constants: Mapping[str, Any] | None = None,
    time: Mapping[str, int] | None = None,
    block: int = 1,
) -> Graph:
    """The stream graph of a model in memory, which errors call ``shown``: see :func:`from_onnx`."""
    forms = ("step",) if time is None else ("sequence", "chunk")
    file = File(model, shown, state, given, constants or {}, forms)
    return StepFile(file).graph() if time is None else SequenceFile(file, time, block).graph()
