"""Training: a layer as a ``torch.nn.Module`` that runs the graph that rnnc compiles.

The module's parameters are the layer's fields under the layer's own paths, initial values of states included,
so that what it learns goes back by ``layer.load(module.state_dict())``. Its sequence is the layer's function
graph, lifted over time and with fused gates, so that only what is recurrent runs step by step; the bodies of
ops run on torch tensors, and autograd sees through them.

    module = layer.to_torch()
    y = module(x)                                # [T, B, …], from the initial states
    y, state = module(x, state=state)            # from a state, to the next
    y, state = module.step(x, state=state)       # one step, [B, …]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from rnnc.dims import dim
from rnnc.errors import RnncError, TypeMismatch, missing_torch
from rnnc.frontend.assemble import trace
from rnnc.frontend.states import registers
from rnnc.frontend.trace import Trace
from rnnc.frontend.values import Value
from rnnc.ir import Array, Graph
from rnnc.loops.regions import over_time as _over_time
from rnnc.machine.evaluate import Function
from rnnc.machine.library import Library, Sizes, bind, shape_of
from rnnc.passes import STREAMS
from rnnc.pipeline import Pipeline
from rnnc.types import short_dtype

try:
    import torch
except ImportError:
    raise missing_torch("training") from None

State = Mapping[str, Any]

#: What a sequence and a step go through before they run.
SEQUENCE = f"{STREAMS},fuse-gates,lift,canonicalize"
STEP = f"{STREAMS},fuse-gates,step,canonicalize"


def to_torch(layer: Any) -> torch.nn.Module:
    """The layer as a module, its parameters copies of the layer's."""
    return Net(trace(layer), layer.params, _starts(layer))


class Net(torch.nn.Module):  # type: ignore[misc]
    """A stream graph as a module. Its state is a dict of tensors by path, ``[B, …]`` or ``[depth, B, …]``."""

    def __init__(self, graph: Graph, params: Mapping[str, Array], starts: Graph) -> None:
        super().__init__()
        self._graph = graph
        self._starts = Function(starts)
        for path, array in params.items():
            *parents, name = path.split(".")
            _child(self, parents)._parameters[name] = torch.nn.Parameter(
                torch.tensor(array), requires_grad=array.dtype.kind == "f"
            )

    def forward(self, *xs: Any, state: State | None = None) -> Any:
        """The outputs over time, one or a tuple; given a ``state``, also the state after the run."""
        y, after = self._run(self._sequence, xs, state or {}, over_time=True)
        return y if state is None else (y, after)

    def step(self, *xs: Any, state: State | None = None) -> tuple[Any, dict[str, Any]]:
        """The outputs of one step and the state after it; without a ``state``, from the initial one."""
        return self._run(self._one_step, xs, state or {}, over_time=False)

    def initial_state(self, batch: int) -> dict[str, Any]:
        """The state before the first step, for a batch of that size."""
        weights = dict(self.named_parameters())
        return self._before({}, weights, _library([*weights.values()]), {"B": batch})

    @cached_property
    def _sequence(self) -> Function:
        return Function(Pipeline.parse(SEQUENCE).run(self._graph))

    @cached_property
    def _one_step(self) -> Function:
        return Function(Pipeline.parse(STEP).run(self._graph))

    def _run(
        self, function: Function, xs: Sequence[Any], state: State, over_time: bool
    ) -> tuple[Any, dict[str, Any]]:
        weights, sizes = dict(self.named_parameters()), self._sizes(xs, over_time)
        library = _library([*weights.values(), *xs])
        before = self._before(state, weights, library, sizes)
        inputs = {i.name: x for i, x in zip(self._graph.interface.inputs, xs, strict=True)}
        inits = {f"{path}.init": tensor for path, tensor in before.items()}
        found = function({**weights, **inputs, **inits}, library, sizes)
        ends = function.graph
        ys = tuple(found[ends.outputs[o.name]] for o in self._graph.interface.outputs)
        return ys[0] if len(ys) == 1 else ys, {path: found[v] for path, v in ends.finals.items()}

    def _sizes(self, xs: Sequence[Any], over_time: bool) -> Sizes:
        """The sizes that the inputs show, which must be of the model's types."""
        sizes: Sizes = {}
        inputs = self._graph.interface.inputs
        if len(xs) != len(inputs):
            names = ", ".join(i.name for i in inputs)
            raise RnncError(
                f"{self._graph.name} takes {len(inputs)} inputs ({names}), and is given {len(xs)}"
            )
        for i, x in zip(inputs, xs, strict=True):
            type = _over_time(i.type, dim("T")) if over_time and i.kind == "stream" else i.type
            if not bind(type, x.shape, sizes):
                raise TypeMismatch(f"{i.name} should be {type}, and has shape {list(x.shape)}")
        return sizes

    def _before(
        self, given: State, weights: Mapping[str, Any], library: Library, sizes: Sizes
    ) -> dict[str, Any]:
        """The state before a run: as given, or as the model starts."""
        states = self._graph.interface.states
        if unknown := sorted(given.keys() - {s.path for s in states}):
            known = ", ".join(s.path for s in states)
            raise RnncError(f"{self._graph.name} has no state {unknown[0]}", hint=f"Its states are {known}.")
        starts = self._starts(weights, library)
        found = {}
        for s in states:
            start = given.get(s.path)
            if start is None:
                value = self._starts.graph.outputs.get(s.path)
                start = starts[value] if value else library.zeros(s.type.dtype, ())
            elif not bind(s.tensor, start.shape, sizes):
                shape = list(start.shape)
                raise TypeMismatch(f"the state {s.path} should be {s.tensor}, and has shape {shape}")
            found[s.path] = torch.broadcast_to(start, shape_of(s.tensor, sizes))
        return found


def _starts(layer: Any) -> Graph:
    """The initial value of each state that has one in the source, as a function of the weights."""
    graph, t, names = Graph("starts", level="function"), Trace(), dict[Value, str]()

    def add(v: Value) -> str:
        if v not in names:
            attrs = {} if v.op == "param" else v.attrs
            names[v] = graph.add(v.op, *map(add, v.args), type=t.sizes.type(v.type), name=v.name, **attrs)
        return names[v]

    with t.active():
        t.run(layer)
        for r in registers(t):
            field, start = r.field, r.init
            if field is not None:
                start = t.param(field.layer, field.name, field.array)
            if r.depth and start is not None:
                graph.outputs[r.path] = add(start)
    return graph


def _child(module: torch.nn.Module, names: Sequence[str]) -> torch.nn.Module:
    """The module at the end of a path, made where it is not there yet.

    Fields are free to be called as methods of modules are, ``forward`` above all: they are entered where
    modules keep their children, past ``add_module``, which would refuse such names.
    """
    for name in names:
        module = module._modules.setdefault(name, torch.nn.Module())
    return module


def _library(tensors: Sequence[Any]) -> Library:
    """Torch, on the device and in the precision of the first of ``tensors`` with a fraction."""
    like = next((t for t in tensors if t.is_floating_point()), torch.zeros(()))
    return Library(
        asarray=lambda array: torch.tensor(array, device=like.device),
        floats=short_dtype(str(like.dtype).removeprefix("torch.")),
    )
