"""The command ``python -m tools.bench``: starts workers, and makes tables and a plot of what they find."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from rnnc.errors import MissingExtra, RnncError
from tools.bench import machine, matrix, table
from tools.bench.matrix import Entry
from tools.bench.results import BASE, Result, Results

OUT = machine.ROOT / "build" / "bench"

#: How long the turns of one entry last, in seconds.
SECONDS, QUICK_SECONDS = 2.0, 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except RnncError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped: the same command goes on from here", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.bench",
        description="Time every cell as rnnc compiles it against its peers, in turns.",
        epilog="Run it again to go on where it stopped. The peers are an extra: pip install 'rnnc[bench]'.",
    )
    parser.add_argument("--quick", action="store_true", help="ten cells at three sizes, in minutes")
    parser.add_argument("--list", action="store_true", help="only name the cells and the peers")
    parser.add_argument("--report", action="store_true", help="only report on what there is")
    parser.add_argument("--cells", type=_names, default=[], metavar="A,B", help="only these cells")
    parser.add_argument("--peers", type=_names, default=[], metavar="A,B", help="only these; or 'installed'")
    parser.add_argument("--seconds", type=float, help="how long each entry is timed")
    parser.add_argument("--out", type=Path, default=OUT, help="where it all goes (%(default)s)")
    parser.add_argument(
        "--page", type=Path, metavar="RESULTS.md", help="write the page there, plot.svg beside it"
    )
    return parser


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _run(options: argparse.Namespace) -> int:
    # What these import counts the processors, which is of no concern to the workers.
    from tools.bench.cells import recurrent_cells
    from tools.bench.peers import chosen, every

    known = list(recurrent_cells())
    if options.list:
        print(f"cells: {', '.join(known)}\npeers: {', '.join(every())}")
        return 0
    results, console = (
        Results(options.out / "results.jsonl"),
        Console(width=None if sys.stdout.isatty() else 160),
    )
    if options.report:
        return _report(results.latest(), options.page or options.out / "table.md", console)
    _refuse_unknown("cell", options.cells, known)
    _refuse_unknown("peer", options.peers, [*every(), "installed"])
    cells = options.cells or ([c for c in matrix.QUICK if c in known] if options.quick else known)
    entries = list((matrix.quick if options.quick else matrix.whole)(cells))
    peers = tuple(peer.name for peer in chosen(options.peers))
    here = machine.where()
    seconds = options.seconds or (QUICK_SECONDS if options.quick else SECONDS)
    for cpus in sorted({entry.cpus for entry in entries}):
        mine = [entry for entry in entries if entry.cpus == cpus]
        if cpus > len(os.sched_getaffinity(0)):
            console.print(f"{len(mine)} entries need {cpus} processors, which are not there: left out")
            continue
        measure(mine, cpus, peers, seconds, results, here)
    return _report(results.latest(here), options.page or options.out / "table.md", console)


def _refuse_unknown(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise RnncError(f"there is no {what} {name}", hint=f"There are {', '.join(known)}.")


def measure(
    entries: Sequence[Entry],
    cpus: int,
    peers: tuple[str, ...],
    seconds: float,
    results: Results,
    here: dict[str, Any],
) -> None:
    """Let a worker measure what has not been measured; where one dies, the next goes on after that entry."""
    while missing := results.missing(entries, here, peers):
        print(f"{len(missing)} entries to measure on {cpus} CPU{'s'[: cpus > 1]}", flush=True)
        job = {
            "cpus": cpus,
            "entries": [asdict(entry) for entry in missing],
            "peers": peers,
            "seconds": seconds,
            "where": here,
            "out": str(results.path),
        }
        worker = subprocess.run(
            [sys.executable, "-m", "tools.bench.worker"],
            input=json.dumps(job), text=True, cwd=machine.ROOT, check=False,
        )  # fmt: skip
        if worker.returncode > 0:
            raise RnncError("the worker failed: its message is above")
        if worker.returncode < 0:
            died = results.missing(missing, here, peers)[0]
            failure = f"the worker died of signal {-worker.returncode}"
            print(f"{died}: {failure}", flush=True)
            results.add(Result(died, here, peers, {BASE: {"failed": failure}}))


def _report(results: Sequence[Result], page: Path, console: Console) -> int:
    if not results:
        raise RnncError("there are no results", hint="Measure some: python -m tools.bench --quick")
    found = table.ordered(results)
    table.show(found, console)
    page.write_text(table.markdown(found), encoding="utf-8")
    written = [page]
    try:
        from tools.bench.plot import plot

        pictures = [page.with_name("plot.png"), page.with_name("plot.svg")]
        plot(found, pictures)
        written += pictures
    except MissingExtra as error:
        console.print(f"no plot: {error}", markup=False)
    console.print(f"\nwritten: {', '.join(map(str, written))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
