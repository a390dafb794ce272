"""``rnnc tune``: this machine measured, as a profile that plans can be priced by."""

from __future__ import annotations

from pathlib import Path

import click

from rnnc.aside import aside
from rnnc.cli.terminal import working
from rnnc.errors import FileError


@click.command()
@click.option(
    "-o", "output", metavar="FILE", default="profile.json", show_default=True, help="The profile to write."
)
def tune(output: str) -> None:
    """Measure this machine and write a profile of it.

    \b
      rnnc tune -o server.json
      rnnc compile models/seed.py:chain -o chain.onnx --profile server.json

    It takes about a minute, on one thread of one processor, which should have nothing else to do. No command
    takes a profile that it is not given: files are the same on every machine unless you ask for one.
    """
    from rnnc import tune as tuning
    from rnnc.plans.profile import written

    try:
        with aside(Path(output)) as file:
            with working("measuring this machine"):
                table = tuning.measured()
            file.write_text(written(table), encoding="utf-8")
    except OSError as e:
        raise FileError(f"{output} cannot be written: {e.strerror or e}") from e
    click.echo(f"{output}: {table['machine']}, onnxruntime {table['versions']['onnxruntime']}")
    for name, us in (("a small node", table["node"]["other"]), ("a round of a loop", table["iteration"])):
        click.echo(f"  {name}: {us:.2f} µs")
