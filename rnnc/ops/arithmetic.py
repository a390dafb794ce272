"""Arithmetic, element by element, with broadcasting as in NumPy."""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from rnnc.errors import TypeMismatch
from rnnc.ops.declare import Dtype, IfFloat, Onnx, broadcast, broadcast_shapes, floating, op, same, same_dtype
from rnnc.types import DTYPES, TensorType


@op(type=broadcast, axes="..., ... -> ...", onnx=Onnx("Add"), elementwise=True, commutative=True,
    associative=True, linear=(0, 1))  # fmt: skip
def add(x: Any, y: Any) -> Any:
    """Element-wise sum."""
    return x + y


@op(type=broadcast, axes="..., ... -> ...", onnx=Onnx("Sub"), elementwise=True, linear=(0, 1))
def sub(x: Any, y: Any) -> Any:
    """Element-wise difference."""
    return x - y


@op(type=broadcast, axes="..., ... -> ...", onnx=Onnx("Mul"), elementwise=True, commutative=True,
    associative=True, multilinear=True)  # fmt: skip
def mul(x: Any, y: Any) -> Any:
    """Element-wise product."""
    return x * y


@op(type=floating(broadcast), axes="..., ... -> ...", onnx=Onnx("Div"), elementwise=True, linear=(0,))
def div(x: Any, y: Any) -> Any:
    """Element-wise quotient of floating-point numbers."""
    return x / y


@op(type=same, axes="... -> ...", onnx=Onnx("Neg"), elementwise=True, linear=(0,))
def neg(x: Any) -> Any:
    """Each element with the other sign."""
    return -x


@op(type=same, axes="... -> ...", onnx=Onnx("Abs"), elementwise=True)
def abs_(x: Any) -> Any:
    """Absolute value of each element."""
    return array_namespace(x).abs(x)


@op(type=same, axes="... -> ...", onnx=Onnx("Sign"), elementwise=True)
def sign(x: Any) -> Any:
    """-1, 0 or 1, as each element is negative, zero or positive."""
    return array_namespace(x).sign(x)


@op(type=floating(same), axes="... -> ...", onnx=Onnx("Reciprocal"), elementwise=True)
def reciprocal(x: Any) -> Any:
    """One divided by each element."""
    return 1.0 / x


@op(type=floating(same), axes="... -> ...", onnx=Onnx("Sqrt"), elementwise=True)
def sqrt(x: Any) -> Any:
    """Square root of each element; NaN for negative ones."""
    return array_namespace(x).sqrt(x)


@op(type=floating(same), axes="... -> ...", onnx=Onnx("Exp"), elementwise=True)
def exp(x: Any) -> Any:
    """Exponential of each element."""
    return array_namespace(x).exp(x)


@op(type=floating(same), axes="... -> ...", onnx=Onnx("Log"), elementwise=True)
def log(x: Any) -> Any:
    """Natural logarithm of each element; minus infinity for 0, NaN for negative ones."""
    return array_namespace(x).log(x)


@op(type=floating(broadcast), axes="..., ... -> ...", onnx=Onnx("Pow"), elementwise=True, tolerance=1e-5)
def pow_(x: Any, y: Any) -> Any:
    """``x`` to the power ``y``; NaN for a negative ``x`` and a ``y`` that is no whole number."""
    return array_namespace(x, y).pow(x, y)


@op(type=broadcast, axes="..., ... -> ...", onnx=Onnx("Mod", attrs={"fmod": IfFloat(1, 0)}), elementwise=True)
def mod(x: Any, y: Any) -> Any:
    """Remainder of the division of ``x`` by ``y``.

    As in ONNX, that of floating-point numbers has the sign of ``x``, as in C; that of integers the sign of
    ``y``, as in Python.
    """
    xp = array_namespace(x, y)
    return xp.fmod(x, y) if xp.isdtype(x.dtype, "real floating") else xp.remainder(x, y)


@op(type=floating(same), axes="... -> ...", onnx=Onnx("Floor"), elementwise=True)
def floor(x: Any) -> Any:
    """The largest whole number not above each element."""
    return array_namespace(x).floor(x)


@op(type=floating(same), axes="... -> ...", onnx=Onnx("Ceil"), elementwise=True)
def ceil(x: Any) -> Any:
    """The smallest whole number not below each element."""
    return array_namespace(x).ceil(x)


@op(type=floating(same), axes="... -> ...", onnx=Onnx("Round"), elementwise=True)
def round_(x: Any) -> Any:
    """The nearest whole number; of two, the even one."""
    return array_namespace(x).round(x)


@op(type=floating(same), axes="... -> ...", onnx=Onnx("Sin"), elementwise=True)
def sin(x: Any) -> Any:
    """Sine of each element, in radians."""
    return array_namespace(x).sin(x)


@op(type=floating(same), axes="... -> ...", onnx=Onnx("Cos"), elementwise=True)
def cos(x: Any) -> Any:
    """Cosine of each element, in radians."""
    return array_namespace(x).cos(x)


@op(type=floating(same), axes="... -> ...", onnx=Onnx("Erf"), elementwise=True)
def erf(x: Any) -> Any:
    """The error function of each element."""
    xp = array_namespace(x)
    if isinstance(x, np.ndarray | np.generic):  # the array API has no erf, and NumPy neither
        return np.asarray(np.frompyfunc(math.erf, 1, 1)(x)).astype(x.dtype)
    if hasattr(xp, "erf"):
        return xp.erf(x)
    return import_module("jax.scipy.special").erf(x)


@op(type=broadcast, axes="..., ... -> ...", onnx=Onnx("Min"), elementwise=True, commutative=True,
    associative=True)  # fmt: skip
def minimum(x: Any, y: Any) -> Any:
    """The smaller of two elements."""
    return array_namespace(x, y).minimum(x, y)


@op(type=broadcast, axes="..., ... -> ...", onnx=Onnx("Max"), elementwise=True, commutative=True,
    associative=True)  # fmt: skip
def maximum(x: Any, y: Any) -> Any:
    """The larger of two elements."""
    return array_namespace(x, y).maximum(x, y)


def _chosen(c: TensorType, x: TensorType, y: TensorType) -> TensorType:
    if c.dtype != "bool":
        raise TypeMismatch(f"where chooses by truth values, not {c}", hint="Compare it with something first.")
    return TensorType(same_dtype(x, y), broadcast_shapes(c.shape, x.shape, y.shape))


@op(type=_chosen, axes="..., ..., ... -> ...", onnx=Onnx("Where"), elementwise=True, linear=(1, 2))
def where(c: Any, x: Any, y: Any) -> Any:
    """Elements of ``x`` where ``c`` is true, of ``y`` elsewhere."""
    return array_namespace(c, x, y).where(c, x, y)


def _converted(x: TensorType, *, dtype: str) -> TensorType:
    if dtype not in DTYPES:
        raise TypeMismatch(f"{dtype} is not an element type", hint=f"Use one of {', '.join(DTYPES)}.")
    return TensorType(dtype, x.shape)


@op(
    type=_converted,
    axes="... -> ...",
    onnx=Onnx("Cast", attrs={"to": "dtype"}, dtype_attr="to"),
    elementwise=True,
)
def cast(x: Any, *, dtype: Dtype) -> Any:
    """Each element converted to ``dtype``; floating-point numbers lose what is behind the point."""
    xp = array_namespace(x)
    return xp.astype(x, getattr(xp, DTYPES[dtype]))
