"""``rnnc export``: a file as what other servers and runtimes take."""

from __future__ import annotations

import click
from rich.table import Table

from rnnc.cli.terminal import console, working


@click.group("export")
def export() -> None:
    """Make of a file what other servers and runtimes take."""


@export.command("triton")
@click.argument("file", metavar="FILE.onnx")
@click.option("-o", "repository", required=True, metavar="REPO", help="The model repository to write into.")
@click.option("--name", metavar="NAME", help="The model's name there; by default that of the file.")
@click.option(
    "--max-batch",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    metavar="N",
    help="How many streams may take a step together.",
)
@click.option(
    "--streams",
    type=click.IntRange(min=1),
    default=1024,
    show_default=True,
    metavar="N",
    help="How many streams may be open at a time; more wait for one to end.",
)
@click.option(
    "--idle",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a stream may say nothing before its states are dropped.",
)
@click.option(
    "--controls/--no-controls",
    default=True,
    show_default=True,
    help="Give the model START, END and READY inputs, by which its states begin, end and stay.",
)
@click.option("--replace", is_flag=True, help="Replace a model of that name.")
def triton(file: str, repository: str, name: str | None, max_batch: int, streams: int, idle: float,
           controls: bool, replace: bool) -> None:  # fmt: skip
    """Write a step file into a Triton model repository.

    \b
      rnnc compile models/char.py -o char.onnx --form step
      rnnc export triton char.onnx -o repository
      tritonserver --model-repository repository

    Triton keeps the states of each stream, which a client opens and ends with sequence flags on its first and
    last request. Printed is each state as the file's manifest has it, beside what the repository says.
    """
    from rnnc.export.triton import Limits
    from rnnc.export.triton import export as write

    with working(f"exporting {file}"):
        limits = Limits(max_batch, streams, idle)
        rows = write(file, repository, name, limits=limits, controls=controls, replace=replace)
    table = Table(box=None, pad_edge=False)
    for heading in ("state", "manifest", "initial", "config.pbtxt", "initial_state"):
        table.add_column(heading)
    for row in rows:
        table.add_row(row.path, row.manifest, row.manifest_initial, row.config, row.config_initial)
    console().print(table)


@export.command("ort")
@click.argument("file", metavar="FILE.onnx")
@click.option("-o", "output", metavar="OUT.ort", help="The file to write; by default beside FILE.")
def ort(file: str, output: str | None) -> None:
    """Write a file in ORT format, for phones and browsers.

    \b
      rnnc export ort char.onnx
      rnnc export ort char.onnx -o app/assets/char.ort

    Beside it goes the list of operators that it takes, for a build of onnxruntime without all others. Both
    files run on drawn inputs, and must give the same.
    """
    from rnnc.export.ort import export as write

    with working(f"exporting {file}"):
        found = write(file, output)
    same = found.finding.note
    if found.finding.verdict == "ok":
        same = f"computes what {file} does, within {found.finding.error:.1e}"
    click.echo(f"{found.model}: {same}")
    click.echo(f"{found.operators}: the operators that it takes")
