"""The grammar of Julia, as far as nets are written in it, with Julia's precedence.

``2x`` binds tighter than ``*`` and looser than ``^``; ``-x^2`` is ``-(x^2)``; what stands left of ``->`` is a
parameter, and what stands right of it goes as far as it can.
"""

from __future__ import annotations

from functools import cache
from typing import cast

from lark import Token, Tree

from rnnc.flux.source import JuliaSource, Part
from rnnc.flux.tokens import CALLED, TERMINALS, UNSUPPORTED, LineEnds
from rnnc.text.syntax import Language

#: How deep expressions may be nested; a sum of n terms nests n deep.
DEEPEST = 100

_RULES = r"""
start: block
block: (_statement (SEPARATOR _statement)*)?
_statement: value | returned | struct | USING | STRING | ELLIPSIS

?value: sides | sides EQUALS value -> assignment
?sides: expression | expression (COMMA expression)+ -> tuple
returned: RETURN value?

struct: NET MUTABLE? STRUCT NAME SEPARATOR? members END
members: (_member (SEPARATOR _member)*)?
_member: NAME | function | lambda | STRING

?expression: comparison | lambda | function | NET expression -> net | BEGIN block END -> block_of
lambda: postfix ARROW body
?body: expression | expression EQUALS body -> assignment
function: FUNCTION LEFT parameters RIGHT SEPARATOR? block END
        | FUNCTION NAME CALL parameters RIGHT SEPARATOR? block END -> named_function
parameters: (expression (COMMA expression)*)?

?comparison: pipe | pipe COMPARE pipe -> infix
?pipe: sum | pipe PIPE sum -> infix
?sum: product | sum ADD product -> infix
?product: unary | product MULTIPLY unary -> infix
?unary: juxtaposed | ADD unary -> prefix
?juxtaposed: power | COEFFICIENT power -> coefficient
?power: postfix | postfix POWER exponent -> infix
?exponent: juxtaposed | ADD exponent -> prefix

?postfix: primary
        | postfix CALL arguments RIGHT -> call
        | postfix DOTCALL arguments RIGHT -> dotcall
        | postfix DELAY expression RIGHT_BRACE -> delay
        | postfix INDEX item (COMMA item)* RIGHT_BRACKET -> index
        | postfix ADJOINT -> adjoint
?primary: NAME | NUMBER | LEFT value RIGHT -> paren | LEFT RIGHT -> nothing
arguments: (expression (COMMA expression)* COMMA?)?
?item: COLON -> all | bound | bound COLON bound -> range
?bound: expression | END
"""

_NO_LOOPS = "The equations say one step; for a number of steps write them out, or unroll the model."
_CHOOSE = "Choose element by element, as in ifelse.(a .> b, a, b)."

#: Of tokens that are Julia, but no part of a net: what is wrong, and what to write.
REASONS = {
    **{f"'{word}'": ("'{}' is not supported in a source of nets", "") for word in UNSUPPORTED},
    **{
        f"'{word}'": ("'{}' is not supported: a net has no loops", _NO_LOOPS)
        for word in ("for", "while", "do")
    },
    **{
        f"'{word}'": ("'{}' is not supported: a net has no branches", _CHOOSE)
        for word in ("if", "else", "elseif")
    },
    "LOGIC": ("'{}' is not supported", _CHOOSE),
    **{
        f"'{word}'": ("'{}' is not supported", "Leave it out: names that a body binds are its own.")
        for word in ("local", "global", "const")
    },
    "STRUCT": ("a '{}' is no net without @net before it", "Write @net mutable struct."),
    "MUTABLE": ("a '{} struct' is no net without @net before it", "Write @net mutable struct."),
    "MACRO": ("the macro {} is not known", "The only one is @net."),
    "TYPED": (
        "types are not written here",
        "Leave them out: sizes are found from the equations, and elements are Float32.",
    ),
    "UPDATE": ("'{}' is not supported", "Write it in full, as in y = y + x."),
    "STRING": ("a string has no place here", ""),
    "SEMICOLON": ("keyword arguments are not supported", "Give arguments in order, without names."),
    "ELLIPSIS": ("'...' is not supported", "Write the arguments out."),
    "LEFT_BRACKET": (
        "arrays are not written in the source",
        "Weights start at random and are loaded from a file; hcat(a, b) joins features.",
    ),
    "LEFT": ("'(' stands apart from what is before it", "A call is written f(x), without a space."),
    "LEFT_BRACE": ("'{{' stands apart from what is before it", "A delay is written y{-1}, without a space."),
    "DELAY": ("type parameters are not supported", "Leave them out: sizes are found from the equations."),
    "RADIX": ("'{}' is not supported", "Write the number in decimal."),
    "DOT": ("fields of values, and modules, are not supported", "Write the name alone."),
}  # fmt: skip


#: Tokens that only say where something begins and ends.
_PUNCTUATION = frozenset(
    {
        "LEFT",
        "RIGHT",
        "CALL",
        "DOTCALL",
        "DELAY",
        "RIGHT_BRACE",
        "INDEX",
        "RIGHT_BRACKET",
        "COMMA",
        "SEPARATOR",
    }
    | {"NET", "MUTABLE", "STRUCT", "FUNCTION", "BEGIN", "END", "EQUALS", "ARROW", "RETURN", "ADJOINT"}
)

#: Names of Julia's that Python keeps for itself.
_RESERVED = frozenset({"None", "True", "False", "__debug__"})


_SPELLED = str.maketrans({"−": "-", "≤": "<=", "≥": ">=", "≠": "!="})


@cache
def _language() -> Language:
    return Language(
        _RULES + TERMINALS, CALLED, REASONS, lexer="basic", postlex=LineEnds(), propagate_positions=True
    )


def statements(source: JuliaSource) -> list[Part]:
    """The statements of a source, as trees no deeper than they may be."""
    tree = _language().read(source)
    depth: dict[int, int] = {}
    for inner in tree.iter_subtrees():  # what is inside comes first
        depth[id(inner)] = 1 + max((depth[id(c)] for c in inner.children if isinstance(c, Tree)), default=0)
        if depth[id(inner)] > DEEPEST:
            raise source.fault(
                f"this is nested deeper than {DEEPEST}", _leaf(inner), "Give parts of it names of their own."
            )
    for token in tree.scan_values(lambda t: isinstance(t, Token) and t.type == "NAME" and t in _RESERVED):
        raise source.fault(f"{token} cannot be a name here", token, "Choose another one.")
    return lines(cast("Tree[Token]", tree.children[0]))


def lines(block: Tree[Token]) -> list[Part]:
    """The statements of a block, without what only separates or describes them."""
    aside = ("SEPARATOR", "STRING", "USING", "ELLIPSIS")
    return [s for s in block.children if not (isinstance(s, Token) and s.type in aside)]


def parts(tree: Tree[Token]) -> list[Part]:
    """What a tree is made of, without brackets and commas."""
    drop = _PUNCTUATION - {"END"} if tree.data in ("index", "range") else _PUNCTUATION
    return [c for c in tree.children if not (isinstance(c, Token) and c.type in drop)]


def operator(symbol: Part) -> str:
    """An operator in ASCII, with its dot if it has one."""
    return str(symbol).translate(_SPELLED)


def _leaf(tree: Tree[Token]) -> Part:
    """The first token of a tree."""
    part: Part = tree
    while isinstance(part, Tree) and part.children:
        part = part.children[0]
    return part
