"""Cost: how many nodes an ONNX graph runs, and how many multiply-adds, as polynomials in its named sizes.

Products and convolutions are counted, the recurrent ops by their two products a step, and a matrix memory by
what it writes, reads and, if it does, erases; what works element by element is not. Of the branches of an
``If`` the dearest counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import onnx

from rnnc.dims import Dim, dim, product
from rnnc.inspect.sizes import UNKNOWN, Shape, Sizes, at, attributes, bodies

#: Ops that loop over time by themselves.
NATIVE = ("LSTM", "GRU", "RNN")
#: A matrix memory's op, which loops over time as well.
MEMORY = "LinearAttention"
LOOPS = (*NATIVE, MEMORY, "Scan", "Loop")


@dataclass(frozen=True)
class Cost:
    """What running something takes. A size unknown when reading counts as the name ``unknown``."""

    nodes: Dim = 0
    multiply_adds: Dim = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.nodes + other.nodes, self.multiply_adds + other.multiply_adds)

    def times(self, n: Dim) -> Cost:
        """The cost of ``n`` such runs."""
        return Cost(self.nodes * n, self.multiply_adds * n)


def graph_cost(graph: onnx.GraphProto, sizes: Sizes) -> Cost:
    """The cost of one run of ``graph``."""
    return sum((node_cost(n, sizes) for n in graph.node), Cost())


def node_cost(node: onnx.NodeProto, sizes: Sizes) -> Cost:
    """The cost of one run of ``node``, with all that runs inside it."""
    if node.op_type == "Constant":
        return Cost()
    inner = [graph_cost(g, Sizes(g, sizes)) for g in bodies(node)]
    if node.op_type in ("Scan", "Loop"):
        return Cost(nodes=1) + inner[0].times(trips_of(node, sizes))
    if inner:
        return Cost(nodes=1) + max(inner, key=lambda c: at(c.multiply_adds + c.nodes))
    return Cost(1, _multiply_adds(node, sizes))


def trips_of(node: onnx.NodeProto, sizes: Sizes) -> Dim:
    """How many steps a loop op runs."""
    if node.op_type in NATIVE:
        x = sizes[node.input[0]]
        return x[attributes(node).get("layout", 0)] if x else UNKNOWN
    if node.op_type == MEMORY:
        q = sizes[node.input[0]]
        return q[1] if q else UNKNOWN
    if node.op_type == "Loop":
        count = sizes.integer(node.input[0]) if node.input[0] else None
        return dim("iterations") if count is None else count
    given = attributes(node)
    n = given["num_scan_inputs"]
    axis = given.get("scan_input_axes", [0])[0]
    x = sizes[node.input[len(node.input) - n]] if n else None
    return x[axis] if x else UNKNOWN


def step_cost(node: onnx.NodeProto, sizes: Sizes) -> int:
    """The multiply-adds of one step, at batch 1, of an op that loops by itself."""
    if node.op_type == MEMORY:
        passes = 3 if attributes(node).get("update_rule", b"gated_delta").endswith(b"delta") else 2
        return at(product((sizes[node.input[3]] or ())[1:])) * passes
    x, w, r = (sizes[t] for t in node.input[:3])
    return at(product(w or ()) + product(r or ())) if x else 0


def _multiply_adds(node: onnx.NodeProto, sizes: Sizes) -> Dim:
    def shape(tensor: str) -> Shape:
        found = sizes[tensor]
        return (UNKNOWN,) if found is None else found

    match node.op_type:
        case "MatMul" | "MatMulInteger":
            return product(shape(node.output[0])) * shape(node.input[0])[-1]
        case "Gemm":
            inner = shape(node.input[0])[0 if attributes(node).get("transA") else -1]
            return product(shape(node.output[0])) * inner
        case "Conv":
            return product(shape(node.output[0])) * product(shape(node.input[1])[1:])
        case "Einsum":
            return _einsum(attributes(node)["equation"].decode(), [shape(x) for x in node.input])
        case "LinearAttention":
            return product(shape(node.input[0])[:2]) * step_cost(node, sizes)
        case "LSTM" | "GRU" | "RNN":
            x, w, r = (shape(t) for t in node.input[:3])
            return product(x[:2]) * (product(w) + product(r))
    return 0


def _einsum(equation: str, shapes: list[Shape]) -> Dim:
    """The product of all sizes that an equation without an ellipsis runs over."""
    sizes: dict[str, Dim] = {}
    for letters, shape in zip(equation.replace(" ", "").partition("->")[0].split(","), shapes, strict=True):
        if "." in letters or len(letters) != len(shape):
            return UNKNOWN
        sizes |= dict(zip(letters, shape, strict=True))
    return product(sizes.values())


def weight_bytes(tensor: onnx.TensorProto) -> int:
    """The size of a weight."""
    elements = prod(int(d) for d in tensor.dims)
    if tensor.data_type in (onnx.TensorProto.INT4, onnx.TensorProto.UINT4):
        return (elements + 1) // 2
    return elements * int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
