"""Pairs: which outputs of a step are to be given back as which inputs.

One of our files says so. In any other a pair is only proposed: an output and an input of one type whose names
differ in nothing but words such as ``in``, ``out``, ``next`` or a trailing ``N``. So ``h_in`` goes with
``h_out``, ``state`` with ``stateN``, ``h0`` with ``hn``, and ``cache_in.3`` with ``cache_out.3``. A name that
several could be paired with is paired with none. Something must go in, and something come out: where all
inputs or all outputs had a partner, only names that states go by keep theirs, so not ``audio_in`` and
``audio_out``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rnnc.dims import Dim
from rnnc.inspect.graphs import Body
from rnnc.inspect.sizes import UNKNOWN, Shape, dtype_name, shown_size

#: Words of a name that say which end of a step it is.
ENDS = frozenset(
    re.findall(
        r"\w+",
        """
    in out input output prev previous next new old updated update cur current before after past present
    last init initial final o i t tm1
    """,
    )
)
#: Words that only a state is called by.
STATES = frozenset(
    re.findall(
        r"\w+",
        """
    h c s hx cx hidden cell state states cache cached buf buffer mem memory ctx context
    """,
    )
)


@dataclass(frozen=True)
class StateReport:
    """A state: the tensors that carry it in and out, its type, and its value before the first step.

    ``depth`` is after how many steps it returns. ``initial`` is a number, ``array``, or ``?`` where the file
    does not say. ``guessed`` is why the pair is thought to be one; "" where the file itself says so. ``loop``
    is the loop that it closes; "" if it only remembers what comes in.
    """

    path: str
    input: str | None
    output: str | None
    dtype: str
    shape: tuple[int | str, ...]
    depth: int
    initial: str
    source: str
    guessed: str = ""
    loop: str = ""

    @property
    def type(self) -> str:
        """The type for readers."""
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


def told(entry: Mapping[str, Any]) -> StateReport:
    """The state that an entry of a manifest describes."""
    value = entry.get("initial", 0)
    return StateReport(
        path=entry["name"],
        input=entry.get("input"),
        output=entry.get("output"),
        dtype=entry["dtype"],
        shape=tuple(entry["shape"]),
        depth=entry.get("depth", 1),
        initial=str(value) if isinstance(value, int | float | bool) else "array",
        source=entry.get("source") or "",
    )


def guessed(body: Body) -> list[StateReport]:
    """The evident pairs of a model that does not say which it has, in the order of its inputs."""
    ins, outs = _by_stem(body.inputs), _by_stem(body.outputs)
    found = []
    for common, names in ins.items():
        for before in names[:1] if common else ():
            fitting = [o for o in outs.get(common, ()) if o != before and _fits(body, before, o)]
            if len(fitting) == len(names) == 1:
                found.append(_pair(body, common, before, fitting[0]))
    if len(found) in (len(body.inputs), len(body.outputs)):
        found = [s for s in found if STATES.intersection(re.split(r"_|\d", s.path))]
    order = {name: n for n, name in enumerate(body.inputs)}
    return sorted(found, key=lambda s: order[s.input or ""])


def _pair(body: Body, path: str, before: str, after: str) -> StateReport:
    shape = body.sizes[before] or body.sizes[after] or ()
    return StateReport(
        path=path,
        input=before,
        output=after,
        dtype=dtype_name(body.sizes.element(before)),
        shape=tuple(d if isinstance(d, int) else shown_size(d) for d in shape),
        depth=1,
        initial="?",
        source="",
        guessed="the names agree, and the types",
    )


def _fits(body: Body, before: str, after: str) -> bool:
    """Whether two tensors can be one state: of one known type and rank, and no sizes that differ."""
    sizes = body.sizes
    one, other = sizes[before], sizes[after]
    if not sizes.element(before) or sizes.element(before) != sizes.element(after):
        return False
    return one is not None and one != () and (other is None or _agree(one, other))


def _agree(one: Shape, other: Shape) -> bool:
    return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))


def _same(a: Dim, b: Dim) -> bool:
    return a == b or UNKNOWN in (a, b)


def _by_stem(names: Iterable[str]) -> Mapping[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        found[stem(name)].append(name)
    return found


def stem(name: str) -> str:
    """A name without the words that say which end of a step it is.

    A digit 0, or a letter n, at the end of a word of one or two letters (``h0``, ``hn``), and an N at the end
    of a longer one (``stateN``), say that too.
    """
    words = re.findall(r"[^\W\d_]+(?:\d+)?|\d+", re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", name[:200]))
    kept = []
    for word in words:
        bare = re.sub(r"(?<=[a-z]{3})N$", "", word)
        bare = bare.lower()
        bare = re.sub(r"^([a-z]{1,2})0$|^([a-z])n$", lambda m: m[1] or m[2], bare)
        if bare not in ENDS:
            kept.append(bare)
    return "_".join(kept)
