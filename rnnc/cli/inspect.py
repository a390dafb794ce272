"""``rnnc inspect``: what a file is, or what a model becomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from rnnc.cli.options import Choices, compiling
from rnnc.cli.terminal import console, working
from rnnc.inspect import Report
from rnnc.inspect import inspect as report_on

#: How many weights are listed one by one.
LISTED = 10


@click.command("inspect")
@click.argument("what", metavar="FILE.onnx|SRC[:NAME]")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@compiling
def inspect(what: str, as_json: bool, **options: Any) -> None:
    """Show loops, states, weights and cost of a file or a model.

    \b
      rnnc inspect lstm.onnx
      rnnc inspect models/denoiser.py --form step
      rnnc inspect lstm.onnx --json

    Any .onnx file will do. The options are for SRC. Cost is counted in nodes run, and in multiply-adds of
    products, convolutions and recurrent ops; a step is one step in time, at batch 1.
    """
    with working(f"inspecting {what}"):
        if what.endswith(".onnx"):
            report = report_on(what)
        else:
            report = report_on(Choices(**options).compiled(what).proto, name=what)
    if as_json:
        click.echo(report.json())
    else:
        console().print(_shown(report))


def _shown(report: Report) -> RenderableType:
    parts: list[RenderableType] = [f"[bold]{escape(report.name)}[/]", _facts(report)]
    if report.states:
        states = [(s.path, s.type, s.initial, f"{s.input} → {s.output}", s.source) for s in report.states]
        parts += ["", _table(("state", "type", "initial", "wired", "source"), states)]
    if report.loops:
        loops = [
            (
                loop.name,
                loop.became,
                ", ".join(loop.states),
                loop.steps,
                f"{loop.nodes:,}",
                f"{loop.multiply_adds:,}",
            )
            for loop in report.loops
        ]
        parts += [
            "",
            _table(("loop", "became", "states", "steps", "nodes a step", "multiply-adds a step"), loops),
        ]
    weights = [(name, f"{size:,}") for name, size in list(report.weights.items())[:LISTED]]
    if len(report.weights) > LISTED:
        rest = sum(list(report.weights.values())[LISTED:])
        weights.append((f"{len(report.weights) - LISTED} more", f"{rest:,}"))
    parts += ["", _table(("weight", "bytes"), [*weights, ("total", f"{report.weight_bytes:,}")])]
    return Group(*parts)


def _facts(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_row(
        "form", f"{report.form or 'not written by rnnc'}, opset {report.opset}, IR {report.ir_version}"
    )
    for what, ports in (("inputs", report.inputs), ("outputs", report.outputs)):
        table.add_row(what, escape(", ".join(f"{name} {type}" for name, type in ports.items())))
    for what, run, step in (
        ("nodes", report.nodes_per_run, report.nodes_per_step),
        ("multiply-adds", report.multiply_adds_per_run, report.multiply_adds_per_step),
    ):
        table.add_row(what, f"{step:,} a step" + (f", {run:,} a run besides" if run else ""))
    return table


def _table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(
            heading, justify="right" if heading.split()[0] in ("nodes", "multiply-adds", "bytes") else "left"
        )
    for row in rows:
        table.add_row(*map(escape, row))
    return table
