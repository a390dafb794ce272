"""The terminal: how commands speak, show that they are at work, and fail."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Timer
from typing import IO, Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from rnnc.errors import RnncError

#: Whoever waits longer than this, in seconds, is shown what for.
PATIENCE = 1.0


def console(*, stderr: bool = False) -> Console:
    """Where tables go: with colours on a terminal, and as wide as it takes elsewhere."""
    found = Console(stderr=stderr, highlight=False)
    return found if found.is_terminal else Console(stderr=stderr, highlight=False, width=160)


@contextmanager
def working(what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Shows on a terminal ``what`` is going on, if it takes long, as a bar if its ``total`` is known.

    Gives the function that advances the bar.
    """
    bar = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn()) if total else ()
    display = Progress(SpinnerColumn(), TextColumn(what), *bar, console=console(stderr=True), transient=True)
    task = display.add_task(what, total=total)
    timer = Timer(PATIENCE, display.start)
    timer.daemon = True
    patient = sys.stderr.isatty()
    if patient:
        timer.start()
    try:
        yield partial(display.advance, task)
    finally:
        timer.cancel()
        if patient:
            timer.join()
            display.stop()


class Failure(click.ClickException):
    """An error of rnnc's, told by the command line: its text and exit status 1."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the error as it is, its first word coloured on a terminal."""
        text = self.message.replace("error:", click.style("error:", fg="red", bold=True), 1)
        click.echo(text, file=file or sys.stderr)


class Commands(click.Group):
    """A group of commands in the order in which they are used, whose errors are rnnc's."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, first what one does first."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what rnnc raises on purpose is told, not traced."""
        try:
            return super().invoke(ctx)
        except RnncError as error:
            raise Failure(str(error)) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever reads has had enough
                raise
            raise Failure(f"error: {error.filename or 'the output'}: {error.strerror or error}") from error


def echo_steps(before: Any, steps: Iterable[Any], edits: bool = False) -> None:
    """A graph, and what every pass that changed it made of it, on request with the ``edits``."""
    from rnnc.text import show

    for text in (f"// before\n{show(before)}", *(s.text(edits) for s in steps if s.changed)):
        heading, _, rest = text.partition("\n")
        click.echo(f"{click.style(heading, bold=True)}\n{rest}")


def pairs(values: tuple[str, ...], option: str, example: str) -> dict[str, str]:
    """Options written ``name=value``, by name."""
    found: dict[str, str] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise click.UsageError(
                f"{option} {text} is not of the form name=value: write {option} {example}."
            )
        if name.strip() in found:
            raise click.UsageError(f"{option} gives {name.strip()} twice.")
        found[name.strip()] = value.strip()
    return found
