"""The ops that are the shape of a graph rather than computation: sources, delays, regions and tuples."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnnc import foreign
from rnnc.errors import TypeMismatch
from rnnc.ops.declare import Results, op
from rnnc.types import TensorType, TupleType, Type, parse_type


def _no_meaning(*_: Any, **__: Any) -> Any:
    raise NotImplementedError(
        "a structural op has no meaning on arrays: the machine that runs the graph gives it"
    )


def _declared(*_: Type, **__: Any) -> Type:
    raise NotImplementedError("the type of a source is declared, not inferred")


@op(type=_declared, structural=True)
def input_() -> Any:
    """An input of the model, declared by the interface under the same name."""
    return _no_meaning()


@op(type=_declared, structural=True)
def init() -> Any:
    """A state of the model before the run, named ``<path>.init``."""
    return _no_meaning()


@op(type=_declared, structural=True)
def param() -> Any:
    """A weight, declared by the interface under the same name."""
    return _no_meaning()


@op(type=_declared, structural=True)
def const(*, value: Any) -> Any:
    """A fixed array."""
    return value


def _delayed(v: TensorType, init: TensorType, *, k: int) -> TensorType:
    if k == 0:
        raise TypeMismatch("a delay by 0 steps is the value itself")
    return v


@op(type=_delayed, structural=True)
def delay(v: Any, init: Any, *, k: int) -> Any:
    """The value ``k`` steps ago (``k`` > 0) or in ``-k`` steps (``k`` < 0); ``init`` where there is none.

    ``init`` broadcasts to the type of ``v`` if ``|k|`` is 1, else to that of ``|k|`` of them along a new
    first axis: for ``k`` > 0 the newest first, so that slot ``k-1-t`` is the result at step ``t``; for
    ``k`` < 0 the same with time reversed: slot ``|k|-1-(T-1-t)``.
    """
    return _no_meaning()


@op(type=lambda v: v, structural=True)
def last(v: Any) -> Any:
    """The value at the final step only. What is computed from it is final too, and cannot be delayed."""
    return _no_meaning()


def _region(*_: Type, **__: Any) -> Type:
    raise NotImplementedError("the type of a region follows from its body: use region_type")


@op(type=_region, structural=True, least=0)
def region(*operands: Any, body: Any, steps: Any, reverse: bool = False, ragged: bool = False,
           alternatives: tuple[str, ...] = ()) -> Any:  # fmt: skip
    """A loop: ``body``, a stream graph, run for ``steps`` steps; in a stream graph, inside each step.

    Operands: one for each of the body's inputs in order (a ``stream`` gets its values along a new first axis,
    a ``given`` one as it is), one initial tensor for each of its states, the lengths if it is ``ragged``, and
    one tuple of the region's own type for each of the ``alternatives``, other ways to compute the same.
    Result, a tuple: each output of the body with time as first axis, then each state's final tensor. With
    ``reverse`` the steps run from the last to the first, and outputs keep their places. With 0 steps, final
    states are the initial ones.
    """
    return _no_meaning()


def _item(v: TupleType, *, k: int) -> TensorType:
    if not 0 <= k < len(v.items):
        raise TypeMismatch(f"item {k} of a value with {len(v.items)} items")
    return v.items[k]


@op(type=_item, structural=True)
def item(v: Any, *, k: int) -> Any:
    """One tensor of a value that is several."""
    return v[k]


def _tuple(*xs: TensorType) -> TupleType:
    return TupleType(xs)


@op(type=_tuple, structural=True)
def tuple_(*xs: Any) -> Any:
    """Several tensors as one value, the inverse of ``item``."""
    return xs


def _stated(*_: Type, results: tuple[str, ...], **__: Any) -> Type:
    types = tuple(map(parse_type, results))
    return types[0] if len(types) == 1 else TupleType(types)


@op(type=_stated, structural=True, axes="{axes}", least=0)
def opaque(*xs: Any, what: str, piece: Any, results: Results, axes: str = "") -> Any:
    """A piece of somebody's ONNX that no op of ours says: ``what`` it does, in ONNX's words.

    ``piece`` is a model in ONNX (:mod:`rnnc.foreign`) whose inputs are the operands; ``results`` are the
    types of what it gives, a tuple if they are several. ``axes``, where they are known, say over which it
    works independently, in the notation of :mod:`rnnc.ops.axes`; without them it takes no further axis.
    """
    found = foreign.run(piece, [np.asarray(x) for x in xs], [parse_type(r).rank for r in results])
    return found[0] if len(results) == 1 else found
