"""A profile: what the parts of a file cost on one machine, as a table, and how to read a price off it.

A table is JSON. Times are µs on one thread, with the node's own overhead:

    machine, versions    where and with what it was measured, or that it is estimated
    node                 a small node, by op; ``other`` for those not listed; each part of a ``split`` and a
                         ``concat``
    element              what one element adds, by op; ``stream`` for those that a loop reads or gives, and
                         ``far`` besides, for each of a tensor of more than :data:`NEAR`
    scan, iteration, if  one run of a loop, one round of it besides its nodes, one run of a choice
    stream               in a round, each stream that the loop reads or gives
    span                 each run of neighbours that an operand is stretched over, in a node of several
    call                 one run of a native op, besides its steps
    product              ``us[i][j]``: ``rows[i]`` vectors times a matrix of ``weights[j]`` numbers
    lstm, gru, rnn       ``us[i][j]``: a step of ``rows[i]`` sequences of ``units[j]`` units, its input apart
    activation           by native op, what one element adds that is activated so, and not as usual; it may
                         be below 0
    own, copy            which values of a native op's attributes the provider's kernels know, ``null`` for
                         what is absent or false; with others the op runs on the CPU, and each run pays for
                         ``copy``. Without ``own`` they know all
    format, digest       the version of this layout, and a checksum of the rest

Between the points of a grid prices run straight in logarithms; beyond its end they grow as the work does.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import exp, inf, log
from pathlib import Path
from typing import Any

from rnnc.errors import FileError

FORMAT = 2
FIGURES = ("scan", "iteration", "stream", "span", "if", "call")
#: The figures by op, of which each table has at least the one of all ``other`` ops.
BY_OP = ("node", "element")
#: So many numbers stay in the caches from node to node; of larger tensors, each has to be fetched.
NEAR = 1 << 19
#: The activations of native ops that their grids are measured with.
USUAL = {"lstm": ("Sigmoid", "Tanh", "Tanh"), "gru": ("Sigmoid", "Tanh"), "rnn": ("Tanh",)}
#: The grids, and what their columns are.
GRIDS = {"product": "weights", "lstm": "units", "gru": "units", "rnn": "units"}
AGAIN = "Write it anew with rnnc tune."


@dataclass(frozen=True)
class Grid:
    """Prices at some rows and columns, both ascending."""

    rows: Sequence[int]
    columns: Sequence[int]
    us: Sequence[Sequence[float]]

    def at(self, rows: float, column: float) -> float:
        """The price there."""
        across = [_between(self.columns, line, column) for line in self.us]
        return _between(self.rows, across, rows)


def _between(points: Sequence[int], prices: Sequence[float], x: float) -> float:
    """The price at ``x``: straight in logarithms between points, that of the first one before it, and in
    proportion after the last."""
    if x <= points[0]:
        return prices[0]
    if x >= points[-1]:
        return prices[-1] * x / points[-1]
    i = bisect_right(points, x)
    share = log(x / points[i - 1]) / log(points[i] / points[i - 1])
    return exp((1 - share) * log(prices[i - 1]) + share * log(prices[i]))


@dataclass(frozen=True, eq=False)
class Profile:
    """A table that has been checked; ``name`` is what explanations call it."""

    name: str
    table: Mapping[str, Any]
    grids: Mapping[str, Grid]

    def figure(self, name: str) -> float:
        """One of :data:`FIGURES`."""
        return float(self.table[name])

    def node(self, op: str, elements: float, parts: int = 1) -> float:
        """A node that works element by element, or on so many parts of what has so many elements."""
        each: Mapping[str, float] = self.table["node"]
        return parts * each.get(op, each["other"]) + self.elements(op, elements)

    def elements(self, op: str, count: float) -> float:
        """What so many elements add to a node."""
        each: Mapping[str, float] = self.table["element"]
        return count * each.get(op, each["other"]) + self.far(count)

    def far(self, count: float) -> float:
        """What a tensor of so many elements costs for being too large for the caches."""
        each: Mapping[str, float] = self.table["element"]
        return count * each.get("far", 0.0) if count > NEAR else 0.0

    def streamed(self, elements: float, steps: float) -> float:
        """A stream that a loop reads or gives, in so many rounds."""
        each = self.figure("stream") + self.elements("stream", elements)
        return steps * each + self.far(steps * elements)

    def product(self, rows: float, weights: float) -> float:
        """So many vectors times a matrix of so many numbers."""
        return self.grids["product"].at(rows, weights)

    def step(self, op: str, rows: float, units: float, activations: Sequence[str] = ()) -> float:
        """One step of a native op, without the product of its input; by default, activated as usual."""
        usual, grid = USUAL[op], self.grids[op].at(rows, units)
        each: Mapping[str, float] = self.table.get("activation", {}).get(op, {})
        ways = max(1, len(activations) // len(usual))
        found = zip(activations, usual * ways, strict=False)
        more = sum(each.get(a, 0.0) for a, u in found if a != u) * rows * units / ways
        return max(grid + more, grid / 4)

    def foreign(self, op: str, attrs: Mapping[str, Any]) -> str:
        """The attribute for which the provider has no kernel of its own for a native op; "" if it has one."""
        own: Mapping[str, Sequence[Any]] = self.table.get("own", {}).get(op, {})
        wrong = (name for name, known in own.items() if _plain(attrs.get(name)) not in known)
        return next((f"{name} = {attrs[name]}" if attrs.get(name) else f"no {name}" for name in wrong), "")


def _plain(value: Any) -> Any:
    """An attribute as a table writes it; what is absent, empty or false is ``None``."""
    return (list(value) if isinstance(value, tuple) else value) or None


@cache
def builtin(name: str) -> Profile:
    """The profile that rnnc brings for a target."""
    text = (files("rnnc.plans") / "profiles" / f"{name}.json").read_text(encoding="utf-8")
    return parse(text, name, f"the built-in profile {name}")


def load(path: str) -> Profile:
    """The profile in a file; :class:`FileError` if there is none, or none that can be used."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        reason = e.strerror if isinstance(e, OSError) else "it is no text"
        raise FileError(f"the profile {path} cannot be read: {reason}", hint=AGAIN) from None
    return parse(text, Path(path).name, f"the profile {path}")


def parse(text: str, name: str, shown: str) -> Profile:
    """The profile that a text is."""
    try:
        table = json.loads(text)
    except ValueError:
        raise FileError(f"{shown} is damaged: it is not JSON", hint=AGAIN) from None
    if not isinstance(table, dict) or "format" not in table:
        raise FileError(f"{shown} is no profile: it says no format", hint=AGAIN)
    if table["format"] != FORMAT:
        raise FileError(
            f"{shown} is of format {table['format']}, and this rnnc reads format {FORMAT}", hint=AGAIN
        )
    if table.get("digest") != digest(table):
        raise FileError(f"{shown} is damaged: its digest is not that of its figures", hint=AGAIN)
    return Profile(name, table, _grids(table, shown))


def _grids(table: Mapping[str, Any], shown: str) -> dict[str, Grid]:
    """The grids, having seen that all that is needed is there, and is numbers above 0."""
    numbers: dict[str, Any] = {name: table.get(name) for name in FIGURES}
    for name in BY_OP:
        by_op = table.get(name)
        numbers |= {f"{name} of {op}": n for op, n in by_op.items()} if isinstance(by_op, dict) else {}
        numbers[name] = by_op.get("other") if isinstance(by_op, dict) else None
    grids = {}
    for name, column in GRIDS.items():
        found = table.get(name)
        rows, columns, us = (_listed(found, key) for key in ("rows", column, "us"))
        whole = len(us) == len(rows) and all(isinstance(p, list) and len(p) == len(columns) for p in us)
        if not rows or not columns or not whole or not all(map(_positive, rows + columns)):
            raise FileError(f"{shown} lacks points of {name}", hint=AGAIN)
        if any(list(axis) != sorted(set(axis)) for axis in (rows, columns)):
            raise FileError(f"{shown} has points of {name} out of order", hint=AGAIN)
        numbers |= {f"{name}": n for line in us for n in line if not _positive(n)}
        grids[name] = Grid(rows, columns, us)
    for name, number in numbers.items():
        if not _positive(number):
            raise FileError(f"{shown} has no time above 0 for {name}", hint=AGAIN)
    activation = table.get("activation", {})
    tables = [activation, *(activation.values() if isinstance(activation, dict) else ())]
    if not all(isinstance(t, dict) for t in tables) or not all(
        _number(n) for t in tables[1:] for n in t.values()
    ):
        raise FileError(f"{shown} has activations that are no times", hint=AGAIN)
    return grids


def _listed(found: Any, key: str) -> list[Any]:
    """The list under a key, an empty one where there is none."""
    value = found.get(key) if isinstance(found, dict) else None
    return value if isinstance(value, list) else []


def _number(it: object) -> bool:
    """Whether it is a number, and not without end."""
    return isinstance(it, int | float) and not isinstance(it, bool) and -inf < it < inf


def _positive(it: object) -> bool:
    """Whether it is a number above 0, and not without end."""
    return _number(it) and isinstance(it, int | float) and it > 0


def digest(table: Mapping[str, Any]) -> str:
    """A checksum of all figures of a table."""
    rest = {key: value for key, value in table.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:16]


def written(table: Mapping[str, Any]) -> str:
    """A table as the text of a profile."""
    whole = {"format": FORMAT, **table}
    whole["digest"] = digest(whole)
    lines = [f"  {json.dumps(key)}: {_text(value)}" for key, value in whole.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _text(value: Any) -> str:
    """A value in a line, a grid with a line for each of its rows."""
    if isinstance(value, dict) and "us" in value:
        rest = json.dumps({k: v for k, v in value.items() if k != "us"})
        lines = ",\n".join(f"    {json.dumps(line)}" for line in value["us"])
        return f'{rest[:-1]}, "us": [\n{lines}\n  ]}}'
    return json.dumps(value, ensure_ascii=False)
