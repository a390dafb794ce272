"""Reading: a model from a file, whole and sound enough to be looked at, or a clear error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import onnx.inliner
from google.protobuf.message import DecodeError

from rnnc.emit.manifest import read
from rnnc.errors import FileError
from rnnc.inspect.graphs import short

#: A model whose functions would expand to more nodes is looked at with its functions as they are.
EXPANDED = 1_000_000
#: Shapes are not inferred where that copies more types than this, some 5 s of work.
COPIES = 100_000_000


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


def prepared(model: onnx.ModelProto) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """A model of anyone's with its functions expanded and its shapes inferred; and what could not be done."""
    notes = []
    if model.functions:
        if expanded(model) > EXPANDED:
            # Nor are shapes inferred, for that would look into them.
            return model, (f"its functions expand to more than {EXPANDED:,} nodes, and are not looked into",)
        try:
            model = onnx.inliner.inline_local_functions(model)
        except (RuntimeError, ValueError) as e:
            notes.append(f"its functions cannot be expanded: {_line(e)}")
    if _copies(model.graph) > COPIES:
        return model, (*notes, "it has too many bodies for its shapes to be inferred")
    try:
        model = onnx.shape_inference.infer_shapes(model)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError) as e:
        notes.append(f"shapes cannot be inferred: {_line(e)}")
    return model, tuple(notes)


def _copies(graph: onnx.GraphProto) -> int:
    """How many types onnx copies to infer shapes: for every body all those around it."""
    every = _nodes(graph.node)
    bodies = [a for n in every for a in n.attribute if a.type == onnx.AttributeProto.GRAPH]
    return len(every) * len(bodies)


def expanded(model: onnx.ModelProto) -> int:
    """How many nodes a model has with its functions expanded; an error if one calls itself."""
    bodies = {(f.domain, f.name): [(n.domain, n.op_type) for n in _nodes(f.node)] for f in model.functions}
    known: dict[tuple[str, str], int] = {}
    for root in bodies:
        waiting = [(root, False)]
        under: set[tuple[str, str]] = set()
        while waiting:
            name, done = waiting.pop()
            if done:
                known[name] = sum(known.get(call, 1) for call in bodies[name])
                under.discard(name)
            elif name not in known:
                if name in under:
                    raise FileError(f"the function {short(name[1])} calls itself")
                under.add(name)
                waiting.append((name, True))
                waiting += [
                    (call, False) for call in set(bodies[name]) if call in bodies and call not in known
                ]
    return sum(known.get((n.domain, n.op_type), 1) for n in _nodes(model.graph.node))


def _nodes(nodes: Any) -> list[Any]:
    """Nodes, those inside them included."""
    found = []
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        found.append(node)
        for a in node.attribute:
            if a.type == onnx.AttributeProto.GRAPH:
                waiting += a.g.node
    return found


def _line(error: Exception) -> str:
    lines: Mapping[int, str] = dict(enumerate(str(error).strip().splitlines()))
    return short(lines.get(0, type(error).__name__), 160)
