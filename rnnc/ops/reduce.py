"""Reductions along axes, and running sums."""

from __future__ import annotations

from typing import Any

from array_api_compat import array_namespace

from rnnc.errors import TypeMismatch
from rnnc.ops.declare import Axes, Axis, Onnx, Tensor, axis_of, floating, op
from rnnc.types import TensorType


def _reduced(x: TensorType, *, axes: tuple[int, ...], keepdims: bool = False) -> TensorType:
    if not axes:
        raise TypeMismatch(f"a reduction of {x} over no axes", hint="Name at least one axis.")
    along = {axis_of(x, a, "a reduction") for a in axes}
    kept = [1 if i in along else d for i, d in enumerate(x.shape) if keepdims or i not in along]
    return TensorType(x.dtype, tuple(kept))


def _forms(op_type: str, axes_as_input_since: int = 18) -> tuple[Onnx, ...]:
    """Both forms of a reduction: axes as an attribute, and, in newer opsets, as an input."""
    return (
        Onnx(op_type, attrs={"axes": "axes", "keepdims": "keepdims"}, until=axes_as_input_since - 1),
        Onnx(op_type, ("x", Tensor("axes")), {"keepdims": "keepdims"}, since=axes_as_input_since),
    )


@op(type=_reduced, axes="*s -> *s", onnx=_forms("ReduceSum", 13), linear=(0,), tolerance=1e-5)
def reduce_sum(x: Any, *, axes: Axes, keepdims: bool = False) -> Any:
    """The sum over ``axes``."""
    return array_namespace(x).sum(x, axis=axes, keepdims=keepdims, dtype=x.dtype)


@op(type=floating(_reduced), axes="*s -> *s", onnx=_forms("ReduceMean"), linear=(0,), tolerance=1e-5)
def reduce_mean(x: Any, *, axes: Axes, keepdims: bool = False) -> Any:
    """The mean over ``axes``."""
    return array_namespace(x).mean(x, axis=axes, keepdims=keepdims)


@op(type=_reduced, axes="*s -> *s", onnx=_forms("ReduceMax"))
def reduce_max(x: Any, *, axes: Axes, keepdims: bool = False) -> Any:
    """The largest element over ``axes``."""
    return array_namespace(x).max(x, axis=axes, keepdims=keepdims)


@op(type=_reduced, axes="*s -> *s", onnx=_forms("ReduceMin"))
def reduce_min(x: Any, *, axes: Axes, keepdims: bool = False) -> Any:
    """The smallest element over ``axes``."""
    return array_namespace(x).min(x, axis=axes, keepdims=keepdims)


@op(type=_reduced, axes="*s -> *s", onnx=_forms("ReduceProd"), tolerance=1e-5)
def reduce_prod(x: Any, *, axes: Axes, keepdims: bool = False) -> Any:
    """The product over ``axes``."""
    xp = array_namespace(x)
    for axis in sorted(axes):  # one at a time, which all libraries can
        x = xp.prod(x, axis=axis, keepdims=True, dtype=x.dtype)
    return x if keepdims else xp.squeeze(x, axis=axes)


def _running(x: TensorType, *, axis: int) -> TensorType:
    axis_of(x, axis, "cumsum")
    return x


@op(type=_running, axes="*s -> *s", onnx=Onnx("CumSum", ("x", Tensor("axis", scalar=True))), linear=(0,),
    tolerance=1e-5)  # fmt: skip
def cumsum(x: Any, *, axis: Axis) -> Any:
    """The running sum along ``axis``, the element itself included."""
    return array_namespace(x).cumulative_sum(x, axis=axis, dtype=x.dtype)


def _indices(x: TensorType, *, axis: int, keepdims: bool = False) -> TensorType:
    axis_of(x, axis, "argmax")
    return TensorType("i64", _reduced(x, axes=(axis,), keepdims=keepdims).shape)


@op(type=_indices, axes="*s -> *s", onnx=Onnx("ArgMax", attrs={"axis": "axis", "keepdims": "keepdims"}))
def argmax(x: Any, *, axis: Axis, keepdims: bool = False) -> Any:
    """Where the largest element along ``axis`` is; of several, the first."""
    return array_namespace(x).argmax(x, axis=axis, keepdims=keepdims)
