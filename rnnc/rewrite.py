"""Rules: a graph rewritten by algebra, in the operators of the language that is rewritten.

    @ruleset
    def RULES(x: Var, y: Var, *xs: Var) -> Rules:
        yield rewrite(x + 0).to(x)
        yield rewrite(transpose(transpose(x, perm=p), perm=q)).to(compose)
        yield rewrite(x - (-y)).to(x + y)
        yield rewrite(x * 0).to(0).when(lambda x: not x.type.floating)

The parameters stand for any value, or for any attribute where they are given as one; ``*xs`` stands for the
remaining operands. A number is a constant all of whose elements equal it. Operands of a commutative op
match in either order, with backtracking. (Associative ones do not: sums of floats may not be regrouped, and
products of bits are too few to pay for it.) What a rule gives is a pattern, or a function of what its
parameters are bound to, values as :class:`Value`; it builds by calling ops, and may return ``None``: no
change. Conditions are such functions too. ``root`` among their parameters is the value that is rewritten.

A rule never changes a type: a result that lacks only broadcasting is expanded, any other is refused.

**Termination** is owed by each set of rules: every rule lowers a measure that its set states.
:func:`apply_rules` stops with an error that names the rule when rewrites outnumber what any such measure
would allow. Every rule is known by the line it is written on, which stands as ``by`` in the edits it makes.
"""

from __future__ import annotations

import inspect
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import islice
from pathlib import PurePath
from typing import Any

import numpy as np

from rnnc.build import Builder, Literal
from rnnc.errors import VerifyError
from rnnc.ir import SOURCES, Array, Attr, Graph, Node
from rnnc.ops.declare import OPS, Op
from rnnc.ops.operators import Arithmetic
from rnnc.types import TensorType, TupleType, Type

# -- what rules are written in ------------------------------------------------------------------------------


class Pattern(Arithmetic):
    """A tree of ops to look for, or to build."""

    def __rnnc_op__(self, op: Op, args: tuple[Any, ...], attrs: Mapping[str, Any]) -> Call:
        return Call(op, args, attrs)


@dataclass(frozen=True, eq=False)
class Var(Pattern):
    """Any value, or any attribute; the same one wherever it stands in a rule."""

    name: str


@dataclass(frozen=True, eq=False)
class Rest(Var):
    """All operands from here on."""


@dataclass(frozen=True, eq=False)
class Call(Pattern):
    """An op on patterns. An attribute that is not mentioned may be anything."""

    op: Op
    args: tuple[Any, ...]
    attrs: Mapping[str, Any]


@dataclass(frozen=True)
class Value(Arithmetic):
    """A value of a graph, as rules see it: ops called on it add to the graph."""

    graph: Graph = field(compare=False, repr=False)
    name: str
    like: tuple[str, ...] = field(default=(), compare=False, repr=False)

    def __rnnc_op__(self, op: Op, args: tuple[Any, ...], attrs: Mapping[str, Any]) -> Value:
        build = Builder(self.graph, self.like)
        new = build(op, *(a.name if isinstance(a, Value) else a for a in args), **attrs)
        return self.of(new)

    def of(self, name: str) -> Value:
        """Another value of the same graph."""
        return Value(self.graph, name, self.like)

    def const(self, value: Literal | Array | list[Any], dtype: str = "") -> Value:
        """A new constant, by default of this value's element type."""
        return self.of(Builder(self.graph, self.like).const(value, dtype or self.type.dtype))

    @property
    def node(self) -> Node:
        """The node itself."""
        return self.graph[self.name]

    @property
    def type(self) -> TensorType:
        """The type, of a value that is one tensor."""
        return self.node.tensor

    @property
    def op(self) -> str:
        """The name of the op that computes it."""
        return self.node.op

    @property
    def operands(self) -> tuple[Value, ...]:
        """What it is computed from."""
        return tuple(map(self.of, self.graph.operands(self.name)))

    @property
    def used_once(self) -> bool:
        """Whether nothing but one operand slot reads it."""
        return used_once(self.graph, self.name)

    def attr(self, name: str) -> Attr:
        """An attribute, or its default."""
        return attribute(self.node, name)


@dataclass(frozen=True, eq=False)
class Rule:
    """One rewrite: ``lhs`` becomes ``rhs`` wherever all ``conditions`` hold."""

    where: str
    lhs: Call
    rhs: Any = None
    conditions: tuple[Callable[..., Any], ...] = ()

    @cached_property
    def below(self) -> frozenset[str]:
        """The ops that operands must have for the rule to apply at all."""
        fixed = (a for a in self.lhs.args if not isinstance(a, Var))
        return frozenset(a.op.name if isinstance(a, Call) else "const" for a in fixed)

    def to(self, rhs: Any) -> Rule:
        """What the pattern becomes: a pattern, a number, or a function that builds it or returns ``None``."""
        return Rule(self.where, self.lhs, rhs, self.conditions)

    def when(self, *conditions: Callable[..., Any]) -> Rule:
        """Functions, of any of the rule's parameters, that must be true."""
        return Rule(self.where, self.lhs, self.rhs, self.conditions + conditions)


Rules = Iterator[Rule]


def rewrite(lhs: Any) -> Rule:
    """The beginning of a rule, known by the line on which this is called."""
    frame = sys._getframe(1)
    file = PurePath(frame.f_code.co_filename)
    return Rule(f"{file.parent.name}/{file.name}:{frame.f_lineno}", lhs)


def ruleset(written: Callable[..., Iterable[Rule]]) -> tuple[Rule, ...]:
    """The rules that a function yields; each of its parameters becomes a variable."""
    variables = [
        (Rest if p.kind is p.VAR_POSITIONAL else Var)(p.name)
        for p in inspect.signature(written).parameters.values()
    ]
    return tuple(written(*variables))


def constant(value: Any) -> Call:
    """The pattern of a constant whose array is ``value``, a variable."""
    return Call(OPS["const"], (), {"value": value})


# -- matching -----------------------------------------------------------------------------------------------

Bindings = dict[str, Any]


def attribute(node: Node, name: str) -> Attr:
    """An attribute of a node, or the default that its op declares."""
    return node.attrs[name] if name in node.attrs else OPS[node.op].attrs[name].default


def match(pattern: Any, graph: Graph, value: str, env: Bindings) -> Iterator[Bindings]:
    """Every way in which ``value`` fits ``pattern`` with the variables in ``env`` bound as they are."""
    if isinstance(pattern, Var):
        yield from _bind(pattern, Value(graph, value, (env["root"].name,)), env)
    elif not isinstance(pattern, Call):
        node = graph[value]
        if node.op == "const" and node.attrs["value"].size and np.all(node.attrs["value"] == pattern):
            yield env
    elif graph[value].op == pattern.op.name:
        node, operands = graph[value], graph.operands(value)
        for bound in _match_attrs(list(pattern.attrs.items()), node, env):
            yield from _match_all(pattern.args, graph, operands, bound)
            if pattern.op.commutative and len(operands) == 2 and operands[0] != operands[1]:
                yield from _match_all(pattern.args, graph, operands[::-1], bound)


def _match_attrs(wanted: list[tuple[str, Any]], node: Node, env: Bindings) -> Iterator[Bindings]:
    for name, pattern in wanted:
        found = attribute(node, name)
        if isinstance(pattern, Var):
            extended = next(_bind(pattern, found, env), None)
            if extended is None:
                return
            env = extended
        elif pattern != found:
            return
    yield env


def _match_all(
    patterns: tuple[Any, ...], graph: Graph, values: tuple[str, ...], env: Bindings
) -> Iterator[Bindings]:
    if not patterns:
        if not values:
            yield env
    elif isinstance(patterns[0], Rest):
        like = (env["root"].name,)
        yield from _bind(patterns[0], tuple(Value(graph, v, like) for v in values), env)
    elif values:
        for bound in match(patterns[0], graph, values[0], env):
            yield from _match_all(patterns[1:], graph, values[1:], bound)


def _bind(variable: Var, found: Any, env: Bindings) -> Iterator[Bindings]:
    if variable.name not in env:
        yield {**env, variable.name: found}
    elif type(found) is type(env[variable.name]) and env[variable.name] == found:
        yield env


# -- rewriting ----------------------------------------------------------------------------------------------

#: Rewrites allowed per value of the graph before a set of rules is held not to end.
PATIENCE = 100


def apply_rules(graph: Graph, rules: Iterable[Rule]) -> None:
    """Rewrite until no rule applies.

    Values wait in a worklist, operands first. After a rewrite only the new values, those that read them as
    far up as the deepest pattern reaches, and operands' last remaining users wait again.
    """
    by_op: dict[str, list[Rule]] = {}
    for rule in rules:
        by_op.setdefault(rule.lhs.op.name, []).append(rule)
    reach = max((_depth(r.lhs) for some in by_op.values() for r in some), default=0)
    waiting = deque(graph.order())
    queued = set(waiting)
    budget = PATIENCE * (len(graph) + 10)
    while waiting:
        value = waiting.popleft()
        queued.discard(value)
        if value not in graph:
            continue
        candidates = by_op.get(graph[value].op, ())
        below = {graph[o].op for o in graph.nx.pred[value]} if candidates else set()
        for rule in candidates:
            touched = _try(rule, graph, value) if rule.below <= below else None
            if touched is None:
                continue
            budget -= 1
            if budget < 0:
                raise VerifyError(f"rules do not end in {graph.name}: the last to apply was {rule.where}")
            for v in _readers(graph, touched, reach):
                if v not in queued:
                    waiting.append(v)
                    queued.add(v)
            break


def _try(rule: Rule, graph: Graph, value: str) -> list[str] | None:
    """Apply ``rule`` at ``value`` if it fits, and return the values that are to be looked at again."""
    root = Value(graph, value, (value,))
    for env in match(rule.lhs, graph, value, {"root": root}):
        if not all(_call(c, env) for c in rule.conditions):
            continue
        before = len(graph.edits)
        with graph.editing(rule.where):
            found = _build(rule.rhs, env)
            new = _fit(found, root) if found is not None else None
            added = [e.value for e in graph.edits[before:] if e.verb == "add"]
            if new is None or new.name == value:
                prune(graph, added)
                continue
            operands = graph.operands(value)
            name = supersede(graph, value, new.name)
            prune(graph, [*operands, *added])
        return [name, *added, *(v for v in operands if v in graph and used_once(graph, v))]
    return None


def _build(rhs: Any, env: Bindings) -> Any:
    """What ``rhs`` stands for: its values, attributes and numbers in place of its patterns."""
    if isinstance(rhs, Call):
        args: list[Any] = []
        for a in rhs.args:
            args += _build(a, env) if isinstance(a, Rest) else [_build(a, env)]
        return rhs.op(*args, **{k: _build(a, env) for k, a in rhs.attrs.items()})
    if isinstance(rhs, Var):
        return env[rhs.name]
    return _call(rhs, env) if callable(rhs) else rhs


def _call(function: Callable[..., Any], env: Bindings) -> Any:
    return function(**{p: env[p] for p in _parameters(function) if p in env})


@cache
def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)


def _fit(new: Any, old: Value) -> Value | None:
    """``new`` with the type of ``old``: a number becomes a constant, a smaller value is expanded."""
    fitting: Value = new if isinstance(new, Value) else old.const(new)
    want: Type = old.node.type
    have: Type = fitting.node.type
    if have == want:
        return fitting
    if isinstance(want, TupleType) or isinstance(have, TupleType) or have.dtype != want.dtype:
        return None
    padded = (1,) * (want.rank - have.rank) + have.shape
    if have.rank > want.rank or any(a not in (1, b) for a, b in zip(padded, want.shape, strict=True)):
        return None
    expanded: Value = OPS["expand"](fitting, shape=want.shape)
    return expanded


def _depth(pattern: Any) -> int:
    return 1 + max(map(_depth, pattern.args), default=0) if isinstance(pattern, Call) else 0


def _readers(graph: Graph, values: Iterable[str], levels: int) -> Iterator[str]:
    """``values``, and those that read them over at most ``levels`` edges."""
    seen: set[str] = set()
    front = [v for v in values if v in graph]
    for _ in range(levels + 1):
        front = [v for v in dict.fromkeys(front) if v not in seen]
        seen.update(front)
        yield from front
        front = [user for v in front for user in graph.nx.succ[v]]


def supersede(graph: Graph, old: str, new: str) -> str:
    """Replace ``old`` by ``new``, an equal value, and return the name that ``new`` now has.

    Where ``new`` is a delay of ``old``, and so of its own value, it reads itself from now on.
    """
    name = graph.replace(old, new)
    if name != old and old in graph and graph[name].op == "delay" and graph.operands(name)[0] == old:
        graph.connect(name, name, 0)
        prune(graph, [old])
    return name


# -- values that nothing needs ------------------------------------------------------------------------------


def used_once(graph: Graph, value: str) -> bool:
    """Whether one operand slot reads ``value``, and the interface does not."""
    slots = islice((s for users in graph.nx.succ[value].values() for s in users), 2)
    return len(list(slots)) == 1 and value not in graph.roots()


def prune(graph: Graph, values: Iterable[str]) -> None:
    """Erase those of ``values`` that nothing reads, then what only they read, and so on."""
    waiting = list(values)
    while waiting:
        v = waiting.pop()
        if v in graph and not graph.nx.succ[v] and graph[v].op not in SOURCES and v not in graph.roots():
            waiting += graph.operands(v)
            graph.erase(v)


def sweep(graph: Graph) -> None:
    """Erase every value that no output and no state needs, loops that feed only themselves included."""
    live: set[str] = set()
    waiting = list(graph.roots())
    while waiting:
        v = waiting.pop()
        if v not in live:
            live.add(v)
            waiting += graph.nx.pred[v]
    if all(v in live or graph[v].op in SOURCES for v in graph):
        return
    dead = [v for v in reversed(graph.order()) if v not in live and graph[v].op not in SOURCES]
    for v in dead:
        if graph[v].op == "delay":
            graph.connect(v, v, 0)
    for v in dead:
        graph.erase(v)
