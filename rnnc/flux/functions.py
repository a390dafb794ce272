"""The functions and assignments that a source writes, in whichever notation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from lark import Token, Tree

from rnnc.flux.source import JuliaSource, Part
from rnnc.flux.syntax import lines, parts


@dataclass
class Function:
    """A function of the source: its parameters and the statements of its body.

    The ``fields`` are those of its struct; ``states`` are names around it that it assigns and reads at
    another step, found when it is translated.
    """

    name: str
    parameters: list[Token]
    body: list[Part]
    at: Part
    is_net: bool = False
    fields: list[Token] = field(default_factory=list)
    states: list[Token] = field(default_factory=list)


def function_of(source: JuliaSource, tree: Tree[Token], is_net: bool = False) -> Function:
    """The function that a tree writes: ``function … end``, ``x -> …`` or ``f(x) = …``; ``@net`` or not."""
    if tree.data == "net":
        (tree,), is_net = cast("list[Tree[Token]]", parts(tree)), True
    match tree.data:
        case "function" | "named_function":
            *name, given, block = parts(tree)
            assert isinstance(given, Tree) and isinstance(block, Tree)
            found = parts(given)
            title, body = str(name[0]) if name else "<net>", lines(block)
        case "lambda":
            left, right = parts(tree)
            title, body = "<net>", _block(right)
            inner = isinstance(left, Tree) and left.data in ("paren", "nothing") and parts(left)
            found = inner or ([] if inner == [] else [left])
            if len(found) == 1 and isinstance(found[0], Tree) and found[0].data == "tuple":
                found = parts(found[0])
        case _:
            left, right = parts(tree)
            assert isinstance(left, Tree)
            if left.data == "net":
                (left,), is_net = parts(left), True
                assert isinstance(left, Tree)
            callee, given = parts(left)
            assert isinstance(given, Tree)
            title, body, found = str(callee), _block(right), parts(given)
    if not body:
        raise source.fault("this function is empty", tree, "Its last line is what it gives.")
    parameters = [p for p in found if isinstance(p, Token) and p.type == "NAME"]
    if len(parameters) != len(found):
        wrong = next(p for p in found if not (isinstance(p, Token) and p.type == "NAME"))
        raise source.fault("a parameter is a name", wrong, "Write the names alone, as in function (x, h).")
    return Function(title, parameters, body, tree, is_net)


def defines_function(statement: Part) -> bool:
    """Whether a statement is ``f(x) = …``, with ``@net`` or without."""
    if not isinstance(statement, Tree) or statement.data != "assignment":
        return False
    left = parts(statement)[0]
    if isinstance(left, Tree) and left.data == "net":
        left = parts(left)[0]
    return isinstance(left, Tree) and left.data == "call" and isinstance(parts(left)[0], Token)


def _block(part: Part) -> list[Part]:
    """The statements of what stands right of an arrow."""
    while isinstance(part, Tree) and part.data in ("paren", "block_of"):
        (inner,) = parts(part)
        if part.data == "block_of":
            assert isinstance(inner, Tree)
            return lines(inner)
        part = inner
    return [part]


def targets(source: JuliaSource, left: Part) -> list[Token]:
    """The names that an assignment binds."""
    found = parts(left) if isinstance(left, Tree) and left.data == "tuple" else [left]
    names = [p for p in found if isinstance(p, Token) and p.type == "NAME"]
    if len(names) != len(found):
        raise source.fault("only names can be assigned", left, "Write y = …, or a, b = … for several values.")
    return names


def assigned(statement: Part) -> list[Token]:
    """The names that a line of a body binds, as far as it is well-formed."""
    while isinstance(statement, Tree) and statement.data == "paren":
        (statement,) = parts(statement)
    found: list[Token] = []
    while isinstance(statement, Tree) and statement.data == "assignment":
        left, statement = parts(statement)
        several = parts(left) if isinstance(left, Tree) and left.data == "tuple" else [left]
        found += [p for p in several if isinstance(p, Token) and p.type == "NAME"]
    return found
