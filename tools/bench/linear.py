"""Linear recurrences by every plan that can run them, in turns: is the chosen one faster than a plain Scan?

    taskset -c 0 python -m tools.bench.linear [--steps 1000,8192] [--seconds 1.0] [--models gated,complex]

A line for each recurrence and size: µs a run of each plan, forced; which one ``compile`` chose, given the
sizes; and how many times as long the Scan takes. Where T ≥ 1000 and B·H ≤ 64 that is to be at
least :data:`FASTER`, and nowhere less than :data:`SLOWER`. What answers wrongly is said and not timed.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from tools.bench.machine import pin
from tools.bench.timing import in_turns

#: How many steps, and (B, H), small and larger.
STEPS = (100, 1000, 8192)
SIZES = ((1, 1), (1, 16), (1, 64), (4, 16), (1, 256), (16, 64), (16, 512))
#: Up to this B·H, and from this T on, a plan is to be :data:`FASTER` than the Scan; never :data:`SLOWER`.
SMALL, LONG = 64, 1000
FASTER, SLOWER = 3.0, 1 / 1.1
#: How far from the reference machine an answer may be, of its largest number or 1.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Row:
    """One recurrence at one size: µs of each plan that is right, and the chosen one."""

    model: str
    T: int
    B: int
    H: int
    us: Mapping[str, float]
    chosen: str
    wrong: tuple[str, ...] = ()

    @property
    def gain(self) -> float:
        """How many times as long as the chosen plan the Scan takes; above 1, the choice is good."""
        return self.us["scan"] / self.us[self.chosen]

    @property
    def verdict(self) -> str:
        """What is asked of that size, and whether it is so."""
        asked = FASTER if self.T >= LONG and self.B * self.H <= SMALL else SLOWER
        return "" if self.gain >= asked else f"less than {asked:.2f}"

    def __str__(self) -> str:
        times = ", ".join(f"{plan} {us:.0f}" for plan, us in self.us.items())
        size = f"{self.model:9}T={self.T:<6}B={self.B:<4}H={self.H:<5}"
        wrong = f"; wrong: {', '.join(self.wrong)}" if self.wrong else ""
        return f"{size}scan ÷ chosen {self.gain:6.2f}  {self.chosen:15}{self.verdict:16}µs: {times}{wrong}"


#: The recurrences, of H units: gated, of constant factors, and complex. Their inputs are not multiplied.
MODELS = {
    "gated": """
    net gated(stream x: f32[B, H], stream z: f32[B, H], state h: f32[B, H]) -> (h) {
      h1: f32[B, H] = delay(h, h.init) {k = 1}
      keep: f32[B, H] = sigmoid(z)
      take: f32[B, H] = sub(1.0, keep)
      %0: f32[B, H] = mul(keep, h1)
      %1: f32[B, H] = mul(take, x)
      h: f32[B, H] = add(%0, %1)
    }""",
    "constant": """
    net constant(stream x: f32[B, H], param a: f32[H], state h: f32[B, H]) -> (h) {
      h1: f32[B, H] = delay(h, h.init) {k = 1}
      keep: f32[H] = sigmoid(a)
      %0: f32[B, H] = mul(keep, h1)
      h: f32[B, H] = add(%0, x)
    }""",
    "complex": """
    net complex(stream x: f32[B, H], param a: f32[H], param b: f32[H], state re: f32[B, H],
                state im: f32[B, H]) -> (re) {
      re1: f32[B, H] = delay(re, re.init) {k = 1}
      im1: f32[B, H] = delay(im, im.init) {k = 1}
      a1: f32[H] = sigmoid(a)
      b1: f32[H] = sigmoid(b)
      p: f32[H] = mul(a1, 0.7)
      q: f32[H] = mul(b1, 0.7)
      %0: f32[B, H] = mul(p, re1)
      %1: f32[B, H] = mul(q, im1)
      %2: f32[B, H] = sub(%0, %1)
      re: f32[B, H] = add(%2, x)
      %3: f32[B, H] = mul(q, re1)
      %4: f32[B, H] = mul(p, im1)
      im: f32[B, H] = add(%3, %4)
    }""",
}


def graph_of(name: str, H: int) -> Any:
    """A recurrence of so many units, with weights."""
    import re

    from rnnc.machine.reference import random_arrays
    from rnnc.text import parse

    graph = parse(re.sub(r"\bH\b", str(H), MODELS[name])).copy()
    drawn = random_arrays(graph, 0).params
    params = {path: array.astype(graph.type(path).numpy) for path, array in drawn.items()}
    graph.interface = replace(graph.interface, params=params)
    return graph.freeze()


def measured(name: str, T: int, B: int, H: int, seconds: float) -> Row:
    """Every plan of a recurrence, compared and timed."""
    import numpy as np

    import rnnc
    from rnnc.machine.reference import random_arrays, run
    from rnnc.passes.choose import Choose
    from rnnc.pipeline import Pipeline
    from rnnc.runtime import session
    from tools.bench.became import chosen, fitting

    graph = graph_of(name, H)
    drawn = random_arrays(graph, 0, T=T, B=B).inputs
    inputs = {k: np.asarray(x, np.float32) for k, x in drawn.items()}
    meant = next(iter(run(graph, inputs).outputs.values()))
    given = rnnc.compile(graph, sizes={"T": T, "B": B})
    told = chosen(given.remarks)
    calls, wrong = {}, []
    for plan in ("scan", *sorted(fitting(given.remarks))):
        forced = [replace(p, plan=plan) if isinstance(p, Choose) else p for p in given.pipeline.passes]
        opened = session(rnnc.compile(graph, pipeline=Pipeline(tuple(forced))), threads=1)
        (found,) = opened.run(None, inputs)
        if np.abs(found - meant).max() > TOLERANCE * max(1, np.abs(meant).max()):
            wrong.append(plan)
            continue
        calls[plan] = partial(opened.run, None, inputs)
    times = in_turns(calls, seconds)
    best = next((plan for plan in calls if plan in told and plan != "scan"), "scan")
    us = {plan: round(found.median * 1e6, 1) for plan, found in times.items()}
    return Row(name, T, B, H, us, best, tuple(wrong))


def summary(rows: list[Row]) -> Iterator[str]:
    """What the rows come to."""
    for said, some in (
        (f"T ≥ {LONG}, B·H ≤ {SMALL}", [r for r in rows if r.T >= LONG and r.B * r.H <= SMALL]),
        ("all", rows),
    ):
        if some:
            gains = [r.gain for r in some]
            mean = math.exp(sum(map(math.log, gains)) / len(gains))
            told = f"geometric mean {mean:.2f} over {len(gains)}, least {min(gains):.2f}"
            yield f"{said}: scan ÷ chosen has the {told}"
    short = sum(bool(r.verdict) for r in rows)
    yield f"{short} of {len(rows)} sizes have less than is asked"


def main() -> None:
    """Measure, and print a line as each is known."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.linear", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--steps", default=",".join(map(str, STEPS)), help="how many steps (%(default)s)")
    parser.add_argument("--models", default=",".join(MODELS), help="which recurrences (%(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=0.5, help="how long each size is timed (%(default)s)"
    )
    given = parser.parse_args()
    pin(1)
    rows = []
    for name in given.models.split(","):
        for T in map(int, given.steps.split(",")):
            for B, H in SIZES:
                rows.append(measured(name, T, B, H, given.seconds))
                print(rows[-1], flush=True)
    print(*summary(rows), sep="\n")


if __name__ == "__main__":
    main()
