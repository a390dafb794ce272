"""Type rules: what they refuse, and sizes that are names or still unknown."""

from __future__ import annotations

from typing import Any

import pytest

from rnnc.dims import Dim, dim
from rnnc.errors import TypeMismatch
from rnnc.ops import OPS
from rnnc.ops.declare import unifier
from rnnc.types import TensorType, parse_type
from tests.ops.cases import flat

REFUSED: list[tuple[str, str, dict[str, Any], str]] = [
    ("add", "f32[2, 3]; f32[2, 4]", {}, "cannot broadcast [2, 3] and [2, 4]: 3 meets 4"),
    ("add", "f32[2]; f64[2]", {}, "element types differ: f32[2] and f64[2]"),
    ("add", "f32[B, 3]; f32[T, 3]", {}, "cannot broadcast [B, 3] and [T, 3]: B meets T"),
    ("add", "f32[2]", {}, "add takes 2 operands, not 1"),
    ("concat", "", {"axis": 0}, "concat takes at least 1 operands, not 0"),
    ("layer_norm", "f32[2]", {"axis": 0}, "layer_norm takes 2 to 3 operands, not 1"),
    ("tanh", "i64[2]", {}, "i64[2] does not hold floating-point numbers"),
    ("div", "i64[2]; i64[2]", {}, "i64[2] does not hold floating-point numbers"),
    ("where", "f32[2]; f32[2]; f32[2]", {}, "where chooses by truth values, not f32[2]"),
    ("logical_and", "f32[2]; bool[2]", {}, "logic is for truth values, not f32[2]"),
    ("cast", "f32[2]", {"dtype": "f23"}, "f23 is not an element type"),
    ("softmax", "f32[2, 3]", {"axis": 2}, "softmax along axis 2 of f32[2, 3], which has 2 axes"),
    ("prelu", "f32[3]; f32[2, 3]", {},
     "slopes f32[2, 3] have more axes or elements than f32[3], whose they are"),
    ("matmul", "f32[B, 3]; f32[4, 5]", {}, "cannot multiply f32[B, 3] by f32[4, 5]: 3 columns meet 4 rows"),
    ("matmul", "f32[3]; f32[3, 5]", {},
     "a matrix product of f32[3] and f32[3, 5]: both need two axes or more"),
    ("gemm", "f32[B, 3]; f32[3, 5]; f32[4]", {}, "cannot broadcast [B, 5] and [4]: 5 meets 4"),
    ("gemm", "f32[1, 3]; f32[3, 5]; f32[2, 5]", {},
     "cannot add f32[2, 5] to f32[1, 5] without changing its shape"),
    ("einsum", "f32[2, 3]", {"equation": "ij,jk->ik"}, "einsum equation 'ij,jk->ik' does not fit 1 operands"),
    ("einsum", "f32[2, 3]", {"equation": "ii->i"}, "einsum equation 'ii->i': 'ii' must be different letters"),
    ("einsum", "f32[2, 3]", {"equation": "ijk->i"},
     "einsum equation 'ijk->i' gives 'ijk' as the axes of f32[2, 3]"),
    ("einsum", "f32[2, 3]; f32[4, 5]", {"equation": "ij,jk->ik"},
     "einsum 'ij,jk->ik': axis j is both 3 and 4"),
    ("einsum", "f32[2, 3]", {"equation": "ij->ik"}, "the result has an axis that no operand has"),
    ("layer_norm", "f32[B, 3]; f32[4]", {"axis": 1}, "cannot broadcast [3] and [4]: 3 meets 4"),
    ("layer_norm", "f32[B, 3]; f32[B, 3]", {"axis": 1}, "does not fit the axes of f32[B, 3] from 1 on"),
    ("reduce_sum", "f32[2]", {"axes": ()}, "a reduction of f32[2] over no axes"),
    ("reduce_mean", "i64[2]", {"axes": (0,)}, "i64[2] does not hold floating-point numbers"),
    ("concat", "f32[B, 3]; f32[3]", {"axis": 1},
     "concat of f32[B, 3] and f32[3]: all need the same number of axes"),
    ("concat", "f32[2, 3]; f32[4, 3]", {"axis": 1},
     "concat of f32[2, 3] and f32[4, 3] along axis 1: 2 meets 4"),
    ("slice", "f32[3]", {"axis": 0, "start": 0, "stop": 2, "step": 0}, "a slice with step 0"),
    ("slice", "f32[T]", {"axis": 0, "start": 0, "stop": 8, "step": 2}, "how many it takes depends on T"),
    ("split", "f32[5]", {"axis": 0, "sizes": (2, 2)}, "parts of 2 + 2 are not the 5 of f32[5]"),
    ("reshape", "f32[T, 3]", {"shape": (dim("T"), 4)}, "cannot reshape f32[T, 3] to [T, 4]"),
    ("transpose", "f32[2, 3]", {"perm": (0, 0)}, "(0, 0) is not an order of the 2 axes of f32[2, 3]"),
    ("unsqueeze", "f32[2]", {"axes": (3,)}, "(3,) are not different axes of a result with 2 axes"),
    ("squeeze", "f32[2]", {"axes": (0,)}, "squeeze of axis 0 of f32[2]: its size is 2, not 1"),
    ("expand", "f32[2, 3]", {"shape": (3,)}, "cannot expand f32[2, 3] to [3]"),
    ("pad", "f32[2]", {"axis": 0, "before": -1, "after": 0}, "pad by -1 and 0: neither can be negative"),
    ("gather", "f32[2]; f32[2]", {"axis": 0}, "f32[2] cannot be indices, which are i64 or i32"),
    ("one_hot", "f32[2]", {"depth": 3}, "f32[2] cannot be indices, which are i64 or i32"),
    ("tail", "f32[2]", {"n": 0}, "the last 0 elements of f32[2]: at least one must be asked for"),
    ("every", "f32[2]", {"k": 0}, "every 0 elements of f32[2]: the distance must be at least 1"),
    ("conv", "f32[B, 3, 8]; f32[4, 2, 3]", {}, "3 channels meet 1 times 2"),
    ("conv", "f32[B, 3]; f32[4, 3]", {},
     "conv of f32[B, 3] with f32[4, 3]: both need three axes, or both four"),
    ("conv", "f32[B, 3, 2]; f32[4, 3, 3]", {}, "a window of 3 does not fit 2 elements"),
    ("conv", "f32[B, 3, 8]; f32[4, 3, 3]; f32[5]", {}, "conv with f32[4, 3, 3] needs 4 biases, not f32[5]"),
    ("conv", "f32[B, 4, 8]; f32[3, 2, 3]", {"group": 2},
     "its sizes must be numbers, the first a multiple of 2"),
    ("conv", "f32[B, 3, T]; f32[4, 3, 3]", {"strides": (2,)},
     "a window with stride 2 along an axis of size T"),
    ("conv", "f32[B, 3, 8]; f32[4, 3, 3]", {"pads": (1,)}, "needs 1 strides, 1 dilations and 2 pads"),
    ("rnn", "f32[T, B, 2]; f32[1, 5, 2]; f32[1, 5, 5]; f32[1, 5]; f32[1, B, 5]", {},
     "f32[1, 5] must be of shape [1, 10]: 5 meets 10"),
    ("rnn", "f32[T, B, 2]; f32[1, 5, 2]; f32[1, 5, 5]; f32[1, 10]; f32[1, B, 5]", {"direction": "sideways"},
     "direction 'sideways'"),
    ("rnn", "f32[T, B, 2]; f32[1, 5, 2]; f32[1, 5, 5]; f32[1, 10]; f32[1, B, 5]", {"activations": ("Swish",)},
     "activations Swish"),
    ("shift", "f32[T, B]; f32[B]", {"k": 0}, "a shift by 0 steps is the value itself"),
    ("shift", "f32[T, B]; f32[3, B]", {"k": 2}, "cannot broadcast [2, B] and [3, B]: 2 meets 3"),
    ("final", "f32[T, B]; f32[B]", {"k": -1}, "the final -1 values: at least one must be asked for"),
    ("reverse", "f32[T, B]; f32[B]", {}, "lengths are i64[B], not f32[B]"),
]  # fmt: skip


def types(text: str) -> list[TensorType]:
    return [parse_type(t) for t in text.split(";")] if text else []


@pytest.mark.parametrize(("op", "operands", "attrs", "message"), REFUSED)
def test_refused(op, operands, attrs, message) -> None:
    with pytest.raises(TypeMismatch) as caught:
        OPS[op].infer(*types(operands), **attrs)
    assert message in caught.value.message


T = dim("T")
NAMED: list[tuple[str, str, dict[str, Any], str]] = [
    ("add", "f32[T, B, 3]; f32[B, 1]", {}, "f32[T, B, 3]"),
    ("matmul", "f32[T, B, 3]; f32[3, 4]", {}, "f32[T, B, 4]"),
    ("einsum", "f32[T, B, 3]; f32[3, 4]", {"equation": "...k,kn->...n"}, "f32[T, B, 4]"),
    ("concat", "f32[2, B]; f32[T, B]", {"axis": 0}, "f32[T+2, B]"),
    ("slice", "f32[T+2, B]", {"axis": 0, "start": 1, "stop": -1}, "f32[T, B]"),
    ("slice", "f32[T, B]", {"axis": 0, "start": -1, "stop": None, "step": -1}, "f32[T, B]"),
    ("slice", "f32[T, B]", {"axis": 0, "start": -2, "stop": None}, "f32[2, B]"),
    ("split", "f32[T+2, B]", {"axis": 0, "sizes": (2, T)}, "f32[2, B]; f32[T, B]"),
    ("reshape", "f32[T, B, 3]", {"shape": (T * dim("B"), 3)}, "f32[T*B, 3]"),
    ("expand", "f32[B, 3]", {"shape": (T, dim("B"), 3)}, "f32[T, B, 3]"),
    ("pad", "f32[T, B]", {"axis": 0, "before": 3, "after": 1}, "f32[T+4, B]"),
    ("gather", "f32[9, 3]; i64[T, B]", {"axis": 0}, "f32[T, B, 3]"),
    ("one_hot", "i64[T, B]", {"depth": 5}, "f32[T, B, 5]"),
    ("tail", "f32[T, B]", {"n": 2}, "f32[tail2_T, B]"),
    ("tail", "f32[T+1, B]", {"n": 2}, "f32[tail2_Tp1, B]"),
    ("every", "f32[7, B]", {"k": 3}, "f32[3, B]"),
    ("every", "f32[T+1, B]", {"k": 2}, "f32[every2_Tp1, B]"),
    ("arange", "", {"stop": T}, "i64[T]"),
    ("conv", "f32[B, 3, T]; f32[4, 3, 2]", {"dilations": (3,), "pads": (3, 0)}, "f32[B, 4, T]"),
    ("final", "f32[T, B, 3]; f32[2, 1, 3]; i64[B]", {"k": 2}, "f32[2, B, 3]"),
]


@pytest.mark.parametrize(("op", "operands", "attrs", "result"), NAMED)
def test_named_sizes(op, operands, attrs, result) -> None:
    assert list(flat(OPS[op].infer(*types(operands), **attrs))) == types(result)


def test_sizes_are_unified() -> None:
    """Whoever types a graph with unknown sizes learns them from the rules."""
    learnt = {}

    def unify(a: Dim, b: Dim) -> Dim | None:
        if a != b:
            learnt[str(a)] = b
        return b

    token = unifier.set(unify)
    try:
        found = OPS["matmul"].infer(*types("f32[B, n]; f32[3, 4]"))
    finally:
        unifier.reset(token)
    assert found == parse_type("f32[B, 4]")
    assert learnt == {"n": 3}
