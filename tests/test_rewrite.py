"""Rules and the passes made of them: matching, the worklist, regions, and the law of delays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rnnc.passes  # noqa: F401 - pipelines know the passes
from rnnc.errors import RnncError, VerifyError
from rnnc.ir import Graph
from rnnc.loops.bodies import edit_body, shrink
from rnnc.machine.reference import random_arrays, run
from rnnc.ops import OPS, add, concat, mul, neg, relu, tanh, where
from rnnc.ops import slice as cut
from rnnc.passes.share import congruence
from rnnc.pipeline import Pipeline
from rnnc.rewrite import Rules, Value, Var, apply_rules, constant, rewrite, ruleset, sweep
from rnnc.text import parse, show
from tests.conftest import CUT, NEXT, run_line
from tests.meaning import with_params

GOLDEN = Path(__file__).parent / "golden"

#: The passes that are rules, or about delays: all are to find nothing more in what they made.
PASSES = (
    "fold",
    "share",
    "algebra",
    "canonicalize",
    "share-delays",
    "unpack-delays",
    "retime",
    "hoist",
    "taps",
)


def graph(body: str, head: str = "stream x: f32[B, 3], stream z: f32[B, 3]", outputs: str = "y") -> Graph:
    return parse(f"net f({head}) -> ({outputs}) {{\n{body}\n}}\n").copy()


def ops(g: Graph) -> list[str]:
    return sorted(g[v].op for v in g if g[v].op not in ("input", "const", "param", "init"))


# -- matching -----------------------------------------------------------------------------------------------


def test_commutative_operands_match_with_backtracking() -> None:
    @ruleset
    def rules(a: Var, b: Var) -> Rules:
        # The first order of the outer sum binds a to the product, which then has no tanh(a).
        yield rewrite((a + b) * (tanh(a) + neg(b))).to(relu(a))

    for first, second in (("x", "z"), ("z", "x")):
        for left, right in (("%1", "%2"), ("%2", "%1")):
            g = graph(
                f"""%0: f32[B, 3] = add({first}, {second})
                %1: f32[B, 3] = tanh(x)
                %2: f32[B, 3] = neg(z)
                %3: f32[B, 3] = add({left}, {right})
                y: f32[B, 3] = mul(%3, %0)"""
            )
            apply_rules(g, rules)
            assert (ops(g), g.operands("y")) == (["relu"], ("x",))


def test_a_variable_stands_for_one_value() -> None:
    @ruleset
    def rules(a: Var) -> Rules:
        yield rewrite(a + a).to(a * 2)

    g = graph("%0: f32[B, 3] = add(x, z)\ny: f32[B, 3] = add(%0, %0)")
    apply_rules(g, rules)
    assert ops(g) == ["add", "mul"]


def test_constants_match_by_value_in_any_shape() -> None:
    @ruleset
    def rules(a: Var) -> Rules:
        yield rewrite(a + 0).to(a)

    zeros = "c: f32[3] = const() {value = f32[3] (0.0, 0.0, 0.0)}\n"
    mixed = "c: f32[3] = const() {value = f32[3] (0.0, 0.0, 1.0)}\n"
    for text, left in ((zeros, []), (mixed, ["add"])):
        g = graph(text + "y: f32[B, 3] = add(c, x)")
        apply_rules(g, rules)
        assert ops(g) == left


def test_attributes_match_and_bind() -> None:
    @ruleset
    def rules(a: Var, i: Var, j: Var, *rest: Var) -> Rules:
        yield (
            rewrite(cut(a, axis=1, start=i, stop=j, step=1))
            .to(cut(a, axis=1, start=i, stop=j))
            .when(lambda i, j: j - i == 7)
        )
        yield (
            rewrite(concat(a, *rest, axis=1))
            .to(lambda a, rest: concat(*rest, a, axis=1))
            .when(lambda a, rest: a.name == "x" and len(rest) == 2)
        )

    g = graph(
        """y: f32[B, 9] = concat(x, z, z) {axis = 1}
        w: f32[B, 2] = slice(x) {axis = 1, start = 0, stop = 2}""",
        outputs="y, w",
    )
    apply_rules(g, rules)
    assert g.operands("y") == ("z", "z", "x")
    assert g["w"].attrs["stop"] == 2


def test_constant_binds_an_array() -> None:
    @ruleset
    def rules(a: Var, c: Var) -> Rules:
        yield rewrite(a * constant(c)).to(lambda a, c: a + a.const(c - 1)).when(lambda c: c.max() > 1)

    g = graph("y: f32[B, 3] = mul(3.0, x)")
    apply_rules(g, rules)
    assert show(g).count("add(x, 2.0)") == 1


# -- rewriting ----------------------------------------------------------------------------------------------


def test_a_rule_is_known_by_its_line() -> None:
    @ruleset
    def rules(a: Var) -> Rules:
        yield rewrite(neg(neg(a))).to(a)

    line = next(i for i, s in enumerate(Path(__file__).read_text().splitlines(), 1) if "neg(neg(a))" in s)
    g = graph("%0: f32[B, 3] = neg(x)\n%1: f32[B, 3] = neg(%0)\ny: f32[B, 3] = tanh(%1)")
    apply_rules(g, rules)
    assert {e.by for e in g.edits} == {f"tests/test_rewrite.py:{line}"}
    assert [e.verb for e in g.edits] == ["replace", "erase", "erase"]


def test_rules_that_do_not_end_are_named() -> None:
    @ruleset
    def rules(a: Var, b: Var) -> Rules:
        yield rewrite(a + b).to(b + a)

    g = graph("y: f32[B, 3] = add(x, z)")
    with pytest.raises(
        VerifyError, match=r"rules do not end in f: the last to apply was tests/test_rewrite\.py:\d+"
    ):
        apply_rules(g, rules)


def test_a_result_is_expanded_to_the_type_it_had() -> None:
    @ruleset
    def rules(a: Var, b: Var, c: Var) -> Rules:
        yield rewrite(where(c, a, b)).to(b)
        yield rewrite(mul(a, b)).to(0)

    g = graph(
        """%0: bool[B, 3] = less(x, z)
        w: f32[B, 3] = where(%0, x, 1.0)
        y: f32[B, 3] = mul(x, z)""",
        outputs="y, w",
    )
    apply_rules(g, rules)
    assert [(g[v].op, str(g.type(v))) for v in "yw"] == [("expand", "f32[B, 3]")] * 2


def test_a_result_of_another_type_is_refused() -> None:
    @ruleset
    def rules(a: Var) -> Rules:
        yield rewrite(tanh(a)).to(lambda a: OPS["cast"](a, dtype="f64"))
        yield rewrite(neg(a)).to(lambda a: OPS["unsqueeze"](a, axes=(0,)))

    g = graph("%0: f32[B, 3] = tanh(x)\ny: f32[B, 3] = neg(%0)")
    apply_rules(g, rules)
    assert ops(g) == ["neg", "tanh"]


def test_a_function_may_decline() -> None:
    def doubled(root: Value, a: Value) -> Value | None:
        found: Value = add(a, a)
        return found if root.name == "y" else None

    @ruleset
    def rules(a: Var) -> Rules:
        yield rewrite(neg(a)).to(doubled)

    g = graph("%0: f32[B, 3] = neg(x)\ny: f32[B, 3] = neg(%0)")
    apply_rules(g, rules)
    assert ops(g) == ["add", "neg"]


def test_users_of_what_changed_are_looked_at_again() -> None:
    @ruleset
    def rules(a: Var) -> Rules:
        yield rewrite(neg(neg(neg(neg(a))))).to(a)
        yield rewrite(tanh(neg(a))).to(neg(tanh(a)))

    depth = 40
    body = [f"%{i}: f32[B, 3] = {'tanh' if i % 2 else 'neg'}(%{i - 1})" for i in range(1, depth)]
    g = graph("\n".join(["%0: f32[B, 3] = neg(x)", *body, f"y: f32[B, 3] = tanh(%{depth - 1})"]))
    apply_rules(g, rules)
    assert ops(g).count("neg") == 0


def test_a_delay_of_its_own_value_reads_itself() -> None:
    @ruleset
    def rules(a: Var) -> Rules:
        yield rewrite(a * 1).to(a)

    g = graph("y1: f32[B, 3] = delay(y, 0.0) {k = 1}\ny: f32[B, 3] = mul(y1, 1.0)")
    apply_rules(g, rules)
    assert g.outputs == {"y": "y1"}
    assert g.operands("y1")[0] == "y1"


def test_sweep_keeps_sources_and_breaks_dead_loops() -> None:
    g = graph(
        """a1: f32[B, 3] = delay(a, 0.0) {k = 1}
        b1: f32[B, 3] = delay(b, 0.0) {k = 2}
        a: f32[B, 3] = add(a1, b1)
        b: f32[B, 3] = add(b1, a)
        y: f32[B, 3] = tanh(x)"""
    )
    sweep(g)
    assert sorted(g) == ["x", "y", "z"]


def test_loops_are_congruent_only_if_all_of_them_is() -> None:
    def classes(init: float) -> dict[str, int]:
        lines = []
        for v, start in (("a", 0.0), ("b", init)):
            lines += [f"{v}1: f32[B, 3] = delay({v}, {start}) {{k = 1}}", f"{v}: f32[B, 3] = add({v}1, x)"]
        return congruence(graph("\n".join([*lines, "y: f32[B, 3] = sub(a, b)"])))

    same, different = classes(0.0), classes(0.5)
    assert same["a"] == same["b"]
    assert different["a"] != different["b"]


# -- regions ------------------------------------------------------------------------------------------------

LOOP = """function f(stream x: f32[T, B, 3], state y: f32[B, 3] = %2) -> (y) {
  %0: (f32[T, B, 3], f32[T, B, 3], f32[B, 3], f32[B, 3]) = region(x, x, y.init, y.init) {steps = T, body =
    net loop(stream a: f32[B, 3], stream b: f32[B, 3], state s: f32[B, 3], state r: f32[B, 3]) -> (s, t) {
      s1: f32[B, 3] = delay(s, s.init) {k = 1}
      r1: f32[B, 3] = delay(r, r.init) {k = 1}
      %0: f32[B, 3] = add(a, s1)
      s: f32[B, 3] = add(%0, READ)
      r: f32[B, 3] = add(r1, b)
      t: f32[B, 3] = exp(r)
    }
  }
  y: f32[T, B, 3] = item(%0) {k = 0}
  %2: f32[B, 3] = item(%0) {k = 2}
}
"""


@pytest.mark.parametrize(("read", "states", "inputs"), [("b", ["s"], ["a"]), ("r1", ["s", "r"], ["a"])])
def test_a_region_keeps_the_states_that_its_results_need(
    read: str, states: list[str], inputs: list[str]
) -> None:
    g = parse(LOOP.replace("READ", read)).copy()
    region = shrink(g, g.find("region")[0])
    face = g[region].attrs["body"].interface
    assert [s.path for s in face.states] == states
    assert [i.name for i in face.inputs] == inputs
    assert [o.name for o in face.outputs] == ["s"]
    assert g[g.finals["y"]].attrs["k"] == 1


def test_a_body_without_changes_stays_the_same_object() -> None:
    g = parse(LOOP.replace("READ", "r1")).copy()
    region = shrink(g, g.find("region")[0])
    body, edits = g[region].attrs["body"], len(g.edits)
    assert edit_body(g, region, sweep) == region
    assert g[region].attrs["body"] is body
    assert body.frozen
    assert len(g.edits) == edits


# -- the passes ---------------------------------------------------------------------------------------------


def cases() -> list[tuple[str, str, str]]:
    found = []
    for name in PASSES:
        for i, case in enumerate((GOLDEN / f"{name}.rnnc").read_text(encoding="utf-8").split(NEXT)):
            found.append((f"{name}-{i}", run_line(case), case.partition(CUT)[0]))
    return found


CASES = pytest.mark.parametrize(("pipeline", "text"), [c[1:] for c in cases()], ids=[c[0] for c in cases()])


@CASES
def test_a_pass_finds_nothing_in_what_it_made(pipeline: str, text: str) -> None:
    whole = Pipeline.parse(pipeline)
    once = whole.run(with_params(parse(text)))
    again = once.copy()
    with again.editing("again"):
        whole.passes[-1].apply(again)
    assert again.edits == []


@CASES
def test_states_can_be_carried_over_after_every_pass(pipeline: str, text: str) -> None:
    """The law of delays: run in pieces, with the states fed back through ``.init``, nothing changes."""
    before = with_params(parse(text))
    if before.level != "stream" or any(before[d].attrs["k"] < 0 for d in before.find("delay")):
        pytest.skip("it has no states to carry over")
    arrays = random_arrays(before, seed=1, T=7, B=2)
    whole = run(before, arrays.inputs, states=arrays.states, sizes={"T": 7, "B": 2})
    streams = {i.name for i in before.interface.inputs if i.kind == "stream"}
    g = before.copy()
    for p in (p for p in Pipeline.parse(pipeline).passes if p.name not in ("bind", "lift")):
        p.apply(g)
        if g.level != "stream":
            break
        states, outputs = arrays.states, []
        for start, stop in ((0, 1), (1, 3), (3, 7)):
            part = {n: a[start:stop] if n in streams else a for n, a in arrays.inputs.items()}
            piece = run(g, part, states=states, sizes={"T": stop - start, "B": 2})
            outputs.append(piece.outputs)
            states = {**states, **piece.finals}
        for name, expected in whole.outputs.items():
            np.testing.assert_allclose(
                np.concatenate([o[name] for o in outputs]), expected, rtol=1e-9, atol=1e-12
            )
        for path, expected in whole.finals.items():
            np.testing.assert_allclose(states[path], expected, rtol=1e-9, atol=1e-12)


def test_folding_warns_of_nothing_and_leaves_what_is_not_here() -> None:
    g = graph("%0: f32[] = log(0.0)\ny: f32[B, 3] = maximum(x, %0)")
    Pipeline.parse("canonicalize").run(g.freeze())
    digest = graph("c: f32[9] = const() {value = f32[9]#1a2b3c4d}\n%0: f32[9] = neg(c)\ny: f32[9] = exp(%0)")
    assert "neg(c)" in show(Pipeline.parse("fold").run(digest.freeze()))


def test_long_chains_take_linear_time() -> None:
    n = 3000
    lines = [f"%{i}: f32[B, 3] = {'neg' if i % 3 else 'tanh'}(%{i - 1})" for i in range(1, n)]
    g = graph("\n".join(["%0: f32[B, 3] = add(x, 0.0)", *lines, f"y: f32[B, 3] = mul(1.0, %{n - 1})"]))
    found = Pipeline.parse("canonicalize").run(g.freeze())
    assert set(ops(found)) == {"tanh"}


def test_passes_refuse_nothing_that_they_do_not_know() -> None:
    g = graph("%0: f32[B, 3] = last(x)\ny: f32[B, 3] = tanh(%0)", outputs="last y")
    try:
        Pipeline.parse("canonicalize,share-delays,unpack-delays,retime,hoist,canonicalize").run(g.freeze())
    except RnncError as error:
        pytest.fail(str(error))
