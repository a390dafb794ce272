"""Lengths: what is no length of any of the sequences is said, whoever runs the file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.errors import RnncError
from rnnc.runtime import Stream, run_file


@pytest.mark.parametrize("form", ["sequence", "chunk", "unroll"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_lengths_are_those_of_the_whole(form: Any, batch_first: bool) -> None:
    steps: dict[str, Any] = {"steps": 4} if form == "unroll" else {}
    file = rnnc.compile(rnnc.cells.LSTM(2, 3), form, lengths=True, batch_first=batch_first, **steps)
    T, chunk = 8 if steps else 6, 4 if form == "chunk" else None
    x = np.ones((2, T, 2) if batch_first else (T, 2, 2), np.float32)
    (y, *more) = [p["y"] for p in run_file(file, {"x": x, "lengths": [T, 1]}, chunk)]
    y = np.concatenate([y, *more], int(batch_first))
    assert (y.any(-1).sum(int(batch_first)) == [T, 1]).all()
    for lengths in ([T + 1, 1], [T, -1], [2**40, 0]):
        with pytest.raises(RnncError, match=rf"lengths are .*: each is from 0 to {T}, the number of steps"):
            list(run_file(file, {"x": x, "lengths": lengths}, chunk))
    if form != "sequence":
        piece = x[:, :4] if batch_first else x[:4]
        with pytest.raises(RnncError, match="each is from 0 to 4, the number"):
            Stream(file).push(piece, [5, 1])
