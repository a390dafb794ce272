"""Faulty .jl files: the guilty line carries the message, as in ``tests/language/errors``."""

from __future__ import annotations

from pathlib import Path

import pytest

import rnnc
from rnnc.errors import FileError, RnncError, SourceError
from rnnc.frontend.assemble import trace
from tests.language.test_errors import check_marks, check_text

SOURCES = sorted((Path(__file__).parent / "errors").glob("*.jl"))


@pytest.mark.parametrize("file", SOURCES, ids=lambda f: f.stem)
def test_error(file: Path) -> None:
    with pytest.raises(SourceError) as caught:
        trace(rnnc.from_flux(file).model)
    check_marks(file, caught.value)
    check_text(caught.value)


def refusal(file: Path, text: str | bytes) -> RnncError:
    """What reading a file with that content raises."""
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RnncError) as caught:
        trace(rnnc.from_flux(file).model)
    return caught.value


@pytest.mark.parametrize(
    "deep",
    [
        "(" * 2000 + "x" + ")" * 2000,
        "x" + " + x" * 2000,
        "x" + "^x" * 2000,
        "-" * 2000 + "x",
        "tanh(" * 2000 + "x" + ")" * 2000,
        "x" + "{-1}" * 2000,
        "x" + " |> tanh" * 2000,
        "y = " * 2000 + "x",
        "x -> " * 2000 + "x",
    ],
)
def test_nesting_is_bounded(tmp_path: Path, deep: str) -> None:
    error = refusal(tmp_path / "deep.jl", f"@net model(x) = {deep}\n")
    assert error.message == "this is nested deeper than 100"
    assert error.loc is not None
    assert error.loc.line == 1


def test_definitions_that_need_each_other_are_bounded(tmp_path: Path) -> None:
    lines = ["f0(x) = x", *(f"f{i}(x) = f{i - 1}(x)" for i in range(1, 500)), "@net model(x) = f499(x)"]
    error = refusal(tmp_path / "chain.jl", "\n".join(lines))
    assert error.message == "more than 40 definitions each need the next"


def test_size_is_bounded(tmp_path: Path) -> None:
    error = refusal(tmp_path / "large.jl", "# nothing\n" * 30_000)
    assert isinstance(error, FileError)
    assert "larger than 262,144 bytes" in error.message


def test_what_is_no_text(tmp_path: Path) -> None:
    assert "is not UTF-8 text, from byte 4 on" in refusal(tmp_path / "a.jl", b"y = \xff").message
    with pytest.raises(FileError, match="there is no file"):
        rnnc.from_flux(tmp_path / "missing.jl")
    with pytest.raises(FileError, match="cannot be read"):
        rnnc.from_flux(tmp_path)
