"""Scenes of files: an ``.onnx`` graph, ours or anyone's, as records, its sub-graphs framed.

A record is a node, known by its first tensor. The states of a ``Scan`` or ``Loop`` flow back inside its
frame; those that the caller carries flow back from output to input, where a manifest says which these are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx

from rnnc.emit.names import Names
from rnnc.emit.places import parse_place
from rnnc.errors import FileError
from rnnc.inspect import manifest_of, read_model
from rnnc.inspect.sizes import attributes, shape_of
from rnnc.view.scene import Record, Scene
from rnnc.view.steps import step

RECURRENT = {"LSTM", "GRU", "RNN", "LinearAttention", "DynamicQuantizeLSTM"}
#: Arrays of more elements, and texts of more characters, are told by their type and their beginning.
SHOWN = 8, 200


@dataclass(frozen=True)
class Tensor:
    """Who computes a tensor: the key of the node, and of the record that the edge is drawn from."""

    node: str
    drawn: str


@dataclass
class _Writing:
    scene: Scene = field(default_factory=Scene)
    places: dict[tuple[str, int, int], int] = field(default_factory=dict)
    keys: Names = field(default_factory=Names)


def steps_of_file(path: str | Path) -> dict[str, Any]:
    """What a page shows of a file."""
    model = read_model(path, weights=False)
    told = manifest_of(model) or {}
    if not told:
        try:
            model = onnx.shape_inference.infer_shapes(model)
        except (onnx.shape_inference.InferenceError, ValueError) as e:
            raise FileError(f"{path} cannot be read: its types clash: {e}") from None
    writing = _Writing()
    scope = _graph(writing, model.graph, "", {})
    for state in told.get("states", ()):
        if state.get("input") in scope and state.get("output") in scope:
            entry = writing.scene.nodes[scope[state["input"]].drawn]
            entry.setdefault("flow", []).append([scope[state["output"]].drawn, "back"])
            entry.setdefault("ends", []).append(f"state {state['name']}")
    for output in model.graph.output:
        if output.name in scope:
            writing.scene.nodes[scope[output.name].node].setdefault("ends", []).append(
                f"output {output.name}"
            )
    places = [[file, line, col, line, col] for file, line, col in writing.places]
    return {
        "steps": [step("the file", Scene(), writing.scene)],
        "remarks": [],
        "places": places,
        "sources": {},
    }


def _graph(
    w: _Writing, graph: onnx.GraphProto, frame: str, around: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Put a graph into the scene, in that frame, and say who computes each tensor that it sees."""
    scope = dict(around)
    types = {i.name: _type(i.type) for i in (*graph.input, *graph.output, *graph.value_info)}
    for tensor in graph.initializer:
        _add(
            w,
            scope,
            frame,
            {"op": "initializer", "kind": "weight", **_constant(tensor), "in": []},
            tensor.name,
        )
    for i in graph.input:
        if i.name not in scope or i.name in around:
            _add(w, scope, frame, {"op": "input", "kind": "input", "type": types[i.name], "in": []}, i.name)
    for node in graph.node:
        outs = [o for o in node.output if o]
        record: Record = {
            "op": f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type,
            "type": ", ".join(types.get(o, "?") for o in outs),
            "in": [scope[i].node for i in node.input if i in scope],
        }
        flow = [[scope[i].drawn, ""] for i in node.input if i in scope]
        if [key for key, _ in flow] != record["in"]:
            record["flow"] = flow
        given = attributes(node)
        if node.op_type == "Constant" and isinstance(given.get("value"), onnx.TensorProto):
            record |= {"kind": "weight", **_constant(given.pop("value"))}
        elif node.op_type in RECURRENT:
            record["kind"] = "recurrent"
        shown = [[name, _attr(a)] for name, a in given.items() if not _graphs(a)]
        if node.name and node.name not in outs:
            shown.insert(0, ["node", node.name])
        if len(outs) > 1:
            shown.insert(0, ["outputs", ", ".join(outs)])
        if shown:
            record["attrs"] = shown
        if place := parse_place(node.doc_string):
            record["at"] = [w.places.setdefault((place.file, place.line, place.col), len(w.places))]
        key = _add(w, scope, frame, record, *(outs or [node.name or node.op_type]))
        bodies = [(name, body) for name, a in given.items() for body in _graphs(a)]
        if bodies:
            _bodies(w, node, key, bodies, scope)
    return scope


def _bodies(
    w: _Writing,
    node: onnx.NodeProto,
    key: str,
    bodies: list[tuple[str, onnx.GraphProto]],
    scope: dict[str, Tensor],
) -> None:
    """Put the graphs inside a node into the scene, framed, and draw what flows in, around and out of them."""
    nodes, frames = w.scene.nodes, w.scene.frames
    record = nodes[key]
    frames[key] = {"label": node.op_type, **_framed(record.get("frame", ""))}
    record |= {"frame": key, "kind": "region"}
    # A Scan's body takes the node's inputs in order, and gives its outputs; a Loop's first its condition.
    fed = node.op_type in ("Scan", "Loop", "SequenceMap")
    skip = 1 if node.op_type == "Loop" else 0
    if fed:
        first = {"Scan": 0, "Loop": 2, "SequenceMap": 0}[node.op_type]
        record["flow"] = [[scope[i].drawn, ""] for i in node.input[:first] if i in scope]
    for name, body in bodies:
        inside = key
        if len(bodies) > 1:
            inside = w.keys(f"{key}/{name}")
            frames[inside] = {"label": name, "frame": key}
        inner = _graph(w, body, inside, scope)
        if fed:
            for k in range(first, min(len(node.input), len(body.input))):
                if node.input[k] in scope:
                    entry = nodes[inner[body.input[k].name].drawn]
                    entry["flow"] = [[scope[node.input[k]].drawn, ""]]
            for k in range(first, first + _carried(node)):
                after = body.output[k - first + skip].name if k - first + skip < len(body.output) else ""
                if k < len(body.input) and after in inner:
                    nodes[inner[body.input[k].name].drawn].setdefault("flow", []).append(
                        [inner[after].drawn, "back"]
                    )
        for outer, result in zip(node.output, body.output[skip:], strict=False):
            if outer and result.name in inner:
                scope[outer] = Tensor(key, inner[result.name].drawn)


def _carried(node: onnx.NodeProto) -> int:
    """How many states a loop op carries."""
    if node.op_type == "Loop":
        return max(len(node.input) - 2, 0)
    return len(node.input) - int(attributes(node).get("num_scan_inputs", 0)) if node.op_type == "Scan" else 0


def _add(w: _Writing, scope: dict[str, Tensor], frame: str, record: Record, *tensors: str) -> str:
    """Add a record that computes those tensors, and return its key."""
    key = w.keys(f"{frame}/{tensors[0]}" if frame else tensors[0])
    if key != tensors[0]:
        record.setdefault("label", tensors[0])
    w.scene.nodes[key] = record | _framed(frame)
    scope.update(dict.fromkeys(tensors, Tensor(key, key)))
    return key


def _framed(frame: str) -> Record:
    return {"frame": frame} if frame else {}


def _constant(tensor: onnx.TensorProto) -> Record:
    """The type of a tensor, and its elements where they are few and in the file."""
    type_ = f"{_dtype(tensor.data_type)}[{', '.join(map(str, tensor.dims))}]"
    size = 1
    for d in tensor.dims:
        size *= d
    if size > SHOWN[0] or tensor.data_location == onnx.TensorProto.EXTERNAL or "?" in type_:
        return {"type": type_}
    array = onnx.numpy_helper.to_array(tensor)
    found: Record = {"type": type_, "attrs": [["value", ", ".join(map(str, array.ravel().tolist()))]]}
    if size == 1:
        found["label"] = str(array.reshape(-1)[0].item())
    return found


def _graphs(value: Any) -> list[onnx.GraphProto]:
    several = value if isinstance(value, list) else [value]
    return [g for g in several if isinstance(g, onnx.GraphProto)]


def _attr(value: Any) -> str:
    match value:
        case bytes():
            text = value.decode(errors="replace")
        case onnx.TensorProto():
            text = _constant(value)["type"]
        case list():
            text = f"[{', '.join(map(_attr, value[: SHOWN[1]]))}]"
        case float():
            text = f"{value:.7g}"
        case _:
            text = str(value)
    return text if len(text) <= SHOWN[1] else f"{text[: SHOWN[1]]}…"


def _type(type_: onnx.TypeProto) -> str:
    element = type_.tensor_type.elem_type
    if not element:
        return type_.WhichOneof("value") or "?"
    shape = shape_of(type_)
    return f"{_dtype(element)}[{'…' if shape is None else ', '.join(map(str, shape))}]"


def _dtype(element: int) -> str:
    """ONNX's element type, as NumPy calls it."""
    try:
        return str(onnx.helper.tensor_dtype_to_np_dtype(element).name)
    except KeyError:
        return "?"
