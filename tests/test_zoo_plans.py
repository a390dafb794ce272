"""Every cell of the zoo by every plan that can run it, each forced in turn, is what the machine says.

Which plans there are is asked of the graph, as ``choose`` finds it: a plan that is new is tested without a
word here. Sequences have 100 steps; batches are of 1 and 3, all of one length or ragged, with an empty one.

    python -m tests.test_zoo_plans        how many cells, forms and plans that makes
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.emit.form import FormName
from rnnc.frontend.assemble import trace
from rnnc.ir import Graph
from rnnc.machine.reference import run
from rnnc.passes.choose import Choose, candidates
from rnnc.pipeline import Pass, Pipeline
from rnnc.plans import PLANS, Sizes
from rnnc.plans.costs import Pricing
from rnnc.plans.profile import builtin
from rnnc.runtime import session
from tests.test_zoo import NAMES, arrays, close, layer

STEPS = 100

#: The forms that have loops. A step, and steps written out, have none, and so but one way to run.
FORMS: tuple[FormName, ...] = ("sequence", "chunk")

#: Lengths of the sequences of a batch, by its size.
LENGTHS = {1: [61], 3: [STEPS, 0, 37]}


@functools.cache
def passes(name: str, form: FormName, ragged: bool) -> Pipeline:
    """The passes that compile the cell."""
    return rnnc.compile(layer(name), form, lengths=ragged, sizes={"T": STEPS, "B": 3}).pipeline


@functools.cache
def plans(name: str, form: FormName, ragged: bool) -> tuple[str, ...]:
    """Every plan that can run some loop of the cell."""
    found: dict[str, None] = {}

    def look(p: Pass, before: Graph, after: Graph) -> None:
        if isinstance(p, Choose):
            for region in before.find("region"):
                pricing = Pricing(builtin(p.target), Sizes(p.T, p.B))
                found.update(dict.fromkeys(c.name for c in candidates(before, region, pricing)))

    passes(name, form, ragged).run(trace(layer(name)), look)
    return tuple(sorted(found))


def compiled(name: str, form: FormName, ragged: bool, plan: str) -> Any:
    """The cell, each loop of which that ``plan`` can run is run by it."""
    forced = [
        replace(p, plan=plan) if isinstance(p, Choose) else p for p in passes(name, form, ragged).passes
    ]
    return rnnc.compile(layer(name), form, lengths=ragged, pipeline=Pipeline(tuple(forced)))


@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_every_plan(name: str, form: FormName, ragged: bool, record_property: Any) -> None:
    found = plans(name, form, ragged)
    record_property("plans", ", ".join(found))
    for plan in found or ("",):
        file = compiled(name, form, ragged, plan)
        opened, said = session(file), file.manifest
        for B, lengths in LENGTHS.items():
            x, states, _ = arrays(name, STEPS, B)
            types = {s["name"]: s["dtype"] for s in said["states"]}
            states = {path: states[path].astype(dtype) for path, dtype in types.items()}
            feeds = {**x, **{s["input"]: states[s["name"]] for s in said["states"]}}
            given = np.array(lengths, np.int64)
            meant = run(trace(layer(name)), x, states or None, lengths=given if ragged else None)
            feeds |= {"lengths": given} if ragged else {}
            names = [o.name for o in opened.get_outputs()]
            got = dict(zip(names, opened.run(names, feeds), strict=True))
            for entry, output in zip(said["outputs"], meant.outputs.values(), strict=True):
                close(got[entry["name"]], output)
            for s in said["states"]:
                close(got[s["output"]], meant.finals[s["name"]])


def test_the_plans_that_are_known_are_met() -> None:
    """A plan that no cell can take would be tested by nothing here."""
    cells = ("LiGRU", "PeepholeLSTM", "TGRU", "minGRU", "DiagonalSSM")
    found = {p for name in cells for p in plans(name, "sequence", False)}
    assert found >= {"scan", "lstm", "linear-chunks", "matrix-powers"}


def counts() -> Iterator[str]:
    """How many cells each plan can run, by form."""
    every = [(name, form, ragged) for form in FORMS for ragged in (False, True) for name in NAMES]
    total = sum(len(plans(*one) or ("",)) for one in every)
    yield f"{len(NAMES)} cells × {len(FORMS)} forms, full and ragged: {total} files, each at B = 1 and 3"
    for form in FORMS:
        for ragged in (False, True):
            met = Counter(p for name in NAMES for p in plans(name, form, ragged) or ("no loop",))
            told = ", ".join(f"{p} {n}" for p, n in met.most_common())
            yield f"{form}, {'ragged' if ragged else 'full'}: {told}"
    yield f"plans of no cell: {', '.join(PLANS.keys() - {p for one in every for p in plans(*one)}) or 'none'}"


if __name__ == "__main__":
    print(*counts(), sep="\n")
