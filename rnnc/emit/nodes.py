"""Nodes: one op in its ONNX form, as the op's own declaration gives it."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from rnnc.dims import Poly
from rnnc.emit.pieces import write_piece
from rnnc.emit.scope import ONNX_DTYPE, Scope
from rnnc.emit.shapes import OPEN_SHAPES, Sizes
from rnnc.errors import FormError
from rnnc.ir import Node
from rnnc.ops.declare import FAR, OPS, AtAxis, IfFloat, Linear, Lit, Onnx, Op, SizeOf, Source, Tensor
from rnnc.types import DTYPES, TensorType


def write_node(
    scope: Scope,
    sizes: Sizes,
    node: Node,
    operands: Sequence[tuple[str, TensorType]],
    outputs: Mapping[str, TensorType],
    *,
    name: str,
    doc: str,
) -> None:
    """Write ``node``, whose operands are tensors of those names and types; one without a name is left out."""
    if node.op == "opaque":
        write_piece(scope, node.attrs["piece"], [n for n, _ in operands], outputs, name=name, doc=doc)
        return
    op = OPS[node.op]
    form = op.form(scope.opset)
    if form is None:
        raise FormError(f"opset {scope.opset} of ONNX has no {op.name}", loc=next(iter(node.locs), None))
    writing = _Writing(op, form, op.complete(node.attrs), operands, scope, sizes)
    scope.node(
        form.op_type,
        writing.inputs(),
        outputs,
        name=name,
        doc=doc,
        domain=form.domain,
        attrs=writing.attributes(),
    )


@dataclass(frozen=True)
class _Writing:
    """One node in one form: how its inputs and attributes follow from ours."""

    op: Op
    form: Onnx
    attrs: Mapping[str, Any]
    operands: Sequence[tuple[str, TensorType]]
    scope: Scope
    sizes: Sizes

    def inputs(self) -> list[str]:
        """The tensors that the node reads, ``""`` for one left out."""
        if self.form.inputs is None:
            return [name for name, _ in self.operands]
        return [
            self._fixed(part) if isinstance(part, Tensor) else self._operand(part, k)
            for k, part in enumerate(self.form.inputs)
        ]

    def attributes(self) -> dict[str, Any]:
        """The node's attributes, without those left at ONNX's default."""
        found = {name: self._value(source) for name, source in self.form.attrs.items()}
        if self.form.dtype_attr:
            found[self.form.dtype_attr] = ONNX_DTYPE[found[self.form.dtype_attr]]
        if self._open_shape() is not None:
            found.pop("allowzero", None)
        return {name: value for name, value in found.items() if value is not None and value != ()}

    def _operand(self, name: str, position: int) -> str:
        """An operand's tensor, as 32-bit integers where ONNX takes no others."""
        slot = self.op.operands.index(name) if name else len(self.operands)
        if slot >= len(self.operands):
            return ""
        tensor, type = self.operands[slot]
        if type.dtype == "i64" and narrow(self.form.op_type, self.scope.opset, position):
            return self.scope.derive(
                "Cast", [tensor], TensorType("i32", type.shape), f"{tensor}_i32", to=ONNX_DTYPE["i32"]
            )
        return tensor

    def _type(self, name: str) -> TensorType:
        return self.operands[self.op.operands.index(name)][1]

    def _value(self, source: Source) -> Any:
        """What a source of an attribute or a constant stands for."""
        match source:
            case str():
                return self.attrs[source]
            case Lit(value=value):
                return value
            case Linear(attr=attr, scale=scale, plus=plus):
                return self.attrs[attr] * scale + plus
            case SizeOf(operand=operand, axis=axis):
                return self._type(operand).shape[axis]
            case AtAxis(attr=attr, axis=axis):
                rank = self.operands[0][1].rank
                return tuple(self.attrs[attr] if i == self.attrs[axis] else 0 for i in range(rank))
            case IfFloat(yes=yes, no=no):
                return yes if self.operands[0][1].floating else no

    def _fixed(self, part: Tensor) -> str:
        """The tensor that holds attributes of ours."""
        sources = part.source if isinstance(part.source, tuple) else (part.source,)
        numbers: list[Any] = []
        for source in sources:
            value = self._value(source)
            if value is None and part.open:
                value = FAR if self.attrs[part.open] > 0 else -FAR
            numbers.extend(value if isinstance(value, tuple | list) else [value])
        if numbers == [None]:
            return ""
        numbers = list(self._open_shape() or numbers)
        if any(isinstance(d, Poly) for d in numbers):
            return self.sizes.scalar(numbers[0]) if part.scalar else self.sizes.vector(numbers)
        array = np.array(numbers[0] if part.scalar else numbers, TensorType(self._dtype(part.dtype)).numpy)
        return self.scope.constant(array, sources[0] if isinstance(sources[0], str) else self.op.name)

    def _dtype(self, name: str) -> str:
        """The element type that ``name`` stands for: itself, an operand's, or an attribute's."""
        if name in DTYPES:
            return name
        return self._type(name).dtype if name in self.op.operands else str(self.attrs[name])

    def _open_shape(self) -> tuple[int, ...] | None:
        """The shape that the node is told, where that can be constant although the shape is not."""
        find = OPEN_SHAPES.get(self.form.op_type)
        return find(self.operands[0][1].shape, tuple(self.attrs["shape"])) if find else None


@functools.cache
def narrow(op_type: str, opset: int, position: int) -> bool:
    """Whether that input of an ONNX op must be 32-bit integers."""
    inputs = onnx.defs.get_schema(op_type, opset).inputs
    return position < len(inputs) and set(inputs[position].types) == {"tensor(int32)"}
