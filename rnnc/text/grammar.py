"""The grammar of graph text, and the reader that makes a graph of it; :mod:`rnnc.text` says what it means."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, Literal, cast

import numpy as np
from lark import Token, Tree

from rnnc.dims import dim
from rnnc.errors import TypeMismatch
from rnnc.ir import Array, Attr, Graph, Input, Interface, Level, Output, State
from rnnc.ops import OPS
from rnnc.ops.declare import Op
from rnnc.text.literals import NAME, NUMBER, Digest, read_array, read_scalar, read_word
from rnnc.text.syntax import Language, Source, did_you_mean
from rnnc.types import TensorType, TupleType, Type, parse_type, type_of

_RULES = r"""
start: graph
graph: level label sources "->" outputs "{" line* "}"
!level: "net" | "function"
label: NAME | STRING

sources: "(" (source ("," source)*)? ")"
?source: bound? kind NAME ":" TYPE of? -> input
       | "param" NAME ":" TYPE -> param
       | bound "param" NAME -> param
       | bound? "state" NAME ":" TYPE attrs? follows? -> state
bound: "bound"
!kind: "stream" | "given"
of: "of" TYPE
follows: "=" NAME

outputs: "(" (output ("," output)*)? ")"
output: final? name follows? of?
final: LAST
name: NAME | LAST
LAST: "last"

line: NAME ":" type "=" NAME operands attrs?
?type: TYPE | "(" (TYPE ("," TYPE)*)? ")" -> types
operands: "(" (operand ("," operand)*)? ")"
?operand: NAME | NUMBER

attrs: "{" attr ("," attr)* "}"
attr: NAME "=" value
?value: FLOAT | WORD | STRING | graph
      | "(" (value ("," value)* ","?)? ")" -> tuple
      | TYPE "(" (element ("," element)*)? ")" -> array
      | TYPE DIGEST -> digest
?element: FLOAT | WORD

TYPE.3: /(?:[fiu]\d+|bool)\[[^\]]*\]/
FLOAT.2: /-?\d+(?:\.\d+(?:e[+-]?\d+)?|e[+-]?\d+)(?![\w.])/
WORD: /-?\w+(?:[*+-]\w+)*/
STRING: /"(?:\\.|[^"\\\n])*"/
DIGEST: /#[0-9a-f]{8}/
COMMENT: /\/\/[^\n]*/
WS: /\s+/
%ignore WS
%ignore COMMENT
"""

_WORDS = {
    "NAME": "a name",
    "NUMBER": "a number",
    "FLOAT": "a number",
    "WORD": "a word",
    "STRING": "a string",
    "TYPE": "a type such as f32[B, 3]",
    "DIGEST": "a digest such as #1a2b3c4d",
}


@cache
def _language() -> Language:
    return Language(f"{_RULES}\nNUMBER.2: /{NUMBER}/\nNAME: /{NAME}/\n", _WORDS)


def parse(text: str, file: str = "<graph>") -> Graph:
    """The graph that ``text`` says, unfrozen, its types as stated; :class:`TextError` where it says none.

    ``file`` is where the text comes from, for errors.
    """
    source = Source(text, file)
    return _graph(source, _language().read(source).children[0])


def one_step(type_: TensorType) -> TensorType:
    """The type of one step of a stream whose tensor has the type ``type_``: without a leading axis ``T``."""
    return TensorType(type_.dtype, type_.shape[1:]) if type_.shape[:1] == (dim("T"),) else type_


def _graph(source: Source, tree: Any) -> Graph:
    level, label, sources, outputs, *lines = tree.children
    name = label.children[0]
    reader = _Reader(
        source,
        json.loads(name) if name.type == "STRING" else str(name),
        "stream" if level.children[0] == "net" else "function",
    )
    for s in sources.children:
        declare = {"input": reader.input, "param": reader.param, "state": reader.state}
        declare[s.data](*_parts(s))
    for line in lines:  # before any operand: a delay may read a value below it
        reader.line(line)
    for line in lines:
        reader.operands(line)
    for o in outputs.children:
        reader.output(*_parts(o))
    return reader.finish()


def _parts(tree: Any) -> tuple[list[Token], dict[str, list[Any]]]:
    """The children of a tree that are tokens, and the children of each that is a tree, by its rule."""
    tokens = [c for c in tree.children if isinstance(c, Token)]
    return tokens, {str(c.data): c.children for c in tree.children if isinstance(c, Tree)}


_read_type = lru_cache(parse_type)


class _Reader:
    """A graph being read."""

    def __init__(self, source: Source, name: str, level: Level) -> None:
        self.text, self.error = source, source.error
        self.new = Graph(name, level=level)
        self.names: dict[str, str] = {}  # of the text, to those of the graph: temporaries are renumbered
        self.scalars: dict[str, str] = {}  # equal scalars among operands are one value
        self.inputs: dict[str, Input] = {}
        self.outputs: dict[str, Output] = {}
        self.states: dict[str, State] = {}
        self.params: dict[str, Array | None] = {}
        self.finals: dict[str, Token] = {}

    # -- the header ---------------------------------------------------------------------------------------
    def input(self, tokens: list[Token], parts: dict[str, list[Any]]) -> None:
        """Declare one input."""
        name, stated = tokens
        kind: Literal["stream", "given"] = "stream" if parts["kind"] == ["stream"] else "given"
        type_, bound = self.type(stated), "bound" in parts
        step = self.step(type_, parts, kind == "stream" and not bound)
        self.declare(name, self.inputs, Input(str(name), step, kind))
        if not bound:
            self.define(name, str(name), "input", type_, {})

    def param(self, tokens: list[Token], _: dict[str, list[Any]]) -> None:
        """Declare one param; a bound one has no type, for there is no value of that name."""
        name, *stated = tokens
        self.declare(name, self.params, None)
        for type_ in stated:
            self.define(name, str(name), "param", self.type(type_), {})

    def state(self, tokens: list[Token], parts: dict[str, list[Any]]) -> None:
        """Declare one state, with its depth and initial value for attributes."""
        name, stated = tokens
        slot, depth, init = self.type(stated), 1, None
        for attr in parts.get("attrs", []):
            key, tree = attr.children
            value = self.attr(tree)
            if key == "k" and type(value) is int and value > 0:
                depth = value
            elif key == "init" and hasattr(value, "dtype"):
                init = value
            elif key == "init" and isinstance(value, int | float):
                init = np.array(value, slot.numpy)
            else:
                raise self.error(f"a state has no {key} of this kind", key, "Write {k = 2, init = 1.0}.")
        state = State(str(name), slot, depth, init)
        self.declare(name, self.states, state)
        if "bound" not in parts:
            self.define(name, state.source, "init", state.tensor, {})
        if "follows" in parts or "bound" not in parts:
            self.finals[state.path] = parts.get("follows", [name])[0]

    def declare(self, name: Token, among: dict[str, Any], what: Any) -> None:
        """Enter a declaration, the only one of that name and kind."""
        if str(name) in among:
            raise self.error(f"{name} is declared twice", name)
        among[str(name)] = what

    def output(self, tokens: list[Token], parts: dict[str, list[Any]]) -> None:
        """Declare one output."""
        (name,) = parts["name"]
        value = self.value(parts.get("follows", [name])[0])
        type_ = self.new[value].type
        if isinstance(type_, TupleType):
            raise self.error(f"the output {name} would be a tuple", name, "Name an item of it.")
        kind: Literal["stream", "final"] = "final" if "final" in parts else "stream"
        step = self.step(type_, parts, kind == "stream")
        self.declare(name, self.outputs, Output(str(name), step, kind))
        self.new.outputs[str(name)] = value

    def step(self, type_: TensorType, parts: dict[str, list[Any]], stream: bool) -> TensorType:
        """The type of one step of an input or output: stated after ``of``, or found by :func:`one_step`."""
        if "of" in parts:
            return self.type(parts["of"][0])
        return one_step(type_) if stream and self.new.level == "function" else type_

    # -- the body -----------------------------------------------------------------------------------------
    def line(self, tree: Any) -> None:
        """Define the value of one line, and the scalars among its operands; its operands are yet to come."""
        name, stated, op_name, operands, *attrs = tree.children
        op = OPS.get(op_name)
        if op is None:
            raise self.error(f"there is no op {op_name}", op_name, did_you_mean(op_name, OPS))
        try:
            op.check_count(len(operands.children))
        except TypeMismatch as error:
            raise self.error(error.message, op_name) from None
        type_: Type
        if isinstance(stated, Token):
            type_ = self.type(stated)
        else:
            type_ = TupleType(tuple(map(self.type, stated.children)))
        for token in operands.children:
            if token.type == "NUMBER" and token not in self.scalars:
                value = self.converted(read_scalar, token)
                self.scalars[str(token)] = self.new.add("const", type=type_of(value), value=value)
        given = self.attrs(op, op_name, attrs[0].children if attrs else [])
        self.define(name, str(name), op.name, type_, given)

    def define(self, token: Token, value: str, op: str, type_: Type, attrs: dict[str, Attr]) -> None:
        """Add a value that the text knows as ``value``."""
        if value in self.names:
            raise self.error(f"{value} is defined twice", token)
        self.names[value] = self.new.add(op, type=type_, name=value, **attrs)

    def attrs(self, op: Op, token: Token, trees: list[Any]) -> dict[str, Attr]:
        """The attributes of a line, all of them known and none that is required missing."""
        found: dict[str, Attr] = {}
        for tree in trees:
            name, value = tree.children
            if name not in op.attrs:
                has = f"It has {', '.join(op.attrs)}." if op.attrs else "It has none."
                raise self.error(f"{op.name} has no attribute {name}", name, has)
            if name in found:
                raise self.error(f"the attribute {name} is given twice", name)
            found[str(name)] = self.attr(value)
            if op.name == "const" and not hasattr(found["value"], "dtype"):
                raise self.error("the value of a const is an array", name, "Write one as f32[2] (1.0, 2.0).")
        for name, declared in op.attrs.items():
            if declared.required and name not in found:
                raise self.error(f"{op.name} needs the attribute {name}", token)
        return found

    def attr(self, tree: Any) -> Attr:
        """What an attribute's tree says."""
        if isinstance(tree, Token):
            readers: dict[str, Callable[[str], Attr]] = {"FLOAT": float, "STRING": json.loads}
            return self.converted(readers.get(tree.type, read_word), tree)
        match tree.data:
            case "tuple":
                return tuple(map(self.attr, tree.children))
            case "array":
                stated, *elements = tree.children
                type_ = self.type(stated)
                return self.converted(lambda _: read_array(type_, [str(e) for e in elements]), stated)
            case "digest":
                stated, mark = tree.children
                return Digest(self.type(stated), mark[1:])
        return _graph(self.text, tree)

    def operands(self, tree: Any) -> None:
        """Connect a line's value to what it reads."""
        name, *_ = tree.children
        for slot, token in enumerate(tree.children[3].children):
            operand = self.scalars[token] if token.type == "NUMBER" else self.value(token)
            self.new.connect(operand, self.names[name], slot)

    def finish(self) -> Graph:
        """The graph, complete, as one in which nothing was edited yet."""
        self.new.finals = {path: self.value(token) for path, token in self.finals.items()}
        self.new.interface = Interface(
            tuple(self.inputs.values()),
            tuple(self.outputs.values()),
            tuple(self.states.values()),
            self.params,
        )
        return self.new.copy()

    # -- tokens -------------------------------------------------------------------------------------------
    def value(self, token: Token) -> str:
        """The graph's name of a value that the text names."""
        if token not in self.names:
            raise self.error(f"{token} is not defined", token, did_you_mean(token, self.names))
        return self.names[token]

    def type(self, token: Token) -> TensorType:
        """The tensor type that a token writes."""
        return cast(TensorType, self.converted(_read_type, token))

    def converted(self, read: Callable[[str], Any], token: Token) -> Any:
        """What ``read`` makes of a token, its ``ValueError`` said at that place."""
        try:
            return read(str(token))
        except ValueError as error:
            raise self.error(str(error), token) from None
