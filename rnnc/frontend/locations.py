"""Where in the user's source something was written: file, line and exact columns.

No source text is read. The frame that called into rnnc knows which instruction it is executing, and its code
object knows the span of every instruction, in a file, a notebook and a REPL alike.
"""

from __future__ import annotations

import dis
import sys
from functools import lru_cache
from types import CodeType, FrameType

from rnnc.errors import Loc

#: rnnc itself, and what its functions are wrapped in.
_OURS = frozenset({"rnnc", "functools", "contextlib"})

Span = tuple[int | None, int | None, int | None, int | None]


def _ours(frame: FrameType) -> bool:
    """Whether a frame runs rnnc's own code. The cells are written in the language: they are source."""
    name = frame.f_globals.get("__name__", "")
    return name in _OURS or (name.startswith("rnnc.") and not name.startswith("rnnc.cells."))


def user_frame() -> FrameType | None:
    """The innermost frame that is not rnnc's own; none if only the command line calls."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _ours(frame):
        if frame.f_globals.get("__name__", "").startswith("rnnc.cli."):
            return None
        frame = frame.f_back
    return frame


def here() -> Loc | None:
    """The span that the user's code is executing now."""
    frame = user_frame()
    return span(frame) if frame else None


@lru_cache(maxsize=256)
def _spans(code: CodeType) -> tuple[Span, ...]:
    return tuple(code.co_positions())


def span(frame: FrameType) -> Loc:
    """The span of the instruction at which ``frame`` stands: of its ``return`` once it has returned."""
    code, at = frame.f_code, frame.f_lasti // 2
    spans = _spans(code)
    line, end_line, col, end_col = spans[at] if 0 <= at < len(spans) else (None, None, None, None)
    line = line or frame.f_lineno or code.co_firstlineno
    return Loc(code.co_filename, line, col or 0, end_line or line, end_col or 0)


def returned_names(frame: FrameType) -> tuple[str, ...]:
    """The names in the ``return`` at which ``frame`` ended, if it returned names only: ``return y, h``."""
    before = [i for i in dis.get_instructions(frame.f_code) if i.offset < frame.f_lasti]
    wanted = 1
    if before and before[-1].opname == "BUILD_TUPLE":
        wanted = before.pop().arg or 0
    names: list[str] = []
    while before and len(names) < wanted and before[-1].opname.startswith(("LOAD_FAST", "LOAD_DEREF")):
        loaded = before.pop().argval
        names[:0] = loaded if isinstance(loaded, tuple) else (loaded,)
    return tuple(names) if len(names) == wanted else ()


def at_step(name: str, k: int, loc: Loc | None) -> str:
    """How the source at ``loc`` writes ``name`` as it is in ``k`` steps: in a .jl file with braces."""
    return f"{name}{{{k}}}" if _julia(loc) else f"{name}[{k}]"


def first_row(name: str, loc: Loc | None) -> str:
    """How the source at ``loc`` writes the first row of a weight."""
    return f"{name}[1:1, :]" if _julia(loc) else f"{name}[0:1]"


def _julia(loc: Loc | None) -> bool:
    return loc is not None and loc.file.endswith(".jl")


def start(code: CodeType) -> Loc:
    """The line on which a function starts."""
    return Loc(code.co_filename, code.co_firstlineno)
