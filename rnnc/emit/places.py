"""Places in sources as files carry them: short, and the same on every machine."""

from __future__ import annotations

import functools
from pathlib import Path

from rnnc.errors import Loc


@functools.cache
def relative(file: str) -> str:
    """A source file's path relative to the folder that it is imported from; interactive input as it is.

    A module of a package keeps the package's path (``rnnc/cells/lstm.py``), any other file is its bare name.
    """
    if file.startswith("<"):
        return file
    path = Path(file)
    top = path.parent
    while (top / "__init__.py").exists():
        top = top.parent
    return path.relative_to(top).as_posix()


def place(loc: Loc) -> str:
    """``file:line:column`` of a location, the file as :func:`relative` has it."""
    return f"{relative(loc.file)}:{loc.line}:{loc.col + 1}"


def parse_place(text: str) -> Loc | None:
    """The location that :func:`place` wrote, or ``None``."""
    file, _, rest = text.rpartition(":")
    file, _, line = file.rpartition(":")
    if not file or not line.isdigit() or not rest.isdigit():
        return None
    return Loc(file, int(line), int(rest) - 1)
