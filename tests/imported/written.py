"""Graphs written with ``onnx.helper``, as converters write them: weights are drawn from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL

Dims = Sequence[int | str]


class Writer:
    """A graph being written, node after node; each method gives names of what it adds."""

    def __init__(self, opset: int, seed: int = 0) -> None:
        self.opset, self.rng = opset, np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self._count = 0

    def input(self, name: str, shape: Dims, dtype: int = FLOAT) -> str:
        """An input of the graph."""
        self.inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def output(self, name: str, value: str, shape: Dims, dtype: int = FLOAT) -> None:
        """An output of the graph, which is ``value``."""
        self.nodes.append(helper.make_node("Identity", [value], [name]))
        self.outputs.append(helper.make_tensor_value_info(name, dtype, shape))

    def op(self, op_type: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """A node; its output, or a list of several."""
        names = [self.name(op_type) for _ in range(outputs)]
        self.nodes.append(helper.make_node(op_type, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def const(self, value: Any, dtype: Any = np.int64) -> str:
        """A tensor that is known."""
        name = self.name("const")
        self.weights.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def drawn(self, *shape: int, gain: float = 1.0) -> str:
        """A weight, by what enters a unit: the last axis but for vectors, which are small."""
        spread = gain / np.sqrt(shape[-1]) if len(shape) > 1 else 0.2
        return self.const(self.rng.uniform(-spread, spread, shape) * np.sqrt(3), np.float32)

    def name(self, of: str) -> str:
        """A new name."""
        self._count += 1
        return f"{of}_{self._count}"

    def squeeze(self, x: str, *axes: int) -> str:
        """``x`` without these axes, as the opset spells it."""
        if self.opset < 13:
            return str(self.op("Squeeze", x, axes=axes))
        return str(self.op("Squeeze", x, self.const(axes)))

    def unsqueeze(self, x: str, *axes: int) -> str:
        """``x`` with new axes, as the opset spells it."""
        if self.opset < 13:
            return str(self.op("Unsqueeze", x, axes=axes))
        return str(self.op("Unsqueeze", x, self.const(axes)))

    def slice(self, x: str, axis: int, start: int, stop: int) -> str:
        """A part of ``x``, as the opset spells it."""
        if self.opset < 10:
            return str(self.op("Slice", x, axes=[axis], starts=[start], ends=[stop]))
        return str(self.op("Slice", x, self.const([start]), self.const([stop]), self.const([axis])))

    def split(self, x: str, axis: int, sizes: Sequence[int]) -> list[str]:
        """``x`` in parts, as the opset spells it."""
        if self.opset < 13:
            return list(self.op("Split", x, outputs=len(sizes), axis=axis, split=sizes))
        return list(self.op("Split", x, self.const(sizes), outputs=len(sizes), axis=axis))

    def dense(self, x: str, n: int, m: int) -> str:
        """``x [B, n]`` times a weight, plus a bias."""
        return str(self.op("Gemm", x, self.drawn(m, n), self.drawn(m), transB=1))

    def graph(self, name: str) -> onnx.GraphProto:
        """All that has been written."""
        return helper.make_graph(self.nodes, name, self.inputs, self.outputs, self.weights)

    def model(self) -> onnx.ModelProto:
        """The model, checked."""
        opset = helper.make_opsetid("", self.opset)
        version = helper.find_min_ir_version_for([opset])
        if version < 4:  # when weights had to be inputs that have a default
            self.inputs += [helper.make_tensor_value_info(w.name, w.data_type, w.dims) for w in self.weights]
        proto = helper.make_model(self.graph("step"), opset_imports=[opset], producer_name="written")
        proto.ir_version = version
        onnx.checker.check_model(proto, full_check=True)
        return proto
