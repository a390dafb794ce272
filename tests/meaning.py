"""Whether two graphs of one interface mean the same, whatever their levels and forms.

Both run on the reference machine, on the same arrays, drawn for their interface: streams as ``[T, B, …]``. A
function graph may want them otherwise, as one step alone or with the batch first; its types say.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rnnc.ir import Array, Graph, Input, Output
from rnnc.machine.reference import Result, random_arrays, run
from rnnc.types import TensorType

#: Steps and batch sizes to try, where the graphs leave the choice.
SIZES = ((5, 2), (1, 3))

#: Both sides compute in float64, in another order at most.
TOLERANCE = 1e-9


def with_params(graph: Graph) -> Graph:
    """The graph with arrays, drawn by name, for the params of which only the type is known."""
    drawn = random_arrays(graph, seed=0).params
    arrays = {
        path: drawn[path].astype(graph.type(path).numpy) if path in drawn else None
        for path in graph.interface.params
    }
    new = graph.copy()
    new.interface = replace(graph.interface, params=arrays)
    return new


def disagreement(one: Graph, other: Graph) -> str:
    """How two graphs differ, in a sentence; empty if they agree."""
    fixed = {t for graph in (one, other) for t in [fixed_steps(graph)] if t is not None}
    for steps, batch in [(t, b) for t in sorted(fixed) for _, b in SIZES] if fixed else SIZES:
        a, b = (_run(graph, one, other, steps, batch) for graph in (one, other))
        for what, xs, ys in (("output", a.outputs, b.outputs), ("final state", a.finals, b.finals)):
            for name in sorted(xs.keys() & ys.keys()):
                if how := _difference(xs[name], ys[name]):
                    return f"with T = {steps} and B = {batch}, the {what} {name} {how}"
        if a.outputs.keys() != b.outputs.keys():
            return f"the outputs are {sorted(b.outputs)}, and were {sorted(a.outputs)}"
    return ""


def fixed_steps(graph: Graph) -> int | None:
    """The only number of steps that a graph runs for; ``None`` if it runs for any."""
    if graph.level == "stream":
        return None
    parts: list[Input | Output] = [*graph.interface.inputs, *graph.interface.outputs]
    for part in parts:
        if part.kind == "stream":
            axis = _time_axis(graph, part)
            steps = 1 if axis is None else _type(graph, part).shape[axis]
            return steps if isinstance(steps, int) else None
    return None


def _run(graph: Graph, one: Graph, other: Graph, steps: int, batch: int) -> Result:
    """Run ``graph`` on what both take: states if neither has them bound, lengths if either reads them."""
    drawn = random_arrays(Graph("interface", one.interface), seed=steps, T=steps, B=batch)
    carried = all(s.source in g for s in one.interface.states for g in (one, other))
    ragged = any(
        "lengths" in g and "lengths" not in (i.name for i in g.interface.inputs) for g in (one, other)
    )
    lengths = np.random.default_rng(steps).integers(0, steps + 1, batch) if ragged else None
    result = run(
        graph,
        _given(graph, drawn.inputs),
        states=drawn.states if carried else None,
        lengths=lengths,
        sizes={"T": steps, "B": batch},
    )
    return Result(_taken(graph, result.outputs), result.finals)


def _given(graph: Graph, streams: dict[str, Array]) -> dict[str, Array]:
    """Inputs as the graph wants them."""
    return {i.name: _laid(graph, i, streams[i.name]) for i in graph.interface.inputs if i.name in graph}


def _taken(graph: Graph, found: dict[str, Array]) -> dict[str, Array]:
    """Outputs as ``[T, B, …]``, from what the graph gives."""
    taken: dict[str, Array] = {}
    for part in graph.interface.outputs:
        if graph.level == "function" and part.kind == "stream" and _time_axis(graph, part) is None:
            taken[part.name] = found[part.name][None]
        else:
            taken[part.name] = _laid(graph, part, found[part.name])
    return taken


def _laid(graph: Graph, part: Input | Output, array: Array) -> Array:
    """``[T, B, …]`` as the graph has it: one step alone or batch first; the latter also back."""
    if graph.level == "stream" or part.kind != "stream":
        return array
    axis = _time_axis(graph, part)
    return array[0] if axis is None else np.swapaxes(array, 0, axis)


def _type(graph: Graph, part: Input | Output) -> TensorType:
    return graph.type(part.name if isinstance(part, Input) else graph.outputs[part.name])


def _time_axis(graph: Graph, part: Input | Output) -> int | None:
    """Which axis of an input or output of a function graph is time, if one is."""
    found = _type(graph, part)
    if found == part.type:
        return None
    return 0 if found.shape[1:] == part.type.shape else 1


def _difference(a: Array, b: Array) -> str:
    if a.shape != b.shape:
        return f"has shape {list(b.shape)}, and had {list(a.shape)}"
    scale = (
        max(1.0, float(np.max(np.abs(a), initial=0.0, where=np.isfinite(a)))) if a.dtype.kind == "f" else 0.0
    )
    if np.allclose(a, b, rtol=0.0, atol=TOLERANCE * scale, equal_nan=True):
        return ""
    with np.errstate(all="ignore"):
        return f"differs by up to {np.max(np.abs(b.astype(float) - a.astype(float))):.3g}"
