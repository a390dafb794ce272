"""Models drawn at random, in the language: layers of cells in chains, side by side, reversed and fed back.

Random graphs seldom have a loop that is an LSTM; these are made of such loops, and of what stands around.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from rnnc import Chain, cells, concat, delay, flip, glorot, net, tanh, zeros

N = 3

CELLS: tuple[Callable[[], Any], ...] = (
    lambda: cells.Recurrent(N, N),
    lambda: cells.LSTM(N, N),
    lambda: cells.PeepholeLSTM(N, N),
    lambda: cells.CoupledLSTM(N, N),
    lambda: cells.ProjectedLSTM(N, 4, N),
    lambda: cells.LayerNormLSTM(N, N),
    lambda: cells.GatedRecurrent(N, N),
    lambda: cells.GatedRecurrentAfter(N, N),
    lambda: cells.MinimalGatedUnit(N, N),
    lambda: cells.IndRNN(N, N),
    lambda: cells.DilatedRecurrent(N, N, d=2),
    lambda: cells.CausalConv1d(3)(N, N),
    lambda: net(lambda x: x - x[-1]),
    lambda: net(lambda x: 0.5 * x + delay(x, 4, init=1.0)),
    lambda: cells.Affine(N, N),
)


def _around(inner: Any) -> Any:
    """The output fed back into the input."""

    @net
    def around(x, *, r=inner, W=glorot(N, N), z=zeros(N)):
        z = r(tanh(x + z[-1] @ W))
        return z

    return around


def _twice(inner: Any) -> Any:
    """One layer used twice: shared weights, states of their own."""

    @net
    def twice(x, *, r=inner):
        y = r(x) + r(tanh(x))
        return y

    return twice


def _beside(one: Any, other: Any) -> Any:
    """Two layers on one input."""

    @net
    def beside(x, *, p=one, q=other, W=glorot(2 * N, N)):
        y = concat(p(x), q(x)) @ W
        return y

    return beside


def layers(ahead: bool) -> st.SearchStrategy[Any]:
    """A layer of ``N`` features to ``N`` features; without ``ahead``, one that only looks back."""

    def grown(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        wider = [
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: Chain(*parts)),
            st.builds(_beside, inner, inner),
            inner.map(_twice),
        ]
        return st.one_of(*wider, *([inner.map(flip)] if ahead else []))

    cell = st.sampled_from(CELLS).map(lambda make: make())
    # What is fed back must not look ahead, so feedback is put around cells before anything is flipped.
    return st.recursive(cell | cell.map(_around), grown, max_leaves=4)
