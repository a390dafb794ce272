"""``rnnc check``: does a file mean what it says, and what its source says?"""

from __future__ import annotations

import sys
from typing import Any

import click
from rich.table import Table

from rnnc.cli.options import Choices, tracing
from rnnc.cli.terminal import console, working

_COLOURS = {"ok": "green", "failed": "bold red", "skipped": "dim"}


@click.command("check")
@click.argument("file", metavar="FILE.onnx")
@click.option(
    "--against", metavar="SRC|FILE", help="What the file should compute: its source, or another file."
)
@tracing
def check(file: str, against: str | None, **options: Any) -> None:
    """Check that a file is sound and means what it says.

    \b
      rnnc check lstm.onnx
      rnnc check lstm.onnx --against models/seed.py:lstm
      rnnc check step.onnx --against chunk.onnx
      rnnc check sequence.onnx --against theirs.onnx --state h_out:h_in

    Checked are the graph, the manifest against the graph, a sequence in pieces against the same sequence
    whole, onnx.reference, and --against the reference machine on the source, or another file of any form, on
    random sequences cut at random. What differs is told with the output, step and element where it began.
    --weights belong to the source, --state and the like to files that rnnc did not write. Exit status 1 if
    any check fails.
    """
    from rnnc.check import check as run_checks

    with working(f"checking {file}"):
        choices = Choices(**options)
        other = against if against is None or against.endswith((".onnx", ".ort")) else choices.traced(against)
        findings = run_checks(file, other, choices.seed, choices.reading() if other is not None else None)
    table = Table(box=None, pad_edge=False)
    for heading in ("check", "", "max error", "what"):
        table.add_column(heading, justify="right" if heading == "max error" else "left")
    for f in findings:
        error = "" if f.error is None else f"{f.error:.1e}"
        table.add_row(f.check, f"[{_COLOURS[f.verdict]}]{f.verdict}[/]", error, f.note)
    console().print(table)
    if any(f.verdict == "failed" for f in findings):
        sys.exit(1)
