"""``rnnc show``: the graph as text, after any passes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnnc.cli.options import Choices, tracing
from rnnc.cli.terminal import echo_steps, working
from rnnc.errors import FileError
from rnnc.ir import Graph

if TYPE_CHECKING:
    from rnnc.pipeline import Pipeline


@click.command("show")
@click.argument("src", metavar="SRC[:NAME]")
@click.option("-p", "--pipeline", default="", metavar="PASSES", help="Passes to run first.")
@click.option("--each", is_flag=True, help="Show the graph after every pass that changes it.")
@tracing
def show(src: str, pipeline: str, each: bool, **options: Any) -> None:
    """Show a model's graph as text, after any passes.

    \b
      rnnc show models/seed.py:lstm
      rnnc show models/seed.py:lstm -p canonicalize,lift,fuse-gates
      rnnc show models/seed.py:lstm -p "canonicalize,unroll{steps=3}" --each

    PASSES may also be sequence, chunk, step or unroll: the pipeline of that form. SRC may also be a file of
    graph text, .rnnc.
    """
    from rnnc.steps import steps
    from rnnc.text import show as text_of

    with working(f"tracing {src}"):
        graph = graph_of(src, Choices(**options))
        found = pipeline_of(pipeline)
    if each:
        echo_steps(graph, steps(found, graph))
    else:
        click.echo(text_of(found.run(graph)))


def pipeline_of(text: str) -> Pipeline:
    """The passes that ``text`` lists, or those of the form that it names."""
    from rnnc import passes
    from rnnc.pipeline import Pipeline

    return Pipeline.parse(getattr(passes, text.upper(), text) if text.isalpha() else text)


def graph_of(src: str, choices: Choices) -> Graph:
    """The stream graph that SRC is, or that is in a file of graph text."""
    if not src.endswith(".rnnc"):
        return choices.traced(src)
    from rnnc.text import parse

    try:
        return parse(Path(src).read_text(encoding="utf-8"), src)
    except OSError as e:
        raise FileError(f"{src} cannot be read: {e.strerror}") from None
    except UnicodeDecodeError:
        raise FileError(f"{src} is not graph text") from None
