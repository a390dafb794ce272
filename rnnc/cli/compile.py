"""``rnnc compile``: equations in, an .onnx file out."""

from __future__ import annotations

from typing import Any

import click

from rnnc.cli.options import Choices, compiling
from rnnc.cli.terminal import working


@click.command("compile")
@click.argument("src", metavar="SRC[:NAME]")
@click.option("-o", "output", required=True, metavar="OUT.onnx", help="The file to write.")
@compiling
@click.option("--pipeline", metavar="PASSES", help="Passes to run instead of the form's own.")
@click.option("--explain", is_flag=True, help="Say which passes and plans did what, and why not.")
def compile_(src: str, output: str, pipeline: str | None, explain: bool, **options: Any) -> None:
    """Compile a model to an .onnx file.

    \b
      rnnc compile models/seed.py:chain -o chain.onnx
      rnnc compile models/amplifier.py -o amp.onnx --form step --weights amp.safetensors
      rnnc compile rnnc.cells:"Recurrent(10, 5)" -o r.onnx --form unroll --steps 20

    The file appears whole or not at all. SRC is run to find the model.
    """
    from rnnc.inspect import inspect

    with working(f"compiling {src}"):
        compiled = Choices(**options).compiled(src, pipeline)
        compiled.save(output)
        report = inspect(compiled.proto)
    states = f"{len(report.states)} state{'s' * (len(report.states) != 1)}"
    weights = f"{report.weight_bytes:,} bytes of weights"
    click.echo(f"{output}: {report.form} form, {states}, {weights}, opset {report.opset}")
    for loop in report.loops:
        click.echo(f"  {loop.name}: {loop.became}")
    if explain:
        click.echo(compiled.explain())
