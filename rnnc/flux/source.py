"""The text of a .jl file: read within bounds, its comments blanked, its places kept."""

from __future__ import annotations

import linecache
import os
import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property

from lark import Token, Tree

from rnnc.errors import FileError, LanguageError, Loc
from rnnc.text.syntax import Source

#: The largest file that is read, in bytes: a thousand nets.
LARGEST = 256 * 1024

#: What begins outside of a comment: a string, a comment of several lines, one of a single line.
_OUTSIDE = re.compile(r'"""(?:\\.|[^\\])*?"""|"(?:\\.|[^"\\\n])*"|#=|#[^\n]*', re.DOTALL)
_INSIDE = re.compile(r"#=|=#")

#: Letters that Julia takes for one another.
_ALIKE = str.maketrans({"ɛ": "ε", "µ": "μ", "·": "⋅", "−": "-"})

Part = Token | Tree[Token]


@dataclass(frozen=True)
class JuliaSource(Source):
    """The text of a .jl file, or of an expression on the command line."""

    def __post_init__(self) -> None:
        # What errors quote is what was read, whatever becomes of the file.
        linecache.cache[self.file] = (
            len(self.text),
            None,
            [f"{line}\n" for line in self.lines],
            self.file,
        )

    @cached_property
    def code(self) -> str:
        """The text with spaces in place of comments."""
        parts, at, depth, opened = [], 0, 0, 0
        while found := (_INSIDE if depth else _OUTSIDE).search(self.text, at):
            mark = found[0]
            keep = self.text[at : found.start()] + (mark if mark[0] == '"' else "")
            gone = "" if mark[0] == '"' else mark
            if depth:
                keep, gone = "", self.text[at : found.end()]
            parts += [keep, re.sub(r"[^\n]", " ", gone)]
            if mark in ("#=", "=#"):
                opened = opened if depth else found.start()
                depth += 1 if mark == "#=" else -1
            at = found.end()
        if depth:
            raise self.fault(
                "this comment is not closed",
                self._token(opened, 2),
                "A comment of several lines ends with =#.",
            )
        return "".join([*parts, self.text[at:]])

    def _token(self, start: int, length: int) -> Token:
        """A token made of some characters of one line."""
        line = self.text.count("\n", 0, start) + 1
        column = start - (self.text.rfind("\n", 0, start) + 1) + 1
        text = self.text[start : start + length]
        return Token("", text, start, line, column, line, column + length)

    def place(self, part: Part) -> Loc:
        """The span of a token or a tree."""
        if isinstance(part, Token):
            return self.loc(part)
        m = part.meta
        if m.empty:
            return self.loc(self.end())
        return self.loc(Token("", "", None, m.line, m.column, m.end_line, m.end_column))

    def fault(self, message: str, part: Part, hint: str = "") -> LanguageError:
        """An error about a part of the source."""
        return LanguageError(message, hint=hint, loc=self.place(part))

    def error(self, message: str, token: Token, hint: str = "") -> LanguageError:
        """An error about a token that cannot stand where it is."""
        return self.fault(message, token, hint)


def name_of(token: Token) -> str:
    """The name that a token writes, letters that look alike being one."""
    return unicodedata.normalize("NFC", token).translate(_ALIKE)


def open_file(path: str | os.PathLike[str]) -> JuliaSource:
    """The source in a file; :class:`~rnnc.errors.FileError` where there is none."""
    where = os.path.realpath(path)
    shown = os.fspath(path)
    try:
        with open(where, "rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise FileError(f"there is no file {shown}", hint="SRC is a file or a module, then :NAME.") from None
    except (OSError, ValueError) as error:
        raise FileError(f"{shown} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > LARGEST:
        raise FileError(f"{shown} is larger than {LARGEST:,} bytes, which no source of nets is")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(f"{shown} is not UTF-8 text, from byte {error.start} on") from None
    return JuliaSource(re.sub(r"\r\n?", "\n", text), where)
