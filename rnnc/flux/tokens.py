"""The tokens of Julia, as far as nets are written in it, and what its line ends mean.

An expression ends with its line, unless an operator, a comma or an open bracket says that it goes on. Between
the arguments of a call a line end stands for a comma that was forgotten, as one was in the documents of 2017.
A bracket that touches what is before it calls, indexes or delays that: ``f(x)`` is a call, ``f (x)`` is none.
"""

from __future__ import annotations

from collections.abc import Iterator

from lark import Token
from lark.lark import PostLex

_PRIMES = "′″‴⁗"
#: What a name goes on with.
_ON = rf"(?:[\w{_PRIMES}\u0300-\u036f]|!(?!=))"
_BEFORE = rf"(?<=[\w)\]}}'!{_PRIMES}])"
_NUMBER = r"(?>(?:\d[\d_]*(?:\.(?![.*+\-\/^<>=!(÷%']|\w)|\.\d[\d_]*)?|\.\d[\d_]*)(?:[eEf][+-]?\d+)?)"

#: Words of Julia that no net is written with.
UNSUPPORTED = (
    *("for", "while", "do", "break", "continue"),
    *("if", "elseif", "else", "try", "catch", "finally", "let", "quote"),
    *("module", "baremodule", "macro", "global", "local", "const", "abstract", "primitive", "where"),
)
_WORDS = (*UNSUPPORTED, "function", "end", "begin", "return", "struct", "using", "import", "export")
_NAME = rf"(?!(?:{'|'.join(_WORDS)})(?!{_ON}))[^\W\d∂∇]{_ON}*|[∂∇]{_ON}*"

TERMINALS = rf"""
NET.4: /@net(?!{_ON})/
MACRO: /@[\w.]*/
FUNCTION: /function(?!{_ON})/
BEGIN: /begin(?!{_ON})/
END: /end(?!{_ON})/
RETURN: /return(?!{_ON})/
MUTABLE.3: /mutable(?=[ \t]+struct(?!{_ON}))/
STRUCT.3: /struct(?!{_ON})|(?:type|immutable)(?=[ \t]+[^\W\d])/
USING: /(?:using|import|export)(?!{_ON})[^\n;]*/
UNSUPPORTED.2: /(?:{"|".join(UNSUPPORTED)})(?!{_ON})/
NAME: /{_NAME}/
RADIX.4: /0[xbo][0-9a-fA-F_]+/
COEFFICIENT.3: /{_NUMBER}(?=[^\W\d]|\()/
NUMBER.2: /{_NUMBER}/
STRING: /"{{3}}(?:\\.|[^\\])*?"{{3}}|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|`[^`\n]*`/s
ADJOINT.3: /{_BEFORE}'/
ELLIPSIS.4: "..."
ARROW.4: "->"
PIPE.4: "|>"
TYPED.4: /::|<:|>:/
LOGIC.4: /&&|\|\||\?|=>|\/\/|===|!==|<<|>>|\.?!(?![=\w])|!(?=\w)/
UPDATE.3: /\.?[-+*\/^÷%|&]=(?!=)/
COMPARE.3: /\.?(?:==|!=|<=|>=|[<>≤≥≠])/
EQUALS.2: /=/
ADD: /\.?[-+−]/
MULTIPLY: /\.?[*\/÷%]/
POWER: /\.?\^/
CALL.2: /{_BEFORE}\(/
DOTCALL.4: /{_BEFORE}\.\(/
DOT.2: /\.(?=[^\W\d])/
DELAY.2: /{_BEFORE}\{{/
INDEX.2: /{_BEFORE}\[/
LEFT: "("
RIGHT: ")"
LEFT_BRACE: "{{"
RIGHT_BRACE: "}}"
LEFT_BRACKET: "["
RIGHT_BRACKET: "]"
COMMA: ","
COLON: ":"
SEMICOLON: ";"
NEWLINE: /\n/
OTHER.-9: /[^\s]/
BLANK: /[^\S\n]+/
%ignore BLANK
%declare SEPARATOR
"""

#: How an error calls tokens that could have stood where another one does.
CALLED = {
    "NAME": "a name",
    "NUMBER": "a number",
    "COEFFICIENT": "a number",
    "STRING": "a string",
    "NET": "'@net'",
    "FUNCTION": "'function'",
    "BEGIN": "'begin'",
    "END": "'end'",
    "RETURN": "'return'",
    "MUTABLE": "'struct'",
    "STRUCT": "'struct'",
    "USING": "'using'",
    "ADJOINT": "an operator",
    "PIPE": "an operator",
    "COMPARE": "an operator",
    "EQUALS": "'='",
    "ADD": "an operator",
    "MULTIPLY": "an operator",
    "POWER": "an operator",
    "CALL": "'('",
    "DOTCALL": "'('",
    "DELAY": "'{'",
    "INDEX": "'['",
    "SEPARATOR": "a new line",
}

_CLOSING = {"RIGHT", "RIGHT_BRACE", "RIGHT_BRACKET"}
_OPENING = {"LEFT", "CALL", "DOTCALL", "DELAY", "INDEX", "LEFT_BRACKET"}
_BLOCKS = {"FUNCTION", "STRUCT", "BEGIN"}

#: After these an expression goes on in the next line.
_GOES_ON = {"ADD", "MULTIPLY", "POWER", "COMPARE", "PIPE", "EQUALS", "ARROW", "COMMA", "COLON", "NET", "DOT"}

#: Arguments end and begin with these.
_ENDS = {"NAME", "NUMBER", "ADJOINT", "END", *_CLOSING}
_BEGINS = {"NAME", "NUMBER", "COEFFICIENT", "LEFT", "NET", "FUNCTION"}


class LineEnds(PostLex):
    """Makes of line ends and semicolons the separators and commas that they stand for."""

    #: Tokens that the grammar does not know: they are read all the same, for an error to name them.
    always_accept = (
        *("NEWLINE", "SEMICOLON", "LEFT_BRACKET", "LEFT_BRACE", "DOT", "RADIX", "OTHER"),
        *("MACRO", "UNSUPPORTED", "TYPED", "LOGIC", "UPDATE"),
    )

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        """The tokens that the grammar reads."""
        inside: list[str] = []  # the brackets and blocks that are open, by what opened them
        before, ended = "", None
        for token in stream:
            around = inside[-1] if inside else ""
            if token.type == "NEWLINE" or (token.type == "SEMICOLON" and around in ("", *_BLOCKS)):
                ended = ended or token
                continue
            if ended is not None:
                kind = _separator(around, before, token.type)
                if kind:
                    yield _as(kind, ended)
                ended = None
            if token.type == "CALL" and before in ("COEFFICIENT", "FUNCTION", "RETURN"):
                token = _as("LEFT", token)
            if token.type in _CLOSING or (token.type == "END" and around in _BLOCKS):
                inside[-1:] = []
            elif token.type in _OPENING or token.type in _BLOCKS:
                inside.append(token.type)
            before = token.type
            yield token


def _separator(inside: str, before: str, after: str) -> str:
    """What a line end between two tokens stands for, if anything."""
    if inside in ("CALL", "DOTCALL"):
        return "COMMA" if before in _ENDS and after in _BEGINS else ""
    if inside and inside not in _BLOCKS:
        return ""
    return "" if not before or before in _GOES_ON or before == "BEGIN" or after == "END" else "SEPARATOR"


def _as(kind: str, token: Token) -> Token:
    return Token.new_borrow_pos(kind, str(token), token)
