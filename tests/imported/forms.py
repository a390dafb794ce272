"""A step model imported, compiled to a form, and run: what is to be as the original called frame by frame."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import rnnc
from rnnc.compiler import Compiled
from rnnc.ir import Graph
from rnnc.runtime.sessions import session
from tests.imported.step_model import Arrays, StepModel

#: Where the pieces end that a chunk file is given.
ENDS = (1, 4, 4, 9)


def imported(model: StepModel) -> Graph:
    """The stream graph of a model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "step.onnx"
        onnx.save(model.proto, path)
        return rnnc.from_onnx(path, state=model.state, given=model.given, constants=model.constants)


def answers(compiled: Compiled, model: StepModel, xs: Arrays, fixed: Arrays) -> tuple[Arrays, Arrays]:
    """Outputs and last states of a file, by the names of the original; a sequence file gives no states."""
    if compiled.form.name == "sequence":
        names = model.outputs()
        found = session(compiled, threads=1).run(names, {**xs, **fixed})
        return dict(zip(names, found, strict=True)), {}
    stream = rnnc.Stream(compiled)
    order = [port["name"] for port in stream.manifest["inputs"]]
    step, frames = compiled.form.name == "step", len(next(iter(xs.values())))
    pieces, start = [], 0
    for end in range(1, frames + 1) if step else [*(n for n in ENDS if n < frames), frames]:
        now = {k: x[start] if step else x[start:end] for k, x in xs.items()} | fixed
        ys = stream.push(*(now[name] for name in order))
        pieces.append(ys if isinstance(ys, tuple) else (ys,))
        start = end
    join = np.stack if step else np.concatenate
    names = [port["name"] for port in stream.manifest["outputs"]]
    outputs = {k: join(each) for k, each in zip(names, zip(*pieces, strict=True), strict=True)}
    return outputs, dict(zip(model.state.values(), stream.state.values(), strict=False))


def worst(got: Mapping[str, Any], expected: Mapping[str, Any]) -> float:
    """The largest error of any element that was got, of its size where that is more than 1."""
    errors = [np.abs(got[k] - expected[k]) / np.maximum(1, np.abs(expected[k])) for k in got]
    return max((float(e.max()) for e in errors), default=0.0)
