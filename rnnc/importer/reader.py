"""The reader: the nodes of an ONNX graph, one after another, as values of a graph of ours.

Each node is read by the first that can: computed, where all it reads is known; by a rule of its own
(:data:`RULES`); by the ONNX form that an op of ours declares (:mod:`rnnc.importer.declared`); and else it
stays as it is (:mod:`rnnc.importer.kept`). Nodes that were another thing before opset :data:`OLDEST` are
first brought to it, one by one (:mod:`rnnc.importer.modern`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from onnx import GraphProto, NodeProto, TypeProto, helper

from rnnc.build import Builder
from rnnc.dims import Dim, Poly, names
from rnnc.emit.places import parse_place
from rnnc.errors import FileError, TypeMismatch
from rnnc.importer.calls import OLDEST, RULES, Call, Context, array_of
from rnnc.importer.declared import declared
from rnnc.importer.items import NOTHING, Item, Known, Nothing, Pending, Sizes, Value
from rnnc.importer.kept import keep
from rnnc.importer.modern import modern
from rnnc.importer.protos import (
    array_type,
    attributes,
    check_node,
    check_size,
    evaluated,
    first_line,
    plain,
    type_proto,
)
from rnnc.ir import Graph, Input
from rnnc.types import DTYPES, TensorType, TupleType

#: Known tensors of at most so many elements are constants of the graph, larger ones weights.
CONSTANT = 64


#: What comes of reading a node by its rule when it does not fit what it reads.
MISFITS = (ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, TypeError, ValueError)


class Untyped(FileError):
    """A tensor is needed, or something else, that has no type of ours."""


def _is_foreign(item: Item) -> bool:
    """Whether something has no type of ours."""
    return isinstance(item, Pending) or (
        isinstance(item, Known) and item.array.dtype.name not in DTYPES.values()
    )


class Reader:
    """Reads the nodes of one ONNX graph into a graph of ours.

    ``outer`` is the reader of the graph around a body, from which what the body captures is taken.
    ``instead`` gives other items for tensors, made when their nodes have been read.
    """

    def __init__(self, context: Context, graph: Graph, outer: Reader | None = None) -> None:
        self.context, self.graph, self.outer = context, graph, outer
        self.builder = Builder(graph)
        self.items: dict[str, Item] = {"": NOTHING}
        self.captured: list[tuple[Input, str]] = []
        self._values: dict[int, tuple[Item, str]] = {}
        self._names: dict[str, str] = {}
        self.instead: dict[str, Callable[[], Item]] = {}

    # -- reading ------------------------------------------------------------------------------------------
    def read(self, proto: GraphProto) -> None:
        """Read the constants of an ONNX graph, and then its nodes."""
        for tensor in proto.initializer:
            self.items.setdefault(tensor.name, Known(array_of(tensor), tensor.name))
        if proto.sparse_initializer:
            name = proto.sparse_initializer[0].values.name
            raise FileError(f"the weight {name!r} is sparse", hint="Store it dense: rnnc reads dense ones.")
        for node in proto.node:
            self.node(node)

    def node(self, node: NodeProto, as_it_is: bool = False) -> None:
        """Read one node; ``as_it_is`` if it need not be brought to a newer opset."""
        place = parse_place(node.doc_string)
        self.builder = Builder(self.graph, locs=[place] if place else [])
        domain = "" if node.domain == "ai.onnx" else node.domain
        opsets = {**self.context.opsets, "": OLDEST} if as_it_is else self.context.opsets
        check_node(node, opsets)
        inputs = tuple(map(self.item, node.input))
        if not domain and not as_it_is:
            newer = modern(node, inputs, self)
            if newer is not None:
                for part in newer:
                    self.node(part, as_it_is=True)
                return
        attrs = attributes(node, domain, self.context.opset)
        results = self._results(Call(self, node, domain, inputs, attrs))
        for name, item in zip(node.output, results, strict=False):
            if name:
                if isinstance(item, Value):
                    check_size(self.graph.type(item.name), repr(name))
                self.items[name] = item = self.instead[name]() if name in self.instead else item
                if isinstance(item, Value) and item.name.startswith("%"):
                    self._names.setdefault(item.name, name)

    def _results(self, call: Call) -> Sequence[Item]:
        known = bool(call.inputs) and all(isinstance(i, Known | Nothing) for i in call.inputs)
        found: Sequence[Item] | None = None
        if known:
            found = evaluated(call.node, call.inputs, self.context.opset)
        if not found and any(map(_is_foreign, call.inputs)):
            return keep(call)
        try:
            for own in RULES.get((call.domain, call.node.op_type), ()):
                found = found or own(call)
            if self._is_early(call, found):
                return keep(call)
            return found or declared(call) or keep(call)
        except TypeMismatch as error:
            message = f"{call.shown} does not fit what it reads: {error.message}"
            raise FileError(message, hint=error.hint) from None
        except Untyped:
            return keep(call)
        except MISFITS as error:
            raise FileError(f"{call.shown} does not fit what it reads: {first_line(error)}") from error

    def _is_early(self, call: Call, found: Sequence[Item] | None) -> bool:
        """Whether a node needs a size that only what is in a tensor tells, and none that it reads has.

        Then it must wait for the size as for any other value: it is not known from the types.
        """
        sizes = {n for i in call.inputs if isinstance(i, Sizes) for d in i.dims for n in names(d)}
        values = [self.type(i).names() for i in call.inputs if isinstance(i, Value)]
        waits = (sizes & self.context.found).difference(*values)
        return bool(waits) and not (found and all(isinstance(i, Sizes | Known | Nothing) for i in found))

    def finish(self) -> None:
        """Give values the names of their tensors."""
        for value, name in self._names.items():
            if value in self.graph and self.graph[value].op != "const":
                self.graph.rename(value, plain(name))

    # -- what is known of tensors -------------------------------------------------------------------------
    def item(self, name: str) -> Item:
        """What a tensor is, here or around; :class:`FileError` if there is no such tensor."""
        if name not in self.items:
            if self.outer is None:
                raise FileError(
                    f"{name!r} is read before a node gives it",
                    hint="The nodes are out of order, on a cycle, or one is missing: check the file.",
                )
            self.items[name] = self._taken(self.outer.item(name), name)
        return self.items[name]

    def _taken(self, item: Item, name: str) -> Item:
        """What a tensor of the graph around is in this one."""
        if isinstance(item, Pending):
            return replace(item, reads={n: self._taken(i, n) for n, i in item.reads.items()})
        return Value(self._captures(item, name)) if isinstance(item, Value) else item

    def _captures(self, item: Item, name: str) -> str:
        """A value of the graph around as an input of this one, the same at every step."""
        assert self.outer is not None
        around = self.outer.value(item)
        kind = self.outer.graph.type(around)
        inner = self.graph.add("input", type=kind, name=plain(name))
        self.captured.append((Input(inner, kind, "given"), around))
        return inner

    def type(self, item: Item) -> TensorType:
        """The type of what a tensor is."""
        if isinstance(item, Value):
            return self.graph.type(item.name)
        if isinstance(item, Sizes):
            return TensorType(item.dtype, () if item.scalar else (len(item.dims),))
        if isinstance(item, Pending):
            raise Untyped(item.why)
        if isinstance(item, Nothing):
            raise FileError("a tensor is read that is left out")
        return array_type(item.array, item.name)

    def proto(self, item: Item) -> TypeProto | None:
        """The type of what a tensor is, as ONNX writes it; ``None`` if it is not known."""
        if isinstance(item, Pending):
            return item.proto
        if isinstance(item, Known) and _is_foreign(item):
            return helper.make_tensor_type_proto(
                helper.np_dtype_to_tensor_dtype(item.array.dtype), item.array.shape
            )
        return type_proto(self.type(item))

    def value(self, item: Item) -> str:
        """The value of the graph that a tensor is; constants and weights are added as they are asked for."""
        if isinstance(item, Value):
            return item.name
        if id(item) not in self._values:
            self._values[id(item)] = (item, self._made(item))
        return self._values[id(item)][1]

    def _made(self, item: Item) -> str:
        if isinstance(item, Sizes):
            parts = [self.size(d) for d in item.dims]
            whole = parts[0] if len(parts) == 1 else self.builder("concat", *parts, axis=0)
            whole = self.builder("squeeze", whole, axes=(0,)) if item.scalar else whole
            return whole if item.dtype == "i64" else self.builder("cast", whole, dtype=item.dtype)
        kind = self.type(item)
        assert isinstance(item, Known)
        if item.array.size <= CONSTANT or not item.name:
            return self.builder.const(item.array)
        if self.outer is not None:
            return self._captures(item, item.name)
        path = self.graph.fresh(plain(item.name))
        self.context.weights[path] = item.array
        return self.graph.add("param", type=kind, name=path)

    def size(self, d: Dim) -> str:
        """A size as a value, an i64 tensor of one element."""
        if not isinstance(d, Poly):
            return self.builder.const(np.array([d], np.int64))
        for v in self.graph:
            kind = self.graph[v].type
            if isinstance(kind, TensorType) and d in kind.shape:
                return self.builder("size", v, axis=kind.shape.index(d))
        total = ""
        for product, factor in d.terms:
            term = self.size(factor)
            for n in product:
                term = self.builder("mul", term, self.size(Poly((((n,), 1),))))
            total = self.builder("add", total, term) if total else term
        return total

    def results(self, value: str) -> list[Item]:
        """A value as results: its items if it is a tuple."""
        if isinstance(self.graph[value].type, TupleType):
            return [Value(v) for v in self.builder.items(value)]
        return [Value(value)]
