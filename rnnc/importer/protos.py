"""What is asked of ONNX's own protobufs and library: attributes, types, names, and what a node computes."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from itertools import zip_longest
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, TypeProto, checker, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from rnnc.dims import Dim, Poly, dim
from rnnc.emit.scope import ONNX_DTYPE
from rnnc.errors import FileError
from rnnc.importer.items import Array, Item, Known
from rnnc.text.literals import is_name
from rnnc.types import TensorType, short_dtype, type_of

#: The short name of each element type of ours, by ONNX's number.
DTYPE_OF: Mapping[int, str] = {number: short for short, number in ONNX_DTYPE.items()}
#: A tensor is computed when it is read if all that it is made of is known, and so many elements at most.
FOLDED = 1 << 16
#: The most elements that a tensor may have.
LARGEST = 1 << 40


def plain(name: str) -> str:
    """A tensor's name as graph text can write it."""
    found = re.sub(r"[\s\x00-,\-\/:-@\[-^`{-\x7f]+", "_", name).strip("_") or "v"
    return found if is_name(found) else f"v{found}"


def array_type(array: Array, name: str = "") -> TensorType:
    """The type of an array; :class:`FileError` if rnnc has no such element type."""
    try:
        return type_of(array)
    except ValueError:
        what = f"the tensor {name!r}" if name else "a constant"
        raise FileError(f"{what} holds {array.dtype}, an element type that rnnc does not have") from None


def attributes(node: NodeProto, domain: str, opset: int) -> dict[str, Any]:
    """The attributes of a node in Python, those not given at ONNX's defaults; texts are ``str``."""
    for a in node.attribute:
        if a.ref_attr_name:
            raise FileError(f"{shown(node)} has {a.name!r} of a function, and is in none")
    return defaults_of(node.op_type, domain, opset) | {a.name: _python(a) for a in node.attribute}


@cache
def defaults_of(op_type: str, domain: str, opset: int) -> dict[str, Any]:
    """What ONNX says of an op's attributes that are not given."""
    schema = schema_of(op_type, domain, opset)
    declared = schema.attributes.items() if schema else ()
    return {
        name: _python(a.default_value)
        for name, a in declared
        if a.default_value.type != AttributeProto.UNDEFINED
    }


def _python(attribute: AttributeProto) -> Any:
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if attribute.type in (AttributeProto.FLOATS, AttributeProto.INTS):
        return tuple(value)
    if attribute.type == AttributeProto.STRINGS:
        return tuple(v.decode("utf-8", "replace") for v in value)
    return value


def check_node(node: NodeProto, opsets: Mapping[str, int]) -> None:
    """Refuse a node that is not what ONNX says of its op; graphs inside it are left to whoever reads them."""
    context = checker.C.CheckerContext()
    context.ir_version = onnx.IR_VERSION
    context.opset_imports = {node.domain: 1, **opsets}
    plain_ = NodeProto()
    plain_.CopyFrom(node)
    for attribute in plain_.attribute:
        if attribute.HasField("g"):
            attribute.g.CopyFrom(GraphProto(name="inside"))
        for graph in attribute.graphs:
            graph.CopyFrom(GraphProto(name="inside"))
    try:
        checker.check_node(plain_, context)
    except (checker.ValidationError, RuntimeError, ValueError) as error:
        raise FileError(f"{shown(node)} is no valid ONNX: {first_line(error)}") from None


def check_graph(graph: GraphProto, around: Collection[str], opsets: Mapping[str, int]) -> None:
    """Refuse a graph inside a node that is not what ONNX allows; ``around`` are the tensors it may read."""
    known = {*around, *(i.name for i in graph.input), *(t.name for t in graph.initializer)}
    for node in graph.node:
        missing = next((n for n in node.input if n and n not in known), None)
        if missing is not None:
            raise FileError(f"{missing!r} is read by {shown(node)} before a node gives it")
        check_node(node, opsets)
        for attribute in node.attribute:
            for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                check_graph(inner, known, opsets)
        twice = next((n for n in node.output if n in known), None)
        if twice:
            raise FileError(f"{shown(node)} gives {twice!r}, a name that another tensor has")
        known.update(n for n in node.output if n)
    missing = next((o.name for o in graph.output if o.name not in known), None)
    if missing is not None:
        raise FileError(f"{missing!r} is given by no node")


def shown(node: NodeProto) -> str:
    """A node, in a sentence."""
    return f"the {plain(node.op_type)} that gives {next(filter(None, node.output), 'nothing')!r}"


def first_line(error: Exception) -> str:
    """What an exception says first, without the point at its end."""
    return str(error).strip().partition("\n")[0].rstrip(" .:") or type(error).__name__


def schema_of(op_type: str, domain: str, opset: int) -> onnx.defs.OpSchema | None:
    """What ONNX says of an op; ``None`` if it is not one of its own, or not of that opset."""
    try:
        return onnx.defs.get_schema(op_type, opset, domain)
    except onnx.defs.SchemaError:
        return None


def tensor_of(array: Array, name: str) -> TensorProto:
    """An array as ONNX writes it."""
    return numpy_helper.from_array(np.asarray(array), name)


def type_proto(type: TensorType, shaped: bool = True) -> TypeProto:
    """A type as ONNX writes it, without its shape unless ``shaped``."""
    shape = [str(d) if isinstance(d, Poly) else d for d in type.shape] if shaped else None
    found: TypeProto = helper.make_tensor_type_proto(ONNX_DTYPE[type.dtype], shape)
    return found


def check_size(type: TensorType, what: str) -> None:
    """Refuse a tensor that no memory can hold, or of less than no elements."""
    if any(isinstance(d, int) and d < 0 for d in type.shape):
        raise FileError(f"{what} has a size below 0: it is {type}")
    count = prod(max(d, 1) for d in type.shape if isinstance(d, int))
    if count > LARGEST:
        raise FileError(f"{what} has {count} elements, more than fit in memory")


class Dims:
    """The sizes that ONNX's types name, as dims of ours: one for each name, a new one for each without.

    ``renamed`` maps names of the file's to dims.
    """

    def __init__(self, renamed: Mapping[str, Dim] | None = None) -> None:
        self.known: dict[str, Dim] = dict(renamed or {})
        self._taken = {"T"}

    def type(self, proto: TypeProto, name: str, what: str = "") -> TensorType | None:
        """The type that ``proto`` writes, of the tensor ``name``; ``None`` if it does not tell the rank."""
        kind = proto.WhichOneof("value")
        if kind != "tensor_type":
            shown = "n optional value" if kind == "optional_type" else f" {(kind or 'thing')[:-5]}"
            raise FileError(f"{what or repr(name)} is no tensor, but a{shown}")
        tensor = proto.tensor_type
        if tensor.elem_type not in DTYPE_OF:
            number = tensor.elem_type
            known = onnx.TensorProto.DataType.values()
            shown = onnx.TensorProto.DataType.Name(number).lower() if number in known else f"type {number}"
            raise FileError(f"{what or repr(name)} holds {shown}, an element type that rnnc does not have")
        if not tensor.HasField("shape"):
            return None
        shape = [self._dim(d, f"{name}_{axis}") for axis, d in enumerate(tensor.shape.dim)]
        found = TensorType(DTYPE_OF[tensor.elem_type], tuple(shape))
        check_size(found, what or repr(name))
        return found

    def _dim(self, proto: Any, otherwise: str) -> Dim:
        if proto.HasField("dim_value") and proto.dim_value >= 0:
            return int(proto.dim_value)
        if not proto.dim_param:
            return self.named(otherwise)
        if proto.dim_param not in self.known:
            self.known[proto.dim_param] = self._read(proto.dim_param)
        return self.known[proto.dim_param]

    def _read(self, text: str) -> Dim:
        """A parameter of the file's: sums and products of those that are known, else a name of its own."""
        if re.fullmatch(r"[^\W\d]\w*", text) or len(text) > 200:
            return self.named(text)
        try:
            found = dim(text)
        except ValueError:
            return self.named(text)
        return found if isinstance(found, Poly) else self.named(text)

    def named(self, text: str) -> Dim:
        """A size with a name of its own, ``text`` or one like it."""
        base = re.sub(r"\W", "_", text)[:60] or "n"
        base = base if not base[0].isdigit() else f"n{base}"
        name, n = base, 1
        while name in self._taken:
            n += 1
            name = f"{base}_{n}"
        self._taken.add(name)
        return dim(name)


#: Ops whose results may be larger than all they read, and which inputs' numbers say how large; and those that
#: roll dice.
ENLARGING: Mapping[str, tuple[int, ...]] = {
    "ConstantOfShape": (0,),
    "Expand": (1,),
    "Tile": (1,),
    "Range": (0, 1, 2),
    "Pad": (1,),
    "Resize": (2, 3),
    "OneHot": (1,),
    "EyeLike": (),
}
RANDOM = ("Random", "Multinomial", "Bernoulli")


def _room(op_type: str, arrays: Sequence[Array]) -> float:
    """How many elements an op that enlarges may make of its inputs, or more."""
    if op_type == "Expand" and len(arrays) == 2 and arrays[1].ndim == 1:
        longest = zip_longest(arrays[0].shape[::-1], arrays[1].tolist()[::-1], fillvalue=1)
        return float(prod(max(float(a), abs(float(b)), 1.0) for a, b in longest))
    room = 1.0
    for k, a in enumerate(arrays):
        numbers = k in ENLARGING[op_type] and a.dtype.kind in "iuf"
        room *= float(np.prod(np.maximum(1.0, np.abs(a.astype(np.float64))))) if numbers else max(1, a.size)
    return room


def evaluated(node: NodeProto, inputs: Sequence[Item], opset: int) -> list[Item] | None:
    """What a node of known inputs computes by onnx.reference; ``None`` if it cannot, or may be too much."""
    arrays = [i.array for i in inputs if isinstance(i, Known)]
    if node.domain not in ("", "ai.onnx") or node.op_type.startswith(RANDOM):
        return None
    with np.errstate(all="ignore"):
        room = _room(node.op_type, arrays) if node.op_type in ENLARGING else 0.0
    largest = sorted(a.size for a in arrays)[-2:]  # an op of two may give as many as all pairs of theirs
    if not sum(a.size for a in arrays) + room <= FOLDED or prod(largest) > FOLDED**1.5:
        return None
    named = [(name, i.array) for name, i in zip(node.input, inputs, strict=True) if isinstance(i, Known)]
    feeds = dict(named)
    ends = [n for n in node.output if n]
    graph = helper.make_graph(
        [node],
        "folded",
        [helper.make_value_info(n, _any(a)) for n, a in feeds.items()],
        [helper.make_value_info(n, TypeProto()) for n in ends],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    try:
        with np.errstate(all="ignore"):
            found = ReferenceEvaluator(model).run(None, feeds)
    except Exception:  # noqa: BLE001 - it raises whatever comes to pass on what it does not know
        return None
    results = dict(zip(ends, found, strict=True))
    if not all(isinstance(a, np.ndarray | np.generic) for a in found):
        return None
    return [Known(np.asarray(results[n])) if n else Known(np.zeros(0)) for n in node.output]


def _any(array: Array) -> TypeProto:
    try:
        number = ONNX_DTYPE[short_dtype(array.dtype)]
    except ValueError:
        number = 0
    found: TypeProto = helper.make_tensor_type_proto(number, None)
    return found
