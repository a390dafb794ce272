"""Bugs in plans, in what is written to a file, and in what runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import rnnc.emit.scan
from rnnc.build import Builder
from rnnc.emit.scope import Scope
from rnnc.ir import Graph
from rnnc.passes import lower_time, native_gru, native_lstm, native_rnn
from rnnc.plans import gates as plans_gates
from rnnc.plans import packing
from rnnc.plans.gates import Gate
from rnnc.plans.matrix import Bias
from rnnc.plans.packing import Packer
from rnnc.plans.projections import Projection
from rnnc.runtime import Stream
from tests.seeded import nets
from tests.seeded.checks import Bug, after_passes, as_file, in_pieces
from tests.seeded.in_passes import rule


def gates(*order: int) -> Callable[[Any], Any]:
    """An LSTM's match with its gates in another order."""
    return lambda match: (
        lambda loop, hidden, cell, found, *rest: match(
            loop, hidden, cell, tuple(found[k] for k in order), *rest
        )
    )


def of_gru(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A GRU's match, changed."""
    return lambda match: lambda *fields: change(match(*fields))


def mirrored(match: Any) -> Any:
    z: Gate | None = match.z.opposite()
    assert z is not None
    return replace(match, z=z)


def without(attribute: str) -> Callable[[Any], Any]:
    """ONNX nodes written without an attribute."""

    def fault(node: Any) -> Any:
        def wrong(self: Any, *args: Any, attrs: Any = None, **rest: Any) -> None:
            node(self, *args, attrs={k: v for k, v in (attrs or {}).items() if k != attribute}, **rest)

        return wrong

    return fault


def zeros_at_the_end(finish: Any) -> Any:
    def wrong(packer: Any, x: str, result: str, starts: dict[str, str]) -> str:
        nothing: str = finish(packer, x, result, {p: packer.b("mul", s, 0.0) for p, s in starts.items()})
        return nothing

    return wrong


def nothing_masked(masked: Any) -> Any:
    def wrong(graph: Graph) -> Graph:
        kept = dict(graph.finals)
        new: Graph = masked(graph)
        new.finals = kept
        return new

    return wrong


def oldest_first(b: Builder, slots: str) -> str:
    return b("slice", slots, axis=0, start=-1, stop=None, step=-1)


BUGS = [
    Bug(
        "an LSTM's input and forget gates are exchanged",
        native_lstm,
        "Match",
        gates(2, 1, 0, 3),
        nets.LSTM,
        after_passes("lift,recognize,choose{plan=lstm}"),
    ),
    Bug(
        "an LSTM's output gate and candidate are exchanged",
        native_lstm,
        "Match",
        gates(0, 3, 2, 1),
        nets.LSTM,
        as_file("lstm"),
    ),
    Bug(
        "an LSTM's peepholes are in the order of its gates",
        native_lstm.Match,
        "peepholes",
        lambda peepholes: lambda self: peepholes(self)[::-1],
        nets.LSTM,
        as_file("lstm"),
    ),
    Bug(
        "a GRU's update gate is the wrong way round",
        native_gru,
        "Match",
        of_gru(mirrored),
        nets.GRU,
        after_passes("lift,recognize,choose{plan=gru}"),
    ),
    Bug(
        "a GRU resets after the product in place of before it",
        native_gru,
        "Match",
        of_gru(lambda match: replace(match, after=not match.after)),
        nets.GRU,
        as_file("gru"),
    ),
    Bug(
        "a gate that is a number has it as its bias",
        plans_gates,
        "_logit",
        lambda logit: lambda share: share,
        nets.LEAKY,
        after_passes("lift,recognize,choose{plan=lstm}"),
    ),
    Bug(
        "a gate that is missing is closed",
        plans_gates,
        "OPEN",
        lambda level: -level,
        nets.LEAKY,
        as_file("lstm"),
    ),
    Bug(
        "a scaled state starts as it is outside",
        native_lstm,
        "_cell",
        lambda cell: lambda b, state, scale: state,
        nets.LEAKY,
        in_pieces(1, 4, plan="lstm"),
    ),
    Bug(
        "a state before each step is that after it",
        packing,
        "_before",
        lambda before: lambda packer, over_time, first: over_time,
        nets.LEAKY,
        as_file("lstm"),
    ),
    Bug(
        "a projected state always starts at zero",
        Projection,
        "_first",
        lambda first: lambda self, loop: "",
        nets.PROJECTED,
        in_pieces(1, 4, plan="lstm"),
    ),
    Bug(
        "what an op gives is not projected",
        Projection,
        "apply",
        lambda apply: lambda self, b, u: u,
        nets.PROJECTED,
        as_file("lstm"),
    ),
    Bug(
        "a lowered tanh is taken for a raised one",
        Gate,
        "and_one",
        lambda and_one: lambda self, one, times: and_one(self, one, abs(times)),
        nets.BISTABLE,
        after_passes("lift,recognize,choose{plan=gru}"),
    ),
    Bug(
        "the factor of a reset gate is lost",
        native_gru,
        "Match",
        of_gru(lambda match: replace(match, state=match.state.multiplied(0.5))),
        nets.BISTABLE,
        as_file("gru"),
    ),
    Bug(
        "a native op's weights are not transposed",
        Packer,
        "_stack",
        lambda stack: lambda self, blocks: self.b("unsqueeze", *blocks, axes=(0,)),
        nets.RNN,
        after_passes("lift,recognize,choose{plan=rnn}"),
    ),
    Bug(
        "a native op's bias is dropped",
        Packer,
        "bias",
        lambda bias: lambda self, forms: bias(self, [replace(f, bias=Bias(f.cols)) for f in forms]),
        nets.RNN,
        as_file("rnn"),
    ),
    Bug(
        "a native op gives zeros as the state after no step",
        native_rnn,
        "finish",
        zeros_at_the_end,
        nets.RNN,
        in_pieces(0, plan="rnn"),
    ),
    Bug(
        "a Scan that runs backwards gives its outputs in that order",
        Scope,
        "node",
        without("scan_output_directions"),
        nets.LOOKING_AHEAD,
        as_file("scan"),
    ),
    Bug(
        "a Scan that should run backwards runs forwards",
        Scope,
        "node",
        without("scan_input_directions"),
        nets.LOOKING_AHEAD,
        as_file("scan"),
    ),
    Bug(
        "a native op that should run backwards runs forwards",
        Scope,
        "node",
        without("direction"),
        nets.LOOKING_AHEAD,
        as_file("rnn"),
    ),
    Bug(
        "a Scan goes on past the ends of short sequences",
        rnnc.emit.scan,
        "masked",
        nothing_masked,
        nets.LOOKING_AHEAD,
        as_file("scan", lengths=True),
    ),
    Bug(
        "the state after a piece is not kept for the next",
        Stream,
        "_turn",
        lambda turn: lambda self, before, after: turn(self, before, before),
        nets.DEEP,
        in_pieces(2, 3, 7),
    ),
    Bug(
        "a piece shorter than a delay is followed by the oldest of what came before it",
        lower_time,
        "_RULES",
        rule("final", lambda right, b, v, init, k: right(b, v, oldest_first(b, init), k=k)),
        nets.FIR,
        in_pieces(1, 2, 5),
    ),
]
