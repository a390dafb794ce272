"""Opened loops: a recurrent op as a region of as many steps, whose body is the op on one of them."""

from __future__ import annotations

from rnnc.build import Builder
from rnnc.ir import Graph, Input, Interface, Output, State
from rnnc.loops.regions import region_type
from rnnc.ops import OPS
from rnnc.types import TensorType

#: The operands that are states.
STATES = {"lstm": ("h0", "c0"), "gru": ("h0",), "rnn": ("h0",)}


def as_region(graph: Graph, value: str) -> list[str]:
    """The results of a recurrent op that runs forward, without lengths: its output, then its final states."""
    node, b, body = graph[value], Builder(graph, like=value), Graph("loop")
    reads = dict(zip(OPS[node.op].operands, graph.operands(value), strict=False))
    steps, *shape = graph.type(reads["x"]).shape
    x = Input("x", TensorType(graph.type(reads["x"]).dtype, tuple(shape)))
    weights = [Input(n, graph.type(v), "given") for n, v in reads.items() if n not in ("x", *STATES[node.op])]
    starts = {name: b("squeeze", reads[name], axes=(0,)) for name in STATES[node.op]}
    states = [State(name, graph.type(v)) for name, v in starts.items()]
    for source in (x, *weights):
        body.add("input", type=source.type, name=source.name)
    inits = [body.add("init", type=s.type, name=s.source) for s in states]
    delays = [body.add("delay", i, i, type=body.type(i), k=1) for i in inits]
    inner = Builder(body)
    now = {"x": inner("unsqueeze", "x", axes=(0,))}
    now |= {s.path: inner("unsqueeze", d, axes=(0,)) for s, d in zip(states, delays, strict=True)}
    _, *ends = inner.items(inner(node.op, *(now.get(n, n) for n in reads), **node.attrs))
    ends = [inner("squeeze", end, axes=(0,)) for end in ends]
    for delay, end in zip(delays, ends, strict=True):
        body.connect(end, delay, 0)
    body.interface = Interface((x, *weights), (Output("y", states[0].type),), tuple(states))
    body.outputs = {"y": ends[0]}
    body.finals = {s.path: end for s, end in zip(states, ends, strict=True)}
    operands = [*(reads[i.name] for i in (x, *weights)), *starts.values()]
    kind = region_type(body.freeze(), steps)
    ys, *finals = b.items(graph.add("region", *operands, type=kind, like=value, body=body, steps=steps))
    return [b("unsqueeze", ys, axes=(1,)), *(b("unsqueeze", f, axes=(0,)) for f in finals)]
