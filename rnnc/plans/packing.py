"""Packing: the gates of a loop as the operands of ONNX's recurrent ops, and their results as the loop's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from rnnc.build import Builder
from rnnc.plans.affine import Form, Source
from rnnc.plans.gates import Loop
from rnnc.plans.matrix import Bias, Matrix, zeros


@dataclass(frozen=True)
class Packer:
    """Puts the gates of a loop into ONNX's layout: weights ``[1, gates·H, n]``, biases ``[1, gates·H]``."""

    b: Builder
    loop: Loop
    streams: tuple[str, ...]

    @classmethod
    def of(cls, loop: Loop, forms: Iterable[Form]) -> Packer:
        """A packer for the streams that the forms read, in order of first appearance."""
        names = [s.name for f in forms for s in f.terms if s.kind == "stream"]
        return cls(Builder(loop.graph, like=loop.region), loop, tuple(dict.fromkeys(names)))

    def x(self) -> str:
        """All streams side by side, what is the same at every step repeated."""
        parts = [self._over_time(name) for name in self.streams]
        return parts[0] if len(parts) == 1 else self.b("concat", *parts, axis=2)

    def _over_time(self, name: str) -> str:
        kind = self.loop.graph.type(name)
        if kind.dtype == "bool":
            name = self.b("cast", name, dtype="f32")
        whole = (self.loop.steps, self.loop.batch, kind.shape[-1])
        return name if kind.shape == whole else self.b("expand", name, shape=whole)

    def starts(self) -> dict[str, str]:
        """The states' initial values by path, as a native op wants them: ``[1, B, n]``."""
        states = self.loop.body.interface.states
        found: dict[str, str] = {}
        for state, init in zip(states, self.loop.roles.inits, strict=True):
            whole = (1, self.loop.batch, state.type.shape[-1])
            full = self.loop.graph.type(init).shape == whole[1:]
            found[state.path] = (
                self.b("unsqueeze", init, axes=(0,)) if full else self.b("expand", init, shape=whole)
            )
        return found

    def w(self, forms: Iterable[Form]) -> str:
        """The weights of the inputs, gate under gate."""
        return self._stack([self._input(f) for f in forms])

    def r(self, matrices: Iterable[Matrix | None]) -> str:
        """The weights of the state, gate under gate; ``None`` for zeros."""
        return self._stack([(m or zeros(self.loop.hidden, self.loop.hidden)).build(self.b) for m in matrices])

    def bias(self, forms: Iterable[Form]) -> str:
        """The biases end to end, ``[1, gates·H]``; see :meth:`biases` for both halves."""
        parts = [f.bias.wide(self.loop.hidden).build(self.b) for f in forms]
        return self.b("unsqueeze", self.b("concat", *parts, axis=0), axes=(0,))

    def biases(self, inputs: list[Form], states: list[Form]) -> str:
        """Biases of the inputs, then of the states."""
        return self.b("concat", self.bias(inputs), self.bias(states), axis=1)

    def diagonals(self, factors: Iterable[Bias | None]) -> str:
        """Peepholes end to end, ``[1, n·H]``; ``None`` for zeros."""
        parts = [(f or Bias(self.loop.hidden)).build(self.b) for f in factors]
        return self.b("unsqueeze", self.b("concat", *parts, axis=0), axes=(0,))

    def _input(self, form: Form) -> str:
        graph, rows = self.b.graph, []
        for name in self.streams:
            n = int(str(graph.type(name).shape[-1]))
            m = form.terms.get(Source("stream", name)) or zeros(n, self.loop.hidden)
            rows.append(m.build(self.b))
        return rows[0] if len(rows) == 1 else self.b("concat", *rows, axis=0)

    def _stack(self, blocks: list[str]) -> str:
        wide = blocks[0] if len(blocks) == 1 else self.b("concat", *blocks, axis=1)
        return self.b("unsqueeze", self.b("transpose", wide, perm=(1, 0)), axes=(0,))


def finish(
    packer: Packer,
    x: str,
    result: str,
    starts: Mapping[str, str],
    made: Callable[[str], str] = lambda given: given,
) -> str:
    """The tuple that stands for the region, from a native op's ``result`` on the input ``x``.

    ``starts`` maps each state's path to its initial value, the first one's state being what is ``made`` of
    what the op gives at every step; the op's items are the output and then the final states in that order.
    onnxruntime returns zeros as final state of a sequence of no steps, so there the initial one is taken.
    """
    b, loop = packer.b, packer.loop
    y, *ends = b.items(result)[: 1 + len(starts)]
    graph, body, steps = loop.graph, loop.body, loop.steps
    over_time = made(b("squeeze", y, axes=(1,)))
    ends[0] = made(ends[0])
    last: dict[str, str] = {}
    for (path, start), end in zip(starts.items(), ends, strict=True):
        if loop.roles.lengths:
            empty = b("unsqueeze", b("equal", loop.roles.lengths, 0), axes=(1,))
            end = b("where", empty, start, end)
        elif not isinstance(steps, int):
            end = b("where", b("equal", b("size", x, axis=0), 0), start, end)
        last[path] = b("squeeze", end, axes=(0,))
    first = next(iter(starts.values()))
    outputs = [
        _before(packer, over_time, first) if loop.previous(value) else over_time
        for value in body.outputs.values()
    ]
    return graph.add(
        "tuple",
        *outputs,
        *(last[s.path] for s in body.interface.states),
        type=graph[loop.region].type,
        like=loop.region,
    )


def _before(packer: Packer, over_time: str, first: str) -> str:
    """What a state was before each step, from what it is after it."""
    b, loop = packer.b, packer.loop
    init = b("squeeze", first, axes=(0,))
    if loop.graph[loop.region].attrs.get("reverse"):
        return b("shift", over_time, init, *([loop.roles.lengths] if loop.roles.lengths else []), k=-1)
    return b("shift", over_time, init, k=1)
