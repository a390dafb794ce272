"""Normalisation."""

from __future__ import annotations

from typing import Any

from array_api_compat import array_namespace

from rnnc.errors import TypeMismatch
from rnnc.ops.declare import Axis, Onnx, axis_of, broadcast_shapes, floating, op, same_dtype
from rnnc.types import TensorType


def _normalised(
    x: TensorType, scale: TensorType, bias: TensorType | None = None, *, axis: int, epsilon: float = 1e-5
) -> TensorType:
    inner = x.shape[axis_of(x, axis, "layer_norm") :]
    for given in (scale, bias) if bias else (scale,):
        same_dtype(x, given)
        if broadcast_shapes(inner, given.shape) != inner:
            raise TypeMismatch(
                f"{given} does not fit the axes of {x} from {axis} on, which layer_norm works along"
            )
    return x


@op(type=floating(_normalised), axes="*s, *w, *w -> *s", tolerance=1e-5,
    onnx=Onnx("LayerNormalization", attrs={"axis": "axis", "epsilon": "epsilon"}, since=17))  # fmt: skip
def layer_norm(x: Any, scale: Any, bias: Any = None, *, axis: Axis, epsilon: float = 1e-5) -> Any:
    """``x`` with mean 0 and variance 1 over the axes from ``axis`` on, times ``scale``, plus ``bias``."""
    xp = array_namespace(x)
    axes = tuple(range(axis, x.ndim))
    centred = x - xp.mean(x, axis=axes, keepdims=True)
    variance = xp.mean(centred * centred, axis=axes, keepdims=True)
    y = centred / xp.sqrt(variance + epsilon) * scale
    return y if bias is None else y + bias
