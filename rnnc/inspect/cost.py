"""Cost: what an ONNX graph runs, as polynomials in its named sizes: nodes, multiply-adds and bytes moved.

Products and convolutions are counted, the recurrent ops by their two products a step, and a matrix memory by
what it writes, reads and, if it does, erases; what works element by element is not. Bytes moved are what
nodes read and write as if nothing stayed in a cache: every operand once a node, weights too, and what a
recurrent op reads at each step at each step. What only gives a tensor another shape moves nothing. Of the
branches of an ``If`` the dearest counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import onnx

from rnnc.dims import Dim, dim, product, total
from rnnc.inspect.graphs import LOOPS, MEMORY, NATIVE, Body, Item
from rnnc.inspect.sizes import UNKNOWN, Shape, Sizes, at, size_of

#: Ops that give a tensor another shape, and share its memory.
VIEWS = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Shape", "Size"})
#: Ops that read as much of their first operand as they write.
PARTS = frozenset({"Slice", "Gather", "Split", "GatherElements", "GatherND", "Expand", "Tile"})


@dataclass(frozen=True, slots=True)
class Cost:
    """What running something takes. A size unknown when reading counts as the name ``unknown``."""

    nodes: Dim = 0
    multiply_adds: Dim = 0
    bytes: Dim = 0

    def times(self, n: Dim) -> Cost:
        """The cost of ``n`` such runs."""
        return Cost(self.nodes * n, self.multiply_adds * n, self.bytes * n)


def all_of(costs: Iterable[Cost]) -> Cost:
    """The cost of running all of them."""
    some = list(costs)
    return Cost(
        total(c.nodes for c in some), total(c.multiply_adds for c in some), total(c.bytes for c in some)
    )


def body_cost(body: Body) -> Cost:
    """The cost of one run of a graph."""
    return all_of(item_cost(item, body.sizes) for item in body.items)


def item_cost(item: Item, sizes: Sizes) -> Cost:
    """The cost of one run of a node, with all that runs inside it."""
    if item.free:
        return Cost()
    inner = [body_cost(b) for b in item.bodies]
    if item.op in ("Scan", "Loop") and inner:
        own = Cost(1, 0, _moved(item, sizes))
        return all_of([own, inner[0].times(trips_of(item, sizes))])
    if inner:
        dearest = max(inner, key=lambda c: at(total((c.multiply_adds, c.nodes))))
        return all_of([Cost(nodes=1), dearest])
    if item.op in LOOPS and item.op not in ("Scan", "Loop"):
        return Cost(1, _multiply_adds(item, sizes), _recurrent_bytes(item, sizes))
    return Cost(1, _multiply_adds(item, sizes), _moved(item, sizes))


def trips_of(item: Item, sizes: Sizes) -> Dim:
    """How many steps a loop op runs."""
    given = item.attributes
    if item.op in NATIVE:
        x = sizes[item.input(0)]
        return x[1 if given.get("layout", 0) else 0] if x else UNKNOWN
    if item.op == MEMORY:
        q = sizes[item.input(0)]
        return q[1] if q and len(q) > 1 else UNKNOWN
    if item.op == "Loop":
        count = sizes.integer(item.input(0)) if item.input(0) else None
        return dim("iterations") if count is None else max(count, 0)
    n = int(given.get("num_scan_inputs", 0))
    batched = bool(item.bodies) and len(item.inputs) > len(item.bodies[0].graph.input)  # as until opset 8
    axis = 1 if batched else (given.get("scan_input_axes") or [0])[0]
    x = sizes[item.inputs[-n]] if 0 < n <= len(item.inputs) else None
    return x[axis] if x and -len(x) <= axis < len(x) else UNKNOWN


def step_cost(item: Item, sizes: Sizes) -> int:
    """The multiply-adds of one step, at batch 1, of an op that loops by itself."""
    if item.op == MEMORY:
        passes = 3 if item.attributes.get("update_rule", b"gated_delta").endswith(b"delta") else 2
        return at(product((sizes[item.input(3)] or ())[1:])) * passes
    w, r = sizes[item.input(1)], sizes[item.input(2)]
    return at(total((product(w or (0,)), product(r or (0,)))))


def _multiply_adds(item: Item, sizes: Sizes) -> Dim:
    def shape(slot: int) -> Shape:
        found = sizes[item.input(slot)]
        return (UNKNOWN,) if found is None else found

    out = sizes[item.outputs[0]] if item.outputs else None
    result = UNKNOWN if out is None else product(out)
    match item.op:
        case "MatMul" | "MatMulInteger" | "FusedMatMul" | "QLinearMatMul":
            return result * (shape(0) or (1,))[-1]
        case "Gemm":
            return result * (shape(0) or (1,))[0 if item.attributes.get("transA") else -1]
        case "Conv" | "ConvInteger" | "FusedConv" | "QLinearConv":
            return result * product(shape(3 if item.op == "QLinearConv" else 1)[1:])
        case "ConvTranspose":
            return product(shape(0)) * product(shape(1)[1:])
        case "Einsum":
            equation = item.attributes.get("equation", b"").decode(errors="replace")
            return _einsum(equation, [shape(k) for k in range(len(item.inputs))])
        case "LinearAttention":
            return product(shape(0)[:2]) * step_cost(item, sizes)
        case "LSTM" | "GRU" | "RNN":
            return product(shape(0)[:2]) * total((product(shape(1)), product(shape(2))))
    return 0


def _einsum(equation: str, shapes: list[Shape]) -> Dim:
    """The product of all sizes that an equation without an ellipsis runs over."""
    sizes: dict[str, Dim] = {}
    terms = equation.replace(" ", "").partition("->")[0].split(",")
    if len(terms) != len(shapes):
        return UNKNOWN
    for letters, shape in zip(terms, shapes, strict=True):
        if "." in letters or len(letters) != len(shape):
            return UNKNOWN
        sizes |= dict(zip(letters, shape, strict=True))
    return product(sizes.values())


def _moved(item: Item, sizes: Sizes) -> Dim:
    """The bytes that a node reads and writes."""
    if item.op in VIEWS:
        return 0
    written = [sizes.bytes(o) for o in item.outputs if o]
    if item.op in PARTS:
        return total(written * 2)
    return total([*(sizes.bytes(t) for t in dict.fromkeys(item.inputs) if t), *written])


def _recurrent_bytes(item: Item, sizes: Sizes) -> Dim:
    """A native op's operands once, and at every step what that reads and writes."""
    return total((_moved(item, sizes), step_bytes(item, sizes) * trips_of(item, sizes)))


def step_bytes(item: Item, sizes: Sizes) -> Dim:
    """The recurrent weights that a native op reads at a step, and the states that it reads and writes."""
    if item.op == MEMORY:
        return sizes.bytes(item.input(3)) * 2
    states = [sizes.bytes(o) for o in item.outputs[1:] if o]
    return total([sizes.bytes(item.input(2)), *states, *states])


def weight_bytes(tensor: onnx.TensorProto) -> int:
    """The size of a weight."""
    return at(size_of(tensor.data_type, tuple(tensor.dims)))
