"""Intervals hold what values really are, and decide whether a linear recurrence is run in chunks."""

from __future__ import annotations

import numpy as np
import pytest

import rnnc
from rnnc.ops import OPS
from rnnc.passes.linear_chunks import growth
from rnnc.pipeline import Pipeline
from rnnc.plans.intervals import RULES, Intervals
from rnnc.plans.linear import Recurrence, read_recurrence
from rnnc.text import parse

ENDS = [(-3.0, -1.0), (-2.0, 0.0), (-0.5, 2.0), (0.0, 3.0), (1.0, 4.0), (-40.0, 40.0)]


@pytest.mark.parametrize("name", sorted(set(RULES) - {"where"}))
def test_every_rule_holds_what_the_op_gives(name):
    rng = np.random.default_rng(0)
    op = OPS[name]
    for a in ENDS:
        for b in ENDS if len(op.operands) == 2 else ENDS[:1]:
            xs = [rng.uniform(*ends, 200) for ends in (a, b)[: len(op.operands)]]
            low, high = RULES[name](*(a, b)[: len(op.operands)])
            with np.errstate(all="ignore"):
                y = np.nan_to_num(op(*xs, **({"alpha": 0.2, "beta": 0.5} if name == "hard_sigmoid" else {})))
            assert low - 1e-12 <= y.min() and y.max() <= high + 1e-12, (a, b)


def test_a_value_is_followed_through_what_moves_it():
    graph = parse("""
net f(stream x: f32[B, 4]) -> (y) {
  %0: f32[B, 4] = sigmoid(x)
  %1: (f32[B, 1], f32[B, 3]) = split(%0) {axis = 1, sizes = (1, 3)}
  %2: f32[B, 3] = item(%1) {k = 1}
  y: f32[B, 3] = sub(1.0, %2)
}
""")
    assert Intervals(graph).of("y") == (0.0, 1.0)
    assert Intervals(graph).of("x") == (-np.inf, np.inf)


def test_a_share_of_a_sum_lies_between_0_and_1():
    graph = parse("""
net f(stream x: f32[B, 4], stream z: f32[B, 4]) -> (y, w) {
  %0: f32[B, 4] = sigmoid(x)
  %1: f32[B, 4] = exp(z)
  %2: f32[B, 4] = add(%1, %0)
  y: f32[B, 4] = div(%0, %2)
  w: f32[B, 4] = div(x, %2)
}
""")
    assert Intervals(graph).of("y") == (0.0, 1.0)
    assert Intervals(graph).of("w") == (-np.inf, np.inf)


def test_what_is_less_its_maximum_is_not_positive():
    """In the graph, and where a loop gives both: the stabilised gates of an exponential LSTM."""
    graph = parse("""
net f(stream x: f32[B, 4], stream z: f32[B, 4], state m: f32[B, 4]) -> (a, b, c, d) {
  m1: f32[B, 4] = delay(m, m.init) {k = 1}
  %0: f32[B, 4] = add(x, m1)
  m: f32[B, 4] = maximum(%0, z)
  a: f32[B, 4] = sub(%0, m)
  %1: f32[B, 4] = maximum(z, x)
  b: f32[B, 4] = sub(x, %1)
  c: f32[B, 4] = sub(%1, x)
  d: f32[B, 4] = sub(x, m)
}
""")
    for found in (graph, Pipeline.parse("lift").run(graph)):
        ends = [Intervals(found).of(v) for v in "abcd"]
        assert ends == [(-np.inf, 0.0)] * 2 + [(-np.inf, np.inf)] * 2


def grows(net: object) -> float:
    """By how much the loop of a net is known to grow in a step."""
    graph = Pipeline.parse("canonicalize,lift").run(rnnc.frontend.assemble.trace(net, {"x": (3,)}, (), 0))
    found = read_recurrence(graph, graph.find("region")[0])
    assert isinstance(found, Recurrence)
    return growth(found)


@pytest.mark.parametrize(
    ("net", "most"),
    [
        (rnnc.net(lambda x, *, y=rnnc.zeros(3): (y := rnnc.sigmoid(x) * y[-1] + x)), 1.0),
        (rnnc.net(lambda x, *, y=rnnc.zeros(3): (y := y[-1] + rnnc.sigmoid(x) * (x - y[-1]))), 1.0),
        (rnnc.net(lambda x, *, y=rnnc.zeros(3): (y := 1.5 * y[-1] + x)), 1.5),
        (rnnc.net(lambda x, *, y=rnnc.zeros(3): (y := 0.5 * y[-1] - 0.25 * y[-2] + x)), 1.0),
        (rnnc.net(lambda x, *, y=rnnc.zeros(3): (y := x * y[-1] + 1)), np.inf),
    ],
)
def test_how_much_a_loop_grows(net, most):
    assert grows(net) == most


def test_products_that_could_overflow_are_not_chosen():
    bounded = rnnc.net(lambda x, *, y=rnnc.zeros(3): (y := rnnc.tanh(x) * y[-1] + 1))
    unbounded = rnnc.net(lambda x, *, y=rnnc.zeros(3): (y := x * y[-1] + 1))
    runs = [rnnc.compile(net, sizes={"T": 1000, "B": 1}) for net in (bounded, unbounded)]
    assert ["runs as linear-chunks" in run.explain() for run in runs] == [True, False]
    x = np.full((70, 1, 3), 1e6, np.float32)
    x[:, :, 1] = 0
    stream = rnnc.Stream(rnnc.compile(unbounded, "chunk", sizes={"T": 1000, "B": 1}))
    assert np.array_equal(stream.push(x)[:, 0, 1], np.ones(70, np.float32))
