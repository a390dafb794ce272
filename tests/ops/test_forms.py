"""The ONNX forms of ops mean what their bodies mean: one-node models in several opsets, run by onnx.reference
and by onnxruntime."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, helper
from onnx.reference import ReferenceEvaluator

from rnnc.emit.nodes import write_node
from rnnc.emit.scope import Scope
from rnnc.emit.shapes import Sizes
from rnnc.ir import Node
from rnnc.types import type_of
from tests.ops.cases import CASES, Array, Case, flat

NEWEST = onnx.defs.onnx_opset_version()
OPSETS = (17, 18, 20, 21, NEWEST)


def one_node_model(case: Case, opset: int) -> ModelProto:
    """The model that has the op as its only node, written from the op's form."""
    operands = [(f"x{i}", type_of(a)) for i, a in enumerate(case.arrays)]
    result = case.op.infer(*(t for _, t in operands), **case.attrs)
    outputs = {f"y{k}": t for k, t in enumerate(flat(result))}
    scope = Scope(opset)
    node = Node(case.op.name, result, case.attrs)
    write_node(scope, Sizes(scope), node, operands, outputs, name="node", doc="")
    graph = scope.graph("one", dict(operands), outputs)
    imports = [helper.make_opsetid("", opset)]
    version = helper.find_min_ir_version_for(imports)
    imports += [helper.make_opsetid(domain, 1) for domain in sorted(scope.domains)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=version)
    onnx.checker.check_model(model, full_check=True)
    return model


WITH_FORM = [c for c in CASES if c.op.forms]


def test_only_what_is_lowered_has_no_form() -> None:
    assert all(bool(c.op.forms) != bool(c.op.lowered) for c in CASES)


def agree_in_every_opset(case: Case, run: Callable[[ModelProto, dict[str, Array]], list[Array]]) -> None:
    """What ``run`` makes of the op's one-node models is what its body gives in float64."""
    single = case.in_floats("float32")
    wanted = single.in_floats("float64").run()
    feeds = {f"x{i}": a for i, a in enumerate(single.arrays)}
    oldest = min(f.since for f in case.op.forms)
    for opset in sorted({max(opset, oldest) for opset in OPSETS}):
        found = run(one_node_model(single, opset), feeds)
        for f, w, t in zip(found, wanted, single.types(), strict=True):
            assert type_of(np.asarray(f)) == t
            np.testing.assert_allclose(f, w, rtol=case.op.tolerance, atol=case.op.tolerance)


def by_reference(model: ModelProto, feeds: dict[str, Array]) -> list[Array]:
    return list(ReferenceEvaluator(model).run(None, feeds))


def by_onnxruntime(model: ModelProto, feeds: dict[str, Array]) -> list[Array]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(session.run(None, feeds))


@pytest.mark.parametrize("case", [c for c in WITH_FORM if c.reference], ids=str)
def test_onnx_reference_agrees(case: Case) -> None:
    agree_in_every_opset(case, by_reference)


@pytest.mark.parametrize("case", WITH_FORM, ids=str)
def test_onnxruntime_agrees(case: Case) -> None:
    agree_in_every_opset(case, by_onnxruntime)
