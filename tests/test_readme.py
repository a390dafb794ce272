"""The README and the pages in docs tell the truth: Python runs, and commands print what stands below them.

A block that begins with ``# name.py`` is also a file of that name, for the commands after it.

``pytest tests/test_readme.py --bless`` writes what they print into the pages.
"""

from __future__ import annotations

import ast
import contextlib
import io
import linecache
import re
import shlex
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rnnc.cli import cli
from tests.triton import serving

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

#: What a page takes that is not of the test's own: a library, or a server in its place.
NEEDS = {
    "triton.md": "tritonclient.grpc",
    "deploy.md": "tritonclient.grpc",
    "first-model.md": "torch",
    "python.md": "torch",
    "import-pytorch.md": "onnxscript",
}

#: Where a page looks for a server of Triton's.
TRITON = "localhost:8001"

#: How far two computations are apart, which differs from machine to machine.
ROUNDING = re.compile(r" +\d\.\de-\d\d ")

FILE = re.compile(r"# (\w+\.py)\n")

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run_python(code: str, page: str, names: dict[str, Any]) -> str:
    """What a block prints. One that trains is left out where PyTorch is not installed."""
    if "import torch" in code:
        if not find_spec("torch"):
            return ""
        import_module("torch").set_num_threads(1)  # others may wait for the processors too
    if file := FILE.match(code):
        page = str(Path(file[1]).resolve())
        Path(page).write_text(code, encoding="utf-8")
        linecache.checkcache(page)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, page, "exec"), names)
    return out.getvalue()


def run_console(block: str) -> str:
    """The commands of a block, each with what it prints."""
    shown = []
    for command in re.findall(r"^\$ (rnnc .*)\n", block, re.MULTILINE):
        result = CliRunner().invoke(cli, shlex.split(command)[1:], prog_name="rnnc")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        shown.append(f"$ {command}\n{result.output.rstrip()}\n")
    return "\n".join(re.sub(r" +$", "", text, flags=re.MULTILINE) for text in shown)


def played(text: str, page: str) -> str:
    """A page with its output as it is now: of commands below them, of Python in the next text block."""
    names: dict[str, Any] = {"__name__": "page"}
    printed = ""

    def play(match: re.Match[str]) -> str:
        nonlocal printed
        kind, block = match.groups()
        if kind == "python":
            printed = run_python(block, page, names)
        elif kind == "console":
            block = run_console(block)
        elif kind == "text":
            block = printed
        return f"```{kind}\n{block}```"

    return FENCE.sub(play, text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if page.name in NEEDS:
        pytest.importorskip(NEEDS[page.name])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").symlink_to(ROOT / "models")
    text = page.read_text(encoding="utf-8")
    if TRITON in text:
        with serving(tmp_path / "repository") as address:
            now = played(text.replace(TRITON, address), page.name).replace(address, TRITON)
    else:
        now = played(text, page.name)
    if request.config.getoption("--bless"):
        page.write_text(now, encoding="utf-8")
    else:
        assert ROUNDING.sub("", now) == ROUNDING.sub("", text), "run pytest tests/test_readme.py --bless"


def prose(page: Path) -> str:
    """A page without its blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """What its headings are linked by."""
    found = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", prose(page)):
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists() and (not anchor or anchor in anchors(target)), link


def test_every_refusal_is_explained() -> None:
    """What a plan says that cannot run a loop stands on the page of such loops."""
    page = (ROOT / "docs" / "explanation" / "native.md").read_text(encoding="utf-8")
    files = [f for folder in ("rnnc/plans", "passes") for f in (ROOT / folder).glob("*.py")]
    nodes = [
        node for f in files for node in ast.walk(ast.parse(f.read_bytes())) if isinstance(node, ast.Call)
    ]
    said = [node.args[0] for node in nodes if ast.unparse(node.func) == "Refused"]
    texts = [
        "".join(re.escape(str(p.value)) if isinstance(p, ast.Constant) else ".+" for p in parts)
        for parts in (s.values if isinstance(s, ast.JoinedStr) else [s] for s in said)
        if not isinstance(parts[0], ast.Name)
    ]
    assert len(texts) > 30
    assert [t for t in texts if not re.search(t, page)] == [], "give it a cell, or a line in the last table"
