"""What became of a cell: the class of plans that fit it, and what a run of its file consists of.

A cell is *linear* if a plan for linear recurrences can run it, else *native* if ONNX's own LSTM, GRU or RNN
can, and else a *loop*. That is said by the remarks of the compiler, so that a new plan needs no word here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from rnnc.inspect import inspect
from rnnc.passes.choose import GENERAL
from rnnc.plans import PLANS
from rnnc.plans.costs import NATIVE
from rnnc.remarks import Remark


def fitting(remarks: Iterable[Remark]) -> set[str]:
    """The plans, besides those that run anything, that can run a loop of the model."""
    return {r.where for r in remarks if r.kind == "passed" and r.where in PLANS}


def chosen(remarks: Iterable[Remark]) -> set[str]:
    """The plans that run the model's loops, those of loops within a plan included."""
    told = (re.search(r" runs as ([\w-]+)", r.message) for r in remarks if r.where == "choose")
    return {found[1] for found in told if found}


def kind(plans: set[str]) -> str:
    """What sort of plans these are."""
    if plans - NATIVE - {plan.name for plan in GENERAL}:
        return "linear"
    return "native" if plans & NATIVE else "loop"


def rounds(steps: str, T: int) -> int:
    """How many rounds a loop has that runs ``T``, ``8``, ``every8_T`` or ``every8_every8_T`` times."""
    if every := re.fullmatch(r"every(\d+)_(\w+)", steps):
        return -(-rounds(every[2], T) // int(every[1]))
    return T if steps == "T" else int(steps) if steps.isdigit() else 1


def work(compiled: Any, T: int, B: int) -> dict[str, Any]:
    """What one call computes: nodes run, rounds of loops, and the products as [times, rows, weights].

    ``vectors`` are those that the nodes of loops and steps work on, one for each node, round and row.
    ``native`` has [op, steps, rows, units] for each recurrent op of ONNX. A product that several steps share
    has all their rows at once.
    """
    report = inspect(compiled.proto)
    nodes, turns, vectors = report.nodes_per_run, 0, 0
    products: list[tuple[int, int, int]] = []
    native: list[tuple[str, int, int, int]] = []
    for loop in (x for x in report.loops if x.steps and not x.inside):
        count = rounds(loop.steps, T)
        nodes, turns = nodes + count * loop.nodes, turns + (count if loop.nodes else 0)
        vectors += count * loop.nodes * B
        op = re.match(r"(LSTM|GRU|RNN), \w+, (\d+) units", loop.became)
        if op:
            native.append((op[1].lower(), count, B, int(op[2])))
        elif loop.multiply_adds:
            products.append((count, B, loop.multiply_adds))
    if compiled.form.name == "step":
        nodes, vectors, T = nodes + report.nodes_per_step, report.nodes_per_step * B, 1
        products.append((1, B, report.multiply_adds_per_step))
    else:
        inside = sum(loop.multiply_adds for loop in report.loops if loop.steps == "T")
        products.append((1, T * B, max(0, report.multiply_adds_per_step - inside)))
    found = {"products": [p for p in products if p[2]], "native": native}
    return {"nodes": nodes, "rounds": turns, "vectors": vectors, **found}
