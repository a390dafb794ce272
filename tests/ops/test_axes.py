"""The notation of axes."""

from __future__ import annotations

import pytest

from rnnc.dims import dim
from rnnc.ops import OPS
from rnnc.ops.axes import Leading, Spec, leading, specs
from rnnc.ops.shape import reshape, transpose
from tests.ops.cases import CASES, Case


def test_matmul() -> None:
    spec = Spec.parse("... m k, ... k n -> ... m n")
    assert [t.labels for t in spec.operands] == [("m", "k"), ("k", "n")]
    assert spec.operand(1).first == spec.front == "..."
    assert spec.contracted == {"k"}
    assert spec.new == set()


def test_windows_and_packs() -> None:
    spec = Spec.parse("b c *s~, o i *k, o -> b o *s~")
    assert spec.operand(0).labels == ("b", "c")
    assert spec.operand(0).windowed == {"*s"}
    assert spec.operand(1).windowed == set()
    assert spec.front == ""


def test_any_number_of_terms() -> None:
    assert Spec.parse("(*s)+ -> *s").operand(7).axes == ("*s",)
    assert Spec.parse("*s -> (*s)+").results[0].repeated
    assert Spec.parse("-> n").operands == ()
    assert Spec.parse("-> n").new == {"n"}


def test_without_results_it_is_no_spec() -> None:
    with pytest.raises(ValueError, match="write operands -> results"):
        Spec.parse("a b, b c")


def test_einsum_has_its_axes_in_its_equation() -> None:
    (spec,) = specs(OPS["einsum"], {"equation": "...ij, jk->...ik"})
    assert spec == Spec.parse("... i j, j k -> ... i k")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_there_is_a_term_for_each_operand(case: Case) -> None:
    for spec in specs(case.op, case.attrs):
        assert len(spec.operands) == len(case.op.operands) or case.op.variadic
        for slot, array in enumerate(case.arrays):
            term = spec.operand(slot)
            assert array.ndim >= len(term.labels) or case.op.name == "gather"


def test_leading_axis_shifts_what_counts_axes() -> None:
    how = leading(transpose, {"perm": (1, 0)}, [0])
    assert isinstance(how, Leading)
    assert how.attrs({"perm": (1, 0)}, dim("T")) == {"perm": (0, 2, 1)}
    how = leading(reshape, {"shape": (dim("B"), 6)}, [0])
    assert isinstance(how, Leading)
    assert how.attrs({"shape": (dim("B"), 6)}, dim("T")) == {"shape": (dim("T"), dim("B"), 6)}


@pytest.mark.parametrize(
    ("op", "attrs", "streams", "reason"),
    [
        ("tail", {"n": 2}, [0], "tail does not work independently over the first axis of x"),
        ("gather", {"axis": 0}, [0, 1], "gather does not work independently over the first axis of indices"),
        (
            "layer_norm",
            {"axis": 1},
            [1],
            "layer_norm does not work independently over the first axis of scale",
        ),
        ("delay", {"k": 1}, [0], "delay is structural"),
    ],
)
def test_reasons_why_not(op, attrs, streams, reason) -> None:
    assert leading(OPS[op], attrs, streams) == reason
