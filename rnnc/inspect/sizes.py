"""Sizes: the shapes and element types of the tensors of an ONNX graph, as dims."""

from __future__ import annotations

from functools import cache
from typing import Any

import onnx

from rnnc.dims import Dim, dim, names, product, substitute

#: A size of which nothing is known.
UNKNOWN = dim("unknown")

Shape = tuple[Dim, ...]

#: Element types of less than a byte, and how many bits they take.
NARROW: dict[int, int] = {onnx.TensorProto.INT4: 4, onnx.TensorProto.UINT4: 4}
NARROW |= {getattr(onnx.TensorProto, n): 2 for n in ("INT2", "UINT2") if hasattr(onnx.TensorProto, n)}


class Sizes:
    """The shapes of one graph's tensors; those of the graph around it are seen through ``outer``."""

    def __init__(self, graph: onnx.GraphProto, outer: Sizes | None = None) -> None:
        self.outer = outer
        self.constants = constants(graph)
        self.shapes: dict[str, Shape] = {name: tuple(t.dims) for name, t in self.constants.items()}
        self.elements: dict[str, int] = {name: t.data_type for name, t in self.constants.items()}
        for info in (*graph.input, *graph.output, *graph.value_info):
            self.elements.setdefault(info.name, info.type.tensor_type.elem_type)
            shape = shape_of(info.type)
            if shape is not None:
                self.shapes.setdefault(info.name, shape)
        self._bytes: dict[str, Dim] = {}

    def __getitem__(self, tensor: str) -> Shape | None:
        """The shape of a tensor, or ``None`` where the file does not say."""
        if tensor in self.shapes:
            return self.shapes[tensor]
        return self.outer[tensor] if self.outer else None

    def element(self, tensor: str) -> int:
        """The element type of a tensor, as ONNX numbers them; 0 where the file does not say."""
        if tensor in self.elements:
            return self.elements[tensor]
        return self.outer.element(tensor) if self.outer else 0

    def bytes(self, tensor: str) -> Dim:
        """How many bytes a tensor takes; an unknown shape or type counts as the name ``unknown``."""
        if tensor not in self._bytes:
            shape, element = self[tensor], self.element(tensor)
            self._bytes[tensor] = UNKNOWN if shape is None or not element else size_of(element, shape)
        return self._bytes[tensor]

    def constant(self, tensor: str) -> onnx.TensorProto | None:
        """The fixed value of a tensor; ``None`` if it has none."""
        found = self.constants.get(tensor)
        return found if found is not None or self.outer is None else self.outer.constant(tensor)

    def integer(self, tensor: str) -> int | None:
        """The value of a tensor that holds one constant integer."""
        found = self.constant(tensor)
        if found is None or found.data_location == onnx.TensorProto.EXTERNAL or not single(found):
            return None
        return int(onnx.numpy_helper.to_array(found).reshape(-1)[0])

    def shown(self, tensor: str) -> str:
        """The type of a tensor for readers, ``float32[B, 3]``."""
        shape, element = self[tensor], self.element(tensor)
        inside = "?" if shape is None else ", ".join(map(shown_size, shape))
        return f"{dtype_name(element)}[{inside}]"


def single(tensor: onnx.TensorProto) -> bool:
    """Whether a tensor has one element."""
    return all(d == 1 for d in tensor.dims)


def size_of(element: int, shape: Shape) -> Dim:
    """The bytes of a tensor of that element type and shape."""
    bits, count = NARROW.get(element), product(shape)
    if bits is None:
        return count * item_size(element)
    return -(-count * bits // 8) if isinstance(count, int) else count


@cache
def item_size(element: int) -> int:
    """The bytes of one element; a string counts as a pointer."""
    if element == onnx.TensorProto.STRING:
        return 8
    try:
        return int(onnx.helper.tensor_dtype_to_np_dtype(element).itemsize)
    except (KeyError, ValueError, TypeError):  # a type newer than the library
        return 1


@cache
def dtype_name(element: int) -> str:
    """NumPy's name of an element type, or ONNX's where NumPy has none; ``?`` if it is not known."""
    if not element:
        return "?"
    if element == onnx.TensorProto.STRING:
        return "string"
    try:
        return str(onnx.helper.tensor_dtype_to_np_dtype(element).name)
    except (KeyError, ValueError, TypeError):
        return f"type {element}"


def shown_size(d: Dim) -> str:
    """A size for readers; ``?`` if nothing is known of it."""
    return "?" if d == UNKNOWN else str(d)


def constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """The tensors of fixed value in a graph, not counting those of its sub-graphs."""
    found = {t.name: t for t in graph.initializer}
    found.update((s.values.name, s.values) for s in graph.sparse_initializer)
    for node in graph.node:
        if node.op_type == "Constant" and node.output:
            found.update((node.output[0], a.t) for a in node.attribute if a.name == "value")
    return found


def shape_of(type_: onnx.TypeProto) -> Shape | None:
    """The shape that a type states; ``None`` if it states none."""
    if not type_.tensor_type.HasField("shape"):
        return None
    return tuple(_size(d) for d in type_.tensor_type.shape.dim)


def _size(d: onnx.TensorShapeProto.Dimension) -> Dim:
    return d.dim_value if d.HasField("dim_value") else _named(d.dim_param)


@cache
def _named(text: str | bytes) -> Dim:
    """The size that a name, or a sum or product of names, stands for."""
    if isinstance(text, bytes) or len(text) > 200:  # not UTF-8, or no name
        return UNKNOWN
    try:
        return dim(text)
    except ValueError:  # another tool's name for a size
        name = "".join(c if c.isalnum() else "_" for c in text)
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
