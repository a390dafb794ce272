"""The step models themselves: they run, and what they remember matters."""

from __future__ import annotations

import numpy as np
import pytest

from tests.imported.models import KINDS, step_model
from tests.imported.step_model import frame_loop


@pytest.mark.parametrize("name", KINDS)
def test_states_matter(name: str) -> None:
    if KINDS[name].torch:
        pytest.importorskip("torch")
        pytest.importorskip("onnxscript")
    model = step_model(name, small=True)
    assert len(model.streams()) == 1
    inputs = model.inputs()
    assert model.state.keys() | set(model.outputs()) == {o.name for o in model.proto.graph.output}
    assert {*model.state.values(), *model.given, *model.constants} <= inputs.keys()

    frames, fixed = model.frames(3), model.fixed()
    ys, held = frame_loop(model, frames, fixed)
    assert {k: v.shape for k, v in held.items()} == {k: v.shape for k, v in model.zeros().items()}
    assert all(np.isfinite(y).all() for y in [*ys.values(), *held.values()])
    for name in held:
        others = model.zeros() | {name: np.ones_like(held[name])}
        zs, after = frame_loop(model, frames, fixed, others)
        changed = [not np.array_equal(a[k], b[k]) for a, b in ((ys, zs), (held, after)) for k in a]
        assert any(changed), f"{name} has no effect"
