"""The rules of the house: who may import whom, what every op and pass must have, where things live."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

import rnnc
from rnnc.ops import OPS

ROOT = Path(__file__).resolve().parent.parent

#: The modules of ``rnnc`` in layers, lowest first, one layer a line. A module imports only from its own line
#: and the lines before it. A package stands for all its modules, except those that are named themselves.
LAYERS = """
errors
aside dims
types
foreign
remarks text.syntax
ops.declare
ops
ir
build timing text.literals
text loops.regions machine.library
view.scene view.notebook
verify loops.slots
rewrite
addition loops machine
pipeline
steps plans
passes
frontend
torch
rnnc cells
flux
emit
inspect ports
stripping
importer
pytorch
runtime
serving
service
tune
autotune compiler
explain check view
export
cli
__main__
"""

#: Imports against the layers, and why: (importer, imported) -> reason.
UPWARD: dict[tuple[str, str], str] = {
    ("rnnc", "rnnc.compiler"): "the public face, loaded when it is asked for",
    ("rnnc", "rnnc.flux"): "the public face, loaded when it is asked for",
    ("rnnc", "rnnc.importer"): "the public face, loaded when it is asked for",
    ("rnnc", "rnnc.pytorch"): "the public face, loaded when it is asked for",
    ("rnnc.foreign", "rnnc.runtime.sessions"): "what onnx.reference cannot run; onnxruntime is reached there",
    ("rnnc", "rnnc.runtime"): "the public face, loaded when it is asked for",
    ("rnnc", "rnnc.serving"): "the public face, loaded when it is asked for",
    ("rnnc.frontend.nets", "rnnc.pytorch.layers"): "LSTM.from_torch(…) is a method, and torch an extra",
    ("rnnc.frontend.layers", "rnnc.torch"): "layer.to_torch() is a method, and torch an extra",
}

#: The only modules and packages that may import these libraries; none does so while ``import rnnc`` runs.
IMPORTERS = {
    "onnx": {
        "rnnc.emit",
        "rnnc.inspect",
        "rnnc.check",
        "rnnc.importer",
        "rnnc.foreign",
        "rnnc.export",
        "rnnc.view",
        "rnnc.pytorch",
    },
    "onnxruntime": {"rnnc.runtime"},
    "ray": {"rnnc.service"},
}

MAX_LINES = 400

FOLDERS = ("rnnc", "passes", "models", "tools", "tests")
TEXTS = ("docs",)
PAGES = ("README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md")
SETTINGS = ("pyproject.toml", "Makefile", ".ci", ".editorconfig", ".gitattributes", ".gitignore")


def module_name(file: Path) -> str:
    """The dotted name that ``file`` is imported by; ``passes`` is reached through the link in ``rnnc``."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(("rnnc", *parts) if parts[0] == "passes" else parts).removesuffix(".__init__")


FILES = [f for d in FOLDERS for f in sorted((ROOT / d).rglob("*.py"))]
TREES = {module_name(f): ast.parse(f.read_bytes(), f) for f in FILES}
ENGINE = [m for m in TREES if m.partition(".")[0] == "rnnc"]
PASSES = [m for m in ENGINE if m.startswith("rnnc.passes.") and not m.rpartition(".")[2].startswith("_")]
DEPTH = {name: depth for depth, line in enumerate(LAYERS.strip().splitlines()) for name in line.split()}


def imports(module: str) -> Iterator[tuple[str, int]]:
    """Every module that ``module`` imports, wherever in its text, and on which line."""
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{module}:{node.lineno}: a relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in TREES else node.module, node.lineno


def depth(module: str) -> int | None:
    """How high in ``LAYERS`` a module of the engine stands; ``None`` if it has no line there."""
    name = module.removeprefix("rnnc.")
    while name not in DEPTH and "." in name:
        name = name.rpartition(".")[0]
    return DEPTH.get(name)


@pytest.mark.parametrize("module", ENGINE)
def test_imports_run_downward(module: str) -> None:
    here = depth(module)
    assert here is not None, f"{module} has no layer: give it a place in LAYERS of {Path(__file__).name}"
    for target, line in imports(module):
        if target.partition(".")[0] in FOLDERS and (module, target) not in UPWARD:
            there = depth(target)
            assert there is not None and there <= here, (
                f"{module}:{line} imports {target}, which is not below it: move what both need down"
            )


@pytest.mark.parametrize("library", IMPORTERS)
def test_few_modules_import(library: str) -> None:
    found = {m for m in ENGINE for target, _ in imports(m) if target.partition(".")[0] == library}
    allowed = {m for m in found for a in IMPORTERS[library] if f"{m}.".startswith(f"{a}.")}
    assert found - allowed == set(), f"go through {IMPORTERS[library]} instead of importing {library}"


def test_importing_rnnc_is_light() -> None:
    script = "import sys, rnnc; print(*{'onnx', 'onnxruntime', 'torch'} & sys.modules.keys())"
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == [], "import these inside the function that needs them"


def test_passes_is_imported_as_rnnc_passes() -> None:
    found = ((m, line, target.partition(".")[0]) for m in TREES for target, line in imports(m))
    wrong = [f"{module}:{line}" for module, line, top in found if top == "passes"]
    assert wrong == [], "import rnnc.passes: a user's own passes.py may shadow the name passes"


def test_passes_is_linked_into_rnnc() -> None:
    link = ROOT / "rnnc" / "passes"
    assert link.is_symlink()
    assert link.readlink() == Path("../passes")


@pytest.mark.parametrize("name", OPS)
def test_every_op_is_whole(name: str) -> None:
    op = OPS[name]
    parts: dict[str, object] = {"docstring": op.doc}
    if not op.structural:
        body = ast.parse(textwrap.dedent(inspect.getsource(op.body)))
        meaning = any(isinstance(node, ast.Return) for node in ast.walk(body))
        form = op.forms or op.lowered
        parts |= {"type rule": op.type_rule, "meaning": meaning, "axes": op.axes, "ONNX form": form}
    missing = [part for part, given in parts.items() if not given]
    assert missing == [], f"op {name} lacks these, and is not structural"


def golden_name(module: str) -> str:
    """What the golden files of a pass begin with."""
    return module.rpartition(".")[2].replace("_", "-")


def golden_owner(stem: str) -> str:
    """The pass that a golden file is about: the one with the longest name that the file's begins with."""
    return max((n for n in map(golden_name, PASSES) if stem.startswith(n)), key=len, default="")


@pytest.mark.parametrize("module", PASSES)
def test_every_pass_has_a_docstring_and_a_golden_file(module: str) -> None:
    assert ast.get_docstring(TREES[module]), "say what the pass is, and show before and after"
    golden = {golden_owner(f.stem) for f in (ROOT / "tests" / "golden").glob("*.rnnc")}
    assert golden_name(module) in golden, f"write tests/golden/{golden_name(module)}.rnnc"


def test_files_are_short() -> None:
    lengths = {module_name(f): len(f.read_text(encoding="utf-8").splitlines()) for f in FILES}
    assert {m: n for m, n in lengths.items() if n > MAX_LINES} == {}, "take the file apart"


def test_top_level_names() -> None:
    git = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    run = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode:
        pytest.skip("not a git checkout")
    assert {line.partition("/")[0] for line in run.stdout.splitlines()} <= {
        *FOLDERS,
        *TEXTS,
        *PAGES,
        *SETTINGS,
    }


def test_the_face_is_there() -> None:
    assert len(set(rnnc.__all__)) == len(rnnc.__all__)
    assert [name for name in rnnc.__all__ if not hasattr(rnnc, name)] == []
