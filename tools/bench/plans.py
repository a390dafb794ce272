"""Whether plans are chosen well: a cell compiled with every plan that can run it, timed, and as predicted.

    taskset -c 0 python -m tools.bench.plans                all cells, H of 16, 128 and 512, B of 1 and 16
    taskset -c 0 python -m tools.bench.plans --cells LSTM,JANET --widths 16 --seconds 50

A plan is forced on every loop of the cell that it can run; other loops run as chosen. Files take turns on
one processor, after each was compared with the reference machine. Entries are noted as they are done, and
the same command goes on from there. What is told last: where the choice is within 15 % of the best file.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import rnnc
from rnnc.frontend.assemble import trace
from rnnc.ir import Graph
from rnnc.passes.choose import Choose, candidates
from rnnc.pipeline import Pass, Pipeline
from rnnc.plans.decisions import Candidate
from rnnc.runtime import session
from rnnc.tune import one_processor
from tools.bench import machine
from tools.bench.cells import recurrent_cells
from tools.bench.matrix import BATCHES, STEPS, TOLERANCE, WIDTHS, Entry
from tools.bench.measure import LENIENCE
from tools.bench.subject import Subject
from tools.bench.timing import Call, in_turns

OUT = machine.ROOT / "build" / "bench" / "plans.jsonl"

#: How many times as long as the best a choice may take and still be good.
CLOSE = 1.15
#: How long the files of an entry are timed, in seconds: 53 cells of 6 sizes then take a few minutes.
SECONDS = 0.6

#: An entry as it is noted: its cell and sizes, what was chosen, and by plan what was predicted and measured.
Row = dict[str, Any]


def found(entry: Entry, layer: Any, profile: str | None) -> tuple[Pipeline, list[list[Candidate]]]:
    """The passes that compile a cell, and the candidates of each of its loops, the chosen one first."""
    sizes = {"T": entry.T, "B": entry.B}
    passes = rnnc.compile(layer, sizes=sizes, profile=profile).pipeline
    loops: list[list[Candidate]] = []

    def look(p: Pass, before: Graph, after: Graph) -> None:
        if isinstance(p, Choose):
            loops.extend(candidates(before, region, p.pricing()) for region in before.find("region"))

    passes.run(trace(layer), look)
    return passes, loops


def predicted(loops: Sequence[Sequence[Candidate]], plan: str) -> float:
    """The µs of all loops, where ``plan`` runs those that it can, and the others run as chosen."""
    return sum(next((c for c in loop if c.name == plan), loop[0]).us for loop in loops)


def measured(entry: Entry, profile: str | None = None, seconds: float = SECONDS) -> Row:
    """An entry's plans, each with its predicted and its measured µs; one that answers wrongly has none."""
    subject = Subject.of(entry)
    passes, loops = found(entry, subject.layer, profile)
    chosen = [loop[0].name for loop in loops]
    plans = list(dict.fromkeys([*chosen[:1], *(c.name for loop in loops for c in loop if not c.risk)]))
    calls: dict[str, Call] = {}
    wrong = []
    for plan in plans if len(plans) > 1 else ():
        forced = [replace(p, plan=plan) if isinstance(p, Choose) else p for p in passes.passes]
        call = _run(rnnc.compile(subject.layer, pipeline=Pipeline(tuple(forced))), subject)
        error = subject.error([np.asarray(y) for y in call()])
        if error <= TOLERANCE or error <= LENIENCE * subject.strays:
            calls[plan] = call
        else:
            wrong.append(plan)
    times = in_turns(calls, seconds) if len(calls) > 1 else {}
    us = {plan: [round(predicted(loops, plan), 1), round(t.median * 1e6, 1)] for plan, t in times.items()}
    return {
        "cell": entry.cell, "H": entry.H, "B": entry.B, "T": entry.T,
        "chosen": min(us, key=lambda p: us[p][0]) if len(loops) > 1 and us else "".join(chosen[:1]),
        "plans": us, "wrong": wrong,
    }  # fmt: skip


def _run(file: Any, subject: Subject) -> Call:
    """One run of a file on the inputs of its subject."""
    opened = session(file, threads=1)
    feeds = {name: np.ascontiguousarray(x, np.float32) for name, x in subject.inputs.items()}
    outputs = [o["name"] for o in file.manifest["outputs"]]
    return lambda: opened.run(outputs, feeds)


def regret(row: Row) -> float:
    """How many times as long as the fastest plan the chosen one takes; 1 where there is no choice."""
    times = {plan: us for plan, (_, us) in row["plans"].items()}
    return times[row["chosen"]] / min(times.values()) if times else 1.0


def line(row: Row) -> str:
    """An entry in a line: by plan what was predicted and measured, ``*`` the chosen one."""
    times = (f"{'*' * (n == row['chosen'])}{n} {a:.0f} → {b:.0f}" for n, (a, b) in row["plans"].items())
    plans = ", ".join(times) or row["chosen"] or "no loop"
    wrong = f"; wrong: {', '.join(row['wrong'])}" if row["wrong"] else ""
    return f"{regret(row):5.2f}  {row['cell']} H={row['H']} B={row['B']}: {plans}{wrong}"


def told(rows: Sequence[Row]) -> str:
    """The share of good choices among entries that have one, and how many have none."""
    open_ = [r for r in rows if r["plans"]]
    good = sum(regret(r) <= CLOSE for r in open_)
    share = f" ({100 * good / len(open_):.1f} %)" if open_ else ""
    return (
        f"within {CLOSE - 1:.0%} of the best: {good} of {len(open_)} entries with a choice{share}; "
        f"{len(rows) - len(open_)} entries with one candidate"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.plans", description=__doc__.splitlines()[0])
    parser.add_argument("--cells", metavar="A,B", help="only these cells")
    parser.add_argument("--widths", metavar="16,128", help="only these numbers of units")
    parser.add_argument("--batches", metavar="1,16", help="only these sizes of a batch")
    parser.add_argument("--profile", metavar="FILE", help="predict by this profile")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no entry after so many")
    parser.add_argument("--out", type=Path, default=OUT, help="where the entries are noted (%(default)s)")
    options = parser.parse_args(arguments)
    names = options.cells.split(",") if options.cells else list(recurrent_cells())
    widths, batches = _numbers(options.widths, WIDTHS), _numbers(options.batches, BATCHES)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    noted = options.out.read_text("utf-8").splitlines() if options.out.exists() else []
    done = {(r["cell"], r["H"], r["B"]): r for r in map(json.loads, noted)}
    wanted = [(c, w, b) for c in names for w in widths for b in batches]
    end = time.monotonic() + options.seconds
    with options.out.open("a", encoding="utf-8") as notes, one_processor():
        for key in wanted:
            if key not in done and time.monotonic() < end:
                cell, width, batch = key
                done[key] = measured(Entry(cell, width, batch, T=STEPS), options.profile)
                print(json.dumps(done[key]), file=notes, flush=True)
            if key in done:
                print(line(done[key]), flush=True)
    print(told([done[key] for key in wanted if key in done]))


def _numbers(text: str | None, usual: Sequence[int]) -> list[int]:
    return [int(n) for n in text.split(",")] if text else list(usual)


if __name__ == "__main__":
    main()
