"""The graph as text, and back: ``parse(show(g))`` is ``g`` up to large arrays, ``show(parse(s))`` is ``s``.

    net counter(stream x: f32[B, 4], param w: f32[4, 3], state y: f32[B, 3] {init = 1.0}) -> (y) {
      y1: f32[B, 3] = delay(y, y.init) {k = 1}
      %0: f32[B, 3] = matmul(x, w)
      %1: f32[B, 3] = mul(y1, 0.5)
      y: f32[B, 3] = add(%0, %1)
    }

**The header** is the interface. Inputs are ``stream`` or ``given``. For a state it shows the type of a slot,
the depth, the initial value and the value that it follows, as in
``state y: f32[B, 3] {k = 2, init = 1.0} = v``; what is left out is 1, zeros, and the value named ``y``. The
state before the run is the value ``y.init``. Outputs are values (``out = %3`` where the name is another),
``last`` where only the last step counts. A source that passes replaced by something fixed is ``bound``: the
graph has no such value, and a bound state follows none.

**Levels.** A stream graph starts with ``net``, a function graph with ``function``. There the header gives the
tensors' full types. One step has the same without a leading ``T``, unless another is stated, as in
``stream x: f32[8, B, 4] of f32[B, 4]``.

**The body** has one value a line, with its type as the graph states it. Values named ``%n`` are temporary and
numbered anew, in order, whenever they are shown. Temporary scalars stand among operands, where equal ones are
one value. Arrays and attributes are written as :mod:`rnnc.text.literals` says, the body of a region in place.
Comments start with ``//``; line ends mean no more than spaces.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import numpy as np

from rnnc.ir import SOURCES, Array, Attr, Graph, Input, Output, State
from rnnc.ops import OPS
from rnnc.text.grammar import one_step, parse
from rnnc.text.literals import Digest, is_name, show_array, show_attr, show_element, show_scalar
from rnnc.types import TensorType

__all__ = ["parse", "show"]

#: Headers longer than this are broken into lines.
WIDTH = 110


def show(graph: Graph, locs: bool = False) -> str:
    """The graph as text, one value a line; with ``locs``, each with its places in the source."""
    return "\n".join([*_Printer(graph, locs).lines(), ""])


class _Printer:
    """Writes one graph: decides what values are called, then goes down the lines."""

    def __init__(self, graph: Graph, locs: bool) -> None:
        self.graph, self.locs = graph, locs
        interface = graph.interface
        declared = [
            *(i.name for i in interface.inputs),
            *interface.params,
            *(s.source for s in interface.states),
        ]
        self.sources = {v for v in declared if v in graph and graph[v].op in SOURCES}
        self.order = graph.order()
        self.inlined = dict(self._scalars())
        temporary = (v for v in self.order if v.startswith("%") and v not in self.inlined)
        self.names = dict(zip(self.order, self.order)) | self.inlined  # noqa: B905
        self.names |= {v: f"%{i}" for i, v in enumerate(temporary)}

    def lines(self) -> Iterator[str]:
        """The lines of the text."""
        yield from self._header()
        for value in self.order:
            if value not in self.sources and value not in self.inlined:
                yield from self._line(value)
        yield "}"

    def _scalars(self) -> Iterator[tuple[str, str]]:
        """Temporary scalars that only operands are, and how they are written."""
        roots = set(self.graph.roots())
        for value in self.order:
            node = self.graph[value]
            if (
                node.op == "const"
                and value.startswith("%")
                and value not in roots
                and self.graph.nx.succ[value]
            ):
                array = node.attrs["value"]
                if isinstance(array, np.ndarray) and not array.shape:
                    yield value, show_scalar(array)

    # -- the header ---------------------------------------------------------------------------------------
    def _header(self) -> Iterator[str]:
        """What comes before the body, broken into lines where it is too long."""
        graph, interface = self.graph, self.graph.interface
        label = graph.name if is_name(graph.name) else show_attr(graph.name)
        start = f"{'net' if graph.level == 'stream' else 'function'} {label}("
        sources = [
            *map(self._input, interface.inputs),
            *map(self._param, interface.params),
            *map(self._state, interface.states),
        ]
        line = start + "".join(sources[:1])
        for source in sources[1:]:
            if len(line) + len(source) + 2 > WIDTH:
                yield f"{line},"
                line = " " * len(start) + source
            else:
                line += f", {source}"
        yield f"{line}) -> ({', '.join(map(self._output, interface.outputs))}) {{"

    def _input(self, i: Input) -> str:
        if i.name not in self.sources:
            return f"bound {i.kind} {i.name}: {i.type}"
        type_ = self.graph.type(i.name)
        return f"{i.kind} {i.name}: {type_}{self._step(type_, i.type, i.kind == 'stream')}"

    def _param(self, path: str) -> str:
        return f"param {path}: {self.graph.type(path)}" if path in self.sources else f"bound param {path}"

    def _state(self, s: State) -> str:
        bound, follows = s.source not in self.sources, self.graph.finals.get(s.path)
        attrs = [f"k = {s.depth}"] if s.depth > 1 else []
        if s.init is not None:
            attrs.append(f"init = {_initial(s)}")
        return "".join([
            "bound " if bound else "",
            f"state {s.path}: {s.type}",
            f" {{{', '.join(attrs)}}}" if attrs else "",
            f" = {self.names[follows]}" if follows and (bound or follows != s.path) else "",
        ])  # fmt: skip

    def _output(self, o: Output) -> str:
        value = self.graph.outputs[o.name]
        last = "last " if o.kind == "final" else ""
        follows = "" if value == o.name else f" = {self.names[value]}"
        return f"{last}{o.name}{follows}{self._step(self.graph.type(value), o.type, o.kind == 'stream')}"

    def _step(self, type_: TensorType, step: TensorType, stream: bool) -> str:
        """How the type of one step is stated, where the header's own does not say it."""
        told = one_step(type_) if stream and self.graph.level == "function" else type_
        return "" if told == step else f" of {step}"

    # -- the body -----------------------------------------------------------------------------------------
    def _line(self, value: str) -> Iterator[str]:
        """The line of one value; more than one where an attribute is a graph."""
        node = self.graph[value]
        operands = ", ".join([self.names[o] for o in self.graph.operands(value)])
        text = f"  {self.names[value]}: {node.type} = {node.op}({operands})"
        if node.attrs:
            text += f" {{{', '.join(self._attrs(node.op, node.attrs))}}}"
        if self.locs and node.locs:
            text += f"  // {', '.join(map(str, node.locs))}"
        yield text

    def _attrs(self, op: str, attrs: Mapping[str, Attr]) -> Iterator[str]:
        """The attributes in the order of declaration, graphs last."""
        declared = [name for name in OPS[op].attrs if name in attrs] if op in OPS else list(attrs)
        for name in sorted(declared, key=lambda name: isinstance(attrs[name], Graph)):
            value = attrs[name]
            shown = self._body(value) if isinstance(value, Graph) else show_attr(value)
            yield f"{name} = {shown}"

    def _body(self, body: Graph) -> str:
        first, *rest = _Printer(body, self.locs).lines()
        return "\n".join([first, *(f"  {line}" for text in rest for line in text.split("\n"))])


def _initial(state: State) -> str:
    """The initial value of a state: one number for all slots, or an array."""
    init = cast("Array | Digest", state.init)
    if isinstance(init, np.ndarray) and not init.shape:
        return show_element(init.astype(state.type.numpy)[()])
    return show_array(init)
