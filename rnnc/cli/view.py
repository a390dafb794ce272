"""``rnnc view``: a page to look at a model or a file with."""

from __future__ import annotations

import re
import webbrowser
from pathlib import Path
from typing import Any

import click

from rnnc.aside import aside
from rnnc.cli.options import Choices, compiling
from rnnc.cli.show import graph_of, pipeline_of
from rnnc.cli.terminal import working
from rnnc.errors import FileError
from rnnc.view.assemble import page


@click.command("view")
@click.argument("what", metavar="FILE.onnx|SRC[:NAME]")
@click.option("-o", "--output", metavar="PAGE.html", help="Where to; by default called after what is shown.")
@click.option("-p", "--pipeline", metavar="PASSES", help="Passes to step through, in place of the form's.")
@click.option("--open", "show", is_flag=True, help="Open the page in the browser.")
@compiling
def view(what: str, output: str | None, pipeline: str | None, show: bool, **options: Any) -> None:
    """Write a page that shows a model, pass by pass, or a file.

    \b
      rnnc view models/seed.py:lstm -o lstm.html
      rnnc view models/seed.py:lstm -p canonicalize,lift,fuse-gates
      rnnc view lstm.onnx --open

    The page is one file that needs no network. Any .onnx file will do; with --form, --steps or -p it is
    compiled anew, and shown pass by pass. PASSES are as in rnnc show. The other options are for SRC.
    """
    target = Path(output or _name(what))
    with working(f"drawing {what}"):
        text = page(what, _data(what, pipeline, Choices(**options)))
    try:
        with aside(target) as path:
            path.write_text(text, encoding="utf-8")
    except OSError as e:
        raise FileError(f"{target} cannot be written: {e.strerror or e}") from None
    click.echo(f"{target}: {len(text):,} bytes")
    if show:
        webbrowser.open(target.resolve().as_uri())


def _data(what: str, pipeline: str | None, choices: Choices) -> dict[str, Any]:
    """What the page shows."""
    anew = pipeline is not None or choices.form is not None or choices.steps is not None
    if what.endswith(".onnx") and not anew:
        from rnnc.view.files import steps_of_file

        return steps_of_file(what)
    from rnnc.view.steps import steps_of

    if pipeline is None and not what.endswith(".rnnc"):
        compiled = choices.compiled(what)
        return {"summary": f"{compiled.form.name} form", **steps_of(compiled.source, compiled.pipeline)}
    return steps_of(graph_of(what, choices), pipeline_of(pipeline or ""))


def _name(what: str) -> str:
    """What a page is called that was given no name."""
    where, _, name = what.partition(":")
    words = re.findall(r"\w+", f"{Path(where).stem} {name}")
    return f"{'-'.join(words)}.html"
