"""What models must mean: a model, an input and a state, with outputs and final states worked out by hand.

Each is said once here, and tested on the reference machine and in every form that exists for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnnc import Chain, constant, delay, flip, glorot, net, ones, tanh, zeros

ALL_FORMS = ("sequence", "chunk", "step", "unroll")


def column(*values: float) -> Any:
    """A stream ``[T, 1, 1]`` of numbers."""
    return np.array(values, np.float32).reshape(-1, 1, 1)


def slots(*values: float) -> Any:
    """A state of one number in one sequence: ``[1, 1]``, or ``[k, 1, 1]``, newest first."""
    array = np.array(values, np.float32).reshape(-1, 1, 1)
    return array[0] if len(values) == 1 else array


def noise(*shape: int, seed: int = 0) -> Any:
    """Seeded numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@dataclass(frozen=True)
class Case:
    """A model on one input: ``ys`` are its outputs, ``finals`` its states afterwards, by path."""

    name: str
    model: Any
    x: Any
    ys: tuple[Any, ...]
    state: Mapping[str, Any] = field(default_factory=dict)
    finals: Mapping[str, Any] = field(default_factory=dict)
    forms: tuple[str, ...] = ALL_FORMS

    def __str__(self) -> str:
        return self.name


@net
def fibonacci(x, *, y=ones(1)):
    y = y[-1] + y[-2] + x
    return y


@net
def two_back(x, *, y=zeros(1)):
    y = y[-2] + x
    return y


@net
def ahead(x, *, y=constant(5, 1)):
    y = 2 * y[1] + x
    return y


difference = net(lambda x: x - x[-1])


@net
def two_fields(x, *, a=constant(2, 1), y=ones(1)):
    a = y[-1]
    y = a[-1] + x
    return y


@net
def total(x, *, y=zeros(1)):
    y = y[-1] + x
    return y


@net
def both_ways(x):
    forward = total(x)
    backward = flip(total)(x)
    return forward, backward


@net
def five_back(x):
    y = x + delay(x, 5, init=7.0)
    return y


@net
def Affine(x, *, W=glorot("in", "out"), b=zeros("out")):
    y = x @ W + b
    return y


@net
def Recurrent(x, *, Wxy=glorot("in", "out"), Wyy=glorot("out", "out"), by=zeros("out"), y=zeros("out")):
    y = tanh(x @ Wxy + y[-1] @ Wyy + by)
    return y


r = Recurrent(3, 3)


@net
def twice(x):
    first = r(x)
    second = r(x)
    return first, second


@net
def around(x, *, y=zeros(3)):
    y = r(x + y[-1])
    return y


def by_hand(
    layer: Any, x: Any, y: Any = None, feed: Callable[[Any, Any], Any] = lambda x, y: x
) -> tuple[Any, Any]:
    """``tanh(x@Wxy + y@Wyy + by)`` step by step: all outputs, and the last."""
    W = {path.rpartition(".")[2]: array.astype(np.float64) for path, array in layer.params.items()}
    y = np.zeros((x.shape[1], W["by"].size)) if y is None else y
    ys = []
    for step in x:
        y = np.tanh(feed(step, y) @ W["Wxy"] + y @ W["Wyy"] + W["by"])
        ys.append(y)
    return np.stack(ys), y


def cases() -> list[Case]:
    """Every case."""
    x = noise(7, 2, 3)
    one, last = by_hand(r, x)
    two, last_two = by_hand(r, one)
    fed, last_fed = by_hand(r, x, feed=lambda x, y: x + y)
    shift = np.concatenate([np.full((5, 1, 1), 7.0), np.zeros((59, 1, 1))])
    long = noise(64, 1, 1)
    shift[5:] = long[:-5]
    return [
        Case("fibonacci", fibonacci, column(0, 0, 0), (column(2, 3, 5),), {}, {"y": slots(5, 3)}),
        Case(
            "fibonacci, continued",
            fibonacci,
            column(0, 0, 0),
            (column(8, 13, 21),),
            {"y": slots(5, 3)},
            {"y": slots(21, 13)},
        ),
        Case(
            "newest first",
            two_back,
            column(1, 2, 3),
            (column(201, 102, 204),),
            {"y": slots(100, 200)},
            {"y": slots(204, 102)},
        ),
        Case("look ahead", ahead, column(1, 2, 3), (column(57, 28, 13),), forms=("sequence",)),
        Case("difference", difference, column(1, 4, 9), (column(1, 3, 5),), {}, {"x": slots(9)}),
        Case(
            "difference in a Chain",
            Chain(difference),
            column(1, 4, 9),
            (column(1, 3, 5),),
            {},
            {"0.x": slots(9)},
        ),
        Case(
            "difference twice",
            Chain(difference, difference),
            column(1, 4, 9),
            (column(1, 2, 2),),
            {},
            {"0.x": slots(9), "1.x": slots(5)},
        ),
        Case(
            "a delay of a delay with a name",
            two_fields,
            column(1, 2, 3),
            (column(3, 3, 6),),
            {},
            {"a": slots(3), "y": slots(6)},
        ),
        Case(
            "both states set",
            two_fields,
            column(1, 2, 3),
            (column(11, 22, 14),),
            {"a": slots(10), "y": slots(20)},
            {"a": slots(22), "y": slots(14)},
        ),
        Case(
            "both directions",
            both_ways,
            column(1, 2, 3),
            (column(1, 3, 6), column(6, 5, 3)),
            forms=("sequence",),
        ),
        Case("delay 5, one step", five_back, column(1), (column(8),), forms=ALL_FORMS),
        Case("delay 5, long", five_back, long, (long + shift,)),
        Case("a recurrent layer", r, x, (one,), {}, {"y": last}),
        Case(
            "a layer twice on one input",
            twice,
            x,
            (one, one),
            {},
            {"Recurrent.y": last, "Recurrent_2.y": last},
        ),
        Case("a layer twice in a Chain", Chain(r, r), x, (two,), {}, {"0.y": last, "1.y": last_two}),
        Case("feedback around a layer", around, x, (fed,), {}, {"y": last_fed, "Recurrent.y": last_fed}),
    ]
