"""Sources: the places that values come from, and the lines of text around them."""

from __future__ import annotations

import linecache
from dataclasses import dataclass, field
from typing import Any

from rnnc.emit.places import relative
from rnnc.errors import Loc

#: How many lines are shown before and after a place, and how many of the place itself.
AROUND, LONGEST = 2, 12


@dataclass
class Sources:
    """Places by number, each once."""

    numbers: dict[Loc, int] = field(default_factory=dict)

    def __call__(self, loc: Loc) -> int:
        """The number of a place."""
        return self.numbers.setdefault(loc, len(self.numbers))

    def places(self) -> list[list[Any]]:
        """Each place as [file, line, first character, last line, the one after the last character]."""
        return [_place(loc) for loc in self.numbers]

    def lines(self) -> dict[str, dict[str, str]]:
        """The lines of every place and those around it, by file and number."""
        found: dict[str, dict[int, str]] = {}
        for loc in self.numbers:
            text, lines = linecache.getlines(loc.file), found.setdefault(relative(loc.file), {})
            last = min(max(loc.end_line, loc.line), loc.line + LONGEST)
            for n in range(max(loc.line - AROUND, 1), min(last + AROUND, len(text)) + 1):
                lines[n] = text[n - 1].rstrip("\n")
        return {file: {str(n): lines[n] for n in sorted(lines)} for file, lines in sorted(found.items())}


def _place(loc: Loc) -> list[Any]:
    """A place whose columns count characters, where those of Python count bytes."""
    last = max(loc.end_line, loc.line)
    return [relative(loc.file), loc.line, _column(loc.file, loc.line, loc.col), last,
            _column(loc.file, last, loc.end_col)]  # fmt: skip


def _column(file: str, line: int, col: int) -> int:
    return len(linecache.getline(file, line).encode()[:col].decode(errors="ignore"))
