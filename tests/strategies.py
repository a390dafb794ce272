"""Random stream graphs, for hypothesis.

A graph is made in layers. A layer looks either back or ahead: it starts with delays of values that it has not
computed yet, combines what is there, and ties the delays at its end. So there are loops inside loops of one
direction, loops side by side, delays on and off every loop, and never a loop of both directions. Every value
that is looked back at is followed by a state of the interface, as the language demands.

Values stay bounded, by a ``tanh`` on every cycle; ``exact`` graphs instead compute with small integers, on
which every order of evaluation gives the same float64, and bound them by clipping.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from rnnc.build import Builder
from rnnc.ir import Graph, Input, Interface, Output, State
from rnnc.machine.reference import Arrays, random_arrays
from rnnc.types import tensor

N = 3
VALUE = tensor("f32", "B", N)
INPUTS = (
    Input("x", VALUE),
    Input("s", tensor("f32", "B", 1)),
    Input("g", VALUE, "given"),
    Input("h", tensor("f32", N), "given"),
)
PARAMS = {"W": (N, N), "U": (N, N), "b": (N,)}
BOUND = 8.0

Make = Callable[[Builder, str, str], str]


def _shifted(b: Builder, x: str, y: str) -> str:
    return b("slice", b("concat", x, y, axis=1), axis=1, start=1, stop=1 + N)


def _parted(b: Builder, x: str, y: str) -> str:
    parts = b.items(b("split", b("concat", x, y, axis=1), axis=1, sizes=(2, N, N - 2)))
    return parts[1]


def _picked(b: Builder, x: str, _: str) -> str:
    return b("gather", x, b.const([2, 0, 1], "i64"), axis=1)


def _chosen(b: Builder, x: str, y: str) -> str:
    return b("where", b("less", x, y), x, b("neg", y))


def _laid(b: Builder, x: str, y: str) -> str:
    x = b("transpose", b("reshape", x, shape=(*VALUE.shape, 1)), perm=(0, 2, 1))
    return b("add", b("squeeze", x, axes=(1,)), y)


def _summed(b: Builder, x: str, y: str) -> str:
    return b("add", b("reduce_sum", x, axes=(1,), keepdims=True), y)


#: What combines two values into one.
EXACT: dict[str, Make] = {
    "add": lambda b, x, y: b("add", x, y),
    "sub": lambda b, x, y: b("sub", x, y),
    "twice": lambda b, x, _: b("mul", x, 2.0),
    "neg": lambda b, x, _: b("neg", x),
    "maximum": lambda b, x, y: b("maximum", x, y),
    "cumsum": lambda b, x, _: b("cumsum", x, axis=1),
    "shifted": _shifted,
    "parted": _parted,
    "picked": _picked,
    "chosen": _chosen,
    "laid": _laid,
    "summed": _summed,
}
ROUNDED: dict[str, Make] = EXACT | {
    "mul": lambda b, x, y: b("mul", x, y),
    "tanh": lambda b, x, _: b("tanh", x),
    "sigmoid": lambda b, x, _: b("sigmoid", x),
    "softmax": lambda b, x, _: b("softmax", x, axis=1),
    "product": lambda b, x, _: b("matmul", x, "W"),
    "gate": lambda b, x, y: b("add", b("add", b("matmul", x, "W"), "b"), b("matmul", y, "U")),
    "tanh gate": lambda b, x, y: b("tanh", b("add", b("matmul", x, "U"), b("matmul", y, "W"))),
}


@st.composite
def graphs(draw: st.DrawFn, exact: bool = False, ahead: bool = True) -> Graph:
    """A stream graph; without ``ahead``, one that only looks back."""
    return _Drawing(draw, exact).graph(ahead)


class _Drawing:
    """A graph being drawn. ``pool`` are the values to choose from, all of the type ``VALUE``."""

    def __init__(self, draw: st.DrawFn, exact: bool) -> None:
        self.draw, self.exact = draw, exact
        self.new = Graph("drawn")
        self.b = Builder(self.new)
        self.states: list[State] = []
        self.pool: list[str] = []

    def graph(self, ahead: bool) -> Graph:
        for source in INPUTS:
            self.new.add("input", type=source.type, name=source.name)
        for name, shape in PARAMS.items():
            self.new.add("param", type=tensor("f32", *shape), name=name)
        self.pool = ["x", "g", self.b("add", "x", "s"), self.b("mul", "g", "h")]
        for layer in range(self.draw(st.integers(1, 3))):
            self._layer(layer, ahead and self.draw(st.booleans()))
        values = self.draw(st.lists(st.sampled_from(self.pool[-6:]), min_size=1, max_size=3))
        outputs = []
        for i, value in enumerate(values):
            final = self.draw(st.integers(0, 5)) == 0
            outputs.append(Output(f"y{i}", VALUE, "final" if final else "stream"))
            self.new.outputs[f"y{i}"] = self.b("last", value) if final else value
        self.new.interface = Interface(INPUTS, tuple(outputs), tuple(self.states), dict.fromkeys(PARAMS))
        return self.new.copy().freeze()

    def _layer(self, layer: int, ahead: bool) -> None:
        """Delays of values to come, some values, then the ties."""
        loose: list[tuple[list[str], State | None]] = []
        for i in range(self.draw(st.integers(0, 2))):
            loose.append(self._ahead() if ahead else self._back(f"s{layer}{i}"))
            self.pool += loose[-1][0]
        for _ in range(self.draw(st.integers(1, 5))):
            make = self.draw(st.sampled_from(list((EXACT if self.exact else ROUNDED).values())))
            x, y = (self.draw(st.sampled_from(self.pool)) for _ in range(2))
            self.pool.append(make(self.b, x, y))
        for delays, state in loose:
            value = self._bounded(self.draw(st.sampled_from(self.pool)))
            self.pool.append(value)
            for delay in delays:
                self.new.connect(value, delay, 0)
            if state:
                self.new.finals[state.path] = value

    def _back(self, path: str) -> tuple[list[str], State]:
        """A state, and delays that read it: the deepest, and some of the others."""
        depth = self.draw(st.sampled_from([1, 1, 1, 2, 3, 4]))
        start = self.draw(st.sampled_from([None, 1.0, 2.0]))
        state = State(path, VALUE, depth, None if start is None else np.array(start, np.float32))
        self.states.append(state)
        source = self.new.add("init", type=state.tensor, name=state.source)
        delays = [self._delay(source, depth)]
        for k in range(1, depth):
            if self.draw(st.booleans()):
                held = self.b("slice", source, axis=0, start=0, stop=k)
                held = self.b("squeeze", held, axes=(0,)) if k == 1 else held
                delays.append(self._delay(held, k))
        return delays, state

    def _ahead(self) -> tuple[list[str], None]:
        """Delays by a negative number of steps, with one init for all slots or one for each."""
        delays = []
        for _ in range(self.draw(st.integers(1, 2))):
            k = self.draw(st.integers(1, 3))
            slots = [[[float(i)] * N] for i in range(k)]
            init = self.draw(st.sampled_from(["h", "g", self.b.const(2.0, "f32")]))
            if k > 1 and self.draw(st.booleans()):
                init = self.b.const(slots, "f32")
            delays.append(self._delay(init, -k))
        return delays, None

    def _delay(self, init: str, k: int) -> str:
        return self.new.add("delay", init, init, type=VALUE, k=k)

    def _bounded(self, value: str) -> str:
        if self.exact:
            low = self.b("maximum", value, self.b.const(-BOUND, "f32"))
            return self.b("minimum", low, self.b.const(BOUND, "f32"))
        return self.b("tanh", value)


def arrays(graph: Graph, exact: bool, T: int, B: int) -> Arrays:
    """Arrays to run a graph on; small integers for ``exact`` ones."""
    drawn = random_arrays(graph, seed=T, T=T, B=B)
    if not exact:
        return drawn
    return Arrays(*({name: np.round(3 * a) for name, a in part.items()} for part in drawn))
