"""Foreign nodes: pieces of other people's ONNX that no op of ours says, kept as they are.

A piece is a whole ``ModelProto``, serialised: its inputs are the operands, in order, its outputs the results,
its constants are inside, and its opsets are those that it was written for. It means what ``onnx.reference``
makes of it in the element types that it declares, or onnxruntime where that cannot run it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from rnnc.errors import RnncError


def pack(model: Any) -> np.ndarray[Any, Any]:
    """A ``ModelProto`` as an array of bytes, the same for equal models."""
    array = np.frombuffer(model.SerializeToString(deterministic=True), np.uint8)
    array.flags.writeable = False
    return array


@lru_cache(maxsize=256)
def _unpacked(data: bytes) -> Any:
    import onnx

    return onnx.load_model_from_string(data)


def unpack(piece: np.ndarray[Any, Any]) -> Any:
    """The ``ModelProto`` that :func:`pack` made an array of; not to be changed."""
    return _unpacked(piece.tobytes())


def opset_of(piece: np.ndarray[Any, Any]) -> int:
    """The opset of the standard domain that the piece is written for; 0 if it has no node of that domain."""
    return next((o.version for o in unpack(piece).opset_import if o.domain in ("", "ai.onnx")), 0)


def runs_in(piece: np.ndarray[Any, Any], opset: int) -> bool:
    """Whether every node of the piece means the same in that opset of the standard domain.

    So it does where the op is the same, and where ONNX's own converter leaves the nodes as they are.
    """
    import onnx

    written, changed = opset_of(piece), False
    for node in all_nodes(unpack(piece).graph):
        if node.domain in ("", "ai.onnx"):
            try:
                then, now = (
                    onnx.defs.get_schema(node.op_type, o, "").since_version for o in (written, opset)
                )
            except onnx.defs.SchemaError:
                return False
            changed |= then != now
    return not changed or _stays(piece.tobytes(), opset)


@lru_cache(maxsize=4096)
def _stays(data: bytes, opset: int) -> bool:
    """Whether ONNX's converter makes of a piece, in another opset, the same nodes."""
    from onnx import version_converter

    model = _unpacked(data)
    try:
        converted = version_converter.convert_version(model, opset)
    except Exception:  # noqa: BLE001 - it has no type for what it cannot convert
        return False
    return [_bare(n) for n in converted.graph.node] == [_bare(n) for n in model.graph.node]


def _bare(node: Any) -> tuple[Any, ...]:
    """A node without its name."""
    attributes = sorted(a.SerializeToString(deterministic=True) for a in node.attribute)
    return node.op_type, tuple(node.input), tuple(node.output), attributes


def attributes(piece: np.ndarray[Any, Any]) -> dict[str, Any]:
    """The attributes of a piece that is one node; texts are bytes."""
    from onnx.helper import get_attribute_value

    (node,) = unpack(piece).graph.node
    return {a.name: get_attribute_value(a) for a in node.attribute}


def with_attribute(piece: np.ndarray[Any, Any], name: str, value: Any) -> np.ndarray[Any, Any]:
    """A piece that is one node, with another value for one of its attributes."""
    from onnx import ModelProto
    from onnx.helper import make_attribute

    model = ModelProto()
    model.CopyFrom(unpack(piece))
    (node,) = model.graph.node
    kept = [a for a in node.attribute if a.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, make_attribute(name, value)])
    return pack(model)


def in_opset(piece: np.ndarray[Any, Any], opset: int) -> Any:
    """The ``ModelProto`` of a piece in that opset of the standard domain, not to be changed; ``None`` if ONNX
    cannot bring it there: to an older one, or if graphs are inside it."""
    if runs_in(piece, opset):
        return unpack(piece)
    return None if opset < opset_of(piece) else _converted(piece.tobytes(), opset)


@lru_cache(maxsize=1024)
def _converted(data: bytes, opset: int) -> Any:
    from onnx import version_converter

    model = _unpacked(data)
    if any(a.HasField("g") for node in model.graph.node for a in node.attribute):
        return None
    try:
        return version_converter.convert_version(model, opset)
    except Exception:  # noqa: BLE001 - it has no type for what it cannot convert
        return None


def all_nodes(graph: Any) -> list[Any]:
    """Every node of an ONNX graph and of the graphs inside it."""
    found, waiting = [], [graph]
    while waiting:
        for node in waiting.pop().node:
            found.append(node)
            for attribute in node.attribute:
                waiting += [attribute.g] if attribute.HasField("g") else list(attribute.graphs)
    return found


def run(
    piece: np.ndarray[Any, Any], operands: Sequence[np.ndarray[Any, Any]], ranks: Sequence[int]
) -> tuple[Any, ...]:
    """What a piece computes; its operands are converted to the element types that it declares.

    Results of other ``ranks`` than these are not what it means.
    """
    from onnx.helper import tensor_dtype_to_np_dtype

    feeds = {}
    for declared, array in zip(unpack(piece).graph.input, operands, strict=True):
        dtype = tensor_dtype_to_np_dtype(declared.type.tensor_type.elem_type)
        feeds[declared.name] = np.asarray(array).astype(dtype, copy=False)
    found = _runner(piece.tobytes())(feeds)
    if [np.ndim(y) for y in found] != list(ranks):
        found = _onnxruntime(piece.tobytes())(feeds)
    return tuple(np.asarray(y) for y in found)


@lru_cache(maxsize=256)
def _runner(data: bytes) -> Any:
    """A function of the piece's inputs, by name: onnx.reference if that can run it, else onnxruntime."""
    from onnx.reference import ReferenceEvaluator

    own: list[Any] = []
    try:
        own.append(ReferenceEvaluator(_unpacked(data)))
    except Exception:  # noqa: BLE001 - it raises whatever comes to pass on what it does not know
        return _onnxruntime(data)

    def call(feeds: dict[str, Any]) -> list[Any]:
        if own:
            try:
                return list(own[0].run(None, feeds))
            except Exception:  # noqa: BLE001 - likewise
                own.clear()
        return list(_onnxruntime(data)(feeds))

    return call


@lru_cache(maxsize=256)
def _onnxruntime(data: bytes) -> Any:
    from rnnc.runtime.sessions import failures, session

    opened = session(data)

    def call(feeds: dict[str, Any]) -> list[Any]:
        try:
            return list(opened.run(None, feeds))
        except failures() as error:
            raise RnncError(f"onnxruntime failed: {str(error).partition(chr(10))[0]}") from error

    return call
