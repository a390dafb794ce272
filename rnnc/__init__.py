"""A compiler for recurrent models: equations in, plain .onnx out.

@net                                                     the equations of a layer
def Recurrent(x, *, Wxy=glorot("in", "out"), Wyy=glorot("out", "out"), by=zeros("out"), y=zeros("out")):
    y = tanh(x @ Wxy + y[-1] @ Wyy + by)
    return y

model = Chain(Recurrent(20, 30), Recurrent(30, 15))      a model
compile(model, "step").save("model.onnx")                a file that plain onnxruntime runs
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rnnc.errors import RnncError
from rnnc.frontend.elementwise import (
    abs,
    cast,
    ceil,
    celu,
    cos,
    elu,
    equal,
    erf,
    exp,
    floor,
    gelu,
    greater,
    greater_equal,
    hard_sigmoid,
    hard_swish,
    leaky_relu,
    less,
    less_equal,
    log,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    matmul,
    maximum,
    minimum,
    mish,
    mod,
    pow,
    prelu,
    reciprocal,
    relu,
    round,
    selu,
    sigmoid,
    sign,
    silu,
    sin,
    softplus,
    softsign,
    sqrt,
    swish,
    tanh,
    thresholded_relu,
    where,
)
from rnnc.frontend.inits import constant, given, glorot, normal, ones, sparse, stream, uniform, zeros
from rnnc.frontend.language import (
    argmax,
    concat,
    conv,
    cumsum,
    delay,
    einsum,
    gather,
    last,
    layer_norm,
    log_softmax,
    max,
    mean,
    min,
    one_hot,
    pad,
    prod,
    reshape,
    rms_norm,
    softmax,
    split,
    squeeze,
    stack,
    sum,
    transpose,
    unsqueeze,
)
from rnnc.frontend.layers import Chain, Layer, flip, unroll
from rnnc.frontend.nets import net
from rnnc.frontend.running import reference

if TYPE_CHECKING:
    from rnnc import cells
    from rnnc.compiler import Compiled, compile
    from rnnc.flux import from_flux
    from rnnc.importer import from_onnx
    from rnnc.pytorch import from_torch
    from rnnc.runtime import Stream
    from rnnc.serving import StreamPool

#: What is imported when first asked for: these bring other libraries with them, or are written in rnnc.
_LATER = {
    "Compiled": ("rnnc.compiler", "Compiled"),
    "compile": ("rnnc.compiler", "compile"),
    "Stream": ("rnnc.runtime", "Stream"),
    "StreamPool": ("rnnc.serving", "StreamPool"),
    "from_onnx": ("rnnc.importer", "from_onnx"),
    "from_torch": ("rnnc.pytorch", "from_torch"),
    "cells": ("rnnc.cells", ""),
    "from_flux": ("rnnc.flux", "from_flux"),
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'rnnc' has no attribute {name!r}")
    module, inside = _LATER[name]
    found = import_module(module)
    globals()[name] = getattr(found, inside) if inside else found
    return globals()[name]


def __dir__() -> list[str]:
    return __all__


__all__ = [
    "Chain",
    "Compiled",
    "Layer",
    "RnncError",
    "Stream",
    "StreamPool",
    "abs",
    "argmax",
    "cast",
    "ceil",
    "cells",
    "celu",
    "compile",
    "concat",
    "constant",
    "conv",
    "cos",
    "cumsum",
    "delay",
    "einsum",
    "elu",
    "equal",
    "erf",
    "exp",
    "flip",
    "floor",
    "from_flux",
    "from_onnx",
    "from_torch",
    "gather",
    "gelu",
    "given",
    "glorot",
    "greater",
    "greater_equal",
    "hard_sigmoid",
    "hard_swish",
    "last",
    "layer_norm",
    "leaky_relu",
    "less",
    "less_equal",
    "log",
    "log_softmax",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "mish",
    "mod",
    "net",
    "normal",
    "one_hot",
    "ones",
    "pad",
    "pow",
    "prelu",
    "prod",
    "reciprocal",
    "reference",
    "relu",
    "reshape",
    "rms_norm",
    "round",
    "selu",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "softmax",
    "softplus",
    "softsign",
    "sparse",
    "split",
    "sqrt",
    "squeeze",
    "stack",
    "stream",
    "sum",
    "swish",
    "tanh",
    "thresholded_relu",
    "transpose",
    "uniform",
    "unroll",
    "unsqueeze",
    "where",
    "zeros",
]
