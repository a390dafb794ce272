"""Compiling: from a model to a file, by tracing, a pipeline of passes, and emission."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from textwrap import indent
from typing import TYPE_CHECKING, Any

import networkx as nx

from rnnc.emit.form import FORMS, Form, FormName
from rnnc.errors import FormError
from rnnc.frontend.assemble import trace
from rnnc.frontend.layers import Unrolled, check_steps
from rnnc.ir import Graph
from rnnc.loops.latency import with_latency
from rnnc.pipeline import Pass, Pipeline
from rnnc.remarks import Remark, collecting

if TYPE_CHECKING:
    from rnnc.emit.model import Model

#: What files may be made to run on.
TARGETS = ("cpu", "cuda")


@dataclass(frozen=True, eq=False)
class Compiled:
    """A compiled model: ``proto`` is the file, ``source`` the graph traced, ``graph`` the passes' result."""

    proto: Model = field(repr=False)
    form: Form
    pipeline: Pipeline
    source: Graph = field(repr=False)
    graph: Graph = field(repr=False)
    remarks: Sequence[Remark] = field(default=(), repr=False)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What the file says about itself: its form, and how inputs, outputs and states are wired."""
        from rnnc.emit.manifest import read

        return read(self.proto)

    def save(self, path: str | os.PathLike[str], external_threshold: int | None = None) -> None:
        """Write the file, whole or not at all.

        Weights of ``external_threshold`` bytes or more go to a data file next to it; by default only where
        one file cannot hold them.
        """
        from rnnc.emit.save import save

        save(self.proto, path, external_threshold)

    def _repr_html_(self) -> str:
        """What notebooks show: the model as it was written, and what became of it."""
        from rnnc.view.notebook import picture

        name = f"{self.source.name}, {self.form.name} form"
        wired = ", ".join(f"{s['name']}: {s['input']} → {s['output']}" for s in self.manifest["states"])
        return picture(self.source, name, {"wired": wired}, self.explain())

    def explain(self) -> str:
        """Which passes and plans did what, which did not and why, in order."""
        lines = [f"{self.source.name}: {self.form.name} form by {self.pipeline}"]
        return "\n".join([*lines, *(indent(str(remark), "  ") for remark in self.remarks)])


def compile(
    model: Any,
    form: FormName = "sequence",
    *,
    steps: int | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    sizes: Mapping[str, int] | None = None,
    target: str = "cpu",
    seed: int = 0,
    batch_first: bool = False,
    lengths: bool = False,
    tap: str | Iterable[str] = (),
    opset: int | None = None,
    pipeline: str | Pipeline | None = None,
    profile: str | os.PathLike[str] | None = None,
    autotune: bool = False,
    latency: int | None = None,
) -> Compiled:
    """Compile a model, or a stream graph that was traced or parsed, to ONNX.

    ``form`` is what one call of the file takes: a whole ``sequence`` from the initial states, a ``chunk`` of
    one with its states, one ``step`` with its states, or exactly ``steps`` of them (``unroll``). ``shapes``
    gives one step's shape, without the batch, of inputs that leave it open. ``sizes`` hints at ``T`` and
    ``B``, and ``target`` at where the file runs: for speed, never a limit. ``lengths`` adds an input with the
    length of each sequence of a padded batch. ``tap`` names values to give as outputs too. ``pipeline``
    replaces the passes of the form. ``profile`` is a file of ``rnnc tune`` that plans are priced by, in place
    of the one built in: the file then depends on it, and on nothing else of the machine.
    ``latency`` lets a model that looks ahead be run in steps or chunks: its outputs come so many steps late,
    and ``Stream.flush`` gives the last ones.
    ``autotune`` runs every plan that can run a loop, at the ``sizes``, and keeps the fastest: the file then
    depends on the machine, and on the moment.
    """
    separate = False
    if isinstance(model, Unrolled):
        if form not in ("sequence", "unroll") or steps not in (None, model.steps):
            raise FormError(
                f"the model is unrolled by {model.steps} steps already, so it has no other form",
                hint="Compile the model itself, without unroll.",
            )
        form, steps, separate, model = "unroll", model.steps, model.separate, model.model
    _check(form, steps, sizes, target, batch_first, lengths, separate)
    traced = (
        model
        if isinstance(model, Graph)
        else trace(model, shapes, (tap,) if isinstance(tap, str) else tuple(tap), seed)
    )
    waits, valid = ahead(traced), ""
    if latency is not None:
        if lengths:
            raise FormError("a file with a latency is told step by step what is valid, not by lengths")
        _check_latency(traced, waits, latency, form)
        traced, valid = with_latency(traced, latency)
        waits = latency
    if form in ("step", "chunk"):
        _refuse_lookahead(traced, form)
    made = Form(form, steps, separate, batch_first, waits, valid)
    options = {"steps": steps, "separate": separate, "lengths": lengths, "target": target, **(sizes or {})}
    options |= {"profile": os.fspath(profile)} if profile else {}
    passes = _pipeline(pipeline, made, options)
    if not autotune:
        return _made(traced, made, passes, opset)
    if not sizes or {"T", "B"} - sizes.keys():
        raise FormError(
            "autotune runs the file, and needs to know how large", hint='Write sizes={"T": 1000, "B": 1}.'
        )
    from rnnc.autotune import autotune as tuned

    def planned(plans: str) -> Compiled:
        some = tuple(_configured(p, {"plans": plans}) for p in passes.passes)
        return _made(traced, made, Pipeline(some), opset)

    return tuned(planned, sizes)


def _made(traced: Graph, form: Form, passes: Pipeline, opset: int | None) -> Compiled:
    """What the passes make of a graph, written."""
    with collecting() as remarks, _no_garbage_collection():
        graph = passes.run(traced)
        _check_result(graph, form, passes)
        from rnnc.emit.model import write_model

        proto = write_model(graph, form, opset)
    return Compiled(proto, form, passes, traced, graph, remarks)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Graphs are many small objects that all live to the end; the collector would walk them ever again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _check(
    form: str,
    steps: int | None,
    sizes: Mapping[str, int] | None,
    target: str,
    batch_first: bool,
    lengths: bool,
    separate: bool,
) -> None:
    """Refuse options that no model can have."""
    if form not in FORMS:
        raise FormError(f"there is no form {form!r}", hint=f"The forms are {', '.join(FORMS)}.")
    if target not in TARGETS:
        raise FormError(f"there is no target {target!r}", hint=f"The targets are {', '.join(TARGETS)}.")
    if form == "unroll":
        if steps is None:
            raise FormError(
                "unroll needs the number of steps", hint='Write compile(model, "unroll", steps=20).'
            )
        check_steps(steps)
    elif steps is not None:
        raise FormError(
            f"the {form} form runs as many steps as it is given", hint='steps goes with form="unroll".'
        )
    if batch_first and (form == "step" or separate):
        raise FormError("batch_first is about the order of the axes B and T, and one step has no axis T")
    if lengths and (form == "step" or separate):
        raise FormError("lengths are of sequences, and one step has none")
    for name, size in (sizes or {}).items():
        if name not in ("T", "B") or not _positive(size):
            raise FormError(
                f"sizes cannot hint that {name} is {size!r}", hint='Write sizes={"T": 1000, "B": 1}.'
            )


def _positive(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number > 0


def _pipeline(given: str | Pipeline | None, form: Form, options: Mapping[str, Any]) -> Pipeline:
    """The passes asked for, or those of the form, which take the options that they have fields for."""
    from rnnc import passes

    if isinstance(given, Pipeline):
        return given
    if given is not None:
        return Pipeline.parse(given)
    text = getattr(passes, form.name.upper()) + (",batch-first" if form.batch_first else "")
    return Pipeline(tuple(_configured(p, options) for p in Pipeline.parse(text).passes))


def _configured(p: Pass, options: Mapping[str, Any]) -> Pass:
    mine = {f.name: options[f.name] for f in fields(p) if f.name in options}
    return replace(p, **mine) if mine else p


def _check_result(graph: Graph, form: Form, passes: Pipeline) -> None:
    """A pipeline that was asked for must end in the form that was asked for."""
    if graph.level != "function":
        raise FormError(
            f"the pipeline {passes} leaves a graph of streams", hint="It needs lift, step or unroll."
        )
    streams = [i for i in graph.interface.inputs if i.kind == "stream" and i.name in graph]
    over_time = any(graph.type(i.name).rank > i.type.rank for i in streams)
    if bool(graph.finals) == (form.name == "sequence") and graph.interface.states:
        raise FormError(
            f"the pipeline {passes} does not make the {form.name} form of the states",
            hint='It needs bind if the form is "sequence", and only then.',
        )
    if over_time == (form.name == "step") and streams:
        raise FormError(
            f"the pipeline {passes} does not make the {form.name} form of the inputs",
            hint='It needs step if the form is "step", and lift or unroll if it is another.',
        )


def _ahead(graph: Graph) -> list[str]:
    """The delays that look ahead."""
    return [v for v in graph.find("delay") if graph[v].attrs["k"] < 0]


def _refuse_lookahead(graph: Graph, form: str) -> None:
    """A form that does not see the end of the sequence cannot look ahead."""
    for value in _ahead(graph):
        node = graph[value]
        ahead = -node.attrs["k"]
        raise FormError(
            f"the {form} form cannot look ahead, and this reads the value in {ahead} step{'s'[: ahead != 1]}",
            hint='Compile it with form="sequence", or give a latency: outputs then come so many steps late.',
            loc=next(iter(node.locs), None),
        )


def _check_latency(graph: Graph, waits: int | None, latency: int, form: str) -> None:
    """Refuse a latency that a model cannot have, or a form that has no use for it."""
    if form not in ("step", "chunk"):
        raise FormError(
            f"the {form} form sees all of its steps, and needs no latency", hint="Leave latency out."
        )
    if waits is None:
        raise FormError(f"{graph.name} waits for the end of the sequence: no latency is enough")
    if latency < max(waits, 1):
        raise FormError(
            f"a latency of {latency} steps is too little: {graph.name} looks ahead by {waits}",
            hint=f"Give latency={max(waits, 1)}.",
        )


def ahead(graph: Graph) -> int | None:
    """How many steps an output waits for: the most that a path looks ahead, ``None`` if to the end."""
    looks = {v: -graph[v].attrs["k"] for v in _ahead(graph)}
    if not looks:
        return 0
    condensed = nx.condensation(graph.nx)
    waits: dict[int, int] = {}
    for n in nx.topological_sort(condensed):
        members = condensed.nodes[n]["members"]
        loop = len(members) > 1 or any(v in graph.operands(v) for v in members)
        if loop and not looks.keys().isdisjoint(members):
            return None
        own = 0 if loop else looks.get(min(members), 0)
        waits[n] = own + max((waits[before] for before in condensed.predecessors(n)), default=0)
    return max(waits.values())
