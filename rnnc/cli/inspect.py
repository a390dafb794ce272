"""``rnnc inspect``: what a file is, or what a model becomes."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import click

from rnnc.cli.options import Choices, compiling
from rnnc.cli.report import shown
from rnnc.cli.terminal import console, working
from rnnc.ir import Graph

LANGUAGES = ("python", "cpp", "js", "rust")


@click.command("inspect")
@click.argument("what", metavar="FILE.onnx|SRC[:NAME]")
@click.option("--json", "style", flag_value="json", help="Print the report as JSON.")
@click.option("--mermaid", "style", flag_value="mermaid", help="Print a drawing for documents in Markdown.")
@click.option("--dot", "style", flag_value="dot", help="Print a drawing for Graphviz.")
@click.option(
    "--wiring", type=click.Choice(LANGUAGES), help="Print the lines that run it and keep its states."
)
@compiling
def inspect(what: str, style: str | None, wiring: str | None, **options: Any) -> None:
    """Show loops, states, weights and cost of a file or a model.

    \b
      rnnc inspect lstm.onnx
      rnnc inspect models/denoiser.py --form step
      rnnc inspect lstm.onnx --size B=16 --json
      rnnc inspect lstm.onnx --wiring cpp
      rnnc inspect models/seed.py:lstm --mermaid

    Any .onnx file will do. Where it does not say which output is which input of the next call, evident pairs
    are proposed. Memory is counted at the sizes of --size, and 1 for the others; the other options are for
    SRC. A drawing of SRC is of its equations, delays dashed. Cost is counted in nodes run, in multiply-adds
    of products, convolutions and recurrent ops, and in bytes read and written; a step is one step in time,
    at batch 1.
    """
    if style and wiring:
        raise click.UsageError(f"--{style} and --wiring print different things: give one of them.")
    choices = Choices(**options)
    with working(f"inspecting {what}"):
        if what.endswith(".onnx"):
            text = _of_file(what, style, wiring, choices)
        else:
            text = _of_source(what, style, wiring, choices)
    if isinstance(text, str):
        click.echo(text)
    else:
        console().print(text)


def _of_file(path: str, style: str | None, wiring: str | None, choices: Choices) -> Any:
    from rnnc.inspect import inspect as report_on
    from rnnc.inspect import read_model

    model = read_model(path, weights=False)
    if wiring:
        return _wired(model, PurePath(path).name, wiring)
    if style in ("mermaid", "dot"):
        from rnnc.inspect.drawing import of_model

        return _drawn(of_model(model, PurePath(path).name), style)
    return _reported(report_on(model, path, choices.numbers()), style)


def _of_source(src: str, style: str | None, wiring: str | None, choices: Choices) -> Any:
    from rnnc.inspect import inspect as report_on

    if style in ("mermaid", "dot"):
        from rnnc.inspect.drawing import of_net

        net: Graph = choices.traced(src)
        return _drawn(of_net(net), style)
    compiled = choices.compiled(src)
    if wiring:
        return _wired(compiled.proto, "model.onnx", wiring)
    return _reported(report_on(compiled.proto, src, choices.numbers(), compiled.source), style)


def _reported(report: Any, style: str | None) -> Any:
    return report.json() if style == "json" else shown(report)


def _drawn(drawing: Any, style: str) -> str:
    from rnnc.inspect.documents import dot, mermaid

    return dot(drawing) if style == "dot" else mermaid(drawing)


def _wired(model: Any, file: str, language: str) -> str:
    from rnnc.inspect.wiring import LANGUAGES as written
    from rnnc.inspect.wiring import read_wires

    return written[language](read_wires(model, file))
