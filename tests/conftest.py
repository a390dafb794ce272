"""Golden files: a pipeline, a graph, and the graph that it must become.

    // RUN: canonicalize,unroll{steps=2}
    net …
    // ----
    function …

``// ====`` starts another case in the same file. Where the pipeline must refuse the graph, the second half is
its error. ``pytest --bless`` writes what was found into the second halves.

That the text is as expected says nothing on whether it is right. So the graph before the pipeline, and after
each of its passes, runs on the reference machine, and all must agree, blessed or not.
"""

from __future__ import annotations

import difflib
import importlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from rnnc.errors import RnncError, VerifyError
from rnnc.ir import Graph
from rnnc.pipeline import Pass, Pipeline
from rnnc.text import parse, show
from tests.browser import browser as browser
from tests.browser import chromium as chromium
from tests.meaning import disagreement, with_params

CUT = "// ----\n"
NEXT = "// ====\n"

#: How many graphs each generated test draws in a normal run.
EXAMPLES = 20


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bless", action="store_true", help="rewrite golden files to what is found")
    parser.addoption("--examples", type=int, help="draw so many graphs for each generated test, and new ones")


def pytest_configure(config: pytest.Config) -> None:
    """A normal run draws a few graphs, the same every time."""
    count: int | None = config.getoption("--examples")
    settings.register_profile(
        "rnnc",
        max_examples=count or EXAMPLES,
        derandomize=count is None,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("rnnc")


def pytest_collect_file(parent: pytest.Collector, file_path: Path) -> pytest.Collector | None:
    return GoldenFile.from_parent(parent, path=file_path) if file_path.suffix == ".rnnc" else None


class Mismatch(Exception):
    """What a golden case found wrong, to be shown without a traceback."""


class GoldenFile(pytest.File):
    def collect(self) -> Iterator[pytest.Item]:
        for index, case in enumerate(self.path.read_text(encoding="utf-8").split(NEXT)):
            yield Golden.from_parent(self, name=f"{index}-{run_line(case)}", index=index)


class Golden(pytest.Item):
    def __init__(self, index: int, **kwargs: object) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self.index = index

    def runtest(self) -> None:
        importlib.import_module("rnnc.passes")  # where pipelines know them from
        cases = self.path.read_text(encoding="utf-8").split(NEXT)
        given, _, expected = cases[self.index].partition(CUT)
        lines_before = sum(case.count("\n") + 1 for case in cases[: self.index])
        found = self.found("\n" * lines_before + given, run_line(given))
        if found == expected:
            return
        if not self.config.getoption("--bless"):
            diff = difflib.unified_diff(
                expected.splitlines(), found.splitlines(), "expected", "found", lineterm=""
            )
            raise Mismatch("\n".join([*diff, "", "pytest --bless writes what was found into the file"]))
        cases[self.index] = given.rstrip("\n") + "\n" + CUT + found
        self.path.write_text(NEXT.join(cases), encoding="utf-8")

    def found(self, text: str, run: str) -> str:
        """What the pipeline makes of the graph, having checked that each pass kept its meaning."""
        before = with_params(parse(text, str(self.path)))
        after: list[tuple[Pass, Graph]] = []
        try:
            result = Pipeline.parse(run).run(before, hook=lambda p, _, graph: after.append((p, graph)))
        except VerifyError:
            raise
        except RnncError as error:
            return f"{type(error)(error.message, hint=error.hint, notes=error.notes)}\n"
        for p, graph in after:
            if what := disagreement(before, graph):
                raise Mismatch(f"the pass {p} changed what the graph means: {what}\n\n{show(graph)}")
        found = show(result)
        if show(parse(found)) != found:
            raise Mismatch(f"this text does not read back as itself:\n\n{found}")
        return found

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *args: object) -> str:
        if isinstance(excinfo.value, Mismatch | RnncError):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[os.PathLike[str], int, str]:
        return self.path, 0, self.name


def run_line(case: str) -> str:
    """The pipeline of a case."""
    found = re.search(r"^// RUN: *(.*)$", case, re.MULTILINE)
    return found[1].strip() if found else ""
