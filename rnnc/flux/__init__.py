"""Nets in the notation of the first Flux (2017), read from .jl files.

    @net mutable struct Recurrent
      Wxy; Wyy; by
      y
      function (x)
        y = tanh( x * Wxy + y{-1} * Wyy + by )
      end
    end

    model = Chain(Affine(784, 20), σ, Recurrent(20, 30))

It gives the same nets that Python functions give, with places in the .jl file. Nothing is run but the tracing
of equations, and Julia is not needed.

source       the text, read within bounds
tokens       tokens, and what line ends mean
syntax       the grammar, with Julia's precedence
functions    the functions and assignments that it writes
meanings     what operators and functions mean
python       functions of the source as Python functions that stand where it stands
roles        what the fields of a struct are: states, weights, layers
sizes        their sizes, by unification
definitions  what a source defines
"""

from __future__ import annotations

from os import PathLike

from rnnc.flux.definitions import Definitions
from rnnc.flux.source import open_file

__all__ = ["Definitions", "from_flux"]


def from_flux(path: str | PathLike[str]) -> Definitions:
    """What a .jl file defines, as attributes: ``from_flux("recurrent.jl").LSTM(30, 15)`` is a layer.

    Called with an expression of the source's notation, ``from_flux(path)("unroll(model, 20)")``, the result
    gives its value. :class:`~rnnc.errors.FileError` where the file cannot be read,
    :class:`~rnnc.errors.LanguageError` where it is not a source of nets.
    """
    return Definitions(open_file(path))
