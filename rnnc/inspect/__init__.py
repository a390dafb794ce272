"""Inspection: what an ``.onnx`` file is: its loops, states, weights and cost.

Any file can be looked at; one of ours also says in its manifest what form it has and how its states are
wired. Time and memory are in proportion to the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx

from rnnc.dims import Dim, dim, names
from rnnc.inspect.chains import longest, peak
from rnnc.inspect.cost import body_cost, weight_bytes
from rnnc.inspect.graphs import Body, whole
from rnnc.inspect.loops import Loop, Tie, find_loops
from rnnc.inspect.nets import recurrences
from rnnc.inspect.pairs import StateReport, guessed, told
from rnnc.inspect.providers import providers
from rnnc.inspect.reading import manifest_of, prepared, read_model
from rnnc.inspect.report import Report
from rnnc.inspect.sizes import UNKNOWN, at
from rnnc.ir import Graph

__all__ = ["Loop", "Report", "StateReport", "inspect", "manifest_of", "read_model"]

#: How many names of the critical path are kept from either end.
ENDS = 20


def inspect(
    model: onnx.ModelProto | str | Path,
    name: str = "",
    sizes: Mapping[str, int] | None = None,
    net: Graph | None = None,
) -> Report:
    """The report on a model, or on the file of that path, at the ``sizes`` given, and 1 for the others.

    ``net`` is what the model was compiled from.
    """
    if not isinstance(model, onnx.ModelProto):
        name = name or str(model)
        model = read_model(model, weights=False)
    manifest = manifest_of(model) or {}
    notes: tuple[str, ...] = ()
    if not manifest:
        model, notes = prepared(model)
    body = whole(model.graph)
    states = [told(s) for s in manifest["states"]] if manifest else guessed(body)
    steps = int(manifest.get("steps") or 1)
    loops = find_loops(body, _ties(states), steps)
    time = set().union(*(names(dim(loop.steps)) for loop in loops if loop.steps and not loop.inside))
    if manifest.get("form") in ("sequence", "chunk"):
        time = {"T"}
    time -= names(UNKNOWN)
    closed = _closed(loops)
    cost, given = body_cost(body), dict(sizes or {})
    counts = (0, 1, 2) if time else (1,)
    chains = [longest(body, {**given, **dict.fromkeys(time, n)}).nodes for n in counts]
    return Report(
        name=name or _text(model.graph.name),
        form=str(manifest.get("form", "")),
        opset=next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0),
        opsets={_text(o.domain) or "ai.onnx": o.version for o in model.opset_import},
        ir_version=model.ir_version,
        producer=" ".join(filter(None, map(_text, (model.producer_name, model.producer_version)))),
        inputs={i: _type(body, i) for i in body.inputs},
        outputs={o: _type(body, o) for o in body.outputs},
        states=tuple(replace(s, loop=closed.get(s.path, "")) for s in states),
        loops=tuple(loops),
        recurrences=recurrences(net) if net else (),
        weights=_weights(body),
        nodes_per_run=_run(cost.nodes, time),
        nodes_per_step=_step(cost.nodes, time, steps),
        multiply_adds_per_run=_run(cost.multiply_adds, time),
        multiply_adds_per_step=_step(cost.multiply_adds, time, steps),
        bytes_per_run=_run(cost.bytes, time),
        bytes_per_step=_step(cost.bytes, time, steps),
        chain_per_run=chains[0] if time else 0,
        chain_per_step=chains[2] - chains[1] if time else round(chains[0] / steps),
        critical_path=longest(body, given, ENDS),
        peak_memory=peak(body, given),
        sizes={n: given.get(n, 1) for n in sorted(_open(body) | given.keys())},
        unknown_sizes=_unknown(body),
        providers=providers(body),
        notes=notes,
    )


def _text(value: str | bytes) -> str:
    """A string of a file, which need not be UTF-8."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _ties(states: Sequence[StateReport]) -> list[Tie]:
    return [
        Tie(s.path, s.input, s.output, s.type, s.initial, s.depth) for s in states if s.input and s.output
    ]


def _closed(loops: Sequence[Loop]) -> dict[str, str]:
    """The first loop that each state closes."""
    outer = [x for x in loops if not x.inside]
    return {path: x.name for x in reversed(outer) for path in x.states}


def _run(cost: Dim, time: set[str]) -> int:
    """What is done once a run, however many steps it has; nothing where a step is a share of the run."""
    return at(cost, **dict.fromkeys(time, 0)) if time else 0


def _step(cost: Dim, time: set[str], steps: int) -> int:
    """What one step more adds; without an axis of time, a share of the run."""
    if time:
        return at(cost, **dict.fromkeys(time, 2)) - at(cost, **dict.fromkeys(time, 1))
    return round(at(cost) / steps)


def _type(body: Body, name: str) -> str:
    """The type of an input or output, which need not be a tensor."""
    if body.sizes.element(name):
        return body.sizes.shown(name)
    ends = (*body.graph.input, *body.graph.output)
    kind: Any = next((e.type.WhichOneof("value") for e in ends if e.name == name), None)
    return "?" if kind in (None, "tensor_type") else str(kind).removesuffix("_type")


def _open(body: Body) -> set[str]:
    """The names of the sizes that the inputs leave open."""
    shapes = (body.sizes[i] for i in body.inputs)
    return {n for shape in shapes for d in shape or () for n in names(d)} - names(UNKNOWN)


def _unknown(body: Body) -> int:
    """How many results have a shape of which something is not known."""
    results = ((b.sizes[o], o) for item, b in body.everything() for o in item.outputs if o)
    return sum(shape is None or UNKNOWN in shape for shape, _ in results)


def _weights(body: Body) -> dict[str, int]:
    """The bytes of every weight, those of sub-graphs included, largest first."""
    found = {name: weight_bytes(t) for name, t in body.sizes.constants.items()}
    for item in body.items:
        for inner in item.bodies:
            for name, size in _weights(inner).items():
                key, n = name, 1
                while key in found:
                    key, n = f"{item.name}/{name}" + f"_{n}" * (n > 1), n + 1
                found[key] = size
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))
