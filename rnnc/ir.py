"""The graph: values in single assignment, joined by numbered operand edges.

A :class:`Graph` holds a ``networkx.MultiDiGraph`` in which a node is a value, known by its name, and an
edge's key is the operand slot it fills. Its :class:`Interface` says what the model is to the outside; passes
never change it. A graph is at one of two levels:

``stream``     every value is one step of a stream (or the same at every step), and ``delay`` joins the steps;
``function``   an acyclic function of whole tensors, where time, if there is any, is an axis.

At both levels ``outputs`` maps the interface's outputs to values, and ``finals`` maps each state's path to a
value. At stream level that is the value whose last ``depth`` steps the state is; at function level it is the
state's tensor after the run.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

import networkx as nx
import numpy as np

from rnnc.errors import Loc, VerifyError
from rnnc.types import TensorType, Type

Array = np.ndarray[Any, Any]
Attr = Any  # int, float, bool, str, a tuple of these or of dims, an Array, a Graph
Level = Literal["stream", "function"]
Edges = Mapping[str, Mapping[int, Any]]  # the value at the other end → the slots, as networkx keys edges

_NO_ATTRS: Mapping[str, Attr] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Node:
    """One operation. The value it computes has the name by which the graph knows it."""

    op: str
    type: Type
    attrs: Mapping[str, Attr] = field(default_factory=lambda: _NO_ATTRS)
    locs: tuple[Loc, ...] = ()

    @property
    def tensor(self) -> TensorType:
        """The type, of a value that is one tensor."""
        assert isinstance(self.type, TensorType), f"{self.op} gives a tuple"
        return self.type


@dataclass(frozen=True, slots=True)
class Edit:
    """One change to a graph: what was done, to which value, and by which pass or rule."""

    verb: Literal["add", "replace", "erase"]
    value: str
    by: str


@dataclass(frozen=True, slots=True)
class Input:
    """An input: ``type`` is that of one step of a stream, or of the one value of a ``given``."""

    name: str
    type: TensorType
    kind: Literal["stream", "given"] = "stream"
    loc: Loc | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """An output: ``type`` is that of one step; a ``final`` one is the last step's value alone."""

    name: str
    type: TensorType
    kind: Literal["stream", "final"] = "stream"
    loc: Loc | None = None


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What a model remembers between runs: the last ``depth`` values of one value, newest first.

    ``type`` is that of one slot. ``init`` broadcasts to :attr:`tensor`; ``None`` stands for zeros.
    """

    path: str
    type: TensorType
    depth: int = 1
    init: Array | None = None
    loc: Loc | None = None

    @property
    def source(self) -> str:
        """The name of the graph's value that is this state before the run."""
        return f"{self.path}.init"

    @property
    def tensor(self) -> TensorType:
        """The type of the whole state: one slot's, or ``depth`` of them along a new first axis."""
        return state_type(self.type, self.depth)


def state_type(slot: TensorType, depth: int) -> TensorType:
    """The type that holds ``depth`` values of type ``slot``."""
    return slot if depth == 1 else TensorType(slot.dtype, (depth, *slot.shape))


@dataclass(frozen=True, slots=True, eq=False)
class Interface:
    """What a model is to the outside. ``params`` maps paths to arrays, ``None`` if only types are known."""

    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    states: tuple[State, ...] = ()
    params: Mapping[str, Array | None] = field(default_factory=dict)

    def state(self, path: str) -> State:
        """The state of that path; ``KeyError`` if there is none."""
        return next(s for s in self.states if s.path == path)


class Graph:
    """A dataflow graph whose cycles all pass through a ``delay``."""

    def __init__(self, name: str, interface: Interface | None = None, level: Level = "stream") -> None:
        self.name = name
        self.interface = interface or Interface()
        self.level: Level = level
        self.nx: Any = nx.MultiDiGraph()
        self.outputs: dict[str, str] = {}
        self.finals: dict[str, str] = {}
        self.edits: list[Edit] = []
        self.frozen = False
        self.by = ""
        self._rank: dict[str, int] = {}
        self._next = 0
        self._order: list[str] | None = None  # as long as nothing has changed

    # -- reading ------------------------------------------------------------------------------------------
    def __getitem__(self, value: str) -> Node:
        node: Node = self.nx._node[value]["node"]  # its views cost half the time of a pass
        return node

    def __contains__(self, value: str) -> bool:
        return value in self.nx

    def __iter__(self) -> Iterator[str]:
        return iter(self.nx)

    def __len__(self) -> int:
        return len(self.nx)

    def type(self, value: str) -> TensorType:
        """The type of a value that is one tensor."""
        return self[value].tensor

    def operands(self, value: str) -> tuple[str, ...]:
        """The values that ``value`` reads, by slot."""
        pairs = ((slot, src) for src, slots in self._pred(value).items() for slot in slots)
        return tuple(src for _, src in sorted(pairs))

    def uses(self, value: str) -> list[tuple[str, int]]:
        """Every (user, slot) that reads ``value``, in a fixed order, without the interface's own uses."""
        found = [(user, slot) for user, slots in self._succ(value).items() for slot in slots]
        return sorted(found, key=lambda use: (self._rank[use[0]], use[1]))

    def roots(self) -> tuple[str, ...]:
        """The values that the interface needs: of outputs, then of states."""
        return (*self.outputs.values(), *self.finals.values())

    def find(self, op: str) -> list[str]:
        """The values computed by ``op``, in the order in which they were added."""
        return sorted((v for v in self.nx if self[v].op == op), key=self._rank.__getitem__)

    def order(self) -> list[str]:
        """Every value after its operands, where a delay does not wait for the value it delays.

        Of the possible orders, the one closest to that of addition. Raises :class:`VerifyError` if values
        depend on one another without a delay between.
        """
        if self._order is None:
            self._order = self._sorted()
        return list(self._order)

    def _sorted(self) -> list[str]:
        waits: dict[str, int] = {}
        ready: list[tuple[int, str]] = []
        for v in self.nx:
            waits[v] = sum(map(len, self._pred(v).values())) - self._looks_back(v)
            if not waits[v]:
                ready.append((self._rank[v], v))
        heapq.heapify(ready)
        out: list[str] = []
        while ready:
            _, v = heapq.heappop(ready)
            out.append(v)
            for user, slots in self._succ(v).items():
                waits[user] -= len(slots) - (0 in slots and self._looks_back(user))
                if not waits[user] and not (self._looks_back(user) and set(slots) == {0}):
                    heapq.heappush(ready, (self._rank[user], user))
        if len(out) < len(self.nx):
            stuck = sorted(v for v, n in waits.items() if n)
            raise VerifyError(f"{self.name} has a cycle without a delay among {', '.join(stuck[:8])}")
        return out

    def _pred(self, value: str) -> Edges:
        edges: Edges = self.nx._pred[value]
        return edges

    def _succ(self, value: str) -> Edges:
        edges: Edges = self.nx._succ[value]
        return edges

    def _looks_back(self, value: str) -> int:
        return int(self[value].op == "delay")

    # -- changing -----------------------------------------------------------------------------------------
    def add(
        self,
        op: str,
        *operands: str,
        type: Type,
        name: str = "",
        locs: Iterable[Loc] = (),
        like: str | Iterable[str] = (),
        **attrs: Attr,
    ) -> str:
        """Add a value and return its name: ``name`` (made unique) or a temporary one.

        It gets ``locs``, and those of the values ``like``.
        """
        self._change()
        value = self.fresh(name)
        sources = (like,) if isinstance(like, str) else like
        merged = tuple(dict.fromkeys([*locs, *(loc for s in sources for loc in self[s].locs)]))
        self.nx.add_node(value, node=Node(op, type, MappingProxyType(attrs) if attrs else _NO_ATTRS, merged))
        self._rank[value] = len(self.edits) + len(self._rank)
        for slot, operand in enumerate(operands):
            self._connect(operand, value, slot)
        self.edits.append(Edit("add", value, self.by))
        return value

    def replace(self, old: str, new: str) -> str:
        """Give every use of ``old`` to ``new``, erase ``old``, and return the name that ``new`` now has.

        ``new`` takes over the locations, and, if its own name is temporary, the name of ``old``. Where
        ``new`` itself reads ``old``, ``old`` stays, and only the other uses move. Sources (inputs, params,
        states) stay too.
        """
        self._change()
        if old == new:
            return new
        for user, slot in self.uses(old):
            if user != new:
                self.nx.remove_edge(old, user, key=slot)
                self._connect(new, user, slot)
        for ends in (self.outputs, self.finals):
            for key, value in ends.items():
                if value == old:
                    ends[key] = new
        node, gone = self[new], self[old]
        locs = tuple(dict.fromkeys(gone.locs + node.locs))
        self.nx.nodes[new]["node"] = replace(node, locs=locs)
        self.edits.append(Edit("replace", old, self.by))
        if gone.op not in SOURCES and not self.nx.succ[old]:
            self.erase(old)
            if new.startswith("%") and not old.startswith("%"):
                self._rename(new, old)
                return old
        return new

    def erase(self, value: str) -> None:
        """Remove a value that nothing uses."""
        self._change()
        if self.nx.succ[value] and set(self.nx.succ[value]) != {value}:
            raise VerifyError(f"{value} is erased while {next(iter(self.nx.succ[value]))} reads it")
        self.nx.remove_node(value)
        del self._rank[value]
        self.edits.append(Edit("erase", value, self.by))

    def connect(self, operand: str, user: str, slot: int) -> None:
        """Fill one slot of ``user`` anew: how a cycle is closed, as a delay is added before its operand."""
        self._change()
        for src in [s for s, slots in self._pred(user).items() if slot in slots]:
            self.nx.remove_edge(src, user, key=slot)
        self._connect(operand, user, slot)
        self.edits.append(Edit("replace", user, self.by))

    def rename(self, value: str, name: str = "") -> str:
        """Give ``value`` another name, by default a temporary one, and return it."""
        self._change()
        name = self.fresh(name)
        self._rename(value, name)
        return name

    def retype(self, value: str, type: Type) -> None:
        """Give ``value`` another type: how a source is declared anew."""
        self._change()
        self.nx.nodes[value]["node"] = replace(self[value], type=type)
        self.edits.append(Edit("replace", value, self.by))

    def record(self, inner: Graph, region: str) -> None:
        """Take over the edits of a graph that became the body of ``region``."""
        self.edits += [replace(e, value=f"{region}/{e.value}") for e in inner.edits]

    @contextmanager
    def editing(self, by: str) -> Iterator[None]:
        """Edits inside are recorded as made by ``by``."""
        before, self.by = self.by, by
        try:
            yield
        finally:
            self.by = before

    def fresh(self, name: str = "") -> str:
        """A name not in use: ``name``, else ``name_2``, …; without one, a temporary ``%n``."""
        if not name or name.startswith("%"):
            while f"%{self._next}" in self.nx:
                self._next += 1
            self._next += 1
            return f"%{self._next - 1}"
        candidate, n = name, 1
        while candidate in self.nx:
            n += 1
            candidate = f"{name}_{n}"
        return candidate

    def copy(self) -> Graph:
        """An unfrozen copy without recorded edits."""
        new = Graph(self.name, self.interface, self.level)
        new.nx = self.nx.copy()
        new.outputs, new.finals = dict(self.outputs), dict(self.finals)
        new._rank = {v: i for i, (v, _) in enumerate(sorted(self._rank.items(), key=lambda kv: kv[1]))}
        new._next, new._order = self._next, self._order
        return new

    def freeze(self) -> Graph:
        """Forbid further changes."""
        self.frozen = True
        return self

    def _change(self) -> None:
        if self.frozen:
            raise VerifyError(f"{self.name} is frozen: change a copy")
        self._order = None

    def _connect(self, operand: str, user: str, slot: int) -> None:
        if operand not in self.nx:
            raise VerifyError(f"{user} reads {operand}, which {self.name} does not have")
        self.nx.add_edge(operand, user, key=slot)

    def _rename(self, old: str, new: str) -> None:
        self.nx.add_node(new, node=self[old])
        self._rank[new] = self._rank.pop(old)
        for src, _, slot in list(self.nx.in_edges(old, keys=True)):
            self.nx.add_edge(new if src == old else src, new, key=slot)
        for _, user, slot in list(self.nx.out_edges(old, keys=True)):
            if user != old:
                self.nx.add_edge(new, user, key=slot)
        for ends in (self.outputs, self.finals):
            ends.update({key: new for key, value in ends.items() if value == old})
        self.nx.remove_node(old)


#: Ops whose values come from the interface, and never die with their uses.
SOURCES = frozenset({"input", "init", "param"})
