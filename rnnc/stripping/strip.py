"""The driver: every value of a function of sequences, each after what it reads, as what it is at one step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import networkx as nx

from rnnc.build import Builder
from rnnc.errors import FormError, TypeMismatch
from rnnc.ir import SOURCES, Array, Graph, Input, Interface, Output, State, state_type
from rnnc.ops import OPS
from rnnc.rewrite import sweep
from rnnc.stripping.follow import follow
from rnnc.stripping.places import (
    STEPS,
    UNTOLD,
    CannotStream,
    Place,
    Stripped,
    growth,
    one_step,
    one_step_type,
    open_axes,
    time_axes,
)
from rnnc.types import TensorType, TupleType, parse_type

#: What a value of the function becomes: as many as it has items, if it is a tuple.
Found = Stripped | tuple[Stripped, ...]
#: How an op that works along time is stripped; ``None`` if this one works frame by frame.
Rule = Callable[["Stripping", str, Sequence[Stripped]], Found | None]
ALONG: dict[str, Rule] = {}

#: Ops that give zeros of zeros, so that they may work on what is before the first step.
KEEP_ZEROS = frozenset(
    [
        "relu",
        "tanh",
        "abs",
        "neg",
        "sign",
        "sin",
        "softsign",
        "leaky_relu",
        "elu",
        "selu",
        "celu",
        "erf",
        "gelu",
        "hard_swish",
        "mish",
        "transpose",
        "reshape",
        "squeeze",
        "unsqueeze",
        "split",
        "slice",
        "matmul",
        "mul",
    ]
)


#: Ops that give zeros where all that they read is zeros.
KEEP_ALL_ZEROS = frozenset(["add", "sub", "maximum", "minimum", "concat"])


def along(*ops: str) -> Callable[[Rule], Rule]:
    """Declare how ops that work along time are stripped."""

    def declare(rule: Rule) -> Rule:
        ALONG.update(dict.fromkeys(ops, rule))
        return rule

    return declare


class Stripping:
    """A function graph being read, ``old``, and the stream graph that is made of it, ``new``.

    ``times`` are the inputs that have time, with the axis that it is; ``states`` those that are states.
    """

    def __init__(self, old: Graph, times: Mapping[str, int], states: Mapping[str, State]) -> None:
        self.old, self.times = old, times
        self.new = Graph(old.name)
        self.b = Builder(self.new)
        self.found: dict[str, Found] = {}
        self.inputs: list[Input] = []
        self.given = dict(states)
        self.states: list[State] = []
        self._ended: dict[str, str] = {}

    def run(self, outputs: Mapping[str, str]) -> Graph:
        """Strip everything; ``outputs`` are the function's own, by name."""
        old, new = self.old, self.new
        for value in old.order():
            self.b = Builder(new, locs=old[value].locs)
            try:
                self.found[value] = self._value(value)
            except (CannotStream, TypeMismatch) as reason:
                raise self._refused(value, str(reason)) from None
        declared = [self._output(name, value) for name, value in outputs.items()]
        for path, value in old.finals.items():
            new.finals[path] = self._last_of(path, value)
        params = {p: a for p, a in old.interface.params.items() if p in new}
        new.interface = Interface(tuple(self.inputs), tuple(declared), tuple(self.states), params)
        sweep(new)
        return new

    def _refused(self, value: str, reason: str) -> FormError:
        node = self.old[value]
        told = value if not value.startswith("%") else self._behind(value)
        return FormError(
            f"{told}, which {node.attrs.get('what', node.op)} gives, cannot be streamed: {reason}",
            hint="Import a part of the model that streams, or say how many frames are one step: --block.",
            loc=next(iter(node.locs), None),
        )

    def _behind(self, value: str) -> str:
        """A value without a name, by the first one with a name that is made of it."""
        for _, user in nx.bfs_edges(self.old.nx, value):
            if not user.startswith("%"):
                return f"what {user} is made of"
        return value

    # -- values -------------------------------------------------------------------------------------------
    def _value(self, value: str) -> Found:
        node = self.old[value]
        if node.op in SOURCES:
            return self._source(value)
        if node.op == "item":
            items = self.found[self.old.operands(value)[0]]
            assert isinstance(items, tuple)
            return items[node.attrs["k"]]
        xs = [self.one(o) for o in self.old.operands(value)]
        moves = any(x.place for x in xs) or bool(time_axes(node.type))
        if node.op == "size" and grows_along(self.old, value):
            raise CannotStream("how long the sequence is, is known at its end")
        if moves and node.op in ALONG:
            done = ALONG[node.op](self, value, xs)
            if done is not None:
                return done
        if not any(x.place for x in xs):
            return self._items(value, self.same(value, [x.value for x in xs]), None, any(x.final for x in xs))
        return self._frame_by_frame(value, self.aligned(xs))

    def one(self, value: str) -> Stripped:
        """What a value that is one tensor became."""
        found = self.found[value]
        assert isinstance(found, Stripped)
        return found

    def _items(self, value: str, new: str, place: Place | None, final: bool = False) -> Found:
        if isinstance(self.old[value].type, TupleType):
            return tuple(Stripped(v, place, final) for v in self.b.items(new))
        return Stripped(new, place, final)

    def same(self, value: str, operands: Sequence[str]) -> str:
        """The same op, at one step."""
        node = self.old[value]
        name = "" if value.startswith("%") else value
        attrs = {n: one_step(a) for n, a in node.attrs.items()}
        if node.op == "const":
            return self.b.const(attrs["value"], name=name)
        if node.op == "opaque":
            attrs["results"] = tuple(str(one_step_type(parse_type(r))) for r in attrs["results"])
        if node.op == "region":
            return self.new.add(
                node.op, *operands, type=one_step_type(node.type), name=name, locs=node.locs, **attrs
            )
        return self.b(node.op, *operands, name=name, **attrs)

    def _frame_by_frame(self, value: str, xs: Sequence[Stripped]) -> Found:
        """An op that does to every frame the same."""
        node, reads = self.old[value], self.old.operands(value)
        if any(x.final for x in xs):
            raise CannotStream("it joins what is known at every step with what is known at the end")
        if node.op == "region" or (node.op == "opaque" and not node.attrs.get("axes")):
            what = node.attrs.get("what", "a loop")
            if not open_axes(node.type):
                raise CannotStream("it has one fixed length, for which the file was exported")
            raise CannotStream(f"rnnc does not know along which axes {what} works")
        kinds = [self.old.type(o) for o in reads]
        first = node.type.items[0] if isinstance(node.type, TupleType) else node.type
        pairs = list(zip(kinds, (x.place for x in xs), strict=True))
        place = follow(OPS[node.op], OPS[node.op].complete(node.attrs), pairs, first)
        zeros = node.op in KEEP_ZEROS or (node.op == "pad" and not node.attrs.get("value"))
        zeros |= node.op in KEEP_ALL_ZEROS and all(x.place for x in xs)
        if place.lead > 0 and place.past != UNTOLD and (not zeros or place.past):
            raise CannotStream("it works on what is before the first step")
        return self._items(value, self.same(value, [x.value for x in xs]), place)

    def aligned(self, xs: Sequence[Stripped]) -> list[Stripped]:
        """Operands of which frames of one number meet, by delaying those that are ahead."""
        leads = [x.place.lead for x in xs if x.place]
        least = min(leads, default=0)
        if all(lead == least for lead in leads):
            return list(xs)
        return [self._later(x, x.place.lead - least) if x.place else x for x in xs]

    def _later(self, x: Stripped, by: int) -> Stripped:
        assert x.place is not None
        if not by:
            return x
        if by % x.place.frames or x.place.past:
            raise CannotStream("frames of different steps meet")
        place = replace(x.place, lead=x.place.lead - by)
        return Stripped(self.past(x.value, by // x.place.frames)[-1], place)

    # -- memory -------------------------------------------------------------------------------------------
    def past(self, value: str, steps: int, init: Array | None = None) -> list[str]:
        """A value at each of the ``steps`` before, the nearest first; before the first step, ``init``."""
        kind = self.new.type(value)
        source = self.state(value, kind, steps, init)
        self.follows(value)
        found = []
        for k in range(1, steps + 1):
            held = self.b("slice", source, axis=0, start=0, stop=k) if k < steps else source
            held = self.b("squeeze", held, axes=(0,)) if k == 1 < steps else held
            found.append(self.b("delay", value, held, k=k))
        return found

    def state(self, path: str, kind: TensorType, depth: int = 1, init: Array | None = None) -> str:
        """A new state's source; the state follows the value that it is called after, for now."""
        taken = {s.path for s in self.states}
        base, n = path.strip("%") if not path.startswith("%") else f"s{len(taken)}", 1
        path = base
        while path in taken:
            n += 1
            path = f"{base}_{n}"
        self.states.append(State(path, kind, depth, init))
        return self.new.add("init", type=state_type(kind, depth), name=self.states[-1].source)

    def follows(self, value: str) -> None:
        """Let the newest state follow ``value``."""
        self.new.finals[self.states[-1].path] = value

    def ahead(self, value: str, steps: int) -> list[str]:
        """A value at each of the ``steps`` to come, the nearest first; zeros past the last step."""
        zero = self.b.const(0, self.new.type(value).dtype)
        return [self.b("delay", value, zero, k=-k) for k in range(1, steps + 1)]

    # -- the interface ------------------------------------------------------------------------------------
    def _source(self, value: str) -> Stripped:
        node = self.old[value]
        if value in self.given:
            state = self.given[value]
            self.states.append(state)
            return Stripped(self.new.add("init", type=node.type, name=state.source, locs=node.locs))
        if node.op == "input":
            return self._input(value)
        return Stripped(self.new.add(node.op, type=node.type, name=value, locs=node.locs))

    def _input(self, value: str) -> Stripped:
        """A stream is one step's value, to which the axis of time is given back."""
        kind = self.old.type(value)
        if value not in self.times:
            self.new.add("input", type=kind, name=value)
            self.inputs.append(Input(value, kind, "given"))
            return Stripped(value)
        axis = self.times[value]
        frames = growth(kind.shape[axis])
        assert isinstance(frames, int)
        kept = (*kind.shape[:axis], *((frames,) if frames > 1 else ()), *kind.shape[axis + 1 :])
        step = TensorType(kind.dtype, kept)
        self.new.add("input", type=step, name=value)
        self.inputs.append(Input(value, step))
        whole = self.b("unsqueeze", value, axes=(axis,)) if frames == 1 else value
        return Stripped(whole, Place(axis, frames))

    def _output(self, name: str, value: str) -> Output:
        found, kind = self.one(value), self.old.type(value)
        self.b = Builder(self.new, locs=self.old[value].locs)
        if found.place is None:
            end = self._at_end(value) if found.final else found.value
            self.new.outputs[name] = end
            return Output(name, self.new.type(end), "final")
        place = found.place
        d = kind.shape[place.axis]
        if place.lead or d != growth(d) * STEPS:
            raise self._refused(value, f"it has {d} frames, not one for each of the input")
        step = found.value
        if place.outer != 1 or growth(d) != place.frames:
            raise self._refused(value, "time shares an axis of it with others")
        if place.frames == 1:
            step = self.b("squeeze", step, axes=(place.axis,))
        self.new.outputs[name] = step
        return Output(name, self.new.type(step))

    def _at_end(self, value: str) -> str:
        """A value that is known at the end, computed there only."""
        if value not in self._ended:
            found = self.one(value)
            operands = self.old.operands(value)
            if not found.final:
                return found.value
            if self.old[value].op == "item" or any(self.one(o).place for o in operands):
                self._ended[value] = self.b("last", found.value)
            else:
                self._ended[value] = self.same(value, [self._at_end(o) for o in operands])
        return self._ended[value]

    def _last_of(self, path: str, value: str) -> str:
        """The stream whose last value a state is."""
        found = self.one(value)
        if found.place is not None:
            raise self._refused(value, f"the state {path} is a whole sequence")
        return found.value


def grows_along(graph: Graph, value: str) -> bool:
    """Whether a size is that of time."""
    (x,) = graph.operands(value)
    return graph[value].attrs["axis"] in time_axes(graph[x].type)
