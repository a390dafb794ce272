"""Recognition: finds the native ops, and the parallel forms, that a region could be, and hangs them on it as
alternatives.

    r: (…) = region(p, Wyy, y.init) {steps = T, body = net loop…}
    ⟶
    %9: (…) = tuple(%7, %8)                     from an rnn of x
    r: (…) = region(p, Wyy, y.init, %9) {steps = T, alternatives = ("rnn",), body = net loop…}

The region keeps its equations; ``choose`` decides. A plan that refuses leaves a remark with its reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rnnc.ir import Graph
from rnnc.passes._chunking import levels
from rnnc.passes.linear_attention import LinearAttention
from rnnc.passes.linear_chunks import LinearChunks
from rnnc.passes.matrix_powers import MatrixPowers
from rnnc.passes.native_gru import NativeGRU
from rnnc.passes.native_lstm import NativeLSTM
from rnnc.passes.native_rnn import NativeRNN
from rnnc.passes.running_sum import RunningSum
from rnnc.pipeline import Pass
from rnnc.plans import Plan, Refusal
from rnnc.remarks import Remark, remark

NATIVE: tuple[Plan, ...] = (NativeLSTM(), NativeGRU(), NativeRNN())

#: What a region is that a plan can run, and how it runs then.
SAID = {plan.name: (f"an ONNX {plan.name.upper()}", f"one ONNX {plan.name.upper()}") for plan in NATIVE}
SAID[LinearAttention.name] = ("a matrix memory", "one LinearAttention")
SAID[LinearChunks.name] = ("a linear recurrence", "a linear recurrence in chunks")
SAID[RunningSum.name] = ("a running sum", "one CumSum")
SAID[MatrixPowers.name] = ("a recurrence of a constant matrix", "one by powers of its matrix, in chunks")


@dataclass(frozen=True)
class Recognize(Pass):
    """Attaches to every region the other ways to compute the same; ``T`` is how many steps are expected."""

    name: ClassVar[str] = "recognize"
    T: int = 100

    def apply(self, graph: Graph) -> None:
        """Add each matching plan's result as an alternative of its region."""
        for region in graph.find("region"):
            deep = levels(self.T)
            # Of the many loops that are no sums, nothing is learned by saying so.
            sums = (RunningSum(),) if not isinstance(RunningSum().match(graph, region), Refusal) else ()
            parallel: tuple[Plan, ...] = (LinearAttention(), *sums, LinearChunks(deep), MatrixPowers(deep))
            attach(graph, region, (*NATIVE, *parallel))


def attach(graph: Graph, region: str, plans: tuple[Plan, ...] = NATIVE) -> None:
    """Ask every plan about one region."""
    node = graph[region]
    known = tuple(node.attrs.get("alternatives", ()))
    found: dict[str, str] = {}
    for plan in plans:
        if plan.name in known:
            continue
        match = plan.match(graph, region)
        where = node.locs[0] if node.locs else None
        if isinstance(match, Refusal):
            remark(
                Remark(
                    "missed",
                    plan.name,
                    f"not {SAID[plan.name][0]}: {match.reason}",
                    match.loc or where,
                )
            )
        else:
            remark(Remark("passed", plan.name, f"can run as {SAID[plan.name][1]}", where))
            found[plan.name] = plan.emit(graph, region, match)
    if found:
        attrs = {**node.attrs, "alternatives": (*known, *found)}
        new = graph.add(
            "region", *graph.operands(region), *found.values(), type=node.type, like=region, **attrs
        )
        graph.replace(region, new)
