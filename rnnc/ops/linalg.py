"""Products of matrices, and sums of products in general."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from array_api_compat import array_namespace

from rnnc.dims import Dim
from rnnc.errors import TypeMismatch
from rnnc.ops.declare import Onnx, broadcast_shapes, op, same_dim, same_dtype
from rnnc.types import TensorType


def _product(x: TensorType, w: TensorType) -> TensorType:
    if x.rank < 2 or w.rank < 2:
        raise TypeMismatch(
            f"a matrix product of {x} and {w}: both need two axes or more",
            hint="Make a vector a matrix with unsqueeze, or multiply and sum.",
        )
    same_dim(
        x.shape[-1], w.shape[-2], f"cannot multiply {x} by {w}: {x.shape[-1]} columns meet {w.shape[-2]} rows"
    )
    outer = broadcast_shapes(x.shape[:-2], w.shape[:-2])
    return TensorType(same_dtype(x, w), (*outer, x.shape[-2], w.shape[-1]))


@op(type=_product, axes="... m k, ... k n -> ... m n", onnx=Onnx("MatMul"), multilinear=True, tolerance=1e-5)
def matmul(x: Any, w: Any) -> Any:
    """Matrix product over the last two axes; axes before them broadcast."""
    return x @ w


def _affine(x: TensorType, w: TensorType, c: TensorType) -> TensorType:
    if x.rank != 2 or w.rank != 2:
        raise TypeMismatch(f"gemm of {x} and {w}: both need exactly two axes", hint="Use matmul and add.")
    product = _product(x, w)
    same_dtype(product, c)
    if c.rank > 2 or broadcast_shapes(product.shape, c.shape) != product.shape:
        raise TypeMismatch(f"cannot add {c} to {product} without changing its shape")
    return product


@op(type=_affine, axes="m k, k n, ... -> m n", onnx=Onnx("Gemm"), tolerance=1e-5)
def gemm(x: Any, w: Any, c: Any) -> Any:
    """``x @ w + c`` in one node: ``x`` and ``w`` are matrices, and ``c`` broadcasts to their product."""
    return x @ w + c


def _terms(equation: str, count: int) -> tuple[list[str], str]:
    """The letters of each operand and of the result; an ellipsis is one character, ``…``."""
    left, arrow, right = equation.replace(" ", "").replace("...", "…").partition("->")
    terms = left.split(",")
    if not arrow or len(terms) != count:
        raise TypeMismatch(
            f"einsum equation {equation!r} does not fit {count} operands",
            hint="Write each operand's axes and the result's, as in \"...ij,...jk->...ik\".",
        )
    for term in (*terms, right):
        if len(set(term)) < len(term) or not all(c.isalpha() or c == "…" for c in term):
            raise TypeMismatch(f"einsum equation {equation!r}: {term!r} must be different letters")
    if not set(right) <= set("".join(terms)):
        raise TypeMismatch(f"einsum equation {equation!r}: the result has an axis that no operand has")
    return terms, right


def _axes(term: str, x: TensorType, equation: str) -> Iterator[tuple[str, tuple[Dim, ...]]]:
    """Each letter with the sizes it stands for: one, or several for an ellipsis."""
    several = x.rank - len(term.replace("…", ""))
    if several < 0 or (several and "…" not in term):
        raise TypeMismatch(
            f"einsum equation {equation!r} gives {term.replace('…', '...')!r} as the axes of {x}"
        )
    at = 0
    for letter in term:
        n = several if letter == "…" else 1
        yield letter, x.shape[at : at + n]
        at += n


def _contracted(*xs: TensorType, equation: str) -> TensorType:
    terms, result = _terms(equation, len(xs))
    sizes: dict[str, tuple[Dim, ...]] = {}
    for x, term in zip(xs, terms, strict=True):
        for letter, found in _axes(term, x, equation):
            known = sizes.setdefault(letter, found)
            if letter == "…":
                sizes[letter] = broadcast_shapes(known, found)
            else:
                clash = f"einsum {equation!r}: axis {letter} is both {known[0]} and {found[0]}"
                sizes[letter] = (same_dim(known[0], found[0], clash),)
    return TensorType(same_dtype(*xs), tuple(d for letter in result for d in sizes[letter]))


@op(
    type=_contracted,
    axes="{equation}",
    onnx=Onnx("Einsum", attrs={"equation": "equation"}),
    multilinear=True,
    tolerance=1e-5,
)
def einsum(*xs: Any, equation: str) -> Any:
    """The sum of products that ``equation`` writes, as ``"...ij,...jk->...ik"``."""
    return array_namespace(*xs).einsum(equation, *xs)
