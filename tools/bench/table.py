"""Tables: every entry with its times, what rnnc loses, and the whole in a few numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from rnnc.plans.profile import builtin
from tools.bench.bounds import bound
from tools.bench.matrix import FLOOR, TOLERANCE
from tools.bench.results import BASE, Result

#: Ratios below which entries are counted: where rnnc loses, and where by more than noise.
BOUNDS = (1, 0.95)
#: Up to this width the cost of a call, not its arithmetic, decides a step.
NARROW = 128

HEAD = ("cell", "form", "H", "B", "CPUs", "rnnc", "became", "best peer ÷ rnnc", "best peer")


def ordered(results: Iterable[Result]) -> list[Result]:
    """By cell, as they were first measured, then by size."""
    found = list(results)
    place = {r.entry.cell: i for i, r in reversed(list(enumerate(found)))}

    def key(r: Result) -> tuple[int, int, str, int, int]:
        return place[r.entry.cell], r.entry.cpus, r.entry.form, r.entry.H, r.entry.B

    return sorted(found, key=key)


def peer_names(results: Iterable[Result]) -> list[str]:
    """Every peer that has a time, or a failure, somewhere."""
    return list(dict.fromkeys(name for r in results for name in r.runs if name != BASE))


def rows(results: Sequence[Result]) -> list[list[str]]:
    """The table's head and its rows: one for each result, times in µs a step, peers as ratios to rnnc."""
    names = peer_names(results)
    found = [[*HEAD, *names]]
    for r in results:
        e = r.entry
        own_run = r.runs.get(BASE, {})
        failed = own_run.get("failed", "skipped" if "skipped" in own_run else "")
        own = "–" if r.us is None else f"{r.us:.3g}"
        ratio = "–" if r.ratio is None else f"{r.ratio:.2f}"
        best = [e.cell, e.form, str(e.H), str(e.B), str(e.cpus), own, failed or r.told, ratio, r.best or "–"]
        found.append([*best, *(_peer(r, name) for name in names)])
    return found


def _peer(result: Result, name: str) -> str:
    run = result.runs.get(name)
    if run is None:
        return ""
    if "failed" in run:
        return "failed"
    return f"{run['ratio']:.2f}" if "ratio" in run else "–"


def losses(results: Iterable[Result]) -> list[str]:
    """Each entry where the best peer is faster than rnnc, the worst first, and what bounds it there."""
    found = list(results)
    lost = [(r.ratio, r) for r in found if r.ratio is not None and r.ratio < 1 and r.entry.cell != FLOOR]
    calls = [r.runs[BASE]["us"] for r in found if r.entry.cell == FLOOR and "us" in r.runs[BASE]]
    lines = []
    for ratio, r in sorted(lost, key=lambda pair: pair[0]):
        why = bound(r, calls[0] if calls else builtin("cpu").figure("call"))
        line = f"{r.entry}: {r.best} takes {ratio:.2f} times as long as rnnc ({r.told}, {r.us:.3g} µs a step)"
        lines.append(f"{line}; most of it is {why}" if why else line)
    return lines


def failures(results: Iterable[Result]) -> list[str]:
    """What each peer could not do, in a plain line."""
    return [
        f"{r.entry}: {name}: {run['failed']}"
        for r in results
        for name, run in r.runs.items()
        if "failed" in run
    ]


def skipped(results: Iterable[Result]) -> list[str]:
    """What was not measured, and why, in a plain line."""
    found = ((r.entry, r.runs.get(BASE, {}).get("skipped")) for r in results)
    return [f"{entry}: {why}" for entry, why in found if why]


def chaotic(results: Iterable[Result]) -> list[str]:
    """Where rounding grows so that float32 is far from float64, whoever computes, in a plain line."""
    lines = []
    for r in results:
        errors = {name: run["error"] for name, run in r.runs.items() if "us" in run and "error" in run}
        name = max(errors, key=errors.__getitem__, default="")
        if name and errors[name] > TOLERANCE:
            lines.append(f"{r.entry}: up to {errors[name]:.1e} from the reference machine ({name})")
    return lines


def summary(results: Sequence[Result]) -> list[str]:
    """The whole matrix, then its classes, in a line each."""
    groups: dict[str, list[float]] = {}
    for r in results:
        if r.ratio is not None and r.entry.cell != FLOOR:
            for group in ("all", kind(r)):
                groups.setdefault(group, []).append(r.ratio)
    return [_ratios(f"{group}: best peer ÷ rnnc", groups[group]) for group in sorted(groups)]


def step_calls(results: Sequence[Result]) -> list[str]:
    """Steps of at most :data:`NARROW` units against each peer that runs them, in a line each."""
    groups: dict[str, list[float]] = {}
    for r in results:
        if r.entry.form == "step" and r.entry.cell != FLOOR and r.entry.H <= NARROW:
            for name in (n for n, run in r.runs.items() if "ratio" in run):
                group = f"{name} of {r.entry.cell}, H = {r.entry.H}" if name == "torch.nn" else name
                groups.setdefault(group, []).append(r.runs[name]["ratio"])
    return [_ratios(f"{name} ÷ rnnc", ratios) for name, ratios in groups.items()]


def _ratios(what: str, ratios: Sequence[float]) -> str:
    if len(ratios) == 1:
        return f"{what} is {ratios[0]:.2f}"
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    below = ", ".join(f"{sum(r < bound for r in ratios)} below {bound}" for bound in BOUNDS)
    over = f"over {len(ratios)} entries, least {min(ratios):.2f}; {below}"
    return f"{what} has the geometric mean {mean:.2f} {over}"


def floors(results: Iterable[Result]) -> list[str]:
    """What a call costs that computes next to nothing, which bounds steps, in a line."""
    return [
        "a call that does next to nothing: "
        + ", ".join(f"{name} {run['us']:.3g} µs" for name, run in r.runs.items() if "us" in run)
        for r in results
        if r.entry.cell == FLOOR
    ]


def kind(result: Result) -> str:
    """Steps, or else the class of plans that fit the cell."""
    if result.entry.form == "step":
        return "steps"
    return f"{result.kind} cells"


def markdown(results: Sequence[Result]) -> str:
    """All of it as a page."""
    head, *body = rows(results)
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in body)]
    places = dict.fromkeys(
        f"{r.where['machine']}; " + ", ".join(f"{k} {v}" for k, v in r.where["versions"].items())
        + f"; sources {r.where['commit']}"
        for r in results
    )  # fmt: skip
    parts = [
        "# The benchmark",
        "Times of rnnc in µs a step. Under a peer's name stands how many times as long the peer takes, the "
        "median over rounds in which all ran in turns.",
        *(f"Measured on {place}." for place in places),
        *(f"## {title}\n\n" + "\n".join(f"- {line}" for line in found) for title, found in sections(results)),
        "## Every entry\n\n" + "\n".join(lines),
    ]
    return "\n\n".join(parts) + "\n"


def sections(results: Sequence[Result]) -> list[tuple[str, list[str]]]:
    """What is said beside the table: titles, and the lines below them."""
    return [
        ("Summary", [*summary(results), *floors(results)]),
        (f"Step calls, H at most {NARROW}", step_calls(results) or ["none"]),
        ("Where rnnc loses", losses(results) or ["nowhere"]),
        ("Failures", failures(results) or ["none"]),
        ("Skipped", skipped(results) or ["none"]),
        ("Where float32 itself is far from the reference machine", chaotic(results) or ["none"]),
    ]


def show(results: Sequence[Result], console: Console) -> None:
    """The table without its columns of single peers, losses in red, and the rest below it."""
    head, *body = (row[: len(HEAD)] for row in rows(results))
    table = Table(*head, box=None, header_style="bold")
    for result, row in zip(results, body, strict=True):
        lost = result.ratio is not None and result.ratio < 1
        table.add_row(*row, style="red" if lost else None)
    console.print(table)
    for title, lines in sections(results):
        console.print(f"\n[bold]{title}[/bold]")
        for line in lines:
            console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
