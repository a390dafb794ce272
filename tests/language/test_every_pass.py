"""After every pass of the chunk form, each state can still be set by its name, and is right afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnnc import passes
from rnnc.frontend.assemble import trace
from rnnc.ir import Graph
from rnnc.machine.reference import run
from rnnc.pipeline import Pass, Pipeline
from tests.semantics import Case, cases

#: Float32 weights, once folded together, are rounded once more.
TOLERANCE = 1e-6


@pytest.mark.parametrize("case", [c for c in cases() if "chunk" in c.forms], ids=str)
def test_states_are_set_and_read_by_name(case: Case) -> None:
    source = trace(case.model, {"x": case.x.shape[2:]})
    rng = np.random.default_rng(0)
    B = case.x.shape[1]
    given: dict[str, Any] = {
        s.path: rng.integers(-3, 4, [d if isinstance(d, int) else B for d in s.tensor.shape])
        for s in source.interface.states
    }
    meant = run(source, {"x": case.x}, given)
    assert meant.finals.keys() == given.keys()
    seen = []

    def check(p: Pass, _: Graph, after: Graph) -> None:
        seen.append(p.name)
        assert [s.path for s in after.interface.states] == [*given]
        found = run(after, {"x": case.x}, given)
        for name, y in meant.outputs.items():
            np.testing.assert_allclose(found.outputs[name], y, rtol=TOLERANCE, atol=TOLERANCE, err_msg=p.name)
        for path, state in meant.finals.items():
            np.testing.assert_allclose(
                found.finals[path], state, rtol=TOLERANCE, atol=TOLERANCE, err_msg=path
            )

    Pipeline.parse(passes.CHUNK).run(source, check)
    assert seen == [p.name for p in Pipeline.parse(passes.CHUNK).passes]
