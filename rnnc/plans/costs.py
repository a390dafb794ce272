"""What plans cost: a first simple model of onnxruntime's CPU provider, in µs on one thread.

The figures are fitted to measurements of onnxruntime 1.32 on a shared AVX-512 machine; only ratios count.
"""

from __future__ import annotations

from rnnc.dims import product
from rnnc.ir import Graph
from rnnc.plans import Sizes
from rnnc.types import TensorType

NODE = 0.4  # any small node
ITERATION = 0.4  # one round of a Scan, besides its nodes
NATIVE_STEP = 0.2  # one step of a native op, besides its products
MULTIPLY_ADD = 4.2e-5  # within the second-level cache
OUT_OF_CACHE = 3.7  # how much slower weights stream from memory at batch 1
CACHE_ELEMENTS = 400_000
CHUNKS = 25.0  # a recurrence in chunks, besides its two loops: laying out its steps, starting the loops
CHUNKED_ELEMENT = 0.0013  # one element at one step, in chunks, beyond what a Scan pays for it

FREE = frozenset({"const", "input", "init", "param", "delay", "item", "tuple"})
PRODUCTS = frozenset({"matmul", "gemm", "einsum", "conv"})


def product_cost(rows: int, weights: int) -> float:
    """A product of ``rows`` vectors with that many weights."""
    slow = OUT_OF_CACHE if weights > CACHE_ELEMENTS else 1.0
    return max(rows * MULTIPLY_ADD, MULTIPLY_ADD * slow) * weights


def native_cost(graph: Graph, region: str, gates: int, sizes: Sizes) -> float:
    """A native op with that many products of H × H a step."""
    body: Graph = graph[region].attrs["body"]
    n = sizes.of(body.interface.states[0].type.shape[-1])
    rows = sizes.B
    return steps(graph, region, sizes) * (NATIVE_STEP + product_cost(rows, gates * n * n))


def chunks_cost(count: int, size: int, lane_nodes: int, carry_nodes: int, elements: int) -> float:
    """A linear recurrence of ``count`` steps in chunks, both of whose loops have so many nodes."""
    lanes = size * (ITERATION + NODE * lane_nodes)
    carry = -(-count // size) * (ITERATION + NODE * carry_nodes)
    return CHUNKS + lanes + carry + CHUNKED_ELEMENT * count * elements


def body_cost(body: Graph, sizes: Sizes) -> float:
    """One step of a body, node by node."""
    return sum(NODE + _product(body, v, sizes) for v in body if body[v].op not in FREE)


def steps(graph: Graph, region: str, sizes: Sizes) -> int:
    """How many steps a region is expected to run."""
    return sizes.of(graph[region].attrs["steps"])


def _product(body: Graph, v: str, sizes: Sizes) -> float:
    if body[v].op not in PRODUCTS:
        return 0.0
    x, w = (body.type(o) for o in body.operands(v)[:2])
    assert isinstance(x, TensorType)
    rows = sizes.of(product(x.shape[:-1])) if body[v].op != "conv" else sizes.of(product(x.shape))
    return product_cost(rows, sizes.of(product(w.shape)))
