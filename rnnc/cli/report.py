"""Reports of inspection as tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from rnnc.inspect.graphs import short
from rnnc.inspect.loops import Carried, Loop
from rnnc.inspect.providers import Provider
from rnnc.inspect.report import Report

#: How many of anything are listed one by one.
LISTED = 10
#: How many values of a cycle.
THROUGH = 3


def shown(report: Report) -> RenderableType:
    """The report for a terminal."""
    parts: list[RenderableType] = [f"[bold]{escape(report.name)}[/]", _facts(report)]
    if report.states:
        parts += ["", _states(report)]
    if report.recurrences:
        recurrences = [
            (" → ".join(_some(r.values)) or "only remembered", _some_lines(map(_delay, r.delays)), r.source)
            for r in report.recurrences
        ]
        parts += ["", _table(("recurrence", "delays", "source"), recurrences)]
    if report.loops:
        parts += ["", _loops(report)]
    weights = [(short(name), f"{size:,}") for name, size in list(report.weights.items())[:LISTED]]
    if len(report.weights) > LISTED:
        rest = sum(list(report.weights.values())[LISTED:])
        weights.append((f"{len(report.weights) - LISTED} more", f"{rest:,}"))
    parts += ["", _table(("weight", "bytes"), [*weights, ("total", f"{report.weight_bytes:,}")])]
    return Group(*parts)


def _facts(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    others = [f"{domain} {version}" for domain, version in report.opsets.items() if domain != "ai.onnx"]
    versions = [f"opset {report.opset}", *others, f"IR {report.ir_version}"]
    form = report.form or "not written by rnnc" + f", but by {short(report.producer)}" * bool(report.producer)
    table.add_row("form", escape(", ".join([form, *versions])))
    for what, ports in (("inputs", report.inputs), ("outputs", report.outputs)):
        named = [f"{short(name)} {type}" for name, type in ports.items()]
        table.add_row(what, escape(", ".join(_some(named))))
    per = "a step" if report.form or any(x.steps for x in report.loops) else "a run"
    for what, run, step in (
        ("nodes", report.nodes_per_run, report.nodes_per_step),
        ("longest chain", report.chain_per_run, report.chain_per_step),
        ("multiply-adds", report.multiply_adds_per_run, report.multiply_adds_per_step),
        ("bytes moved", report.bytes_per_run, report.bytes_per_step),
    ):
        table.add_row(what, f"{step:,} {per}" + (f", {run:,} a run besides" if run else ""))
    sizes = ", ".join(_some([f"{short(name)}={size}" for name, size in report.sizes.items()]))
    table.add_row("peak memory", escape(f"{report.peak_memory.bytes:,} bytes" + f" at {sizes}" * bool(sizes)))
    for provider in report.providers:
        table.add_row(f"nodes on {provider.name}", escape(_provider(provider)))
    table.add_row("", f"known {report.providers[0].how}")
    if report.unknown_sizes:
        table.add_row("unknown", f"the sizes of {report.unknown_sizes:,} tensors, counted as 1")
    for note in report.notes:
        table.add_row("note", escape(note))
    return table


def _provider(provider: Provider) -> str:
    total = provider.nodes + provider.elsewhere_nodes
    if not provider.elsewhere_nodes:
        return f"all {total:,}"
    reasons: dict[str, list[str]] = {}
    for e in provider.elsewhere:
        where = "on the CPU" if e.provider == "CPU" else "on nothing known"
        reasons.setdefault(f"{short(e.op)} {where}: {e.why}", []).append(short(e.node))
    told = [f"{reason} ({', '.join(_some(nodes, 3))})" for reason, nodes in reasons.items()]
    return "; ".join([f"{provider.nodes:,} of {total:,}", *_some(told, 4)])


def _states(report: Report) -> Table:
    guessed = any(s.guessed for s in report.states)
    rows = []
    for s in report.states:
        name = f"{short(s.path)} (a guess)" if s.guessed else s.path
        wired = f"{short(s.input or '')} → {short(s.output or '')}"
        last = (short(s.loop) or "no loop") if guessed else s.source
        rows.append((name, s.type, s.initial, wired, last))
    return _table(("state", "type", "initial", "wired", "closes" if guessed else "source"), rows)


def _loops(report: Report) -> Table:
    told = {s.path for s in report.states}
    rows: list[tuple[str, ...]] = []
    for loop in report.loops[: LISTED * 4]:
        states = _some_lines(map(_carried, loop.carried)) if not told & set(loop.states) else ""
        name = f"{short(loop.inside)} / {short(loop.name)}" if loop.inside else short(loop.name)
        rows.append(
            (
                name,
                f"{loop.became}{f', {loop.critical_path} in a row' if loop.nodes else ''}",
                states or ", ".join(_some([short(s) for s in loop.states])),
                _through(loop),
                loop.steps,
                f"{loop.nodes:,}",
                f"{loop.multiply_adds:,}",
                f"{loop.bytes:,}",
            )
        )
    if len(report.loops) > LISTED * 4:
        rows.append((f"{len(report.loops) - LISTED * 4:,} more", *[""] * 7))
    headings = (
        "loop",
        "became",
        "states",
        "through",
        "steps",
        "nodes a step",
        "multiply-adds",
        "bytes moved",
    )
    return _table(headings, rows)


def _through(loop: Loop) -> str:
    if loop.cycle_nodes <= 1:
        return ""
    names = [short(n, 20) for n in loop.through]
    return ", ".join([*names[:THROUGH], *(["…"] if loop.cycle_nodes > THROUGH else [])])


def _carried(carried: Carried) -> str:
    later = "" if carried.delay == 1 else f", {carried.delay} steps later"
    return f"{short(carried.name)} {carried.type} from {short(carried.initial)}{later}"


def _delay(carried: Carried) -> str:
    at = f"[{-carried.delay}]" if carried.delay else ""
    return f"{short(carried.name)}{at} {carried.type} from {short(carried.initial)}"


def _some(items: Iterable[str], most: int = LISTED) -> list[str]:
    """The first items, and how many more there are."""
    every = list(items)
    return every if len(every) <= most else [*every[:most], f"{len(every) - most:,} more"]


def _some_lines(items: Iterable[str]) -> str:
    return "\n".join(_some(items))


def _table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Table:
    """A table without the columns that have nothing in any row."""
    table = Table(box=None, pad_edge=False)
    full = [n for n in range(len(headings)) if not rows or any(row[n] for row in rows)]
    for heading in (headings[n] for n in full):
        right = heading.split()[0] in ("nodes", "multiply-adds", "bytes")
        table.add_column(heading, justify="right" if right else "left")
    for row in rows:
        table.add_row(*(escape(row[n]) for n in full))
    return table
