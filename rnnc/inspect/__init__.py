"""Inspection: what an ``.onnx`` file is: its loops, states, weights and cost.

Any file can be looked at; one of ours also says in its manifest what form it has and how its states are
wired.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from rnnc.dims import Dim, dim, names
from rnnc.emit.manifest import read
from rnnc.errors import FileError
from rnnc.inspect.cost import graph_cost, weight_bytes
from rnnc.inspect.loops import Loop, Tie, find_loops
from rnnc.inspect.sizes import Sizes, at, bodies, constants, shape_of

__all__ = ["Loop", "Report", "StateReport", "inspect", "manifest_of", "read_model"]


@dataclass(frozen=True)
class StateReport:
    """A state as the manifest describes it."""

    path: str
    input: str | None
    output: str | None
    type: str
    depth: int
    initial: str
    source: str


@dataclass(frozen=True)
class Report:
    """What a file is. A step is one step in time at batch 1; costs outside any step are a run's own."""

    name: str
    form: str
    opset: int
    ir_version: int
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    states: tuple[StateReport, ...]
    loops: tuple[Loop, ...]
    weights: Mapping[str, int]
    nodes_per_run: int
    nodes_per_step: int
    multiply_adds_per_run: int
    multiply_adds_per_step: int

    @property
    def weight_bytes(self) -> int:
        """The size of all weights and constants."""
        return sum(self.weights.values())

    def json(self) -> str:
        """The report for other programs."""
        return json.dumps(asdict(self) | {"weight_bytes": self.weight_bytes}, indent=2, ensure_ascii=False)


def read_model(path: str | Path, *, weights: bool = True) -> onnx.ModelProto:
    """The model in a file; without ``weights``, data kept in other files is left there."""
    try:
        model = onnx.load(str(path), load_external_data=weights)
    except OSError as e:
        raise FileError(f"{path} cannot be read: {e.strerror or e}") from None
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as e:
        raise FileError(f"{path} cannot be read with its weights: {e}") from None
    except DecodeError:
        raise FileError(f"{path} is not an .onnx file, or only a part of one") from None
    if not model.HasField("graph") or not model.opset_import:
        raise FileError(f"{path} is not an .onnx file, or only a part of one")
    return model


def manifest_of(model: onnx.ModelProto) -> dict[str, Any] | None:
    """The manifest of a model that rnnc wrote; ``None`` for one of anyone else."""
    try:
        found = read(model)
    except (ValueError, TypeError):
        raise FileError("the manifest is not JSON, or not an object") from None
    missing = {"version", "form", "time_axis", "inputs", "outputs", "states"} - found.keys()
    if found and missing:
        raise FileError(f"the manifest does not say its {min(missing)}")
    return found or None


def inspect(model: onnx.ModelProto | str | Path, name: str = "") -> Report:
    """The report on a model, or on the file of that path."""
    if not isinstance(model, onnx.ModelProto):
        name = name or str(model)
        model = read_model(model, weights=False)
    manifest = manifest_of(model) or {}
    if not manifest:
        model = onnx.shape_inference.infer_shapes(model)
    states = tuple(_state(s) for s in manifest.get("states", ()))
    ties = [Tie(s.path, s.input, s.output) for s in states if s.input and s.output]
    sizes = Sizes(model.graph)
    steps = int(manifest.get("steps") or 1)
    loops = find_loops(model.graph, ties, steps)
    cost = graph_cost(model.graph, sizes)
    time = set().union(*(names(dim(loop.steps)) for loop in loops if loop.steps))
    if manifest.get("form") in ("sequence", "chunk"):
        time = {"T"}
    return Report(
        name=name or model.graph.name,
        form=str(manifest.get("form", "")),
        opset=next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0),
        ir_version=model.ir_version,
        inputs={i.name: _type(i) for i in model.graph.input},
        outputs={o.name: _type(o) for o in model.graph.output},
        states=states,
        loops=tuple(loops),
        weights=_weights(model.graph),
        nodes_per_run=_run(cost.nodes, time),
        nodes_per_step=_step(cost.nodes, time, steps),
        multiply_adds_per_run=_run(cost.multiply_adds, time),
        multiply_adds_per_step=_step(cost.multiply_adds, time, steps),
    )


def _run(cost: Dim, time: set[str]) -> int:
    """What is done once a run, however many steps it has; nothing where a step is a share of the run."""
    return at(cost, **dict.fromkeys(time, 0)) if time else 0


def _step(cost: Dim, time: set[str], steps: int) -> int:
    """What one step more adds; without an axis of time, a share of the run."""
    if time:
        return at(cost, **dict.fromkeys(time, 2)) - at(cost, **dict.fromkeys(time, 1))
    return round(at(cost) / steps)


def _state(entry: Mapping[str, Any]) -> StateReport:
    return StateReport(
        path=entry["name"],
        input=entry.get("input"),
        output=entry.get("output"),
        type=f"{entry['dtype']}[{', '.join(map(str, entry['shape']))}]",
        depth=entry.get("depth", 1),
        initial=_initial(entry.get("initial", 0)),
        source=entry.get("source") or "",
    )


def _initial(value: Any) -> str:
    return str(value) if isinstance(value, int | float | bool) else "array"


def _type(info: onnx.ValueInfoProto) -> str:
    element = info.type.tensor_type.elem_type
    if not element:
        return info.type.WhichOneof("value") or "unknown"
    shape = shape_of(info.type)
    inside = "?" if shape is None else ", ".join(map(str, shape))
    return f"{onnx.helper.tensor_dtype_to_np_dtype(element).name}[{inside}]"


def _weights(graph: onnx.GraphProto) -> dict[str, int]:
    """The bytes of every weight, those of sub-graphs included, largest first."""
    found = {name: weight_bytes(t) for name, t in constants(graph).items()}
    for node in graph.node:
        for body in bodies(node):
            for name, size in _weights(body).items():
                found[name if name not in found else f"{node.name}/{name}"] = size
    return dict(sorted(found.items(), key=lambda item: -item[1]))
