"""Modules exported by torch, by either of its two exporters."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import onnx
import torch


@contextmanager
def quietly() -> Iterator[None]:
    """Without torch's advice to use another exporter than this one."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def seeded(module: type, *args: Any, seed: int = 0, gain: float = 1.5, **kwargs: Any) -> Any:
    """A module with weights from a seed: torch's own, and somewhat larger, so that states matter."""
    torch.manual_seed(seed)
    with quietly(), torch.no_grad():
        made = module(*args, **kwargs).eval()
        for name, weight in made.named_parameters():
            if weight.dim() > 1 and "norm" not in name:
                weight.mul_(gain)
    return made


def export(
    module: Any,
    inputs: Mapping[str, Any],
    outputs: Sequence[str],
    opset: int,
    dynamo: bool = False,
) -> onnx.ModelProto:
    """The module on example ``inputs``, as ONNX."""
    args = tuple(inputs.values())
    names: dict[str, Any] = {"input_names": list(inputs), "output_names": list(outputs)}
    with quietly():
        if dynamo:
            program = torch.onnx.export(
                module, args, dynamo=True, opset_version=opset, verbose=False, **names
            )
            proto: onnx.ModelProto = program.model_proto
            return proto
        file = io.BytesIO()
        torch.onnx.export(module, args, file, dynamo=False, opset_version=opset, **names)
    return onnx.load_from_string(file.getvalue())
