"""The names of tensors and nodes in a file.

What a model is to the outside is named first, by fixed rules: inputs, then outputs, then states, so that an
output has the same name in every form. Everything between is named after the source's own names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rnnc.ir import Graph


class Names:
    """Unique names: the one asked for, else ``name_2``, ``name_3``, …"""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def __call__(self, name: str) -> str:
        """``name``, or the next free one like it, which is then taken."""
        candidate, n = name, self._last.get(name, 0)
        while candidate in self._last:
            n = max(n, 1) + 1
            candidate = f"{name}_{n}"
        self._last[name] = max(n, 1)
        self._last.setdefault(candidate, 1)
        return candidate


@dataclass(frozen=True)
class Wiring:
    """The names of a file's own inputs and outputs.

    ``inputs`` maps the graph's input values to tensors, ``outputs`` its outputs, and ``states`` the path of
    each state to its tensors before and after the run.
    """

    inputs: dict[str, str]
    outputs: dict[str, str]
    states: dict[str, tuple[str, str]]


def state_stem(path: str) -> str:
    """What the tensors of a state are called, before ``_in`` and ``_out``: ``0.1.y`` gives ``s0_1_y``."""
    stem = path.replace(".", "_")
    return f"s{stem}" if stem[:1].isdigit() else stem


def wire(graph: Graph, names: Names) -> Wiring:
    """Name the inputs, outputs and states of ``graph``, in that order."""
    inputs = {v: names(v) for v in input_values(graph)}
    taken = set(inputs.values())
    outputs = {o: names(f"{o}_out" if o in taken else o) for o in output_names(graph)}
    states: dict[str, tuple[str, str]] = {}
    for state in graph.interface.states:
        if state.path in graph.finals:
            stem = state_stem(state.path)
            states[state.path] = names(f"{stem}_in"), names(f"{stem}_out")
    return Wiring(inputs, outputs, states)


def input_values(graph: Graph) -> list[str]:
    """The values that are inputs: those of the interface in its order, then ``lengths``."""
    return _in_order(graph.find("input"), [i.name for i in graph.interface.inputs])


def output_names(graph: Graph) -> list[str]:
    """The outputs, those of the interface in its order."""
    return _in_order(graph.outputs, [o.name for o in graph.interface.outputs])


def _in_order(present: Iterable[str], order: list[str]) -> list[str]:
    """``present`` in that order, and then what is not in it."""
    places = {name: place for place, name in enumerate(order)}
    return sorted(present, key=lambda name: places.get(name, len(order)))


def node_hints(graph: Graph, order: list[str]) -> dict[str, str]:
    """What each value's node is called: its own name, or ``owner/op`` for a temporary.

    The owner of a temporary is the named value that it is computed for, so that the sum inside the ``forget``
    gate is ``forget/add``.
    """
    owner = {value: name for name, value in (*graph.finals.items(), *graph.outputs.items())}
    owner.update({v: v for v in order if not v.startswith("%")})
    hints: dict[str, str] = {}
    for v in reversed(order):
        mine = owner.setdefault(v, graph.name)
        for operand in graph.operands(v):
            owner.setdefault(operand, mine)
        hints[v] = v if mine == v else f"{mine}/{graph[v].op}"
    return hints
