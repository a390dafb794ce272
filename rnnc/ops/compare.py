"""Comparison and logic, element by element. NaN is unequal to everything, and neither less nor greater."""

from __future__ import annotations

from typing import Any

from array_api_compat import array_namespace

from rnnc.errors import TypeMismatch
from rnnc.ops.declare import Onnx, broadcast, compares, op
from rnnc.types import TensorType


def _logic(*xs: TensorType) -> TensorType:
    for x in xs:
        if x.dtype != "bool":
            raise TypeMismatch(f"logic is for truth values, not {x}", hint="Compare it with something first.")
    return broadcast(*xs)


@op(type=compares, axes="..., ... -> ...", onnx=Onnx("Equal"), elementwise=True, commutative=True)
def equal(x: Any, y: Any) -> Any:
    """Where ``x`` equals ``y``."""
    return array_namespace(x, y).equal(x, y)


@op(type=compares, axes="..., ... -> ...", onnx=Onnx("Less"), elementwise=True)
def less(x: Any, y: Any) -> Any:
    """Where ``x`` is less than ``y``."""
    return array_namespace(x, y).less(x, y)


@op(type=compares, axes="..., ... -> ...", onnx=Onnx("LessOrEqual"), elementwise=True)
def less_equal(x: Any, y: Any) -> Any:
    """Where ``x`` is at most ``y``."""
    return array_namespace(x, y).less_equal(x, y)


@op(type=compares, axes="..., ... -> ...", onnx=Onnx("Greater"), elementwise=True)
def greater(x: Any, y: Any) -> Any:
    """Where ``x`` is greater than ``y``."""
    return array_namespace(x, y).greater(x, y)


@op(type=compares, axes="..., ... -> ...", onnx=Onnx("GreaterOrEqual"), elementwise=True)
def greater_equal(x: Any, y: Any) -> Any:
    """Where ``x`` is at least ``y``."""
    return array_namespace(x, y).greater_equal(x, y)


@op(
    type=_logic,
    axes="..., ... -> ...",
    onnx=Onnx("And"),
    elementwise=True,
    commutative=True,
    associative=True,
)
def logical_and(x: Any, y: Any) -> Any:
    """Where both are true."""
    return array_namespace(x, y).logical_and(x, y)


@op(
    type=_logic, axes="..., ... -> ...", onnx=Onnx("Or"), elementwise=True, commutative=True, associative=True
)
def logical_or(x: Any, y: Any) -> Any:
    """Where at least one is true."""
    return array_namespace(x, y).logical_or(x, y)


@op(
    type=_logic,
    axes="..., ... -> ...",
    onnx=Onnx("Xor"),
    elementwise=True,
    commutative=True,
    associative=True,
)
def logical_xor(x: Any, y: Any) -> Any:
    """Where exactly one is true."""
    return array_namespace(x, y).logical_xor(x, y)


@op(type=_logic, axes="... -> ...", onnx=Onnx("Not"), elementwise=True)
def logical_not(x: Any) -> Any:
    """Where it is false."""
    return array_namespace(x).logical_not(x)
