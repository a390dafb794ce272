"""Rules for ONNX's ops on numbers that are several of ours."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from rnnc.importer.calls import Call, rule
from rnnc.importer.items import Item, Known, Value, numbers


@rule("Gemm")
def gemm(call: Call) -> Sequence[Item]:
    """A product of matrices, either transposed, scaled, plus a third tensor."""
    b = call.build
    x = b("transpose", call.value(0), perm=(1, 0)) if call.attrs["transA"] else call.value(0)
    w = b("transpose", call.value(1), perm=(1, 0)) if call.attrs["transB"] else call.value(1)
    found = _scaled(call, b("matmul", x, w), call.attrs["alpha"])
    if call.has(2) and call.attrs["beta"] != 0:
        found = b("add", found, _scaled(call, call.value(2), call.attrs["beta"]))
    return [Value(found)]


def _scaled(call: Call, value: str, factor: float) -> str:
    return value if factor == 1 else call.build("mul", value, float(factor))


@rule("MatMul")
def matmul(call: Call) -> Sequence[Item] | None:
    """A product in which a vector is a matrix of one row, or of one column."""
    x, w = call.type(0), call.type(1)
    if x.rank > 1 and w.rank > 1:
        return None
    b = call.build
    left = call.value(0) if x.rank > 1 else b("unsqueeze", call.value(0), axes=(0,))
    right = call.value(1) if w.rank > 1 else b("unsqueeze", call.value(1), axes=(1,))
    found = b("matmul", left, right)
    rank = b.graph.type(found).rank
    ones = ((rank - 2,) if x.rank == 1 else ()) + ((rank - 1,) if w.rank == 1 else ())
    return [Value(b("squeeze", found, axes=ones))]


@rule("Sum", "Max", "Min", "Mean")
def of_several(call: Call) -> Sequence[Item]:
    """What several tensors are together, two by two."""
    op = {"Sum": "add", "Mean": "add", "Max": "maximum", "Min": "minimum"}[call.node.op_type]
    values = [call.value(k) for k in range(len(call.inputs))]
    found = reduce(lambda x, y: call.build(op, x, y), values)
    return [Value(_scaled(call, found, 1 / len(values)) if call.node.op_type == "Mean" else found)]


@rule("Clip")
def clip(call: Call) -> Sequence[Item]:
    """Not below one number, nor above another."""
    value = call.value(0)
    for k, op in ((1, "maximum"), (2, "minimum")):
        value = call.build(op, value, call.value(k)) if call.has(k) else value
    return [Value(value)]


@rule("Conv")
def conv(call: Call) -> Sequence[Item] | None:
    """A convolution over one or two axes, its padding as numbers."""
    x, w = call.type(0), call.type(1)
    n = x.rank - 2
    if n not in (1, 2) or not all(isinstance(d, int) for d in w.shape):
        return None
    attrs: dict[str, Any] = {
        "strides": tuple(call.attrs.get("strides") or (1,) * n),
        "dilations": tuple(call.attrs.get("dilations") or (1,) * n),
        "pads": _pads(call, n),
        "group": call.attrs["group"],
    }
    if attrs["pads"] is None:
        return None
    plain = {"strides": (1,) * n, "dilations": (1,) * n, "pads": (0,) * 2 * n, "group": 1}
    attrs = {name: value for name, value in attrs.items() if value != plain[name]}
    return [Value(call.build("conv", *(call.value(k) for k in range(2 + call.has(2))), **attrs))]


def _pads(call: Call, n: int) -> tuple[int, ...] | None:
    """The padding in front and behind by axis, where the node may only name its kind."""
    kind = call.attrs.get("auto_pad", "NOTSET")
    if kind == "NOTSET":
        return tuple(call.attrs.get("pads") or (0,) * 2 * n)
    if kind == "VALID":
        return (0,) * 2 * n
    before, after = [], []
    sizes, kernel = call.type(0).shape[2:], call.type(1).shape[2:]
    strides = call.attrs.get("strides") or (1,) * n
    dilations = call.attrs.get("dilations") or (1,) * n
    for size, k, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        if stride != 1 and not isinstance(size, int):
            return None
        span = dilation * (int(k) - 1) + 1  # type: ignore[arg-type]
        total = span - 1 if stride == 1 else max(0, (-(-size // stride) - 1) * stride + span - size)
        small, large = total // 2, total - total // 2
        before.append(small if kind == "SAME_UPPER" else large)
        after.append(large if kind == "SAME_UPPER" else small)
    return (*before, *after)


@rule("BatchNormalization")
def batch_norm(call: Call) -> Sequence[Item] | None:
    """Channels scaled and moved, by numbers known beforehand."""
    if call.attrs.get("training_mode") or sum(map(bool, call.node.output)) > 1:
        return None
    b, rank = call.build, call.type(0).rank
    known = [call.item(k) for k in range(1, 5)]
    if all(isinstance(i, Known) for i in known):
        scale, bias, mean, var = (np.asarray(i.array, np.float64) for i in known if isinstance(i, Known))
        factor = scale / np.sqrt(var + call.attrs["epsilon"])
        dtype = call.type(0).numpy
        parts = [np.asarray(a, dtype) for a in (factor, bias - mean * factor)]
        first, second = (call.reader.value(Known(_by_channel(a, rank))) for a in parts)
    else:
        scale_, bias_, mean_, var_ = (call.value(k) for k in range(1, 5))
        first_ = b("div", scale_, b("sqrt", b("add", var_, float(call.attrs["epsilon"]))))
        second_ = b("sub", bias_, b("mul", mean_, first_))
        axes = tuple(range(1, rank - 1))
        first, second = (b("unsqueeze", v, axes=axes) if axes else v for v in (first_, second_))
    return [Value(b("add", b("mul", call.value(0), first), second))]


def _by_channel(array: np.ndarray[Any, Any], rank: int) -> np.ndarray[Any, Any]:
    return array.reshape(-1, *(1,) * (rank - 2))


@rule("GlobalAveragePool")
def global_average(call: Call) -> Sequence[Item]:
    """The mean over all space."""
    axes = tuple(range(2, call.type(0).rank))
    return [Value(call.build("reduce_mean", call.value(0), axes=axes, keepdims=True))]


_REDUCTIONS = {
    "ReduceSum": "reduce_sum",
    "ReduceMean": "reduce_mean",
    "ReduceMax": "reduce_max",
    "ReduceMin": "reduce_min",
    "ReduceProd": "reduce_prod",
}


@rule(*_REDUCTIONS, "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp")
def reduction(call: Call) -> Sequence[Item] | None:
    """A reduction over axes, by default over all, as a sum of what is summed."""
    b, x, kind = call.build, call.type(0), call.node.op_type
    axes = numbers(call.item(1)) if call.has(1) else call.attrs.get("axes")
    if call.has(1) and axes is None:
        return None
    if not axes and call.attrs.get("noop_with_empty_axes"):
        return [call.item(0)] if kind in _REDUCTIONS else None
    along = tuple(sorted({int(a) % x.rank for a in axes})) if axes else tuple(range(x.rank))
    keep = bool(call.attrs["keepdims"])
    if not along or kind == "ReduceLogSumExp":
        return None if along else [call.item(0)]
    value = call.value(0)
    if kind in ("ReduceL2", "ReduceSumSquare"):
        value = b("mul", value, value)
    elif kind == "ReduceL1":
        value = b("abs", value)
    if not x.floating and kind not in ("ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd"):
        return None
    attrs = {"axes": along, "keepdims": True} if keep else {"axes": along}
    found = b(_REDUCTIONS.get(kind, "reduce_sum"), value, **attrs)
    after = {"ReduceL2": "sqrt", "ReduceLogSum": "log"}.get(kind)
    return [Value(b(after, found) if after else found)]


@rule("Softmax", "LogSoftmax")
def softmax(call: Call) -> Sequence[Item]:
    """Along one axis, by default the last."""
    op = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}[call.node.op_type]
    return [Value(call.build(op, call.value(0), axis=call.attrs["axis"] % call.type(0).rank))]
