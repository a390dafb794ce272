"""What the fields of a struct are, found from how its equations use them.

    y{-1} = …          a state: read at another step, and assigned
    first(x)           a layer: it is called
    x * W              a matrix: it stands right of a product of matrices, or in what stands there
    g .* u             a vector that multiplies
    … + b              a vector that only adds: a bias

A matrix and a vector that multiplies are drawn after Glorot, a bias starts at 0. What is used through a local
name, or handed to a function of the file, is used as that name or parameter is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from lark import Token, Tree

from rnnc.flux.functions import Function, assigned
from rnnc.flux.meanings import FUNCTIONS
from rnnc.flux.sizes import Role
from rnnc.flux.source import JuliaSource, Part, name_of
from rnnc.flux.syntax import operator, parts

#: Finds the function of the file that a name means, if it means one.
Find = Callable[[str], Function | None]


@dataclass
class Uses:
    """How the body of a function uses names."""

    find: Find
    inside: frozenset[str] = frozenset()
    read: set[str] = field(default_factory=set)
    called: set[str] = field(default_factory=set)
    delayed: set[str] = field(default_factory=set)
    assigned: set[str] = field(default_factory=set)
    matrices: set[str] = field(default_factory=set)
    factors: set[str] = field(default_factory=set)

    def of(self, function: Function) -> Uses:
        """Take in a whole body, from its end: what a local name is used as, its value is."""
        for statement in reversed(function.body):
            names = {name_of(t) for t in assigned(statement)}
            self.assigned |= names
            part = statement
            while isinstance(part, Tree) and part.data in ("assignment", "paren", "returned"):
                part = parts(part)[-1] if parts(part) else Token("NUMBER", "0")
            self.visit(part, bool(names & self.matrices), bool(names & self.factors))
        return self

    def visit(self, part: Part, matrix: bool = False, factor: bool = False) -> None:
        """Take in an expression, which is used as a matrix, or as a factor, or neither."""
        if isinstance(part, Token):
            if part.type == "NAME":
                self.note(name_of(part), matrix, factor)
            return
        inner = parts(part)
        match part.data:
            case "infix":
                left, symbol, right = inner
                self.infix(left, operator(symbol), right, matrix, factor)
            case "prefix":
                self.visit(inner[1], matrix, factor)
            case "coefficient":
                self.visit(inner[1], matrix, True)
            case "adjoint":
                self.visit(inner[0], True, factor)
            case "delay" if isinstance(inner[0], Token):
                self.delayed.add(name_of(inner[0]))
                self.matrices |= {name_of(inner[0])} if matrix else set()
            case "delay":
                self.visit(inner[0])
            case "index":
                self.visit(inner[0], matrix or len(inner) > 2, factor)
            case "call" | "dotcall":
                callee, given = inner
                assert isinstance(given, Tree)
                self.call(callee, parts(given), matrix)
            case "lambda" | "function" | "net" | "all" | "range":
                pass
            case _:
                for p in inner:
                    self.visit(p, matrix, factor)

    def note(self, name: str, matrix: bool, factor: bool) -> None:
        """A name is read as it is."""
        self.read.add(name)
        self.matrices |= {name} if matrix else set()
        self.factors |= {name} if factor else set()

    def infix(self, left: Part, symbol: str, right: Part, matrix: bool, factor: bool) -> None:
        """Take in two operands."""
        if symbol == "|>":
            self.call(right, [left], matrix)
        elif symbol == "*" and not _number(left) and not _number(right):
            self.visit(left, matrix, True)
            self.visit(right, True, True)
        else:
            multiplies = symbol.lstrip(".") in ("*", "/", "^")
            self.visit(left, matrix, factor or multiplies)
            self.visit(right, matrix, factor or multiplies)

    def call(self, callee: Part, given: list[Part], matrix: bool) -> None:
        """Take in a call: of a function of the file, its arguments are used as its parameters are."""
        name = name_of(callee) if isinstance(callee, Token) else ""
        function = self.find(name) if name not in self.inside else None
        if function is not None:
            uses = Uses(self.find, self.inside | {name}).of(function)
            for parameter, p in zip(map(name_of, function.parameters), given, strict=False):
                self.visit(p, parameter in uses.matrices, parameter in uses.factors)
            return
        if name:
            self.called.add(name)
        else:
            self.visit(callee)
        elementwise = name in FUNCTIONS and FUNCTIONS[name].elementwise
        for p in given:
            self.visit(p, matrix and elementwise)


def roles(source: JuliaSource, function: Function, find: Find) -> dict[str, Role]:
    """The role of each field of a struct's function."""
    uses = Uses(find).of(function)
    found: dict[str, Role] = {}
    for token in function.fields:
        name = name_of(token)
        if name in uses.called and name not in uses.assigned:
            found[name] = "layer"
        elif name in uses.delayed and (name in uses.assigned or name not in uses.matrices):
            found[name] = "state"
        elif name in uses.assigned:
            found[name] = "local"
        elif name in uses.matrices:
            found[name] = "matrix"
        elif name in uses.factors:
            found[name] = "vector"
        elif name in uses.read:
            found[name] = "bias"
        else:
            raise source.fault(
                f"the field {name} is not used, and nothing says what it is",
                token,
                "Leave it out, or use it.",
            )
    return found


def _number(part: Part) -> bool:
    """Whether an operand is a number as it is written."""
    while isinstance(part, Tree) and part.data in ("paren", "prefix"):
        part = parts(part)[-1]
    return isinstance(part, Token) and part.type == "NUMBER"
