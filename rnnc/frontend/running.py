"""Running a model on the reference machine: what its equations mean, in float64, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnnc.errors import FormError, TypeMismatch
from rnnc.frontend.assemble import trace
from rnnc.frontend.layers import Unrolled, as_layer
from rnnc.frontend.locations import here
from rnnc.ir import Array, Graph
from rnnc.machine.reference import Result, run


def reference(
    model: Any, *xs: Any, state: Mapping[str, Any] | None = None, lengths: Any = None, seed: int = 0
) -> tuple[Any, dict[str, Array]]:
    """What ``model``, or a stream graph, gives for ``xs``, and the states after the run.

    A stream is ``[T, B, …]``, what is given ``[B, …]``. The result is an array, or a tuple of them where the
    model has several outputs. ``state`` maps paths to states before the run; others start as the model says.
    ``lengths`` has each sequence's number of steps.
    """
    if isinstance(model, Graph):
        return _of_graph(model, xs, state, lengths)
    layer = as_layer(model.model if isinstance(model, Unrolled) else model)
    specs = layer.inputs()
    layer.accept(len(xs), here())
    if all(s.declared.kind == "given" for s in specs):
        raise FormError(
            f"{layer!r} takes no stream, so nothing says how many steps to run",
            hint="Give it an input with one value a step.",
        )
    arrays = {s.name: np.asarray(x) for s, x in zip(specs, xs, strict=True)}
    for s in specs:
        if s.declared.kind == "stream" and arrays[s.name].ndim < 2:
            raise TypeMismatch(
                f"{s.name} is given with shape {arrays[s.name].shape}, and a stream is [T, B, …]", loc=here()
            )
    shapes = {s.name: arrays[s.name].shape[2:] for s in specs if not s.declared.declared}
    graph = trace(layer, shapes=shapes, seed=seed)
    return _results(run(graph, arrays, state, lengths=lengths))


def _of_graph(graph: Graph, xs: Sequence[Any], state: Any, lengths: Any) -> tuple[Any, dict[str, Array]]:
    names = [i.name for i in graph.interface.inputs]
    if len(xs) != len(names):
        raise TypeMismatch(
            f"{graph.name} takes {len(names)} input{'s'[: len(names) != 1]}, and {len(xs)} are given",
            hint=f"It takes {', '.join(names)}.",
            loc=here(),
        )
    return _results(run(graph, dict(zip(names, map(np.asarray, xs), strict=True)), state, lengths=lengths))


def _results(result: Result) -> tuple[Any, dict[str, Array]]:
    outputs = tuple(result.outputs.values())
    return outputs[0] if len(outputs) == 1 else outputs, result.finals
