"""Activations: smooth or bent functions of each element, and softmax along an axis.

None overflows, NaN stays NaN, and gradients are right at 0 where they exist: so these choose with ``where``,
whose gradient is that of the chosen side, rather than with ``maximum`` or ``abs``, which split it.
"""

from __future__ import annotations

import math
from typing import Any

from array_api_compat import array_namespace

from rnnc.errors import TypeMismatch
from rnnc.ops.arithmetic import erf
from rnnc.ops.declare import Axis, Onnx, axis_of, broadcast, floating, op, same
from rnnc.types import TensorType

_ALPHA = {"alpha": "alpha"}
_ALPHA_BETA = {"alpha": "alpha", "beta": "beta"}


def _positive(x: Any) -> Any:
    """``x``, with 0 in place of what is not positive."""
    xp = array_namespace(x)
    return xp.where(x <= 0, xp.zeros_like(x), x)


def _decay(x: Any) -> Any:
    """``exp(-|x|)``."""
    xp = array_namespace(x)
    return xp.exp(xp.where(x >= 0, -x, x))


def _clip(x: Any) -> Any:
    """``x`` held between 0 and 1."""
    xp = array_namespace(x)
    return xp.where(x >= 1, xp.ones_like(x), _positive(x))


def _exponential_below(x: Any, gain: float, scale: float) -> Any:
    """``x`` where it is positive, elsewhere ``gain * (exp(x / scale) - 1)``."""
    xp = array_namespace(x)
    below = xp.where(x > 0, xp.zeros_like(x), x)
    return xp.where(x > 0, x, gain * xp.expm1(below / scale))


@op(type=floating(same), axes="... -> ...", onnx=Onnx("Sigmoid"), elementwise=True)
def sigmoid(x: Any) -> Any:
    """``1 / (1 + exp(-x))``, from 0 to 1."""
    xp = array_namespace(x)
    e = _decay(x)
    return xp.where(x >= 0, 1.0 / (1.0 + e), e / (1.0 + e))


@op(type=floating(same), axes="... -> ...", onnx=Onnx("Tanh"), elementwise=True)
def tanh(x: Any) -> Any:
    """Hyperbolic tangent, from -1 to 1."""
    return array_namespace(x).tanh(x)


@op(type=floating(same), axes="... -> ...", onnx=Onnx("Relu"), elementwise=True)
def relu(x: Any) -> Any:
    """``x`` where it is positive, else 0."""
    return _positive(x)


@op(type=floating(same), axes="... -> ...", onnx=Onnx("LeakyRelu", attrs=_ALPHA), elementwise=True)
def leaky_relu(x: Any, *, alpha: float = 0.01) -> Any:
    """``x`` where it is positive, else ``alpha * x``."""
    return array_namespace(x).where(x >= 0, x, alpha * x)


@op(type=floating(same), axes="... -> ...", onnx=Onnx("Elu", attrs=_ALPHA), elementwise=True)
def elu(x: Any, *, alpha: float = 1.0) -> Any:
    """``x`` where it is positive, else ``alpha * (exp(x) - 1)``."""
    return _exponential_below(x, alpha, 1.0)


@op(type=floating(same), axes="... -> ...", onnx=Onnx("Selu", attrs={"alpha": "alpha", "gamma": "gamma"}),
    elementwise=True)  # fmt: skip
def selu(x: Any, *, alpha: float = 1.6732632423543772, gamma: float = 1.0507009873554805) -> Any:
    """``gamma`` times elu with ``alpha``: by default the pair that keeps mean 0 and variance 1."""
    return gamma * _exponential_below(x, alpha, 1.0)


@op(type=floating(same), axes="... -> ...", onnx=Onnx("Celu", attrs=_ALPHA), elementwise=True)
def celu(x: Any, *, alpha: float = 1.0) -> Any:
    """``x`` where it is positive, else ``alpha * (exp(x / alpha) - 1)``, which has no kink."""
    return _exponential_below(x, alpha, alpha)


@op(type=floating(same), axes="... -> ...", onnx=Onnx("HardSigmoid", attrs=_ALPHA_BETA), elementwise=True)
def hard_sigmoid(x: Any, *, alpha: float = 0.2, beta: float = 0.5) -> Any:
    """``alpha * x + beta``, held between 0 and 1."""
    return _clip(alpha * x + beta)


@op(type=floating(same), axes="... -> ...", onnx=Onnx("HardSwish"), elementwise=True)
def hard_swish(x: Any) -> Any:
    """``x`` times ``x / 6 + 1/2`` held between 0 and 1."""
    return x * _clip(x / 6.0 + 0.5)


@op(type=floating(same), axes="... -> ...", onnx=Onnx("Softplus"), elementwise=True)
def softplus(x: Any) -> Any:
    """``log(1 + exp(x))``."""
    xp = array_namespace(x)
    return xp.where(x >= 0, x, xp.zeros_like(x)) + xp.log1p(_decay(x))


@op(type=floating(same), axes="... -> ...", onnx=Onnx("Softsign"), elementwise=True)
def softsign(x: Any) -> Any:
    """``x / (1 + |x|)``."""
    return x / (1.0 + array_namespace(x).abs(x))


@op(type=floating(same), axes="... -> ...", onnx=Onnx("Gelu", attrs={"approximate": "approximate"}, since=20),
    elementwise=True)  # fmt: skip
def gelu(x: Any, *, approximate: str = "none") -> Any:
    """``x`` times the normal distribution's function of it; ``approximate="tanh"`` is close, and faster."""
    if approximate == "tanh":
        return 0.5 * x * (1.0 + array_namespace(x).tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    return 0.5 * x * (1.0 + erf.body(x * math.sqrt(0.5)))


@op(type=floating(same), axes="... -> ...", onnx=Onnx("ThresholdedRelu", attrs=_ALPHA), elementwise=True)
def thresholded_relu(x: Any, *, alpha: float = 1.0) -> Any:
    """``x`` where it is above ``alpha``, else 0."""
    xp = array_namespace(x)
    return xp.where(x <= alpha, xp.zeros_like(x), x)


@op(type=floating(same), axes="... -> ...", onnx=Onnx("Mish", since=18), elementwise=True)
def mish(x: Any) -> Any:
    """``x * tanh(softplus(x))``."""
    return x * array_namespace(x).tanh(softplus.body(x))


def _sloped(x: TensorType, slope: TensorType) -> TensorType:
    if broadcast(x, slope) != x:
        raise TypeMismatch(f"slopes {slope} have more axes or elements than {x}, whose they are")
    return x


@op(type=floating(_sloped), axes="..., ... -> ...", onnx=Onnx("PRelu"), elementwise=True)
def prelu(x: Any, slope: Any) -> Any:
    """``x`` where it is positive, else ``slope * x``; ``slope`` broadcasts to ``x``."""
    return array_namespace(x, slope).where(x >= 0, x, slope * x)


def _along(x: TensorType, *, axis: int) -> TensorType:
    axis_of(x, axis, "softmax")
    return x


@op(type=floating(_along), axes="... -> ...", onnx=Onnx("Softmax", attrs={"axis": "axis"}))
def softmax(x: Any, *, axis: Axis) -> Any:
    """``exp(x)`` divided by its sum along ``axis``."""
    xp = array_namespace(x)
    e = xp.exp(x - xp.max(x, axis=axis, keepdims=True))
    return e / xp.sum(e, axis=axis, keepdims=True)


@op(type=floating(_along), axes="... -> ...", onnx=Onnx("LogSoftmax", attrs={"axis": "axis"}))
def log_softmax(x: Any, *, axis: Axis) -> Any:
    """The logarithm of softmax along ``axis``."""
    xp = array_namespace(x)
    x = x - xp.max(x, axis=axis, keepdims=True)
    return x - xp.log(xp.sum(xp.exp(x), axis=axis, keepdims=True))
