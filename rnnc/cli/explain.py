"""``rnnc explain``: what the compiler did to a model, what it did not, and why."""

from __future__ import annotations

from typing import Any

import click

from rnnc.cli.options import Choices, compiling
from rnnc.cli.terminal import echo_steps, working


@click.command("explain")
@click.argument("src", metavar="SRC[:NAME]")
@click.option("--each", is_flag=True, help="Show the graph after every pass, and the edits that made it.")
@click.option("--json", "as_json", is_flag=True, help="Print the explanation as JSON.")
@click.option("-p", "--pipeline", metavar="PASSES", help="Passes to run instead of the form's own.")
@compiling
def explain(src: str, each: bool, as_json: bool, pipeline: str | None, **options: Any) -> None:
    """Say what was done to a model, what was not, and why.

    \b
      rnnc explain models/seed.py:lstm
      rnnc explain models/denoiser.py --form step
      rnnc explain models/seed.py:lstm --each

    Remarks are one a line, path:line:column: passed or missed: pass: reason. A table of candidates is
    indented below the choice among them. With --each, edits stand above the graph that they made, with the
    rule behind each; what is edited inside a loop is called loop/value.
    """
    from rnnc.explain import Explanation

    with working(f"explaining {src}"):
        found = Explanation(Choices(**options).compiled(src, pipeline))
    if as_json:
        click.echo(found.json(each))
    elif each:
        echo_steps(found.compiled.source, found.steps, edits=True)
    else:
        for remark in found.remarks:
            click.echo(str(remark))
