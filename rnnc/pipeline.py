"""Passes, and the pipelines that string them together.

    canonicalize,fuse-gates,unroll{steps=8,separate=true},lower

A pipeline is text: passes in order, each with those options that are not at their default. Option names are
the pass's fields with dashes; values are numbers, ``true``, ``false``, ``none``, words and ``"strings"``.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, get_args, get_type_hints

from lark import Token

from rnnc.errors import FormError, VerifyError
from rnnc.ir import Graph
from rnnc.ops import OPS
from rnnc.text.syntax import Language, Source, did_you_mean
from rnnc.verify import verify

#: Invariants that passes need and give.
TYPED = "typed"
STREAMING = "streaming"
ACYCLIC = "acyclic"
LOWERED = "lowered"

#: When a graph that the verifier accepts has an invariant.
INVARIANTS: Mapping[str, Callable[[Graph], bool]] = {
    TYPED: lambda graph: True,  # the verifier sees to it
    STREAMING: lambda graph: graph.level == "stream",
    ACYCLIC: lambda graph: graph.level == "function",
    LOWERED: lambda graph: graph.level == "function" and not any(OPS[graph[v].op].lowered for v in graph),
}

#: Every pass by its name.
PASSES: dict[str, type[Pass]] = {}

#: Called after each pass with it, the graph before and the graph after, whose ``edits`` are the pass's own.
Hook = Callable[["Pass", Graph, Graph], None]


@dataclass(frozen=True)
class Pass(ABC):
    """A named change to a graph; its fields are its options.

    A subclass that states a ``name`` of its own is known to pipelines. ``needs`` and ``gives`` are the
    invariants that a graph must have before, and has after.
    """

    name: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset()
    gives: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        if "name" in cls.__dict__:
            other = PASSES.setdefault(cls.name, cls)
            if (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
                raise ValueError(f"both {other.__qualname__} and {cls.__qualname__} are named {cls.name}")
            PASSES[cls.name] = cls  # dataclass(slots=True) makes a class twice

    @abstractmethod
    def apply(self, graph: Graph) -> None:
        """Change ``graph``, a copy made for this pass."""

    def __str__(self) -> str:
        options = [
            f"{f.name.replace('_', '-')}={_show(getattr(self, f.name))}"
            for f in dataclasses.fields(self)
            if getattr(self, f.name) != f.default
        ]
        return f"{self.name}{{{','.join(options)}}}" if options else self.name


@dataclass(frozen=True)
class Pipeline:
    """Passes run in order, each on a copy; the graph is verified after every one, and frozen between."""

    passes: tuple[Pass, ...]

    @classmethod
    def parse(cls, text: str) -> Pipeline:
        """The pipeline that ``text`` says; :class:`TextError` where it says none."""
        source = Source(text, "<pipeline>")
        return cls(tuple(_pass(source, tree) for tree in _language().read(source).children))

    def __str__(self) -> str:
        return ",".join(map(str, self.passes))

    def run(self, graph: Graph, hook: Hook | None = None) -> Graph:
        """The graph after all passes, frozen; ``graph`` itself stays as it is.

        A pass that breaks the graph is named by the :class:`VerifyError`.
        """
        verify(graph)
        before = graph.copy().freeze()
        for p in self.passes:
            _check_needs(p, before)
            after = before.copy()
            with after.editing(by=p.name):
                p.apply(after)
            _check_result(p, before, after)
            after.freeze()
            if hook:
                hook(p, before, after)
            before = after
        return before


def _check_needs(p: Pass, graph: Graph) -> None:
    missing = sorted(i for i in p.needs if not INVARIANTS[i](graph))
    if missing:
        givers = sorted(name for name, other in PASSES.items() if missing[0] in other.gives)
        hint = f"Put {' or '.join(givers)} before it." if givers else "No pass gives that."
        raise FormError(f"{p} needs a graph that is {missing[0]}, and {graph.name} is not", hint=hint)


def _check_result(p: Pass, before: Graph, after: Graph) -> None:
    try:
        verify(after)
    except VerifyError as error:
        raise VerifyError(f"the pass {p} broke a graph: {error.message}", notes=error.notes) from None
    if after.interface is not before.interface:
        raise VerifyError(f"the pass {p} changed the interface of {after.name}, which no pass may")
    broken = sorted(i for i in p.gives if not INVARIANTS[i](after))
    if broken:
        raise VerifyError(f"the pass {p} promises a graph that is {broken[0]}, and {after.name} is not")


# -- pipelines as text ------------------------------------------------------------------------------------

_GRAMMAR = r"""
start: (pass ("," pass)*)?
pass: NAME options?
options: "{" (option (","? option)*)? "}"
option: NAME "=" value
?value: STRING | WORD
NAME: /[A-Za-z][\w-]*/
WORD: /[\w.+:\/-]+/
STRING: /"(?:\\.|[^"\\\n])*"/
WS: /\s+/
%ignore WS
"""

_WORD = r"[\w.+:/-]+"

_PLAIN = {"true": True, "false": False, "none": None}


@functools.cache
def _language() -> Language:
    return Language(_GRAMMAR, {"NAME": "a name", "WORD": "a value", "STRING": "a string"})


def _pass(source: Source, tree: Any) -> Pass:
    """One pass with its options."""
    name: Token = tree.children[0]
    found = PASSES.get(name)
    if found is None:
        hint = did_you_mean(name, PASSES) or f"The passes are {', '.join(sorted(PASSES))}."
        raise source.error(f"there is no pass {name}", name, hint)
    fields = {f.name.replace("_", "-"): f for f in dataclasses.fields(found)}
    kinds = get_type_hints(found)
    options: dict[str, Any] = {}
    for option in (o for options_tree in tree.children[1:] for o in options_tree.children):
        key, value = option.children
        if key not in fields:
            has = f"Its options are {', '.join(fields)}." if fields else "It has none."
            raise source.error(f"{name} has no option {key}", key, did_you_mean(key, fields) or has)
        field = fields[key]
        if field.name in options:
            raise source.error(f"the option {key} is given twice", key)
        options[field.name] = _value(source, key, value, kinds[field.name])
    for key, field in fields.items():
        if field.name not in options and field.default is field.default_factory is dataclasses.MISSING:
            raise source.error(f"{name} needs the option {key}", name, f"Write {name}{{{key}=…}}.")
    return found(**options)


def _value(source: Source, key: Token, token: Token, kind: Any) -> Any:
    """What a value says, if it is of the kind that the option wants."""
    text = json.loads(token) if token.type == "STRING" else str(token)
    kinds = get_args(kind) or (kind,)
    if token.type == "WORD":
        if token.lower() in _PLAIN and type(_PLAIN[token.lower()]) in kinds:
            return _PLAIN[token.lower()]
        for number in (int, float):
            if number in kinds:
                try:
                    return number(text)
                except ValueError:
                    continue
    if str in kinds:
        return text
    wanted = " or ".join("none" if k is type(None) else k.__name__ for k in kinds)
    raise source.error(f"the option {key} is of type {wanted}, which {token} is not", token)


def _show(value: Any) -> str:
    """An option's value as pipelines write it."""
    match value:
        case None | bool():
            return str(value).lower()
        case str() if not re.fullmatch(_WORD, value):
            return json.dumps(value, ensure_ascii=False)
    return str(value)
