"""Bugs in the passes that turn streams into functions of sequences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rnnc.build import Builder
from rnnc.ir import Graph
from rnnc.loops import parts, straightline
from rnnc.passes import (
    batch_first,
    bind,
    blend,
    fold,
    gemm,
    hoist,
    interleave,
    lift,
    lower_time,
    merge_loops,
    retime,
    share,
    share_delays,
    step,
    taps,
    unfuse_gates,
)
from tests.seeded import nets
from tests.seeded.checks import Bug, after_passes


def rule(op: str, change: Callable[..., str]) -> Callable[[Any], Any]:
    """One of the rules of lower-time, with its arguments changed; ``change`` gets the right rule first."""

    def fault(rules: Any) -> Any:
        return {**rules, op: lambda b, *args, **attrs: change(rules[op], b, *args, **attrs)}

    return fault


def turned_states(apply: Any) -> Any:
    def wrong(self: Any, graph: Graph) -> None:
        apply(self, graph)
        for path, value in graph.finals.items():
            graph.finals[path] = Builder(graph)("transpose", value, perm=(1, 0, 2))

    return wrong


def other_axis(evaluate: Any) -> Any:
    def wrong(node: Any, operands: Any) -> Any:
        if node.op == "reduce_sum":
            node = replace(node, attrs={**node.attrs, "axes": (1,)})
        return evaluate(node, operands)

    return wrong


def opened(rule: Any) -> Any:
    return replace(rule, rhs=lambda x, y, z: y + z * (x - y))


BUGS = [
    Bug(
        "a step reads the newest slot of a register in place of the oldest",
        step,
        "read",
        lambda read: lambda b, init, slot, k, i: read(b, init, slot, k, 0),
        nets.DEEP,
        after_passes("step"),
    ),
    Bug(
        "a register keeps its oldest value and forgets the next",
        step,
        "push",
        lambda push: (
            lambda b, new, register, k: (
                push(b, new, register, k)
                if k == 1
                else b(
                    "concat",
                    b("unsqueeze", new, axes=(0,)),
                    b("slice", register, axis=0, start=1, stop=None),
                    axis=0,
                )
            )
        ),
        nets.DEEP,
        after_passes("step"),
    ),
    Bug(
        "a shift is off by one",
        lower_time,
        "_RULES",
        rule("shift", lambda right, b, v, init, k: right(b, v, init, k=k - (k > 1))),
        nets.SHIFTED,
        after_passes("lift,lower-time"),
    ),
    Bug(
        "a shift goes the other way",
        lower_time,
        "_RULES",
        rule("shift", lambda right, b, v, init, k: right(b, v, init, k=-k)),
        nets.SHIFTED,
        after_passes("lift,lower-time"),
    ),
    Bug(
        "beyond the end there are zeros, whatever was said",
        lower_time,
        "_RULES",
        rule("shift", lambda right, b, v, init, k: right(b, v, b.const(0.0, "f32") if k < 0 else init, k=k)),
        nets.SHIFTED,
        after_passes("lift,lower-time"),
    ),
    Bug(
        "a final state is that of the step before",
        lower_time,
        "_RULES",
        rule(
            "final",
            lambda right, b, v, init, k: right(b, b("slice", v, axis=0, start=0, stop=-1), init, k=k),
        ),
        nets.FIR,
        after_passes("lift,lower-time"),
    ),
    Bug(
        "straight-line code leaves a state at the step before",
        straightline.Straight,
        "state",
        lambda state: lambda self, path: self.at(self.source.finals[path], max(0, self.steps - 2)),
        nets.RNN,
        after_passes("unroll{steps=3}"),
    ),
    Bug(
        "straight-line code reads the slots of a state in the opposite order",
        straightline,
        "read",
        lambda read: lambda b, init, slot, k, i: read(b, init, slot, k, k - 1 - i),
        nets.DEEP,
        after_passes("unroll{steps=3}"),
    ),
    Bug(
        "two states that agree are merged",
        share_delays,
        "agree",
        lambda agree: lambda graph, shallow, deep: True,
        nets.AGREEING,
        after_passes("share-delays"),
    ),
    Bug(
        "a loop's register stands for a state with another initial value",
        lift._Lifting,
        "_holds",
        lambda holds: lambda self, register, path: register.value == self.graph.finals[path],
        nets.DEEP.replace("k = 3}) -> (y)", "k = 3}, state z: f32[B, 2] = y) -> (y)"),
        after_passes("lift"),
    ),
    Bug(
        "equal ops on equal operands are shared, whatever their attributes",
        share,
        "signature",
        lambda signature: (
            lambda graph, value: (
                signature(graph, value)
                if graph[value].op in share.UNLIKE
                else (graph[value].op, graph[value].type)
            )
        ),
        nets.LIKE,
        after_passes("share"),
    ),
    Bug(
        "a constant is folded along another axis",
        fold,
        "evaluate",
        other_axis,
        nets.CONSTANT,
        after_passes("fold"),
    ),
    Bug(
        "a delay is moved, and its initial value is not",
        retime,
        "through",
        lambda through: lambda b, node, inputs, k: next(init for _, init in inputs if init),
        nets.RETIMED,
        after_passes("retime"),
    ),
    Bug(
        "a packed state's parts all start from its first part",
        parts,
        "_cut",
        lambda cut: lambda b, init, axis, start, stop: cut(b, init, axis, 0, stop - start),
        nets.PACKED,
        after_passes("unpack-delays"),
    ),
    Bug(
        "a bound state of several slots is turned round",
        bind,
        "_settle",
        lambda settle: (
            lambda graph, value, array, slots: settle(
                graph, value, array[::-1] if slots and array.ndim == 3 else array, slots
            )
        ),
        nets.BOUND,
        after_passes("bind"),
    ),
    Bug(
        "hoisting drops the last term of a sum",
        hoist,
        "total",
        lambda total: lambda b, terms: total(b, terms[:-1] if len(terms) > 1 else terms),
        nets.RNN,
        after_passes("hoist"),
    ),
    Bug(
        "gemm forgets all but the first of what is added",
        gemm,
        "total",
        lambda total: lambda b, values: total(b, values[:1]),
        nets.SUMMED,
        after_passes("step,gemm"),
    ),
    Bug(
        "a mixture gives its first part where its gate is open",
        blend,
        "RULES",
        lambda rules: (opened(rules[0]), *rules[1:]),
        nets.MIXED,
        after_passes("step,blend"),
    ),
    Bug(
        "a gate with a product of its own has the first gate's features",
        unfuse_gates,
        "_merged",
        lambda merged: lambda spans: tuple((0, stop - start) for start, stop in merged(spans)),
        nets.APART,
        after_passes("lift,gemm,unfuse-gates"),
    ),
    Bug(
        "the parts of a fused product go to other gates",
        Builder,
        "items",
        lambda items: lambda self, value: items(self, value)[::-1],
        nets.GATED,
        after_passes("canonicalize,fuse-gates"),
    ),
    Bug(
        "a causal convolution has the past of its stream in the opposite order",
        taps,
        "_reversed",
        lambda reversed_: lambda b, stack, k: stack,
        nets.FIR,
        after_passes("lift,taps"),
    ),
    Bug(
        "batch-first turns the states too",
        batch_first.BatchFirst,
        "apply",
        turned_states,
        nets.DEEP,
        after_passes("lift,batch-first"),
    ),
    Bug(
        "interleaved loops start from the slots of one another",
        interleave._Interleaving,
        "_turn",
        lambda turn: (
            lambda self, v, state: self.b(
                "reshape", v, shape=(self.k * self.batch, *self.graph.type(v).shape[2:])
            )
        ),
        nets.TWO_BACK,
        after_passes("lift,interleave"),
    ),
    Bug(
        "the steps of interleaved loops come back one too late",
        interleave._Interleaving,
        "_join",
        lambda join: lambda self, v: self.b("shift", join(self, v), 0.0, k=1),
        nets.TWO_BACK,
        after_passes("lift,interleave"),
    ),
    Bug(
        "interleaved loops that run backwards leave their results in that order",
        interleave._Interleaving,
        "_in_time",
        lambda in_time: lambda self, v: v,
        nets.TWO_AHEAD,
        after_passes("lift,interleave"),
    ),
    Bug(
        "a loop over sequences that meet is interleaved",
        interleave,
        "batch_of",
        lambda batch_of: lambda body: "B",
        nets.MEETING,
        after_passes("lift,interleave"),
    ),
    Bug(
        "what is given to interleaved loops is the first sequence's",
        interleave._Interleaving,
        "_expanded",
        lambda expanded: (
            lambda self, v: self.b(
                "expand",
                self.b("slice", v, axis=0, start=0, stop=1),
                shape=(self.k, *self.graph.type(v).shape),
            )
        ),
        nets.TWO_BACK,
        after_passes("lift,interleave"),
    ),
    Bug(
        "two loops that are merged exchange what they give",
        merge_loops._Union,
        "results",
        lambda results: lambda self: [*reversed(results(self)[:2]), *reversed(results(self)[2:])],
        nets.WAYS.replace("0.5) {k = -1}", "0.5) {k = 1}"),
        after_passes("lift,merge-loops"),
    ),
    Bug(
        "two loops that are merged exchange their initial states",
        merge_loops._Union,
        "finish",
        lambda finish: (
            lambda self, *pair: (
                self.states.update(zip(self.states, [*self.states.values()][::-1], strict=True)),
                finish(self, *pair),
            )[1]
        ),
        nets.WAYS.replace("0.5) {k = -1}", "0.5) {k = 1}"),
        after_passes("lift,merge-loops"),
    ),
    Bug(
        "a loop in the opposite direction is merged as it is",
        merge_loops,
        "_alike",
        lambda alike: lambda graph, first, second: True,
        nets.WAYS,
        after_passes("lift,merge-loops"),
    ),
]
