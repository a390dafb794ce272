"""Faulty sources: the guilty line carries the message, and a line of carets below it the columns.

    y2 = tanh(x @ W + y[-1] @ U)  # error: y[-1] is read, but y is never assigned
    #                 ^^^^^

A message is given from its start, up to where the comment ends. ``# note:`` marks the line of a note. Where a
comment cannot hold the carets, it says ``# columns 5 to 12``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from rnnc.errors import RnncError, SourceError
from rnnc.frontend.assemble import trace

SOURCES = sorted((Path(__file__).parent / "errors").glob("*.py"))


def run(file: Path) -> None:
    """Run a source and trace its ``model``."""
    names: dict[str, Any] = {"__name__": file.stem}
    exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), names)
    trace(names["model"])


def marked(kind: str, line: str) -> str:
    """The message that a line's comment gives."""
    return line.partition(f"# {kind}: ")[2]


def check_marks(file: Path, error: RnncError) -> None:
    """The error is the one that the comments of the file say, at their places."""
    lines = file.read_text(encoding="utf-8").splitlines()
    (guilty,) = [i for i, line in enumerate(lines) if marked("error", line)]
    assert error.message.startswith(marked("error", lines[guilty]))
    assert error.loc is not None
    assert Path(error.loc.file) == file
    assert error.loc.line == guilty + 1
    below = lines[guilty + 1] if guilty + 1 < len(lines) else ""
    found = error.loc.col + 1, error.loc.end_col
    if carets := re.match(r"\s*#\s*(\^+)$", below):
        assert found == (carets.start(1) + 1, carets.end(1)), f"columns of {error!s}"
    if columns := re.match(r"\s*# columns (\d+) to (\d+)$", below):
        assert found == tuple(map(int, columns.groups())), f"columns of {error!s}"
    notes = {note.loc.line: note.message for note in error.notes if note.loc}
    for i, line in enumerate(lines, 1):
        if message := marked("note", line):
            at = i if not line.strip().startswith("#") else guilty + 1
            assert any(n.message.startswith(message) and n.loc and n.loc.line == at for n in error.notes), (
                notes
            )


def check_text(error: RnncError) -> None:
    """The error reads well."""
    first, *rest = str(error).splitlines()
    assert re.match(r".+:\d+:\d+: error: \S.*[^.\s]$", first)
    assert rest, "the source line is shown"


@pytest.mark.parametrize("file", SOURCES, ids=lambda f: f.stem)
def test_error(file: Path) -> None:
    with pytest.raises(SourceError) as caught:
        run(file)
    check_marks(file, caught.value)
    check_text(caught.value)
