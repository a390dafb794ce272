"""Every native op that a cell of the zoo can be, forced in turn, is what the cell means.

Whole at 100 steps, ragged with sequences of no steps, and in pieces from states drawn at random.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest

from rnnc import passes
from rnnc.compiler import Compiled
from rnnc.frontend.assemble import trace
from rnnc.ir import Graph
from rnnc.machine.reference import Arrays, random_arrays, run
from rnnc.pipeline import Pipeline
from tests.test_plans import agree, as_file, in_pieces, same, whole, written
from tests.test_zoo import NAMES, layer

#: The native ops that each cell's loops can be.
NATIVE = {
    "AntisymmetricRNN": ("lstm",),
    "GatedAntisymmetricRNN": ("lstm",),
    "ATR": ("lstm",),
    "BR": ("gru",),
    "NBR": ("gru",),
    "FastRNN": ("lstm",),
    "IndRNN": ("rnn",),
    "IntersectionRNN": ("lstm", "gru"),
    "JANET": ("lstm",),
    "LiGRU": ("lstm", "gru"),
    "LightRU": ("lstm", "gru"),
    "MinimalGatedUnit": ("gru",),
    "MinimalRNN": ("lstm", "gru"),
    "MiRU1": ("gru",),
    "MiRU2": ("lstm", "gru"),
    "MUT1": ("gru",),
    "MUT2": ("gru",),
    "OriginalLSTM": ("lstm",),
    "PeepholeLSTM": ("lstm",),
    "RAN": ("lstm",),
    "SCRN": ("lstm", "gru", "rnn"),
    "TRNN": ("lstm",),
    "TGRU": ("lstm",),
    "TLSTM": ("lstm",),
    "UGRNN": ("lstm", "gru"),
    "minGRU": ("lstm",),
    "SRU": ("lstm", "gru"),
    "QRNN": ("lstm",),
    "EchoState": ("lstm", "gru"),
    "ClockworkRNN": ("lstm", "gru"),
}

EACH = [(name, op) for name, ops in NATIVE.items() for op in ops]


@functools.cache
def graph(name: str) -> Graph:
    return trace(layer(name))


@functools.cache
def native(name: str) -> tuple[str, ...]:
    """The native ops that loops of the cell can be."""
    found = Pipeline.parse(f"{passes.STREAMS},lift,taps,canonicalize,recognize").run(graph(name))
    listed = dict.fromkeys(p for r in found.find("region") for p in found[r].attrs.get("alternatives", ()))
    return tuple(p for p in ("lstm", "gru", "rnn") if p in listed)


@functools.cache
def file(name: str, form: str, op: str, lengths: bool = False) -> Compiled:
    return written(graph(name), form, op, lengths)


def arrays(name: str, T: int, B: int) -> Arrays:
    """Inputs and states at random; a count of steps starts as the cell says."""
    found = random_arrays(graph(name), seed=T + B, T=T, B=B)
    rng = np.random.default_rng(B)
    states = {
        path: np.asarray(rng.uniform(-0.8, 0.8, a.shape), np.float32) if a.dtype.kind == "f" else a
        for path, a in found.states.items()
    }
    return Arrays(as_file(Arrays(found.inputs, {}, {})).inputs, states, found.params)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_cell_can_be(name: str) -> None:
    assert native(name) == NATIVE.get(name, ())


@pytest.mark.parametrize(("name", "op"), EACH)
def test_whole(name: str, op: str) -> None:
    for B in (1, 3):
        xs = arrays(name, 100, B).inputs
        agree(whole(file(name, "sequence", op), xs), run(graph(name), xs).outputs)


@pytest.mark.parametrize(("name", "op"), EACH)
def test_ragged(name: str, op: str) -> None:
    xs, lengths = arrays(name, 12, 4).inputs, np.array([0, 12, 3, 1])
    found = whole(file(name, "sequence", op, True), {**xs, "lengths": lengths})
    agree(found, run(graph(name), xs, lengths=lengths).outputs)


@pytest.mark.parametrize(("name", "op"), EACH)
def test_in_pieces(name: str, op: str) -> None:
    for B in (1, 3):
        a = arrays(name, 9, B)
        same(in_pieces(file(name, "chunk", op), a, (0, 0, 1, 4, 4, 9)), run(graph(name), a.inputs, a.states))


@pytest.mark.parametrize("op", NATIVE["ClockworkRNN"])
def test_a_closed_gate_is_closed(op: str) -> None:
    """What stands still does so to the last bit, as in a Scan."""
    xs = arrays("ClockworkRNN", 17, 1).inputs
    (found,) = whole(file("ClockworkRNN", "sequence", op), xs).values()
    (meant,) = run(graph("ClockworkRNN"), xs).outputs.values()
    moved, should = (np.diff(y, axis=0) != 0 for y in (found, meant))
    assert not should.all()
    np.testing.assert_array_equal(moved, should)
