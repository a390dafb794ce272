"""The terminal: how commands speak, show that they are at work, and fail."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer
from time import monotonic
from typing import IO, Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from rnnc.errors import RnncError

#: Whoever waits longer than this, in seconds, is shown what for.
PATIENCE = 1.0


def console(*, stderr: bool = False) -> Console:
    """Where tables go: with colours on a terminal, and as wide as it takes elsewhere."""
    found = Console(stderr=stderr, highlight=False)
    return found if found.is_terminal else Console(stderr=stderr, highlight=False, width=160)


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Says ``what`` is going on if it takes long, on a terminal."""
    status = console(stderr=True).status(f"{what} …")
    timer = Timer(PATIENCE, status.start)
    timer.daemon = True
    if sys.stderr.isatty():
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
        status.stop()


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar up to ``total`` that appears if it takes long; gives the function that advances it."""
    bar = Progress(
        TextColumn(what),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
        console=console(stderr=True),
        transient=True,
    )
    task = bar.add_task(what, total=total)
    start = monotonic()

    def advance(n: int) -> None:
        bar.advance(task, n)
        if not bar.live.is_started and monotonic() - start > PATIENCE and sys.stderr.isatty():
            bar.start()

    try:
        yield advance
    finally:
        if bar.live.is_started:
            bar.stop()


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


def pairs(values: tuple[str, ...], option: str, example: str) -> dict[str, str]:
    """Options written ``name=value``, by name."""
    found: dict[str, str] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise click.UsageError(
                f"{option} {text} is not of the form name=value: write {option} {example}."
            )
        found[name.strip()] = value.strip()
    return found
