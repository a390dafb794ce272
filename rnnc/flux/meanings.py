"""What operators, brackets and functions of the source mean.

A value of a net is a row, ``[B, n]``, as it was in 2017: ``x * W`` is a product of matrices, ``.*`` works
element by element, ``+`` and ``-`` broadcast. Plain numbers are computed with at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any, NoReturn

import numpy as np

from rnnc import cells
from rnnc.errors import LanguageError
from rnnc.flux.sizes import declare
from rnnc.frontend import elementwise as e
from rnnc.frontend import language
from rnnc.frontend.layers import Chain, Layer, flip, unroll
from rnnc.frontend.locations import here
from rnnc.frontend.nets import Net, net
from rnnc.frontend.scope import looks_like_weight
from rnnc.frontend.signature import REQUIRED
from rnnc.frontend.values import Delay, Field, Value

#: Whole numbers are no larger, as in Julia.
_LARGEST = 2**63


@dataclass(frozen=True)
class Known:
    """A function that is there without being defined: what it is, how many arguments it takes.

    One that ``computes`` takes values and numbers; the others take layers.
    """

    function: Callable[..., Any]
    least: int = 1
    most: float = 1
    elementwise: bool = False
    computes: bool = True


def _each(function: Callable[..., Any], least: int = 1, most: int = 0) -> Known:
    return Known(function, least, most or least, elementwise=True)


def identity(x: Any) -> Any:
    """The value itself."""
    return x


def chain(*items: Any) -> Chain:
    """Layers and functions of values, one after another."""
    for item in items:
        known = _KNOWN.get(item) if isinstance(item, FunctionType) else None
        if known and not known.computes:
            _refuse(f"{shown(item)} is made of layers, and takes no value", "Write it with its arguments.")
    return Chain(*items)


FUNCTIONS: Mapping[str, Known] = {
    "σ": _each(e.sigmoid),
    "sigmoid": _each(e.sigmoid),
    "tanh": _each(e.tanh),
    "relu": _each(e.relu),
    "leakyrelu": _each(e.leaky_relu, 1, 2),
    "elu": _each(e.elu, 1, 2),
    "selu": _each(e.selu),
    "gelu": _each(e.gelu),
    "swish": _each(e.swish),
    "softplus": _each(e.softplus),
    "softsign": _each(e.softsign),
    "exp": _each(e.exp),
    "log": _each(e.log),
    "sqrt": _each(e.sqrt),
    "abs": _each(e.abs),
    "sign": _each(e.sign),
    "floor": _each(e.floor),
    "ceil": _each(e.ceil),
    "sin": _each(e.sin),
    "cos": _each(e.cos),
    "identity": _each(identity),
    "max": _each(e.maximum, 2),
    "min": _each(e.minimum, 2),
    "ifelse": _each(e.where, 3),
    "softmax": Known(language.softmax),
    "logsoftmax": Known(language.log_softmax),
    "hcat": Known(language.concat, 1, math.inf),
    "Chain": Known(chain, 0, math.inf, computes=False),
    "flip": Known(flip, computes=False),
    "unroll": Known(unroll, 2, 2, computes=False),
    "Bidirectional": Known(cells.Bidirectional, 2, 2, computes=False),
}

_KNOWN = {known.function: known for known in FUNCTIONS.values()}

#: Names that are no functions: numbers, and the layers of the standard library.
CONSTANTS: Mapping[str, Any] = {
    "π": math.pi,
    "pi": math.pi,
    "true": True,
    "false": False,
    **{name: cell for name in cells.__all__ if isinstance(cell := getattr(cells, name), Net)},
}


def shown(x: object) -> str:
    """How messages call something that is not what it should be."""
    names = [name for name, known in FUNCTIONS.items() if known.function is x]
    return names[0] if names else getattr(x, "__name__", "") or f"{x!r:.60}"


def _refuse(message: str, hint: str = "") -> NoReturn:
    raise LanguageError(message, hint=hint, loc=here())


def _number(x: object) -> bool:
    return isinstance(x, (int, float))


def _operands(*xs: object) -> bool:
    """Refuse what cannot be computed with; whether all are plain numbers."""
    for x in xs:
        if not isinstance(x, Value) and not _number(x):
            _refuse(f"{shown(x)} cannot be computed with", "A layer is called on values, as in layer(x).")
    return all(map(_number, xs))


def _plain(function: Callable[..., Any], *xs: Any) -> Any:
    """What a function of numbers gives."""
    try:
        with np.errstate(all="ignore"):
            found = function(*xs)
    except (ArithmeticError, ValueError) as error:
        _refuse(f"this cannot be computed: {error}")
    if isinstance(found, complex) or (isinstance(found, int) and abs(found) >= _LARGEST):
        _refuse("this cannot be computed: the result is no number of 64 bits")
    return found


def _broadcast(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def operator(a: Any, b: Any) -> Any:
        return _plain(function, a, b) if _operands(a, b) else function(a, b)

    return operator


def _undotted(symbol: str, function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """An operator of numbers that is written with a dot for values."""

    def operator(a: Any, b: Any) -> Any:
        if not _operands(a, b):
            _refuse(f"{symbol} is no operator of rows and matrices", f"Element by element it is .{symbol}")
        return _plain(function, a, b)

    return operator


def _product(a: Any, b: Any) -> Any:
    """Of matrices, unless one is a number."""
    if _operands(a, b):
        return _plain(lambda x, y: x * y, a, b)
    if _number(a) or _number(b):
        return a * b
    weight = isinstance(b, Delay) and isinstance(b.of, Field) and looks_like_weight(b.of)
    if isinstance(a, Value) and isinstance(b, Value) and b.batched and not weight:
        _refuse(
            f"* multiplies by a matrix, and {b.label} is a row for each sequence",
            "Element by element it is .*" if a.batched else f"Write {b.label} * {a.label}: values are rows.",
        )
    return e.matmul(a, b)


def _quotient(a: Any, b: Any) -> Any:
    if not _operands(a, b) and not _number(b):
        _refuse("/ divides by a number", "Element by element it is ./")
    return _plain(lambda x, y: x / y, a, b) if _operands(a, b) else a / b


def _power(a: Any, b: Any) -> Any:
    if isinstance(a, int) and isinstance(b, int) and abs(a) > 1 and b > 63:
        _refuse("this cannot be computed: the result is no number of 64 bits")
    return a**b


def _whole(symbol: str, function: Callable[[int, int], int]) -> Callable[[Any, Any], Any]:
    def operator(a: Any, b: Any) -> Any:
        if not isinstance(a, int) or not isinstance(b, int) or b == 0:
            _refuse(f"{symbol} divides whole numbers, and not by 0", "Values are divided with ./")
        return function(a, b)

    return operator


def _truncated(a: int, b: int) -> int:
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


_EVERYWHERE: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
}
_DOTTED: dict[str, Callable[[Any, Any], Any]] = {
    "^": _power,
    "==": e.equal,
    "!=": lambda a, b: e.logical_not(e.equal(a, b)),
    "<": e.less,
    "<=": e.less_equal,
    ">": e.greater,
    ">=": e.greater_equal,
}


def _negative(a: Any) -> Any:
    _operands(a)
    return -a


def _positive(a: Any) -> Any:
    _operands(a)
    return a


# -- brackets -----------------------------------------------------------------------------------------------
def _call(function: Any, *args: Any) -> Any:
    """``f(x)``: a function or a layer on values, or a net on sizes and layers."""
    if isinstance(function, Layer):
        return _layer(function, args)
    known = _KNOWN.get(function) if isinstance(function, FunctionType) else None
    if known is None and not isinstance(function, FunctionType):
        _refuse(f"{shown(function)} is no function", "A product is written with *, as in 2 * (x + 1).")
    least, most = (known.least, known.most) if known else (function.__code__.co_argcount,) * 2
    if not least <= len(args) <= most:
        wanted = f"{least} or more" if most > least else f"{least}"
        _refuse(
            f"{shown(function)} takes {wanted} argument{'s'[: wanted != '1']}, and {len(args)}"
            f" {'is' if len(args) == 1 else 'are'} given"
        )
    if known and known.computes and _operands(*args):
        return _plain(function, *args)
    return function(*args)


def _each_call(function: Any, *args: Any) -> Any:
    """``f.(x)``: a function element by element."""
    known = _KNOWN.get(function) if isinstance(function, FunctionType) else None
    if isinstance(function, Layer) or (known and not known.elementwise):
        _refuse(f"{shown(function)} does not work element by element", "Call it without the dot.")
    return _call(function, *args)


def _layer(layer: Layer, args: tuple[Any, ...]) -> Any:
    if any(isinstance(a, Value) for a in args):
        return layer(*args)
    if not isinstance(layer, Net):
        _refuse(
            f"{layer!r} is a layer, and is called on no value of a net", "Compile it, or put it into a Chain."
        )
    fields = [name for name, default in layer.signature.fields.items() if default is REQUIRED]
    sizes = [a for a in args if _number(a)]
    layers = [a for a in args if not _number(a)]
    if len(layers) != len(fields) or not all(isinstance(a, Layer) for a in layers):
        wanted = ", ".join((*layer.dims, *fields))
        _refuse(f"{layer.title} is made of {wanted or 'nothing'}", f"Write {layer.title}({wanted}).")
    for size in sizes:
        if isinstance(size, float):
            _refuse(f"{size} is not a size", "Sizes are whole numbers; divide them with ÷")
    return layer(*sizes, **dict(zip(fields, layers, strict=True)))


def _delayed(value: Any, k: int) -> Any:
    """``y{k}``: the value at another step, as Python nets read it with an integer index."""
    if not isinstance(value, Value):
        _refuse(f"{shown(value)} is no value of a net, and has no other steps")
    return value[k]


def _index(value: Any, *items: int | slice) -> Any:
    """``v[:, a:b]``: features; of a Chain ``m[i]`` and ``m[i:j]``, layers."""
    if isinstance(value, Value):
        return value[items if len(items) > 1 or not value.batched else (slice(None), *items)]
    if isinstance(value, Chain) and len(items) == 1:
        try:
            return value[items[0]]
        except IndexError:
            _refuse(f"{value!r:.60} has {len(value)} layers")
    _refuse(f"{shown(value)} cannot be indexed", "Features are v[:, a:b], the first being 1.")


def _adjoint(value: Any) -> Any:
    """``W'``: a matrix with its axes exchanged."""
    return value if _operands(value) else value.T


def _unpack(value: Any, count: int) -> Any:
    """``a, b = v``: the values of a net that has several."""
    if not isinstance(value, tuple) or len(value) != count:
        _refuse(f"{count} values are needed here, not {len(value) if isinstance(value, tuple) else 1}")
    return value


#: What to write where a state starts as something else than a number.
STARTS = "Or make it a field of a struct, which starts at 0."


def not_a_start(value: object) -> str:
    """What is wrong with a value that a state is to start as."""
    return "" if _number(value) else f"starts as {shown(value)}, and is to start as a number"


def _net(function: FunctionType, *states: Any) -> Net:
    """``@net``: of a function; ``states`` are names around it, each followed by the number that it is."""
    starts = dict(zip(states[::2], states[1::2], strict=True))
    for name, start in starts.items():
        if not_a_start(start):
            _refuse(f"the state {name} {not_a_start(start)}", STARTS)
    return declare(function, dict.fromkeys(starts, "state"), starts) if starts else net(function)


#: What the source's operators and brackets call, by names that no name in a source can have.
MEANINGS: Mapping[str, Callable[..., Any]] = {
    **{symbol: _broadcast(f) for symbol, f in _EVERYWHERE.items()},
    **{f".{symbol}": _broadcast(f) for symbol, f in (_EVERYWHERE | _DOTTED).items()},
    **{symbol: _undotted(symbol, f) for symbol, f in _DOTTED.items()},
    "*": _product,
    ".*": _broadcast(lambda a, b: a * b),
    "/": _quotient,
    "./": _broadcast(lambda a, b: a / b),
    "÷": _whole("÷", _truncated),
    "%": _whole("%", lambda a, b: a - b * _truncated(a, b)),
    "|>": lambda value, function: _call(function, value),
    "0-": _negative,
    "0+": _positive,
    "()": _call,
    ".()": _each_call,
    "{}": _delayed,
    "[]": _index,
    ":": slice,
    "'": _adjoint,
    ",": _unpack,
    "@net": _net,
}
