"""Functions of the source as Python functions that stand where the source stands.

A body becomes the code of a Python function, built as a syntax tree, never as text. Each of its instructions
has the line and columns of the source that it comes from, each local its name; so tracing it finds the
feedback, the names and the places of errors just as in a net written in Python. Whatever is called goes
through :data:`~rnnc.flux.meanings.MEANINGS`: the code can do no more than those.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from types import CodeType, FunctionType
from typing import Any, TypeVar

from lark import Token, Tree

from rnnc.flux.functions import Function, assigned, function_of, targets
from rnnc.flux.meanings import MEANINGS
from rnnc.flux.source import JuliaSource, Part, name_of
from rnnc.flux.syntax import operator, parts
from rnnc.text.syntax import did_you_mean

_Node = TypeVar("_Node", bound=ast.expr | ast.stmt | ast.arg)

#: What the definition of a function has from Python 3.12 on.
_LATER: Mapping[str, Any] = {"type_params": []}

#: Longer whole numbers do not fit 64 bits.
_DIGITS = 18


class Names:
    """The names that a function knows: its own, those around it, and those that the file defines."""

    def __init__(self, function: Function | None, around: Names | None, defined: Callable[[Token], bool]):
        self.around, self.defined = around, defined
        self.is_net = function is not None and function.is_net
        self.bound: set[str] = set()
        self.later: set[str] = set()
        self.pending: set[str] = set()
        self.used: dict[str, Token] = around.used if around else {}

    def local(self, name: str) -> bool:
        """Whether a name has a value here."""
        return name in self.bound or (self.around is not None and self.around.local(name))

    def ever(self, name: str) -> bool:
        """Whether a name is assigned anywhere here."""
        return name in self.later or (self.around is not None and self.around.ever(name))

    def all(self) -> set[str]:
        """Every name with a value here."""
        return self.bound | (self.around.all() if self.around else set())


class Translator:
    """Makes Python's syntax trees of the source's; ``known`` are the names that need no definition."""

    def __init__(
        self, source: JuliaSource, defined: Callable[[Token], bool], known: Callable[[], Iterable[str]]
    ) -> None:
        self.source, self.defined, self.known = source, defined, known
        self._made = 0
        self._inner: list[ast.stmt] = []

    # -- functions ------------------------------------------------------------------------------------------
    def function(self, function: Function, names: Names) -> ast.FunctionDef:
        """The definition of a function, whose fields are keyword-only parameters."""
        function.states = self.states(function, names) if function.is_net and not function.fields else []
        names = Names(function, names, self.defined)
        fields = [*function.fields, *function.states]
        given = [*function.parameters, *fields]
        for i, token in enumerate(given):
            if name_of(token) in map(name_of, given[:i]):
                raise self.source.fault(f"{token} is declared twice", token, "Give each its own name.")
            names.bound.add(name_of(token))
        names.later = {name_of(t) for s in function.body for t in assigned(s)}
        names.pending = names.later & set(map(name_of, fields))
        body: list[ast.stmt] = []
        for i, statement in enumerate(function.body):
            body += self.statement(statement, names, final=i == len(function.body) - 1)
        arguments = ast.arguments(
            posonlyargs=[],
            args=[self.at(ast.arg(name_of(p)), p) for p in function.parameters],
            kwonlyargs=[self.at(ast.arg(name_of(f)), f) for f in fields],
            kw_defaults=[None] * len(fields),
            defaults=[],
        )
        made = ast.FunctionDef(function.name, arguments, body, [], None, **_LATER)
        return self.at(made, function.at)

    def states(self, function: Function, around: Names) -> list[Token]:
        """The names around a function that it assigns and reads at another step: its states start so."""
        delays = [d for s in function.body if isinstance(s, Tree) for d in s.find_data("delay")]
        read = [parts(d)[0] for d in delays]
        found = {name_of(t): t for t in read if isinstance(t, Token) and t.type == "NAME"}
        own = {name_of(t) for s in function.body for t in assigned(s)} - set(
            map(name_of, function.parameters)
        )
        return [t for name, t in found.items() if name in own and (around.local(name) or self.defined(t))]

    def statement(self, statement: Part, names: Names, final: bool) -> list[ast.stmt]:
        """One line of a body; the ``final`` one is what the function gives."""
        while isinstance(statement, Tree) and statement.data == "paren":
            (statement,) = parts(statement)
        if isinstance(statement, Tree) and statement.data == "returned":
            if not final:
                raise self.source.fault(
                    "return is the last line of a body", statement, "Take away what follows it."
                )
            value = parts(statement)
            if not value:
                raise self.source.fault("return gives nothing here", statement, "Write return y.")
            before, given = self.nested(value[0], names)
            return [*before, self.at(ast.Return(given), statement)]
        if isinstance(statement, Tree) and statement.data == "assignment":
            return self.assignment(statement, names, final)
        before, given = self.nested(statement, names)
        made: ast.stmt = ast.Return(given) if final else ast.Expr(given)
        return [*before, self.at(made, statement)]

    def assignment(self, statement: Tree[Token], names: Names, final: bool) -> list[ast.stmt]:
        """``y = …`` or ``a, b = …``."""
        lefts: list[list[Token]] = []
        right: Part = statement
        while isinstance(right, Tree) and right.data == "assignment":
            left, right = parts(right)
            lefts.append(targets(self.source, left))
        before, value = self.nested(right, names)
        counts = {len(left) for left in lefts} - {1}
        for count in counts:
            value = self.call(",", [value, ast.Constant(count)], right)
        stores = [self.named(left, ast.Store()) for left in lefts]
        now = {name_of(t) for left in lefts for t in left}
        names.bound |= now
        names.pending -= now
        made: list[ast.stmt] = [self.at(ast.Assign(stores, value), statement)]
        if final:
            made.append(self.at(ast.Return(self.named(lefts[0], ast.Load())), statement))
        return [*before, *made]

    def nested(self, part: Part, names: Names) -> tuple[list[ast.stmt], ast.expr]:
        """The definitions of the functions that are written in an expression, and the expression."""
        outer, self._inner = self._inner, []
        value = self.expression(part, names)
        inner, self._inner = self._inner, outer
        return inner, value

    def named(self, tokens: list[Token], context: ast.expr_context) -> ast.expr:
        """One name, or a tuple of several."""
        found: list[ast.expr] = [self.at(ast.Name(name_of(t), context), t) for t in tokens]
        return found[0] if len(found) == 1 else ast.Tuple(found, context)

    # -- expressions ----------------------------------------------------------------------------------------
    def expression(self, part: Part, names: Names) -> ast.expr:
        """The value of a part of the source."""
        if isinstance(part, Token):
            return self.name(part, names) if part.type == "NAME" else self.number(part)
        inner = parts(part)
        match part.data:
            case "paren":
                return self.expression(inner[0], names)
            case "tuple":
                return self.at(ast.Tuple([self.expression(p, names) for p in inner], ast.Load()), part)
            case "infix":
                left, symbol, right = inner
                if operator(symbol) not in MEANINGS:
                    raise self.source.fault(
                        f"'{symbol}' is not supported", symbol, "Values are divided by ./"
                    )
                return self.call(operator(symbol), [self.expression(p, names) for p in (left, right)], part)
            case "prefix":
                symbol, value = inner
                if str(symbol)[0] == ".":
                    raise self.source.fault(
                        f"{symbol} stands between two values", symbol, "Leave out the dot."
                    )
                return self.call(f"0{operator(symbol)}", [self.expression(value, names)], part)
            case "coefficient":
                return self.call("*", [self.expression(p, names) for p in inner], part)
            case "adjoint":
                return self.call("'", [self.expression(inner[0], names)], part)
            case "call" | "dotcall":
                callee, given = inner
                assert isinstance(given, Tree)
                args = [self.expression(p, names) for p in (callee, *parts(given))]
                return self.call("()" if part.data == "call" else ".()", args, part)
            case "delay":
                return self.delay(part, names)
            case "index":
                value, *items = inner
                made = [self.expression(value, names), *(self.item(i, names) for i in items)]
                return self.call("[]", made, part)
            case "lambda" | "function":
                return self.nameless(function_of(self.source, part), names)
            case "net":
                (of,) = inner
                if isinstance(of, Tree) and of.data == "paren":
                    (of,) = parts(of)
                if not isinstance(of, Tree) or of.data not in ("lambda", "function"):
                    raise self.source.fault(
                        "@net stands before a struct or a function",
                        part,
                        "Write @net x -> … or @net f(x) = …",
                    )
                function = function_of(self.source, of, is_net=True)
                made = [self.nameless(function, names)]
                for token in function.states:
                    made += [ast.Constant(name_of(token)), self.name(token, names)]
                return self.call("@net", made, part)
            case "assignment":
                raise self.source.fault(
                    "an assignment is no value", part, "Give it a line of its own; '==' compares."
                )
            case "named_function" | "struct" | "block_of" | "nothing" | "returned":
                pass
        raise self.source.fault(
            "this is no value", part, "Give it a line of its own, at the top of the file."
        )

    def nameless(self, function: Function, names: Names) -> ast.expr:
        """A function that is written as a value; it is defined before the line that it is in."""
        self._made += 1
        function.name = f"<net {self._made}>"
        definition = self.function(function, names)
        self._inner.append(definition)
        return self.at(ast.Name(function.name, ast.Load()), function.at)

    def name(self, token: Token, names: Names) -> ast.expr:
        """What a name is bound to."""
        name = name_of(token)
        if name in names.pending:
            raise self.source.fault(
                f"{name} is read before it is assigned, where it has no value at this step yet",
                token,
                f"Write {name}{{-1}} for its value one step ago, or assign to another name.",
            )
        if not names.local(name):
            if names.ever(name):
                raise self.source.fault(
                    f"{name} is read before it is assigned", token, "Assign it on a line above this one."
                )
            if not self.defined(token):
                known = names.all() | set(self.known())
                raise self.source.fault(f"{name} is not defined", token, did_you_mean(name, sorted(known)))
            names.used.setdefault(name, token)
        return self.at(ast.Name(name, ast.Load()), token)

    def number(self, token: Token) -> ast.expr:
        """The number that a token writes; ``1f0`` is one of 32 bits."""
        text = str(token).replace("_", "").replace("f", "e")
        if text.isascii() and text.isdigit():
            if len(text) > _DIGITS:
                raise self.source.fault(f"{text:.20}… does not fit 64 bits", token, "Write fewer digits.")
            return self.at(ast.Constant(int(text)), token)
        try:
            return self.at(ast.Constant(float(text)), token)
        except ValueError:
            raise self.source.fault(
                f"'{token:.20}' is not a number", token, "Write one as 0.5 or 1e-3."
            ) from None

    def whole(self, part: Part) -> int | None:
        """The whole number that a part writes with its digits and a sign, if it does."""
        if isinstance(part, Tree) and part.data == "prefix":
            symbol, part = parts(part)
            size = self.whole(part)
            return size if size is None or operator(symbol) == "+" else -size
        if isinstance(part, Token) and part.type == "NUMBER":
            value = self.number(part)
            return value.value if isinstance(value, ast.Constant) and isinstance(value.value, int) else None
        return None

    def delay(self, part: Tree[Token], names: Names) -> ast.expr:
        """``y{-1}``."""
        value, steps = parts(part)
        k = self.whole(steps)
        if k is None:
            raise self.source.fault(
                "a delay is a whole number of steps", steps, "Write y{-1} for the value one step ago."
            )
        if not names.is_net:
            raise self.source.fault(
                "another step is read outside of a net", part, "Write @net before the function."
            )
        if not isinstance(value, Token) or value.type != "NAME":
            return self.call("{}", [self.expression(value, names), ast.Constant(k)], part)
        name = name_of(value)
        if not names.local(name) and (names.ever(name) or not self.defined(value)):
            raise self.source.fault(
                f"{name}{{{k}}} is read before {name} has a value, and {name} is no field",
                part,
                f"Add {name} to the fields of the struct: a state starts at 0.",
            )
        pending, names.pending = names.pending, set()
        of = self.name(value, names)
        names.pending = pending
        return self.call("{}", [of, ast.Constant(k)], part)

    def item(self, part: Part, names: Names) -> ast.expr:
        """What stands in an index, where the first is 1 and the last is ``end``; Python counts from 0."""
        if isinstance(part, Tree) and part.data == "all":
            return self.call(":", [ast.Constant(None), ast.Constant(None)], part)
        if isinstance(part, Tree) and part.data == "range":
            first, _, last = parts(part)
            start, stop = self.position(first), self.position(last)
            bounds = start if start == -1 else start - 1, None if stop == -1 else stop
            return self.call(":", [ast.Constant(b) for b in bounds], part)
        at = self.position(part)
        return self.at(ast.Constant(at if at == -1 else at - 1), part)

    def position(self, part: Part) -> int:
        """A position in an index, from 1 on; -1 for the ``end``."""
        if isinstance(part, Token) and part.type == "END":
            return -1
        found = self.whole(part)
        if found is None or found < 1:
            raise self.source.fault(
                "an index is a whole number from 1 on",
                part,
                "Write v[:, 1:3]; y{-1} is one step ago.",
            )
        return found

    # -- places ---------------------------------------------------------------------------------------------
    def call(self, meaning: str, args: list[ast.expr], part: Part) -> ast.expr:
        """A call of one of the meanings, at the place of a part of the source."""
        return self.at(ast.Call(ast.Name(meaning, ast.Load()), args, []), part)

    def at(self, node: _Node, part: Part) -> _Node:
        """The node, with the place of a part of the source."""
        loc = self.source.place(part)
        node.lineno, node.col_offset, node.end_lineno, node.end_col_offset = (
            loc.line, loc.col, loc.end_line, loc.end_col,
        )  # fmt: skip
        return node

    def compiled(self, definition: ast.FunctionDef, names: Mapping[str, Any]) -> FunctionType:
        """The function of a definition, which sees ``names`` and nothing else."""
        module = ast.fix_missing_locations(ast.Module([definition], []))
        code = compile(module, self.source.file, "exec", dont_inherit=True)
        (body,) = [c for c in code.co_consts if isinstance(c, CodeType)]
        return FunctionType(body, {"__name__": "a source of nets", "__builtins__": {}, **MEANINGS, **names})
