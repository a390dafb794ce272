"""Pipelines as text and running; remarks; and the golden harness, tested by feeding it what is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from rnnc.errors import FormError, Loc, TextError, VerifyError
from rnnc.ir import Graph, Interface
from rnnc.pipeline import ACYCLIC, LOWERED, PASSES, TYPED, Pass, Pipeline
from rnnc.remarks import Remark, collecting, remark
from rnnc.text import parse, show

ROOT = Path(__file__).resolve().parent.parent

NET = "net f(stream x: f32[B]) -> (y) { y: f32[B] = neg(x) }"


@pytest.fixture(autouse=True)
def passes() -> Iterator[None]:
    """A few passes that only these tests know."""
    before = dict(PASSES)

    @dataclass(frozen=True)
    class Twice(Pass):
        """Each ``neg`` twice more."""

        name: ClassVar[str] = "twice"

        def apply(self, graph: Graph) -> None:
            for value in graph.find("neg"):
                once = graph.add("neg", value, type=graph.type(value), like=value)
                again = graph.add("neg", once, type=graph.type(value), like=value)
                graph.outputs["y"] = again

    @dataclass(frozen=True)
    class Options(Pass):
        """An option of every kind."""

        name: ClassVar[str] = "options"
        steps: int = 1
        rate: float = 0.5
        one_by_one: bool = False
        plan: str = "any"
        limit: int | None = None

        def apply(self, graph: Graph) -> None:
            pass

    @dataclass(frozen=True)
    class Demand(Pass):
        """An option that must be given."""

        name: ClassVar[str] = "demand"
        steps: int

        def apply(self, graph: Graph) -> None:
            pass

    @dataclass(frozen=True)
    class Flatten(Pass):
        """Claims to make a graph acyclic."""

        name: ClassVar[str] = "flatten"
        gives: ClassVar[frozenset[str]] = frozenset({ACYCLIC})
        honest: bool = True

        def apply(self, graph: Graph) -> None:
            if self.honest:
                graph.level = "function"

    @dataclass(frozen=True)
    class Finish(Pass):
        """Works on acyclic graphs only."""

        name: ClassVar[str] = "finish"
        needs: ClassVar[frozenset[str]] = frozenset({TYPED, ACYCLIC, LOWERED})

        def apply(self, graph: Graph) -> None:
            remark(Remark("passed", "finish", "done"))

    @dataclass(frozen=True)
    class Breaks(Pass):
        """Breaks the graph in a way of choice."""

        name: ClassVar[str] = "breaks"
        what: str = "type"

        def apply(self, graph: Graph) -> None:
            if self.what == "type":
                graph.add("neg", "x", type=graph.type("x").with_shape(3), name="bad")
            else:
                graph.interface = Interface(graph.interface.inputs, graph.interface.outputs)

    yield
    PASSES.clear()
    PASSES.update(before)


# -- text ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "twice",
        "twice,twice,finish",
        "options{steps=8}",
        "options{steps=8,rate=1e-05,one-by-one=true,plan=lstm,limit=3},twice",
        'options{plan="a, {b}"}',
        "demand{steps=-2}",
    ],
)
def test_pipelines_round_trip(text):
    assert str(Pipeline.parse(text)) == text


def test_options_are_read_as_their_kinds():
    (p,) = Pipeline.parse(" options { steps=8 rate=2, plan=7 one-by-one=True,limit=none } ").passes
    assert vars(p) == {"steps": 8, "rate": 2.0, "one_by_one": True, "plan": "7", "limit": None}
    assert isinstance(vars(p)["rate"], float)


@pytest.mark.parametrize(
    ("text", "at", "message", "hint"),
    [
        ("twice,twise", "twise", "there is no pass twise", "Did you mean twice?"),
        ("twice,", "", "expected a name, not the end of the text", ""),
        ("options{step=8}", "step=", "options has no option step", "Did you mean steps?"),
        ("twice{steps=8}", "steps", "twice has no option steps", "It has none."),
        ("options{steps=8,steps=9}", "steps=9", "the option steps is given twice", ""),
        ("options{steps=1.5}", "1.5", "the option steps is of type int, which 1.5 is not", ""),
        ("options{one-by-one=1}", "1}", "the option one-by-one is of type bool, which 1 is not", ""),
        ("options{limit=x}", "x}", "the option limit is of type int or none, which x is not", ""),
        ("twice,demand", "demand", "demand needs the option steps", "Write demand{steps=…}."),
        ("options{steps}", "}", "expected '=', not '}'", ""),
        ("twice;twice", ";", "expected ',' or '{', not ';'", ""),
    ],
)
def test_faults_of_pipelines_have_a_place(text, at, message, hint):
    with pytest.raises(TextError) as caught:
        Pipeline.parse(text)
    error = caught.value
    assert (error.message, error.hint) == (message, hint)
    assert error.loc is not None
    assert text[error.loc.col :].startswith(at)
    assert "^" in str(error)


def test_two_passes_of_one_name_are_refused():
    with pytest.raises(ValueError, match="named twice"):

        class Other(Pass):
            name = "twice"


# -- running ------------------------------------------------------------------------------------------------


def test_passes_work_on_copies_and_tell_the_hook_what_they_did():
    graph, seen = parse(NET), []
    text = show(graph)
    after = Pipeline.parse("twice,twice").run(
        graph, lambda p, a, b: seen.append((p.name, len(a), len(b), b.edits))
    )
    assert show(graph) == text and not graph.frozen
    assert after.frozen and after.interface is graph.interface
    assert [(name, a, b) for name, a, b, _ in seen] == [("twice", 2, 4), ("twice", 4, 10)]
    assert {e.by for _, _, _, edits in seen for e in edits} == {"twice"}
    assert [len(edits) for _, _, _, edits in seen] == [2, 6]


def test_an_empty_pipeline_gives_a_frozen_copy():
    graph = parse(NET)
    after = Pipeline.parse("").run(graph)
    assert after is not graph and after.frozen and show(after) == show(graph)


def test_a_pass_that_breaks_the_graph_is_named():
    with pytest.raises(VerifyError, match=r"the pass breaks broke a graph: f: bad has type f32\[3\]"):
        Pipeline.parse("twice,breaks").run(parse(NET))
    with pytest.raises(VerifyError, match=r"the pass breaks\{what=face\} changed the interface of f"):
        Pipeline.parse("breaks{what=face}").run(parse(NET))


def test_a_graph_that_was_broken_before_is_no_fault_of_a_pass():
    with pytest.raises(VerifyError, match=r"^error: f: y has type") as caught:
        Pipeline.parse("twice").run(parse(NET.replace("y: f32[B]", "y: f32[3]")))
    assert "pass" not in caught.value.message


def test_invariants_are_asked_for_and_checked():
    Pipeline.parse("flatten,finish").run(parse(NET))
    with pytest.raises(FormError, match="finish needs a graph that is acyclic, and f is not") as caught:
        Pipeline.parse("finish").run(parse(NET))
    assert "flatten" in caught.value.hint
    with pytest.raises(VerifyError, match="promises a graph that is acyclic, and f is not"):
        Pipeline.parse("flatten{honest=false}").run(parse(NET))
    with pytest.raises(FormError, match="finish needs a graph that is lowered"):
        Pipeline.parse("finish").run(
            parse("function f(stream x: f32[T, B]) -> (y) { y: f32[T, B] = reverse(x) }")
        )


@pytest.mark.parametrize("again", ["lift", "unroll{steps=2}", "step"])
def test_streams_are_lowered_once(again):
    with pytest.raises(FormError, match="needs a graph that is streaming, and f is not"):
        Pipeline.parse(f"lift,{again}").run(parse(NET))


def test_remarks_go_to_whoever_collects():
    remark(Remark("missed", "lstm", "nobody hears this"))
    with collecting() as outer:
        with collecting() as inner:
            Pipeline.parse("flatten,finish").run(parse(NET))
        remark(Remark("missed", "lstm", "its gates share no product", Loc("models/x.py", 5, 6)))
    assert list(map(str, inner)) == ["passed: finish: done"]
    assert list(map(str, outer)) == ["models/x.py:5:7: missed: lstm: its gates share no product"]


# -- the golden harness -------------------------------------------------------------------------------------

PLUGIN = '''
from dataclasses import dataclass
from typing import ClassVar
from rnnc.build import Builder
from rnnc.errors import FormError
from rnnc.pipeline import Pass

@dataclass(frozen=True)
class Double(Pass):
    """Addition as a product with two, which is right for equal operands only."""
    name: ClassVar[str] = "double"
    def apply(self, graph):
        for value in graph.find("add"):
            graph.replace(value, Builder(graph, like=value)("mul", graph.operands(value)[0], 2.0))

@dataclass(frozen=True)
class Refuse(Pass):
    """Refuses."""
    name: ClassVar[str] = "refuse"
    def apply(self, graph):
        raise FormError("this pass wants none of it", hint="Leave it out.")
'''

RIGHT = """\
// A comment.
// RUN: double
net f(stream x: f32[B]) -> (y) {
  y: f32[B] = add(x, x)
}
// ----
net f(stream x: f32[B]) -> (y) {
  y: f32[B] = mul(x, 2.0)
}
"""
REFUSED = """\
// RUN: refuse
net f(stream x: f32[B]) -> (x) {
}
// ----
error: this pass wants none of it
  Leave it out.
"""
MISWRITTEN = RIGHT.replace("mul(x, 2.0)", "mul(2.0, x)")
UNFINISHED = RIGHT.partition("// ----\n")[0]
WRONG = RIGHT.replace("add(x, x)", "add(x, 1.0)")
FAULTY = RIGHT.replace("add(x, x)", "add(x, z)")
CASES = [RIGHT, REFUSED, MISWRITTEN, UNFINISHED, WRONG, FAULTY]


def golden(folder: Path, *options: str) -> tuple[str, str]:
    """Run a golden file of all cases: pytest's output, and the file afterwards."""
    (folder / "toy_passes.py").write_text(PLUGIN)
    file = folder / "double.rnnc"
    file.write_text("// ====\n".join(CASES))
    plugins = ["-p", "tests.conftest", "-p", "toy_passes"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugins, *options, str(file)]
    env = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(folder)))}
    env.pop("CI", None)  # with it, pytest repeats every message at the end
    run = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 1, run.stdout + run.stderr
    return run.stdout, file.read_text()


def test_golden_cases_fail_where_text_or_meaning_is_wrong(tmp_path):
    output, after = golden(tmp_path)
    assert "4 failed, 2 passed" in output
    assert "-  y: f32[B] = mul(2.0, x)\n+  y: f32[B] = mul(x, 2.0)\n" in output
    assert output.count("pytest --bless writes what was found into the file") == 2
    assert (
        "the pass double changed what the graph means: with T = 5 and B = 2, the output y differs" in output
    )
    assert "double.rnnc:47:22: error: z is not defined\n      y: f32[B] = add(x, z)\n" in output
    assert after == "// ====\n".join(CASES)


def test_blessing_writes_texts_and_no_wrong_meaning(tmp_path):
    output, after = golden(tmp_path, "--bless")
    assert "2 failed, 4 passed" in output
    assert "the pass double changed what the graph means" in output
    assert after == "// ====\n".join([RIGHT, REFUSED, RIGHT, RIGHT, WRONG, FAULTY])
