"""The cells that are measured: every recurrent net of the standard library and of the zoo, by its name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from typing import Any

from rnnc import cells, constant, net
from rnnc.frontend.assemble import trace
from rnnc.frontend.nets import Net
from rnnc.ir import Graph
from tools.bench.matrix import FLOOR

#: The most that a dimension of that name has: pictures are small, and matrix memories have heads.
MOST: Mapping[str, int] = {"H": 4, "W": 4, "key": 64}


def negation(width: int) -> Any:
    """y = -x, which is as little as a cell can do."""
    minus = constant(-1, width)
    return net(lambda x, *, minus=minus: x * minus)


@cache
def recurrent_cells() -> dict[str, Net]:
    """Every net with a state of its own, by its name; of two with one name, the zoo's."""
    libraries: list[Any] = [cells]
    if find_spec("rnnc.cells.zoo"):
        from importlib import import_module

        libraries.append(import_module("rnnc.cells.zoo"))
    found = {name: getattr(library, name) for library in libraries for name in library.__all__}
    return {name: made for name, made in found.items() if isinstance(made, Net) and traced(made, 4).finals}


def layer(name: str, width: int) -> Any:
    """The cell of that name with ``width`` inputs and units."""
    return negation(width) if name == FLOOR else sized(recurrent_cells()[name], width)


def sized(cell: Net, width: int) -> Any:
    """A net with each of its free dimensions as wide, if it may be."""
    return cell(**{d: min(width, MOST.get(d, width)) for d in cell.dims})


def traced(cell: Net, width: int) -> Graph:
    """The graph of a net of that width."""
    return trace(sized(cell, width))
