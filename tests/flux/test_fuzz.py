"""Whatever a .jl file holds, it is read, or refused with an error of rnnc's; nothing else is raised."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from models import seed
from rnnc.errors import RnncError
from rnnc.flux.definitions import Definitions
from rnnc.flux.source import JuliaSource
from rnnc.frontend.assemble import trace
from rnnc.frontend.layers import Layer
from rnnc.frontend.nets import Net
from rnnc.frontend.signature import REQUIRED

PAGE = Path(seed.__file__).with_name("recurrent.jl").read_text(encoding="utf-8").partition("...\n\n@net")[2]
MORE = """
f(x) = σ.(2x)
d = @net (x, h) -> (x[:, 1:2]', h{-1})
m = Recurrent(4, 3)
l = LSTM(4, 3)
"""

#: Pieces of a source, and what may be put in their place.
PIECES = re.findall(r"\w+|\W", f"@net{PAGE}{MORE}")
STRANGE = r"""() [] {} {-1} {1} ' .* .^ .( ÷ -> |> = == := ... " ' # #= =# ; ? : @ $ \ 3.5 1e400 true π end"""
WORDS = sorted(
    {*PIECES, *re.findall(r"\S+", STRANGE), "\n", "\0", "x -> x", "@net ", "return ", "for ", "if "}
)


NAMES = [
    *dict.fromkeys(re.findall(r"[^\W\d]\w*", PAGE)),
    "relu",
    "softmax",
    "hcat",
    "f",
    "d",
    "flip",
    "unroll",
]
NAMES = [n for n in NAMES if n not in ("net", "mutable", "struct", "function", "end")]
OPERATORS = ["+", "-", "*", ".*", "/", "./", "^", ".^", "|>", ">", ".>", "==", "÷", ", ", "{-2} + ", "{0} * "]
EXPRESSIONS = [
    *NAMES,
    "2",
    "0.5",
    "x'",
    "x{1}",
    "tanh",
    "x[:, 1:2]",
    "hcat(x, y)",
    "LSTM(3, 4)",
    "(y = x)",
    "(x, y)",
]

#: Every error has a line and a column, in the source or in the cell that it calls.
PLACED = re.compile(r"(fuzz\.jl|rnnc/cells/\w+\.py|.*/rnnc/cells/\w+\.py):\d+:\d+: error: .+")


def use(text: str) -> list[str]:
    """Read a source, trace all that it defines, and return what errors say."""
    refusals: list[str] = []
    try:
        found = Definitions(JuliaSource(text, "fuzz.jl"))
    except RnncError as error:
        return [str(error)]
    for name in found:
        try:
            value = getattr(found, name)
            if isinstance(value, Net) and REQUIRED in value.signature.fields.values():
                continue  # a layer is to be given first
            if isinstance(value, Net) and value.dims:
                value = value(*range(2, 2 + len(value.dims)))
            if isinstance(value, Layer):
                trace(value)
        except RnncError as error:
            refusals.append(str(error))
    return refusals


@given(
    st.lists(st.tuples(st.integers(0, len(PIECES)), st.integers(0, 3), st.sampled_from(WORDS)), max_size=4)
)
def test_mutated_source(edits):
    pieces = list(PIECES)
    for at, gone, word in edits:
        pieces[at : at + gone] = [word]
    assert [error for error in use("".join(pieces)) if not PLACED.match(error)] == []


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)), min_size=1, max_size=8))
def test_other_names_and_operators(edits):
    """Sources that mostly parse, and mean something else, or nothing."""
    pieces = list(PIECES)
    for at, other in edits:
        kind = (NAMES, OPERATORS, EXPRESSIONS)[at % 3]
        places = [i for i, piece in enumerate(pieces) if piece in kind]
        pieces[places[at % len(places)]] = kind[other % len(kind)]
    assert [error for error in use("".join(pieces)) if not PLACED.match(error)] == []


@given(st.lists(st.sampled_from(WORDS), max_size=30))
def test_words(words):
    assert [error for error in use(" ".join(words)) if not PLACED.match(error)] == []


@given(st.text(max_size=60))
def test_any_text(text):
    assert [error for error in use(text) if not PLACED.match(error)] == []
