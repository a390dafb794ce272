"""Functions that work element by element, for bodies to be written with.

Each works on symbolic values, with numbers and arrays beside them, and builds the op of the same meaning. On
numbers and arrays alone it computes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rnnc.errors import LanguageError
from rnnc.frontend.locations import here
from rnnc.frontend.values import Value
from rnnc.ops import OPS
from rnnc.types import short_dtype


def symbolic(args: Sequence[Any]) -> Value | None:
    """The first symbolic value among ``args``."""
    return next((a for a in args if isinstance(a, Value)), None)


def apply(name: str, *args: Any, **attrs: Any) -> Any:
    """The op on values; on plain numbers and arrays, what it computes."""
    if symbolic(args) is not None:
        return OPS[name](*args, **attrs)
    arrays = [a if a is None else np.asarray(a) for a in args]
    result = OPS[name].body(*arrays, **attrs)
    return result.item() if getattr(result, "shape", None) == () else result


def element_type(dtype: Any) -> str:
    """The short name of an element type; Python's ``float`` has 32 bits here, as weights have."""
    try:
        return short_dtype("float32" if dtype is float else dtype)
    except ValueError as e:
        raise LanguageError(str(e), loc=here()) from None


def _unary(name: str, op: str = "") -> Callable[[Any], Any]:
    def function(x: Any) -> Any:
        return apply(op or name, x)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = OPS[op or name].doc
    return function


def _binary(name: str, op: str = "") -> Callable[[Any, Any], Any]:
    def function(x: Any, y: Any) -> Any:
        return apply(op or name, x, y)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = OPS[op or name].doc
    return function


sigmoid = _unary("sigmoid")
tanh = _unary("tanh")
relu = _unary("relu")
hard_swish = _unary("hard_swish")
softplus = _unary("softplus")
softsign = _unary("softsign")
mish = _unary("mish")
exp = _unary("exp")
log = _unary("log")
sqrt = _unary("sqrt")
abs = _unary("abs")
sign = _unary("sign")
reciprocal = _unary("reciprocal")
floor = _unary("floor")
ceil = _unary("ceil")
round = _unary("round")
sin = _unary("sin")
cos = _unary("cos")
erf = _unary("erf")
logical_not = _unary("logical_not")

minimum = _binary("minimum")
maximum = _binary("maximum")
pow = _binary("pow")
mod = _binary("mod")
equal = _binary("equal")
less = _binary("less")
less_equal = _binary("less_equal")
greater = _binary("greater")
greater_equal = _binary("greater_equal")
logical_and = _binary("logical_and")
logical_or = _binary("logical_or")
logical_xor = _binary("logical_xor")
prelu = _binary("prelu")
matmul = _binary("matmul")


def silu(x: Any) -> Any:
    """x·σ(x), also called swish."""
    return x * sigmoid(x)


swish = silu


def gelu(x: Any, approximate: str = "none") -> Any:
    """Gaussian error linear unit; ``approximate="tanh"`` for the cheaper form."""
    return apply("gelu", x, approximate=approximate)


def leaky_relu(x: Any, alpha: float = 0.01) -> Any:
    """x where it is positive, alpha·x elsewhere."""
    return apply("leaky_relu", x, alpha=float(alpha))


def elu(x: Any, alpha: float = 1.0) -> Any:
    """x where it is positive, alpha·(exp(x) − 1) elsewhere."""
    return apply("elu", x, alpha=float(alpha))


def celu(x: Any, alpha: float = 1.0) -> Any:
    """x where it is positive, alpha·(exp(x/alpha) − 1) elsewhere."""
    return apply("celu", x, alpha=float(alpha))


def selu(x: Any) -> Any:
    """The self-normalising exponential linear unit."""
    return apply("selu", x)


def hard_sigmoid(x: Any, alpha: float = 0.2, beta: float = 0.5) -> Any:
    """alpha·x + beta, between 0 and 1."""
    return apply("hard_sigmoid", x, alpha=float(alpha), beta=float(beta))


def thresholded_relu(x: Any, alpha: float = 1.0) -> Any:
    """x where it is above alpha, 0 elsewhere."""
    return apply("thresholded_relu", x, alpha=float(alpha))


def where(condition: Any, a: Any, b: Any) -> Any:
    """``a`` where the condition holds, ``b`` elsewhere."""
    return apply("where", condition, a, b)


def cast(x: Any, dtype: Any) -> Any:
    """The same numbers with another element type."""
    return apply("cast", x, dtype=element_type(dtype))
