"""Zeros: operands that ONNX takes for zeros are left out, and where there is no step the states stay."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest

import rnnc
from rnnc import cells
from rnnc.emit.model import nodes
from rnnc.emit.reads import is_zero, reads
from rnnc.errors import RnncError
from rnnc.ir import Graph
from rnnc.runtime import Stream, run_file
from rnnc.text import parse


def ops(compiled: Any) -> Counter[str]:
    """How many nodes of each op a file has."""
    return Counter(n.op_type for n in nodes(compiled.proto.graph))


def node(compiled: Any, op_type: str) -> onnx.NodeProto:
    """The file's only node of that op."""
    (found,) = (n for n in nodes(compiled.proto.graph) if n.op_type == op_type)
    return found


@pytest.mark.parametrize("layer", [cells.LSTM(3, 4), cells.Recurrent(3, 4)])
def test_a_sequence_from_zeros_is_one_op(layer: Any) -> None:
    (op_type,) = ops(rnnc.compile(layer)).keys() - {"Squeeze"}
    assert op_type in ("LSTM", "RNN")


def test_a_gru_needs_the_lengths_besides() -> None:
    compiled = rnnc.compile(cells.GatedRecurrent(3, 4))
    assert ops(compiled) == {"Shape": 2, "Expand": 1, "Cast": 1, "GRU": 1, "Squeeze": 1}
    assert len(node(compiled, "GRU").input) == 5


def test_zeros_that_stand_for_no_peepholes_are_left_out() -> None:
    found = node(rnnc.compile(cells.LSTM(3, 4), lengths=True), "LSTM")
    assert len(found.input) == 5  # the lengths come last


def test_states_that_are_not_zero_stay() -> None:
    layer = cells.LSTM(3, 4, state=np.full(4, 0.5, np.float32), bf=np.ones(4, np.float32))
    compiled = rnnc.compile(layer)
    _, _, _, bias, lengths, hidden, cell = node(compiled, "LSTM").input
    assert (lengths, hidden) == ("", "")
    assert bias
    assert cell
    x = np.random.default_rng(0).uniform(-1, 1, (5, 2, 3)).astype(np.float32)
    (ys,) = run_file(compiled, {"x": x})
    np.testing.assert_allclose(ys["y"], layer(x), atol=1e-5)


@pytest.mark.parametrize(
    "cell", [cells.LSTM, cells.GatedRecurrent, cells.GatedRecurrentAfter, cells.Recurrent]
)
@pytest.mark.parametrize("lengths", [False, True])
def test_no_step_and_idle_sequences(cell: Any, lengths: bool) -> None:
    layer = cell(3, 4)
    x = np.random.default_rng(1).uniform(-1, 1, (6, 2, 3)).astype(np.float32)
    ends = np.array([6, 2]) if lengths else None
    meant, states = rnnc.reference(layer, x, lengths=ends)
    stream = Stream(rnnc.compile(layer, "chunk", lengths=lengths))
    parts = []
    for start, stop in ((0, 0), (0, 1), (1, 1), (1, 3), (3, 6)):
        more = [] if ends is None else [np.clip(ends - start, 0, stop - start)]
        parts.append(stream.push(x[start:stop], *more))
    np.testing.assert_allclose(np.concatenate(parts), meant, atol=1e-5)
    for path, state in states.items():
        np.testing.assert_allclose(stream.state[path], state, atol=1e-5)


def graph(body: str) -> Graph:
    return parse(f"function f(stream x: f32[T, B, 2], param w: f32[2]) -> (y) {{ {body} }}")


@pytest.mark.parametrize(
    ("body", "zero"),
    [
        ("y: f32[B, 2] = expand(0.0) {shape = (B, 2)}", True),
        ("y: f32[B, 2] = expand(1.0) {shape = (B, 2)}", False),
        ("a: f32[4] = expand(0.0) {shape = (4,)} y: f32[8] = concat(a, a) {axis = 0}", True),
        ("a: f32[2] = expand(0.0) {shape = (2,)} y: f32[2] = add(a, w)", False),
        ("a: f32[2] = expand(0.0) {shape = (2,)} y: f32[2] = div(a, w)", False),
        ("a: f32[2] = expand(0.0) {shape = (2,)} y: f32[2] = exp(a)", False),
    ],
)
def test_what_is_zero(body: str, zero: bool) -> None:
    found = graph(body)
    assert is_zero(found, "y") == zero
    assert reads(found, "y") == found.operands("y")


@pytest.mark.parametrize("lengths", [[9, 1], [-1, 1]])
def test_lengths_that_no_piece_has(lengths: list[int]) -> None:
    x = np.zeros((7, 2, 3), np.float32)
    for layer in (cells.LSTM(3, 4), cells.LayerNorm(3)):
        stream = Stream(rnnc.compile(layer, "chunk", lengths=True))
        with pytest.raises(RnncError, match="each is from 0 to 7, the number of steps"):
            stream.push(x, lengths)
        assert stream.push(x, [7, 0]).shape[:2] == (7, 2)
