"""Functions along feature axes and over time, for bodies to be written with.

Axes count features: 0 is the first feature axis, -1 the last; the batch axis has no number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnc.dims import Dim
from rnnc.errors import LanguageError, TypeMismatch
from rnnc.frontend.elementwise import apply, element_type, sqrt, symbolic
from rnnc.frontend.locations import here
from rnnc.frontend.values import Value
from rnnc.ops import OPS

Ints = int | Sequence[int]

_COUNTED = "Axes count features: 0 is the first, -1 the last."


def _rank(v: Any) -> int:
    """How many feature axes."""
    return len(v.features) if isinstance(v, Value) else np.ndim(v)


def _first(v: Any) -> int:
    """The number of the first feature axis."""
    return int(isinstance(v, Value) and v.batched)


def _axis(v: Any, axis: int, *, new: int = 0) -> int:
    """A feature axis of ``v``, counted from the front with the batch; ``new`` more axes are to come."""
    rank = _rank(v) + new
    if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
        raise LanguageError(f"{axis!r:.40} is no axis: axes are numbered", hint=_COUNTED, loc=here())
    if not -rank <= axis < rank:
        batch = isinstance(v, Value) and v.batched and axis == -rank - 1
        raise LanguageError(
            "the batch axis cannot be named: every sequence means what it means alone"
            if batch
            else f"axis {axis!r} of a value with {rank} feature axes",
            hint=_COUNTED,
            loc=here(),
        )
    return int(axis) % rank + _first(v)


def _axes(v: Any, axis: Ints | None) -> tuple[int, ...]:
    if axis is None:
        axis = range(_rank(v))
    several = axis if isinstance(axis, Sequence) else (axis,)
    return tuple(sorted({_axis(v, a) for a in several}))


def _several(xs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The operands, given one by one or as one list."""
    return tuple(xs[0]) if len(xs) == 1 and isinstance(xs[0], (list, tuple)) else xs


# -- along axes ----------------------------------------------------------------
def softmax(x: Any, axis: int = -1) -> Any:
    """Positive numbers that sum to 1 along ``axis``."""
    return apply("softmax", x, axis=_axis(x, axis))


def log_softmax(x: Any, axis: int = -1) -> Any:
    """The logarithm of :func:`softmax`."""
    return apply("log_softmax", x, axis=_axis(x, axis))


def sum(x: Any, axis: Ints | None = None, keepdims: bool = False) -> Any:
    """The sum over feature axes, by default all."""
    return apply("reduce_sum", x, axes=_axes(x, axis), keepdims=keepdims)


def mean(x: Any, axis: Ints | None = None, keepdims: bool = False) -> Any:
    """The mean over feature axes, by default all."""
    return apply("reduce_mean", x, axes=_axes(x, axis), keepdims=keepdims)


def max(x: Any, axis: Ints | None = None, keepdims: bool = False) -> Any:
    """The largest element over feature axes, by default all."""
    return apply("reduce_max", x, axes=_axes(x, axis), keepdims=keepdims)


def min(x: Any, axis: Ints | None = None, keepdims: bool = False) -> Any:
    """The smallest element over feature axes, by default all."""
    return apply("reduce_min", x, axes=_axes(x, axis), keepdims=keepdims)


def prod(x: Any, axis: Ints | None = None, keepdims: bool = False) -> Any:
    """The product over feature axes, by default all."""
    return apply("reduce_prod", x, axes=_axes(x, axis), keepdims=keepdims)


def cumsum(x: Any, axis: int = -1) -> Any:
    """The running sum along a feature axis; along time write ``y = y[-1] + x``."""
    return apply("cumsum", x, axis=_axis(x, axis))


def argmax(x: Any, axis: int = -1, keepdims: bool = False) -> Any:
    """Where the largest element along ``axis`` is."""
    return apply("argmax", x, axis=_axis(x, axis), keepdims=keepdims)


def layer_norm(x: Any, scale: Any, bias: Any = None, axis: int = -1, epsilon: float = 1e-5) -> Any:
    """Mean 0 and variance 1 over the axes from ``axis`` on, then ``scale`` and ``bias``."""
    return apply("layer_norm", x, scale, bias, axis=_axis(x, axis), epsilon=float(epsilon))


def rms_norm(x: Any, scale: Any, axis: int = -1, epsilon: float = 1e-5) -> Any:
    """Mean square 1 along ``axis``, then ``scale``."""
    return x / sqrt(mean(x * x, axis, keepdims=True) + epsilon) * scale


# -- moving elements ----------------------------------------------------------------
def concat(*xs: Any, axis: int = -1) -> Any:
    """All operands behind one another along a feature axis."""
    xs = _several(xs)
    return apply("concat", *xs, axis=_axis(_most(xs), axis))


def stack(*xs: Any, axis: int = 0) -> Any:
    """All operands along a new feature axis."""
    xs = _several(xs)
    at = _axis(_most(xs), axis, new=1)
    return apply("concat", *(apply("unsqueeze", x, axes=(at,)) for x in xs), axis=at)


def _most(xs: Sequence[Any]) -> Any:
    """The operand by which axes are counted."""
    if not xs:
        raise LanguageError("nothing is given to join", hint="Write concat(a, b).", loc=here())
    found = symbolic(xs)
    return xs[0] if found is None else found


def split(x: Any, parts: Ints, axis: int = -1) -> tuple[Any, ...]:
    """``parts`` equal pieces along a feature axis, or pieces of the sizes in ``parts``."""
    at = _axis(x, axis)
    sizes: tuple[Dim, ...]
    if isinstance(parts, Sequence):
        sizes = tuple(parts)
    else:
        size: Dim = x.features[at - _first(x)] if isinstance(x, Value) else np.shape(x)[at]
        try:
            sizes = (size // parts,) * parts
            exact = not isinstance(size, int) or size % parts == 0
        except (ValueError, ZeroDivisionError):
            exact = False
        if not exact or parts < 1:
            raise TypeMismatch(
                f"{size} features cannot be split into {parts} equal parts",
                hint="Give each part's size, as in split(x, (3, 4)), or declare the input with stream(…).",
                loc=here(),
            )
    result: tuple[Any, ...] = apply("split", x, axis=at, sizes=sizes)
    return result


def reshape(x: Any, *shape: int | Sequence[int]) -> Any:
    """The same features in the same order, with another shape; one size may be -1."""
    sizes: list[Dim] = list(_several(shape))
    if isinstance(x, Value):
        total: Dim = 1
        for d in x.features:
            total = total * d
        if sizes.count(-1) == 1:
            known: Dim = 1
            for d in sizes:
                known = known * (1 if d == -1 else d)
            try:
                sizes[sizes.index(-1)] = (
                    total // known if not isinstance(total, int) else _exactly(total, known)
                )
            except (ValueError, ZeroDivisionError):
                raise TypeMismatch(
                    f"{total} features cannot be given the shape {tuple(sizes)}", loc=here()
                ) from None
        if x.batched:
            sizes = [x.type.shape[0], *sizes]
    return apply("reshape", x, shape=tuple(sizes))


def _exactly(total: int, known: Dim) -> Dim:
    if not isinstance(known, int) or total % known:
        raise ValueError
    return total // known


def transpose(x: Any, *axes: int) -> Any:
    """The feature axes in another order, by default reversed."""
    order = [_axis(x, a) for a in _several(axes)] or [_first(x) + i for i in reversed(range(_rank(x)))]
    return apply("transpose", x, perm=(*range(_first(x)), *order))


def unsqueeze(x: Any, axis: int = -1) -> Any:
    """A new feature axis of size 1."""
    return apply("unsqueeze", x, axes=(_axis(x, axis, new=1),))


def squeeze(x: Any, axis: int = -1) -> Any:
    """Without a feature axis, whose size is 1."""
    return apply("squeeze", x, axes=(_axis(x, axis),))


def pad(x: Any, before: int, after: int, axis: int = -1, value: float = 0.0) -> Any:
    """``value`` put before and after along a feature axis."""
    return apply("pad", x, axis=_axis(x, axis), before=before, after=after, value=float(value))


def gather(table: Any, indices: Any, axis: int = 0) -> Any:
    """The elements of ``table`` at ``indices``: with a weight and a stream of tokens, an embedding."""
    return apply("gather", table, indices, axis=_axis(table, axis))


def one_hot(indices: Any, depth: int, dtype: Any = "float32") -> Any:
    """1 at each index along a new last axis, 0 elsewhere."""
    return apply("one_hot", indices, depth=depth, dtype=element_type(dtype))


# -- products ----------------------------------------------------------------
def einsum(equation: str, *xs: Any) -> Any:
    """The sum of products that ``equation`` writes, over feature axes: ``einsum("i,ij->j", x, W)``.

    The batch axis has no letter; it is kept where it is.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if not arrow or len(terms) != len(xs):
        raise LanguageError(
            f"{equation!r} does not write {len(xs)} operands and a result",
            hint='Write the feature axes of each, as in einsum("i,ij->j", x, W).',
            loc=here(),
        )
    batch = next(c for c in "BNMPQRSTUVWXYZ" if c not in equation)
    lead = [batch if _first(x) else "" for x in xs]
    written = ",".join(b + t for b, t in zip(lead, terms, strict=True))
    return apply("einsum", *xs, equation=f"{written}->{batch if any(lead) else ''}{right}")


def conv(
    x: Any, w: Any, b: Any = None, *, strides: Ints = 1, pads: Ints = 0, dilations: Ints = 1, group: int = 1
) -> Any:
    """Convolution of ``x [C, *S]`` with ``w [O, C/group, *K]`` over one or two axes of space.

    ``pads`` is one number for every side, one for each axis, or first all befores, then all afters.
    """
    n = _rank(x) - 1

    def each(value: Ints) -> tuple[int, ...]:
        return tuple(value) if isinstance(value, Sequence) else (value,) * n

    around = each(pads)
    around = around * 2 if len(around) == n else around
    return apply("conv", x, w, b, strides=each(strides), pads=around, dilations=each(dilations), group=group)


# -- time ----------------------------------------------------------------
def delay(v: Any, k: int = 1, init: Any = None) -> Any:
    """``v`` as it was ``k`` steps ago, or will be in ``-k``; where there is no such step, ``init``.

    ``init`` is 0 unless given, or for a field what it starts as.
    """
    if not isinstance(v, Value):
        raise LanguageError(f"delay of {v!r:.40}, which is not a value of a net", loc=here())
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)):
        raise LanguageError(
            f"a delay of {k!r:.40} steps is no whole number of them", hint="Write delay(v, 2).", loc=here()
        )
    return v.trace.delay(v, int(k), init, explicit=True)


def last(y: Any) -> Any:
    """The value at the final step only."""
    if not isinstance(y, Value):
        raise LanguageError(f"last of {y!r:.40}, which is not a value of a net", loc=here())
    if y.trace.scope.sign < 0:
        raise LanguageError(
            "last() in reversed time would be the first step",
            hint="Take it outside of flip: last(flip(layer)(x)).",
            loc=here(),
        )
    return y if y.final else OPS["last"](y)
