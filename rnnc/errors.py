"""What rnnc says to its user when something is wrong.

RnncError                 everything rnnc raises on purpose
├── SourceError           a fault in a model's source: it has a place, shown with a caret
│   ├── LanguageError     the body of a net does what the language does not allow
│   ├── TypeMismatch      types or dims clash
│   └── CycleError        a cycle without a delay, or with delays of both signs
├── TextError             graph text or a pipeline that does not parse
├── FileError             a model, weights or array file that cannot be read or written
├── FormError             a form, plan or option that the model cannot have
├── VerifyError           a graph that breaks the rules of graphs: a fault of a pass
├── StreamError           what a pool of streams refuses one of its clients
│   ├── UnknownStream     a stream that was never opened, was closed, or expired
│   └── Overloaded        more streams, or more frames that wait, than there is room for
└── MissingExtra          a library that is an optional extra is not installed
"""

from __future__ import annotations

import linecache
import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Loc:
    """A span of source text: lines count from 1, columns from 0, ``end_col`` is exclusive."""

    file: str
    line: int
    col: int = 0
    end_line: int = 0
    end_col: int = 0

    def __str__(self) -> str:
        return f"{shown_path(self.file)}:{self.line}:{self.col + 1}"


@dataclass(frozen=True, slots=True)
class Note:
    """A remark on another party to an error."""

    message: str
    loc: Loc | None = None


def shown_path(file: str) -> str:
    """A file as its reader knows it: relative to the working directory when it is below it."""
    if file.startswith("<") or not os.path.isabs(file):
        return file
    here = os.path.join(os.getcwd(), "")
    return file.removeprefix(here)


def excerpt(loc: Loc) -> str:
    """The source line of ``loc`` with carets below its span, or nothing if there is no source."""
    raw = linecache.getline(loc.file, loc.line).rstrip("\n")
    if not raw.strip():
        return ""
    # co_positions counts UTF-8 bytes; a caret is placed by characters.
    data = raw.encode()
    start = max(len(data[: loc.col].decode(errors="ignore")), len(raw) - len(raw.lstrip()))
    same_line = loc.end_line in (0, loc.line) and loc.end_col > loc.col
    stop = len(data[: loc.end_col].decode(errors="ignore")) if same_line else len(raw)
    text = raw.expandtabs(1)
    return f"    {text}\n    {' ' * start}{'^' * max(1, stop - start)}"


class RnncError(Exception):
    """Anything wrong that rnnc tells its user: one sentence, and one on what to write.

    ``message`` says what is wrong, ``hint`` what to write instead, ``loc`` where, and ``notes`` point at the
    other parties.
    """

    def __init__(
        self, message: str, *, hint: str = "", loc: Loc | None = None, notes: tuple[Note, ...] = ()
    ) -> None:
        super().__init__(message)
        self.message, self.hint, self.loc, self.notes = message, hint, loc, notes

    def __str__(self) -> str:
        lines = [_block("error", self.message, self.loc)]
        if self.hint:
            lines.append(f"  {self.hint}")
        lines += [_block("note", n.message, n.loc) for n in self.notes]
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.hint, self.loc, self.notes))


def _rebuild(
    kind: type[RnncError], message: str, hint: str, loc: Loc | None, notes: tuple[Note, ...]
) -> RnncError:
    return kind(message, hint=hint, loc=loc, notes=notes)


def _block(kind: str, message: str, loc: Loc | None) -> str:
    head = f"{loc}: {kind}: {message}" if loc else f"{kind}: {message}"
    source = excerpt(loc) if loc else ""
    return f"{head}\n{source}" if source else head


class SourceError(RnncError):
    """A fault in a model's source."""


class LanguageError(SourceError):
    """The body of a net does what the language does not allow."""


class TypeMismatch(SourceError):
    """Types or dims clash."""


class CycleError(SourceError):
    """A cycle without a delay, or one component with delays of both signs."""


class TextError(RnncError):
    """Graph text or a pipeline that does not parse."""


class FileError(RnncError):
    """A file that cannot be read or written, or is not what it should be."""


class FormError(RnncError):
    """A form, plan or option that the model cannot have."""


class VerifyError(RnncError):
    """A graph that breaks the rules of graphs: the fault of whoever changed it last."""


class StreamError(RnncError):
    """What a pool of streams refuses one of its clients, and no other; ``code`` says so to programs."""

    code = "refused"


class UnknownStream(StreamError):
    """A stream that was never opened, was closed, or expired."""

    code = "unknown_stream"


class Overloaded(StreamError):
    """More streams, or more frames that wait, than there is room for: it may be tried again later."""

    code = "overloaded"


class MissingExtra(RnncError):
    """A library that is an optional extra is not installed."""


def missing_torch(what: str) -> MissingExtra:
    """The error of ``what``, which needs PyTorch, where that is not installed."""
    return MissingExtra(f"{what} needs PyTorch, which is not installed", hint='pip install "rnnc[torch]"')
