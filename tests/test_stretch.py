"""Stretched vectors: where several sequences are expected, loops read no vector row by row."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

import rnnc
from rnnc.cells.zoo import LTC, FastGRNN, IndRNN, UnICORNN, sized
from rnnc.emit.form import FormName
from rnnc.passes.choose import Choose
from rnnc.passes.stretch import Stretch
from rnnc.pipeline import Pipeline

CELLS = {"IndRNN": IndRNN, "LTC": LTC, "FastGRNN": FastGRNN, "UnICORNN": UnICORNN}


def scanned(cell: Any, form: FormName, lengths: bool, B: int) -> Any:
    """The cell as a loop, for so many sequences."""
    layer = sized(cell, 5, 5)
    passes = rnnc.compile(layer, form, lengths=lengths, sizes={"B": B}).pipeline.passes
    forced = [Choose(plan="scan") if isinstance(p, Choose) else p for p in passes]
    assert Stretch(B=B) in forced
    return rnnc.compile(layer, form, lengths=lengths, pipeline=Pipeline(tuple(forced)))


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_the_same_numbers(name: str, lengths: bool) -> None:
    """Bit by bit, whatever the batch then is."""
    one, several = (scanned(CELLS[name], "sequence", lengths, B) for B in (1, 16))
    assert one.proto != several.proto
    runs = [ort.InferenceSession(file.proto.SerializeToString()) for file in (one, several)]
    for B in (1, 3):
        x = np.random.default_rng(B).normal(size=(7, B, 5)).astype(np.float32)
        feeds = {"x": x, "lengths": np.array([7, 0, 3][:B])} if lengths else {"x": x}
        (a,), (b,) = (run.run(None, feeds) for run in runs)
        assert np.array_equal(a, b)


def test_in_pieces() -> None:
    streams = [rnnc.Stream(scanned(UnICORNN, "chunk", False, B)) for B in (1, 16)]
    x = np.random.default_rng(0).normal(size=(9, 3, 5)).astype(np.float32)
    for piece in (x[:4], x[4:4], x[4:]):
        a, b = (stream.push(piece) for stream in streams)
        assert np.array_equal(a, b)
