"""Rules for ONNX's control flow: ``Scan`` and ``Loop`` as regions, ``If`` as the branch that is taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import GraphProto, ValueInfoProto, helper, numpy_helper

from rnnc.build import Builder
from rnnc.dims import Dim
from rnnc.errors import FileError
from rnnc.importer.calls import OLDEST, Call, rule
from rnnc.importer.items import NOTHING, Item, Known, Value, numbers, sizes_of
from rnnc.importer.protos import plain
from rnnc.importer.reader import Reader
from rnnc.ir import Graph, Input, Interface, Output, State
from rnnc.loops.regions import region_type
from rnnc.types import TensorType

#: The domain of scans that stand for those of opset 8.
OURS = "rnnc"
#: How deep graphs may stand inside graphs.
DEEPEST = 32


@rule("If")
def if_(call: Call) -> Sequence[Item] | None:
    """The branch that is taken, where that is known."""
    condition = numbers(call.item(0))
    if condition is None or len(condition) != 1:
        return None
    branch: GraphProto = call.attrs["then_branch" if condition[0] else "else_branch"]
    if _depth(call.reader) > DEEPEST:
        raise FileError(f"{call.shown} stands more than {DEEPEST} graphs deep")
    return _inlined(call, branch)


def _inlined(call: Call, branch: GraphProto) -> list[Item]:
    """The results of a graph whose nodes are read where it stands; its names hide those around it."""
    reader = call.reader
    before = dict(reader.items)
    reader.read(branch)
    found = [reader.item(o.name) for o in branch.output]
    own = {n for node in branch.node for n in node.output} | {t.name for t in branch.initializer}
    for name in own:
        reader.items.pop(name, None)
    reader.items.update({n: i for n, i in before.items() if n in own})
    return found


def _depth(reader: Reader | None) -> int:
    return 0 if reader is None else 1 + _depth(reader.outer)


class _Body:
    """The body of a loop while it is read: a stream graph whose states are what the loop carries."""

    def __init__(self, call: Call, proto: GraphProto) -> None:
        self.call, self.proto = call, proto
        self.graph = Graph("loop")
        self.reader = Reader(call.reader.context, self.graph, call.reader)
        self.inputs: list[Input] = []
        self.operands: list[str] = []
        self.states: list[State] = []
        self.delays: list[str] = []
        self.inits: list[str] = []
        if _depth(self.reader) > DEEPEST:
            raise FileError(f"{call.shown} stands more than {DEEPEST} graphs deep")

    def carries(self, name: str, start: Item) -> None:
        """Declare a state that starts from ``start``."""
        kind = self.call.reader.type(start)
        state = State(_free(name, {s.path for s in self.states}), kind)
        source = self.graph.add("init", type=kind, name=state.source)
        delay = self.graph.add("delay", source, source, type=kind, name=self.graph.fresh(plain(name)), k=1)
        self.states.append(state)
        self.delays.append(delay)
        self.inits.append(self.call.reader.value(start))
        self.reader.items[name] = Value(delay)

    def scans(self, name: str, stream: str) -> None:
        """Declare a stream: ``stream`` has it over all steps."""
        kind = self.call.reader.graph.type(stream)
        step = TensorType(kind.dtype, kind.shape[1:])
        inner = self.graph.add("input", type=step, name=self.graph.fresh(plain(name)))
        self.inputs.append(Input(inner, step))
        self.operands.append(stream)
        self.reader.items[name] = Value(inner)

    def finish(self, carried: Sequence[str], outputs: Sequence[str], steps: Dim, reverse: bool) -> list[str]:
        """Read the body and add the region: its outputs over all steps, then its final states."""
        reader, graph = self.reader, self.graph
        reader.read(self.proto)
        self._scan_what_is_counted(steps)
        for state, delay, name in zip(self.states, self.delays, carried, strict=True):
            value = reader.value(reader.item(name))
            if graph.type(value) != state.type:
                raise FileError(
                    f"{self.call.shown} carries {state.path}, which is {state.type} before a step and "
                    f"{graph.type(value)} after it"
                )
            graph.connect(value, delay, 0)
            graph.finals[state.path] = value
        declared = []
        for k, name in enumerate(outputs):
            value = reader.value(reader.item(name))
            declared.append(Output(f"y{k}", graph.type(value)))
            graph.outputs[f"y{k}"] = value
        inputs = (*self.inputs, *(i for i, _ in reader.captured))
        graph.interface = Interface(inputs, tuple(declared), tuple(self.states))
        reader.finish()
        operands = [*self.operands, *(v for _, v in reader.captured), *self.inits]
        flags: dict[str, Any] = {"reverse": True} if reverse else {}
        outer = self.call.build
        region = outer.graph.add(
            "region",
            *operands,
            type=region_type(graph, steps),
            locs=outer.locs,
            body=graph.freeze(),
            steps=steps,
            **flags,
        )
        return outer.items(region)

    def _scan_what_is_counted(self, steps: Dim) -> None:
        """Let what is picked from around by the number of the round be a stream."""
        graph, b = self.graph, Builder(self.graph)
        around = {i.name: v for i, v in self.reader.captured}
        counters = {i.name for i, v in zip(self.inputs, self.operands, strict=True) if self._counts(v)}
        for value in graph.find("gather"):
            x, at = graph.operands(value)
            while graph[at].op in ("cast", "squeeze", "unsqueeze", "reshape"):
                at = graph.operands(at)[0]
            axis = graph[value].attrs["axis"]
            if x in around and at in counters and self.call.reader.graph.type(around[x]).shape[axis] == steps:
                name = graph.fresh(f"{x}_each")
                self.scans(name, _first(self.call, around[x], axis))
                graph.replace(value, b("reshape", name, shape=graph.type(value).shape))
        for declared, _ in list(self.reader.captured):
            if not graph.uses(declared.name) and declared.name not in graph.roots():
                graph.erase(declared.name)
        self.reader.captured = [(i, v) for i, v in self.reader.captured if i.name in graph]

    def _counts(self, value: str) -> bool:
        """Whether a value around numbers the rounds."""
        outer = self.call.reader.graph
        return outer[value].op == "arange"


def _free(name: str, taken: set[str]) -> str:
    found, n = plain(name), 1
    while found in taken:
        n += 1
        found = f"{plain(name)}_{n}"
    return found


@rule("Scan")
@rule("Scan", domain=OURS)
def scan(call: Call) -> Sequence[Item] | None:
    """A scan as a region: what it scans has the axis of its steps first."""
    proto, scanned = call.attrs["body"], call.attrs["num_scan_inputs"]
    if not call.domain and call.reader.context.opsets.get("", OLDEST) < 9:
        return _by_sequence(call, proto, scanned)
    carried = len(call.inputs) - scanned
    if scanned < 1 or carried < 0 or len(proto.input) != len(call.inputs) or len(proto.output) < carried:
        raise FileError(f"{call.shown} has a body that does not fit what it reads")
    b, produced = call.build, len(proto.output) - carried
    flipped = call.attrs.get("scan_input_directions") or (0,) * scanned
    flipped_out = call.attrs.get("scan_output_directions") or (0,) * produced
    axes = call.attrs.get("scan_input_axes") or (0,) * scanned
    body = _Body(call, proto)
    for k in range(carried):
        body.carries(proto.input[k].name, call.item(k))
    steps: Dim | None = None
    reverse = bool(scanned) and all(flipped) and all(flipped_out)
    for k in range(scanned):
        stream = _first(call, call.value(carried + k), axes[k])
        stream = _flip(call, stream) if flipped[k] and not reverse else stream
        steps = b.graph.type(stream).shape[0]
        body.scans(proto.input[carried + k].name, stream)
    if steps is None:
        return None
    names = [o.name for o in proto.output]
    items = body.finish(names[:carried], names[carried:], steps, reverse)
    ys, finals = items[:produced], items[produced:]
    out_axes = call.attrs.get("scan_output_axes") or (0,) * produced
    ys = [_flip(call, y) if f and not reverse else y for y, f in zip(ys, flipped_out, strict=True)]
    return [Value(v) for v in (*finals, *(_back(call, y, a) for y, a in zip(ys, out_axes, strict=True)))]


def _by_sequence(call: Call, proto: GraphProto, scanned: int) -> Sequence[Item]:
    """A scan as opset 8 had it, over each sequence of a batch, as one over the batch and one inside it."""
    if call.has(0):
        raise FileError(f"{call.shown} is told how long its sequences are, which only opset 8 has")
    if not 0 < scanned <= len(proto.input):
        raise FileError(f"{call.shown} has a body that does not fit what it reads")
    names, outputs = list(call.node.input[1:]), list(call.node.output)
    inner = helper.make_node(
        "Scan",
        [f"{i.name}/each" for i in proto.input],
        [f"{o.name}/each" for o in proto.output],
        body=proto,
        domain=OURS,
        num_scan_inputs=scanned,
        scan_input_directions=call.attrs.get("directions") or [0] * scanned,
    )
    each = helper.make_graph(
        [inner],
        "each",
        [ValueInfoProto(name=n) for n in inner.input],
        [ValueInfoProto(name=n) for n in inner.output],
    )
    whole = helper.make_node(
        "Scan",
        names,
        outputs,
        body=each,
        domain=OURS,
        num_scan_inputs=len(names),
    )
    call.reader.node(whole)
    return [call.reader.items[n] if n else NOTHING for n in outputs]


def _first(call: Call, value: str, axis: int) -> str:
    """The value with that axis as the first."""
    rank = call.build.graph.type(value).rank
    axis %= rank
    order = (axis, *(a for a in range(rank) if a != axis))
    return call.build("transpose", value, perm=order) if axis else value


def _back(call: Call, value: str, axis: int) -> str:
    """The value with its first axis at that place."""
    rank = call.build.graph.type(value).rank
    axis %= rank
    order = (*range(1, axis + 1), 0, *range(axis + 1, rank))
    return call.build("transpose", value, perm=order) if axis else value


def _flip(call: Call, value: str) -> str:
    return call.build("slice", value, axis=0, start=-1, stop=None, step=-1)


@rule("Loop")
def loop(call: Call) -> Sequence[Item] | None:
    """A loop of a known number of rounds as a region; its counter is a stream."""
    proto: GraphProto = call.attrs["body"]
    rounds = sizes_of(call.item(0)) if call.has(0) else None
    going = numbers(call.item(1)) if call.has(1) else [True]
    if rounds is None or len(rounds) != 1 or going not in ([True], [1]):
        return None
    if rounds != (1,) and not _goes_on(call, proto):
        return None
    (steps,) = rounds
    carried = len(call.inputs) - 2
    if len(proto.input) != carried + 2 or len(proto.output) < carried + 1:
        raise FileError(f"{call.shown} has a body that does not fit what it reads")
    body = _Body(call, proto)
    body.scans(proto.input[0].name, call.build("arange", stop=steps))
    body.reader.items[proto.input[1].name] = Known(np.array(True))
    for k in range(carried):
        body.carries(proto.input[2 + k].name, call.item(2 + k))
    names = [o.name for o in proto.output]
    items = body.finish(names[1 : 1 + carried], names[1 + carried :], steps, reverse=False)
    produced = len(names) - 1 - carried
    return [Value(v) for v in (*items[produced:], *items[:produced])]


def _goes_on(call: Call, proto: GraphProto) -> bool:
    """Whether the body's condition is always true: the one that came in, or a constant, here or around."""
    name = proto.output[0].name if proto.output else ""
    made = {o: n for n in proto.node for o in n.output}
    while name in made and made[name].op_type in ("Identity", "Cast") and len(made[name].input) == 1:
        name = made[name].input[0]
    if len(proto.input) > 1 and name == proto.input[1].name:
        return True
    if name in made and made[name].op_type == "Constant":
        values = [a.t for a in made[name].attribute if a.name == "value"]
        return bool(values) and bool(numpy_helper.to_array(values[0]).all())
    weights = {t.name: t for t in proto.initializer}
    if name in weights:
        return bool(numpy_helper.to_array(weights[name]).all())
    return name not in made and numbers(call.reader.item(name)) in ([True], [1])
