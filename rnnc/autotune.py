"""Autotuning: candidates of each region, written, run at the real sizes, and the fastest kept.

Regions are decided one after another, those before as they were found and those after as predicted. What
comes out depends on the machine and on the moment. It is the same file that its pipeline makes anywhere:
``choose{plans="lstm,scan"}`` says what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnc.plans.decisions import Decision
from rnnc.runtime import manifest_of, session
from rnnc.tune import fastest, one_processor

if TYPE_CHECKING:
    from rnnc.compiler import Compiled

#: How many turns each candidate gets.
TURNS = 11


def autotune(made: Callable[[str], Compiled], sizes: Mapping[str, int]) -> Compiled:
    """The file with the fastest plans; its remarks show what was measured.

    ``made`` gives the compiled file with so many plans chosen, ``"lstm,scan"``, and the rest predicted.
    """
    plans: list[str] = []
    measured: list[dict[str, float]] = []
    while len(plans) < len(waiting := decisions(made(",".join(plans)))):
        decision = waiting[len(plans)]
        names = [c.name for c in decision.candidates if not c.risk] or [decision.chosen]
        us = timed({n: made(",".join([*plans, n])) for n in names}, sizes) if len(names) > 1 else {}
        plans.append(min(us, key=us.__getitem__) if us else decision.chosen)
        measured.append(us)
    best = made(",".join(plans))
    times = iter(measured)
    remarks = [r.measured(next(times)) if isinstance(r, Decision) else r for r in best.remarks]
    return replace(best, remarks=remarks)


def decisions(compiled: Any) -> list[Decision]:
    """What was decided, region by region."""
    return [r for r in compiled.remarks if isinstance(r, Decision)]


def timed(files: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, float]:
    """The µs of a run of each file, in turns, on one thread of one processor."""
    with one_processor():
        return fastest({name: _run(file, sizes) for name, file in files.items()}, TURNS)


def _run(file: Any, sizes: Mapping[str, int]) -> Callable[[], Any]:
    """One run of a file on small random numbers, every sequence as long as all steps."""
    opened, rng = session(file, threads=1), np.random.default_rng(0)
    manifest = manifest_of(opened) or {}
    lengths = {i["name"] for i in manifest.get("inputs", ()) if i["kind"] == "lengths"}
    arrays: dict[str, Any] = {}
    for entry in opened.get_inputs():
        shape = [d if isinstance(d, int) else sizes[d] for d in entry.shape]
        kind = {"tensor(float)": "f4", "tensor(double)": "f8", "tensor(float16)": "f2"}.get(entry.type)
        if kind:
            arrays[entry.name] = rng.uniform(-1, 1, shape).astype(kind)
        else:
            dtype = entry.type.removeprefix("tensor(").removesuffix(")")
            arrays[entry.name] = np.full(shape, sizes["T"] if entry.name in lengths else 0, dtype)
    return lambda: opened.run(None, arrays)
