"""Reading text: a lark grammar that answers with what it read, or with one sentence and a caret."""

from __future__ import annotations

import linecache
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken
from lark.lexer import PatternStr

from rnnc.errors import Loc, RnncError, TextError


@dataclass(frozen=True)
class Source:
    """A text and the file that it is in; a name in angle brackets where there is no file."""

    text: str
    file: str

    @property
    def code(self) -> str:
        """What the grammar reads: the text, or one with the same places."""
        return self.text

    @cached_property
    def lines(self) -> list[str]:
        """The lines of the text."""
        return self.text.split("\n")

    def loc(self, token: Token) -> Loc:
        """The span of a token. Columns of a :class:`Loc` count bytes."""
        line, end = token.line or 1, token.end_line or 1
        return Loc(
            self.file,
            line,
            self._bytes(line, (token.column or 1) - 1),
            end,
            self._bytes(end, (token.end_column or 1) - 1),
        )

    def error(self, message: str, token: Token, hint: str = "") -> RnncError:
        """An error about ``token``, which shows its line."""
        if self.file.startswith("<"):
            lines = [line + "\n" for line in self.lines]
            linecache.cache[self.file] = (len(self.text), None, lines, self.file)
        return TextError(message, hint=hint, loc=self.loc(token))

    def end(self) -> Token:
        """A token behind the last one."""
        before = self.code.rstrip().split("\n")
        line, column = len(before), len(before[-1]) + 1
        return Token("", "", line=line, column=column, end_line=line, end_column=column + 1)

    def _bytes(self, line: int, column: int) -> int:
        return len(self.lines[line - 1][:column].encode())


class Language:
    """A grammar, and how its terminals are called in a sentence.

    ``reasons`` say of tokens that cannot stand where they are, by their quoted text or their terminal, what
    is wrong and what to write instead; ``options`` are lark's.
    """

    def __init__(
        self,
        grammar: str,
        words: Mapping[str, str],
        reasons: Mapping[str, tuple[str, str]] | None = None,
        **options: Any,
    ) -> None:
        self._lark = Lark(grammar, parser="lalr", maybe_placeholders=False, **options)
        self._words = words
        self._reasons = reasons or {}

    def read(self, source: Source) -> Tree[Token]:
        """The tree of ``source``; its error at the first token that cannot stand where it is."""
        try:
            return self._lark.parse(source.code)
        except UnexpectedInput as error:
            raise self._sentence(source, error) from None

    def _sentence(self, source: Source, error: UnexpectedInput) -> RnncError:
        expected: set[str]
        if isinstance(error, UnexpectedToken):
            token, expected = error.token, error.accepts or error.expected
        else:
            assert isinstance(error, UnexpectedCharacters)
            token, expected = Token("", error.char), error.allowed or set()
            token.line = token.end_line = error.line
            token.column, token.end_column = error.column, error.column + 1
        found = repr(str(token))
        if token.type == "$END":
            found, token = "the end of the text", source.end()
        if reason := self._reasons.get(f"'{token}'") or self._reasons.get(token.type):
            return source.error(reason[0].format(token), token, reason[1])
        wanted = sorted({self._called(name) for name in expected if name != "$END"})
        choice = " or ".join(filter(None, [", ".join(wanted[:-1]), *wanted[-1:]])) or "the end of the text"
        return source.error(f"expected {choice}, not {found}", token)

    def _called(self, terminal: str) -> str:
        if terminal in self._words:
            return self._words[terminal]
        pattern = self._lark.get_terminal(terminal).pattern
        return f"'{pattern.value}'" if isinstance(pattern, PatternStr) else terminal.lower()


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint that names what is spelled almost like ``word``; empty if nothing is."""
    close = get_close_matches(word, list(known), n=3)
    return f"Did you mean {' or '.join(close)}?" if close else ""
