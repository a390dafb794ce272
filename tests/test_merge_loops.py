"""Loops over the same steps, run as one: equal to the loops by themselves, whole, ragged and in pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnnc import cells, net, passes, tanh, zeros
from rnnc.cells.zoo import mLSTM
from rnnc.compiler import compile
from rnnc.frontend.assemble import trace
from rnnc.machine.reference import random_arrays, run
from rnnc.pipeline import Pipeline
from rnnc.runtime import session
from tests.seeded.checks import in_pieces
from tests.streaming import close


@net
def tower(x, *, h=zeros(3), g=zeros(3)):
    h = tanh(x + 0.5 * h[-1])
    g = tanh(h + 0.5 * g[-1])
    return g


MODELS: dict[str, tuple[Any, int]] = {
    "mLSTM": (mLSTM(3, 4, 5), 2),
    "both directions": (cells.Bidirectional(cells.LayerNormLSTM(3, 4), cells.LayerNormLSTM(3, 5)), 2),
    "tower": (tower, 1),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("lengths", [False, True])
def test_in_files(name: str, lengths: bool) -> None:
    model, loops = MODELS[name]
    graph = trace(model, shapes={"x": (3,)})
    text = passes.SEQUENCE.replace("choose", "choose{plan=scan}")
    text = text.replace("lift,", "lift{lengths=true},") if lengths else text
    assert len(Pipeline.parse(text).run(graph).find("region")) == loops
    file = session(compile(graph, "sequence", pipeline=text, lengths=lengths))
    for T, B in ((0, 1), (1, 1), (2, 3), (7, 3), (40, 1)):
        feeds = {k: v.astype(np.float32) for k, v in random_arrays(graph, seed=T, T=T, B=B).inputs.items()}
        ragged = np.random.default_rng(T).integers(0, T + 1, B) if lengths else None
        extra = {} if ragged is None else {"lengths": ragged}
        meant = run(graph, feeds, lengths=ragged)
        for y, wanted in zip(file.run(None, {**feeds, **extra}), meant.outputs.values(), strict=True):
            close(y, wanted)


@pytest.mark.parametrize("name", ["mLSTM", "tower"])
def test_in_pieces(name: str) -> None:
    in_pieces(1, 1, 4, 9, plan="scan")(trace(MODELS[name][0], shapes={"x": (3,)}))
