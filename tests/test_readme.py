"""The README tells the truth: its Python runs, and its commands print what stands below them.

``pytest tests/test_readme.py --bless`` writes what they print into the README.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rnnc.cli import cli

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run_python(code: str, names: dict[str, Any]) -> str:
    """What a block prints. One that trains is left out where PyTorch is not installed."""
    if "import torch" in code and not find_spec("torch"):
        return ""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "README.md", "exec"), names)
    return out.getvalue()


def run_console(block: str) -> str:
    """The commands of a block, each with what it prints."""
    shown = []
    for command in re.findall(r"^\$ (rnnc .*)\n", block, re.MULTILINE):
        result = CliRunner().invoke(cli, shlex.split(command)[1:], prog_name="rnnc")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        shown.append(f"$ {command}\n{result.output.rstrip()}\n")
    return "\n".join(re.sub(r" +$", "", text, flags=re.MULTILINE) for text in shown)


def played(text: str) -> str:
    """The README with its output as it is now: of commands below them, of Python in the next text block."""
    names: dict[str, Any] = {"__name__": "readme"}
    printed = ""

    def play(match: re.Match[str]) -> str:
        nonlocal printed
        kind, block = match.groups()
        if kind == "python":
            printed = run_python(block, names)
        elif kind == "console":
            block = run_console(block)
        elif kind == "text":
            block = printed
        return f"```{kind}\n{block}```"

    return FENCE.sub(play, text)


def test_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").symlink_to(ROOT / "models")
    text = README.read_text(encoding="utf-8")
    now = played(text)
    if request.config.getoption("--bless"):
        README.write_text(now, encoding="utf-8")
    else:
        assert now == text, "run pytest tests/test_readme.py --bless"
