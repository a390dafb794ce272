"""What a source defines: nets, functions and models, each made when it is first asked for.

A name means what the nearest line above binds it to; inside of a function, what the last line of the file
does. A line that nobody asks for is never looked at, so that a page may hold lines that only explain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lark import Token, Tree

from rnnc.errors import FileError
from rnnc.flux.functions import Function, defines_function, function_of, targets
from rnnc.flux.meanings import CONSTANTS, FUNCTIONS, MEANINGS, STARTS, not_a_start
from rnnc.flux.python import Names, Translator
from rnnc.flux.roles import roles
from rnnc.flux.sizes import declare
from rnnc.flux.source import JuliaSource, Part, name_of
from rnnc.flux.syntax import parts, statements
from rnnc.frontend.nets import Net
from rnnc.text.syntax import did_you_mean

#: How many definitions may each need the next.
_DEEPEST = 40

_UNMADE = object()


@dataclass(eq=False)
class Definition:
    """One line of a source that binds names, and the value once it is made."""

    line: int
    names: list[Token]
    part: Part
    value: Any = field(default=_UNMADE, repr=False)
    waiting: bool = False


class Definitions:
    """The names that a source defines, as attributes.

    Faults of the source are raised where they are met: of its grammar at once, of a definition when it is
    first asked for.
    """

    def __init__(self, source: JuliaSource) -> None:
        self._source = source
        self._bound: dict[str, list[Definition]] = {}
        self._last = 0
        self._depth = 0
        for line, statement in enumerate(statements(source)):
            self._last = line + 1
            for definition in _definitions(source, line, statement):
                for token in definition.names:
                    self._bind(name_of(token), token, definition)

    def _bind(self, name: str, token: Token, definition: Definition) -> None:
        before = self._bound.setdefault(name, [])
        if (
            before
            and before[-1].line != definition.line
            and (_is_struct(before[-1]) or _is_struct(definition))
        ):
            raise self._source.fault(
                f"{name} is defined twice",
                token,
                "A net needs no constructor: its sizes are found from its equations.",
            )
        before.append(definition)

    # -- as attributes --------------------------------------------------------------------------------------
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in self._bound:
            raise AttributeError(f"{self!r} has no {name}. {did_you_mean(name, self._bound)}".strip())
        return self._value(name, None)

    def __dir__(self) -> list[str]:
        return list(self._bound)

    def __iter__(self) -> Iterator[str]:
        return iter(self._bound)

    def __contains__(self, name: object) -> bool:
        return name in self._bound

    def made(self) -> dict[str, Any]:
        """Every name with its value, all of them made now."""
        return {name: self._value(name, None) for name in self._bound}

    def __repr__(self) -> str:
        return f"<the definitions in {self._source.file}>"

    def __call__(self, expression: str) -> Any:
        """The value of an expression among the names of the source, such as ``unroll(model, 20)``."""
        source = JuliaSource(expression, f"<{expression}>")
        found = statements(source)
        if len(found) != 1 or (isinstance(found[0], Tree) and found[0].data in ("assignment", "struct")):
            raise FileError(
                f"{expression!r} is no expression", hint="Write a name, or one such as LSTM(30, 15)."
            )
        return self._evaluate(source, found[0], self._last)

    # -- values ---------------------------------------------------------------------------------------------
    def _find(self, name: str, before: int | None) -> Definition | None:
        """The definition that a name means on a line; ``None`` for the line stands for inside a function."""
        found = self._bound.get(name, [])
        return next((d for d in reversed(found) if before is None or d.line < before), None)

    def _function(self, name: str) -> Function | None:
        """The plain function that a name means inside of functions."""
        found = self._find(name, None)
        if found is None or not _is_function(found):
            return None
        assert isinstance(found.part, Tree)
        return function_of(self._source, found.part)

    def _value(self, name: str, before: int | None) -> Any:
        definition = self._find(name, before)
        if definition is None:
            return CONSTANTS[name] if name in CONSTANTS else FUNCTIONS[name].function
        if definition.value is _UNMADE:
            definition.value = self._made(definition)
        if len(definition.names) == 1:
            return definition.value
        at = [name_of(t) for t in definition.names].index(name)
        return MEANINGS[","](definition.value, len(definition.names))[at]

    def _made(self, definition: Definition) -> Any:
        token = definition.names[0]
        if definition.waiting:
            raise self._source.fault(
                f"{token} needs itself", token, "Only a value at another step, y{-1}, may."
            )
        if self._depth > _DEEPEST:
            raise self._source.fault(f"more than {_DEEPEST} definitions each need the next", token)
        definition.waiting, self._depth = True, self._depth + 1
        try:
            if _is_struct(definition):
                return self._struct(definition)
            if _is_function(definition):
                assert isinstance(definition.part, Tree)
                function = function_of(self._source, definition.part)
                made = self._compiled(self._source, function, None)
                if not function.is_net:
                    return made
                starts: list[Any] = []
                for token in function.states:
                    starts += [name_of(token), self._value(name_of(token), None)]
                    if wrong := not_a_start(starts[-1]):
                        raise self._source.fault(f"the state {token} {wrong}", token, STARTS)
                return MEANINGS["@net"](made, *starts)
            return self._evaluate(self._source, definition.part, definition.line)
        finally:
            definition.waiting, self._depth = False, self._depth - 1

    def _evaluate(self, source: JuliaSource, part: Part, line: int) -> Any:
        return self._compiled(source, Function("<line>", [], [part], part), line)()

    def _compiled(self, source: JuliaSource, function: Function, line: int | None) -> Any:
        """The Python function of a function, with the values of the names that it uses."""

        def defined(token: Token) -> bool:
            name = name_of(token)
            return name in CONSTANTS or name in FUNCTIONS or self._find(name, line) is not None

        names = Names(None, None, defined)
        translator = Translator(
            source, defined, lambda: self._bound.keys() | CONSTANTS.keys() | FUNCTIONS.keys()
        )
        definition = translator.function(function, names)
        return translator.compiled(definition, {n: self._value(n, line) for n in names.used})

    def _struct(self, definition: Definition) -> Net:
        source = self._source
        assert isinstance(definition.part, Tree)
        name, members = parts(definition.part)
        assert isinstance(members, Tree)
        inside = [m for m in parts(members) if not (isinstance(m, Token) and m.type == "STRING")]
        fields = [m for m in inside if isinstance(m, Token)]
        bodies = [m for m in inside if isinstance(m, Tree)]
        if len(bodies) != 1:
            raise source.fault(
                f"{name} has {len(bodies)} functions, and a net has one",
                bodies[1] if bodies else name,
                "Its equations stand in function (x) … end, after the fields.",
            )
        function = function_of(source, bodies[0], is_net=True)
        function.name, function.fields = str(name), fields
        found = roles(source, function, self._function)
        function.fields = [t for t in fields if found[name_of(t)] != "local"]
        return declare(self._compiled(source, function, None), found)


def _definitions(source: JuliaSource, line: int, statement: Part) -> Iterator[Definition]:
    """What a statement binds."""
    if not isinstance(statement, Tree):
        return
    of = parts(statement)[0] if statement.data == "net" else statement
    if isinstance(of, Tree) and of.data == "named_function":
        name = parts(of)[0]
        assert isinstance(name, Token)
        yield Definition(line, [name], statement)
    elif statement.data == "struct":
        name = parts(statement)[0]
        assert isinstance(name, Token)
        yield Definition(line, [name], statement)
    elif defines_function(statement):
        left = parts(statement)[0]
        while isinstance(left, Tree):
            left = parts(left)[0]
        yield Definition(line, [left], statement)
    elif statement.data == "returned":
        raise source.fault("return stands outside of a function", statement, "Give the model a name instead.")
    else:
        part: Part = statement
        while isinstance(part, Tree) and part.data == "assignment":
            left, part = parts(part)
            yield Definition(line, targets(source, left), part)


def _is_struct(definition: Definition) -> bool:
    return isinstance(definition.part, Tree) and definition.part.data == "struct"


def _is_function(definition: Definition) -> bool:
    part = definition.part
    if isinstance(part, Tree) and part.data == "net":
        part = parts(part)[0]
    return isinstance(part, Tree) and (part.data == "named_function" or defines_function(part))
