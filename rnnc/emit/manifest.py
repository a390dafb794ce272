"""The manifest: what a file says about itself, in JSON, under ``rnnc.manifest`` in its metadata.

    {"form": "step", "inputs": [{"dtype": "float32", "kind": "stream", "name": "x", "shape": ["B", 4]}],
     "latency": 0, "outputs": […], "states": [{"depth": 1, "dtype": "float32", "initial": 0.0, "input":
     "y_in", "name": "y", "output": "y_out", "shape": ["B", 3], "source": "model.py:7"}], "time_axis": null,
     "version": 1}

A state's initial value is a number, or ``{"base64": …, "shape": …}`` of little-endian elements that broadcast
to the state's shape.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnc.dims import Dim, Poly
from rnnc.emit.form import Form
from rnnc.emit.names import Wiring
from rnnc.emit.places import relative
from rnnc.ir import Graph, State
from rnnc.types import DTYPES, TensorType

#: Where a model's metadata has the manifest.
KEY = "rnnc.manifest"
VERSION = 1


def manifest(graph: Graph, form: Form, wiring: Wiring) -> dict[str, Any]:
    """What a file of ``graph`` says about itself."""
    face = graph.interface
    kinds = {i.name: i.kind for i in face.inputs}
    ends = {o.name: o.kind for o in face.outputs}
    found: dict[str, Any] = {
        "version": VERSION,
        "form": form.name,
        "time_axis": form.time_axis,
        "latency": form.latency,
        "inputs": [
            {"name": name, "kind": kinds.get(value, "lengths"), **_shown(graph.type(value))}
            for value, name in wiring.inputs.items()
        ],
        "outputs": [
            {"name": name, "kind": ends[output], **_shown(graph.type(graph.outputs[output]))}
            for output, name in wiring.outputs.items()
        ],
        "states": [_state(face.state(path), *ends) for path, ends in wiring.states.items()],
    }
    if form.valid:
        found["valid"] = form.valid
    if form.steps is not None:
        found |= {"steps": form.steps, "separate": form.separate}
    return found


def dumps(content: Mapping[str, Any]) -> str:
    """The manifest as text, the same for equal manifests."""
    return json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def read(model: Any) -> dict[str, Any]:
    """What an ONNX model says about itself; nothing if it was not written by rnnc."""
    found = next((entry.value for entry in model.metadata_props if entry.key == KEY), "{}")
    return dict(json.loads(found))


def _state(state: State, before: str, after: str) -> dict[str, Any]:
    entry = {
        "name": state.path,
        "input": before,
        "output": after,
        "depth": state.depth,
        "initial": encode(state),
        **_shown(state.tensor),
    }
    if state.loc:
        entry["source"] = f"{relative(state.loc.file)}:{state.loc.line}"
    return entry


def encode(state: State) -> Any:
    """A state's initial value in JSON: a number if it is one everywhere, else its bytes."""
    array = np.zeros((), state.type.numpy) if state.init is None else np.asarray(state.init, state.type.numpy)
    first = array.flat[0].item() if array.size else 0
    alike = np.full_like(array, first).tobytes() == array.tobytes()
    if alike and math.isfinite(first):
        return first
    little = array.astype(array.dtype.newbyteorder("<"))
    return {"base64": base64.b64encode(little.tobytes()).decode("ascii"), "shape": list(array.shape)}


def decode(initial: Any, dtype: str) -> np.ndarray[Any, Any]:
    """The array that :func:`encode` wrote; ``dtype`` is NumPy's name."""
    if not isinstance(initial, dict):
        return np.array(initial, dtype)
    raw = base64.b64decode(initial["base64"])
    return np.frombuffer(raw, np.dtype(dtype).newbyteorder("<")).astype(dtype).reshape(initial["shape"])


def _shown(type: TensorType) -> dict[str, Any]:
    return {"dtype": DTYPES[type.dtype], "shape": [_dim(d) for d in type.shape]}


def _dim(d: Dim) -> int | str:
    return str(d) if isinstance(d, Poly) else d
