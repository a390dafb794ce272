"""PyTorch's exporters: from a module to an ONNX model in memory."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import ModelProto, numpy_helper

from rnnc.pytorch.recurrent import DOMAIN, VERSION, as_nodes, by_symbols, by_tracing
from rnnc.pytorch.rows import Row

#: The opset of what is written, which both exporters know.
OPSET = 18

#: For each tensor, its axes whose sizes stay open, with their names.
Open = Sequence[Mapping[int, str]]


def torchscript(row: Row, tensors: Sequence[Any], names: Sequence[str], open_: Open) -> ModelProto:
    """By running the module once, and writing down what it does to its tensors."""
    file = io.BytesIO()
    own = any(isinstance(m, torch.nn.RNNBase) for m in row.modules())
    with as_nodes(row, by_tracing):
        torch.onnx.export(
            row,
            tuple(tensors),
            file,
            input_names=list(row.names),
            output_names=list(names),
            dynamic_axes={n: dict(axes) for n, axes in zip(row.names, open_, strict=True) if axes},
            custom_opsets={DOMAIN: VERSION} if own else None,
            opset_version=OPSET,
            dynamo=False,
        )
    return onnx.load_from_string(file.getvalue())


def dynamo(row: Row, tensors: Sequence[Any], names: Sequence[str], open_: Open) -> ModelProto:
    """By :mod:`torch.export`, which follows symbolic sizes."""
    dynamic = torch.export.Dim.DYNAMIC
    with as_nodes(row, by_symbols):
        program = torch.onnx.export(
            row,
            tuple(tensors),
            input_names=list(row.names),
            output_names=list(names),
            dynamic_shapes=(tuple(dict.fromkeys(axes, dynamic) for axes in open_),),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    found: ModelProto = program.model_proto
    return found


#: The exporters by name, in the order in which they are tried: the first is quick, the second knows more.
EXPORTERS: Mapping[str, Callable[[Row, Sequence[Any], Sequence[str], Open], ModelProto]] = {
    "torchscript": torchscript,
    "dynamo": dynamo,
}


def export(name: str, row: Row, tensors: Sequence[Any], names: Sequence[str], open_: Open) -> ModelProto:
    """The module as a model, its weights called as the module's; raises what the exporter raises."""
    model = EXPORTERS[name](row, tensors, names, open_)
    _call_weights(model, dict(row.module.named_parameters()) | dict(row.module.named_buffers()))
    return model


def _call_weights(model: ModelProto, weights: Mapping[str, Any]) -> None:
    """Give weights the names that they have in the module, also those that were transposed on the way."""
    named = [(name, w.detach().cpu().numpy()) for name, w in weights.items()]
    called = {(a.shape, a.tobytes()): name for name, a in named[::-1] if a.ndim}
    turned = {(a.T.shape, a.T.tobytes()): name for name, a in named[::-1] if a.ndim == 2}
    names: dict[str, str] = {}
    for tensor in model.graph.initializer:
        array = np.asarray(numpy_helper.to_array(tensor))
        key = (array.shape, array.tobytes())
        found = called.get(key) or turned.get(key)
        if found and found not in names.values():
            names[tensor.name] = found
            tensor.name = found
    for node in model.graph.node:
        node.input[:] = [names.get(n, n) for n in node.input]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Let nothing that an exporter says be heard, from Python or from below it."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(fd) for fd in (1, 2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for fd in (1, 2):
            os.dup2(nowhere, fd)
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        for fd, own in zip((1, 2), kept, strict=True):
            os.dup2(own, fd)
            os.close(own)
        os.close(nowhere)
        logging.disable(level)


@contextlib.contextmanager
def still(module: Any) -> Iterator[None]:
    """The module as it is when it does not train, without gradients; then again as it was."""
    training = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for m, was in training:
            m.training = was
