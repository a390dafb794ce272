"""What becomes of every cell of the zoo: which native op, which parallel plan, or a loop of how many nodes.

    python -m tools.zoo_report [--units 128] [--form sequence] [--why]

A cell is *native* if all its loops over time are ONNX's own recurrent ops, *parallel* if a plan for linear
recurrences runs it, *lifted* if it has no loop, and else a *loop*; its nodes a step are those of the bodies
of such loops. With ``--why``, the remarks of the plans that do not fit follow.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import rnnc
from rnnc.cells import zoo
from rnnc.inspect import inspect
from rnnc.plans.costs import NATIVE
from tools.bench.became import chosen, kind


@dataclass(frozen=True)
class Row:
    """What became of one cell."""

    cell: str
    became: str
    loops: str
    nodes_a_step: int
    nodes_a_run: int
    missed: tuple[str, ...]


def row(cell: Any, units: int, form: Any) -> Row:
    """A cell, compiled for 100 steps of one sequence."""
    compiled = rnnc.compile(zoo.sized(cell, units, units), form, sizes={"T": 100, "B": 1})
    report = inspect(compiled.proto)
    plans = chosen(compiled.remarks)
    parallel = kind(plans - NATIVE) == "linear"
    native = [loop for loop in report.loops if not loop.nodes]
    serial = [loop for loop in report.loops if loop.nodes and (loop.steps == "T" or not parallel)]
    became = "loop" if serial else "parallel" if parallel else "native" if native else "lifted"
    return Row(
        cell.title,
        became,
        ", ".join(f"{loop.became.partition(',')[0]} of {', '.join(loop.states)}" for loop in report.loops),
        sum(loop.nodes for loop in serial),
        report.nodes_per_run,
        tuple(dict.fromkeys(f"{r.where}: {r.message}" for r in compiled.remarks if r.kind == "missed")),
    )


def table(rows: list[Row], why: bool) -> Iterator[str]:
    """The lines of the report."""
    yield f"{'cell':23}{'became':10}{'nodes/step':>10}{'nodes/run':>11}  loops"
    for r in rows:
        yield f"{r.cell:23}{r.became:10}{r.nodes_a_step or '':>10}{r.nodes_a_run:>11}  {r.loops}"
        if why:
            yield from (f"    {reason}" for reason in r.missed)
    yield ""
    yield ", ".join(f"{n} {became}" for became, n in Counter(r.became for r in rows).most_common())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--units", type=int, default=128, help="inputs and units of every cell")
    parser.add_argument("--form", default="sequence", choices=("sequence", "chunk"))
    parser.add_argument("--why", action="store_true", help="say why other plans do not fit")
    given = parser.parse_args()
    print(*table([row(cell, given.units, given.form) for cell in zoo.CELLS], given.why), sep="\n")


if __name__ == "__main__":
    main()
