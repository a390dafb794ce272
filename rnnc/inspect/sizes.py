"""Sizes: the shapes of the tensors of an ONNX graph, as dims."""

from __future__ import annotations

from typing import Any

import onnx

from rnnc.dims import Dim, dim, names, substitute

#: A size of which nothing is known.
UNKNOWN = dim("unknown")

Shape = tuple[Dim, ...]


class Sizes:
    """The shapes of one graph's tensors; those of the graph around it are seen through ``outer``."""

    def __init__(self, graph: onnx.GraphProto, outer: Sizes | None = None) -> None:
        self.outer = outer
        self.shapes: dict[str, Shape] = {t.name: tuple(t.dims) for t in graph.initializer}
        self.constants = constants(graph)
        for info in (*graph.input, *graph.output, *graph.value_info):
            shape = shape_of(info.type)
            if shape is not None:
                self.shapes.setdefault(info.name, shape)

    def __getitem__(self, tensor: str) -> Shape | None:
        """The shape of a tensor, or ``None`` where the file does not say."""
        if tensor in self.shapes:
            return self.shapes[tensor]
        return self.outer[tensor] if self.outer else None

    def integer(self, tensor: str) -> int | None:
        """The value of a tensor that holds one constant integer."""
        found = self.constants.get(tensor)
        if found is None:
            return self.outer.integer(tensor) if self.outer else None
        array = onnx.numpy_helper.to_array(found)
        return int(array.reshape(-1)[0]) if array.size == 1 else None


def constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """The tensors of fixed value in a graph, not counting those of its sub-graphs."""
    found = {t.name: t for t in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            found.update((node.output[0], a.t) for a in node.attribute if a.name == "value")
    return found


def shape_of(type_: onnx.TypeProto) -> Shape | None:
    """The shape that a type states; ``None`` if it states none."""
    if not type_.tensor_type.HasField("shape"):
        return None
    return tuple(_size(d) for d in type_.tensor_type.shape.dim)


def _size(d: onnx.TensorShapeProto.Dimension) -> Dim:
    if d.HasField("dim_value"):
        return d.dim_value
    try:
        return dim(d.dim_param)
    except ValueError:  # another tool's name for a size
        name = "".join(c if c.isalnum() else "_" for c in d.dim_param)
        return dim(f"_{name}") if name else UNKNOWN


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """A node's attributes as Python values."""
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def bodies(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """The graphs inside a node."""
    return [a.g for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]


def at(d: Dim, **sizes: int) -> int:
    """A dim as a number: its names have the given ``sizes``, and are 1 without one."""
    return int(substitute(d, {n: sizes.get(n, 1) for n in names(d)}))  # type: ignore[arg-type]
