"""ONNX's own node tests: imported as steps, compiled to two forms, and run; nothing read wrongly."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import Any

import pytest

from tools.backend_report import node_tests, outcome, recurrent

CASES = node_tests()
RECURRENT = [c for c in CASES if recurrent(c.model)]
#: One in so many of all others is run here; ``python -m tools.backend_report`` runs them all.
EVERY = 25
OTHERS = [c for c in CASES if not recurrent(c.model)][::EVERY]
#: What onnx.reference runs by a library that may be missing, and onnxruntime not at all.
PICTURES = pytest.mark.skipif(not find_spec("PIL"), reason="decoding a picture takes Pillow")

#: What a file may be refused for: what it takes or gives has no type of rnnc's, or it is older than opset 7.
REASONS = re.compile(r"an element type that rnnc does not have|is no tensor, but a|is of opset [1-6],")


@pytest.mark.parametrize("case", RECURRENT, ids=lambda c: c.name.removeprefix("test_"))
def test_a_recurrent_node_test_is_equal(case: Any) -> None:
    found = outcome(case)
    kinds = {i.type.WhichOneof("value") for i in case.model.graph.input}
    elements = {i.type.tensor_type.elem_type for i in case.model.graph.input}
    foreign = kinds != {"tensor_type"} or 16 in elements  # sequences, optional values; bfloat16
    assert (found.verdict, found.reason) == ("passed", "") or (foreign and REASONS.search(found.reason))


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=PICTURES if "image_decoder" in c.name else ()) for c in OTHERS],
    ids=lambda c: c.name.removeprefix("test_"),
)
def test_a_node_test_is_equal_or_refused_for_its_types(case: Any) -> None:
    found = outcome(case)
    assert found.verdict != "failed", found.reason
    assert found.verdict != "refused" or REASONS.search(found.reason)
