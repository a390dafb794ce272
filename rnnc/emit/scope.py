"""A scope: one ONNX graph while it is written, the model's own or one inside a node.

Names are unique over all scopes of a model, since a graph inside a node sees the tensors around it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from rnnc.dims import Poly
from rnnc.emit.names import Names
from rnnc.ir import Array
from rnnc.types import TensorType

#: ONNX's number of each element type.
ONNX_DTYPE: Mapping[str, int] = {
    "f16": TensorProto.FLOAT16,
    "f32": TensorProto.FLOAT,
    "f64": TensorProto.DOUBLE,
    "i8": TensorProto.INT8,
    "i16": TensorProto.INT16,
    "i32": TensorProto.INT32,
    "i64": TensorProto.INT64,
    "u8": TensorProto.UINT8,
    "u16": TensorProto.UINT16,
    "u32": TensorProto.UINT32,
    "u64": TensorProto.UINT64,
    "bool": TensorProto.BOOL,
}


def value_info(name: str, type: TensorType) -> ValueInfoProto:
    """The type of a tensor as ONNX writes it; a named dim is a parameter."""
    info = ValueInfoProto(name=name)
    tensor = info.type.tensor_type
    tensor.elem_type = ONNX_DTYPE[type.dtype]
    tensor.shape.SetInParent()
    for d in type.shape:
        axis = tensor.shape.dim.add()
        if isinstance(d, Poly):
            axis.dim_param = str(d)
        else:
            axis.dim_value = d
    return info


class Scope:
    """The nodes, initializers and types of one ONNX graph being written, into ``proto`` if one is given."""

    def __init__(self, opset: int, parent: Scope | None = None, proto: GraphProto | None = None) -> None:
        self.opset = opset
        self.root: Scope = parent.root if parent else self
        self.tensors: Names = parent.tensors if parent else Names()
        self.node_names: Names = parent.node_names if parent else Names()
        self.domains: dict[str, int] = parent.domains if parent else {}
        self.nodes: list[NodeProto] = []
        self.proto = GraphProto() if proto is None else proto
        self.types: dict[str, TensorType] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def node(
        self,
        op_type: str,
        inputs: Sequence[str],
        outputs: Mapping[str, TensorType],
        *,
        name: str,
        doc: str = "",
        domain: str = "",
        attrs: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a node whose outputs have those names and types; inputs left out at the end are dropped."""
        node = NodeProto(op_type=op_type, name=self.node_names(name), doc_string=doc, domain=domain)
        given = len(inputs)
        while given and not inputs[given - 1]:
            given -= 1
        node.input.extend(inputs[:given])
        node.output.extend(outputs)
        node.attribute.extend(attribute(k, v) for k, v in sorted((attrs or {}).items()))
        self.nodes.append(node)
        if domain:
            self.domains[domain] = 1
        self.types.update(outputs)

    def keep(self, node: NodeProto, outputs: Mapping[str, TensorType], versions: Mapping[str, int]) -> None:
        """Write a node of somebody else's as it is; ``outputs`` that it has get their types.

        ``versions`` are those of the domains that it, or the nodes inside it, may be of.
        """
        self.nodes.append(node)
        self.domains.update(versions)
        self.types.update({n: outputs[n] for n in node.output if n in outputs})

    def derive(self, op_type: str, inputs: Sequence[str], type: TensorType, name: str, **attrs: Any) -> str:
        """The one tensor that a node of our own making computes, called ``name`` if that is free."""
        output = self.tensors(name)
        self.node(op_type, inputs, {output: type}, name=output, attrs=attrs)
        return output

    def initializer(self, name: str, array: Array) -> str:
        """A tensor with a fixed value, called ``name`` if that is free."""
        tensor = self.tensors(name)
        whole = np.ascontiguousarray(array).reshape(array.shape)
        self.proto.initializer.append(numpy_helper.from_array(whole, tensor))
        return tensor

    def tensor(self, proto: TensorProto, name: str) -> str:
        """Somebody else's tensor with a fixed value, of whatever element type."""
        array = numpy_helper.to_array(proto)
        if array.dtype.kind in "fiub":
            return self.constant(array, name)
        tensor = self.tensors(name)
        new = self.proto.initializer.add()
        new.CopyFrom(proto)
        new.name = tensor
        return tensor

    def constant(self, array: Array, name: str = "const") -> str:
        """A tensor with a fixed value; one for all that are equal to the bit."""
        content = hashlib.sha256(array.tobytes()).digest()
        key = str(array.dtype), array.shape, content
        if key not in self._constants:
            self._constants[key] = self.initializer(name, array)
        return self._constants[key]

    def graph(
        self, name: str, inputs: Mapping[str, TensorType], outputs: Mapping[str, TensorType], doc: str = ""
    ) -> GraphProto:
        """The finished graph. What is neither an input nor an output has its type as ``value_info``."""
        graph = self.proto
        graph.name, graph.doc_string = name, doc
        graph.node.extend(self.nodes)
        graph.input.extend(infos(inputs))
        graph.output.extend(infos(outputs))
        graph.value_info.extend(
            infos({t: k for t, k in self.types.items() if t not in inputs and t not in outputs})
        )
        return graph


def infos(types: Mapping[str, TensorType]) -> Iterable[ValueInfoProto]:
    """The types of several tensors as ONNX writes them."""
    return (value_info(name, type) for name, type in types.items())


def attribute(name: str, value: Any) -> AttributeProto:
    """An attribute as ONNX writes it; the sequence kinds, empty ones too, are told by their first element."""
    if isinstance(value, bool | np.bool_):
        value = int(value)
    if isinstance(value, tuple | list):
        value = [int(v) if isinstance(v, bool) else v for v in value]
        if not value:
            return helper.make_attribute(name, value, attr_type=AttributeProto.INTS)
    return helper.make_attribute(name, value)
