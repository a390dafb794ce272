"""Steps: a pipeline watched at work, pass by pass: the graph after each, its edits rule by rule, its remarks.

// after canonicalize, 3 edits
//   passes/algebra.py:120  rewrite(x + 0).to(x)
//     replace %3, erase %3
net LSTM(…) …
"""

from __future__ import annotations

import linecache
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from textwrap import wrap
from typing import Any

from rnnc.errors import Loc
from rnnc.ir import Edit, Graph
from rnnc.pipeline import Pass, Pipeline
from rnnc.remarks import Remark, collecting
from rnnc.text import show

#: Where the rules are that edits name by file and line.
RULES = Path(__file__).parent

#: Edits are told in lines of this length.
WIDTH = 110


@dataclass(frozen=True)
class Step:
    """One pass: the graph before it, the graph after it, whose edits are its own, and what it remarked."""

    by: Pass
    before: Graph
    after: Graph
    remarks: tuple[Remark, ...]

    @property
    def changed(self) -> bool:
        """Whether the pass changed anything."""
        return bool(self.after.edits)

    def groups(self) -> Iterator[tuple[str, list[Edit]]]:
        """The edits in order, those that one rule made together, by its name."""
        for by, some in groupby(self.after.edits, key=lambda e: e.by):
            yield by, list(some)

    def text(self, edits: bool = False) -> str:
        """The graph after the pass, below how many ``edits`` made it, or which."""
        lines = [f"// after {self.by}, {len(self.after.edits)} edits"]
        for by, some in self.groups() if edits else ():
            lines.append(f"//   {by}  {rule(by)}".rstrip())
            lines += wrap(told(some), WIDTH, initial_indent="//     ", subsequent_indent="//       ")
        return "\n".join([*lines, show(self.after)])

    def summary(self) -> Remark | None:
        """What the pass did to how many values, at the first place in the source that it touched."""
        if not self.changed:
            return None
        verbs = Counter[str](e.verb for e in self.after.edits)
        count = ", ".join(f"{verbs[v]} {word}" for v, word in _DONE.items() if verbs[v])
        what = (type(self.by).__doc__ or "").partition("\n")[0].partition(". ")[0].rstrip(".;")
        what = what[:1].lower() + what[1:]
        values = f"{len(self.before)} values are {len(self.after)} ({count})"
        return Remark("passed", self.by.name, f"{what}: {values}" if what else values, self._place())

    def _place(self) -> Loc | None:
        values = (e.value for e in self.after.edits)
        graphs = ((g, v) for v in values for g in (self.before, self.after))
        return next((g[v].locs[0] for g, v in graphs if v in g and g[v].locs), None)

    def json(self) -> dict[str, Any]:
        """The step for other programs."""
        edits = [{"verb": e.verb, "value": e.value, "by": e.by} for e in self.after.edits]
        return {"pass": str(self.by), "edits": edits, "graph": show(self.after)}


_DONE = {"add": "added", "replace": "replaced", "erase": "erased"}


def steps(pipeline: Pipeline, graph: Graph) -> list[Step]:
    """Run a pipeline and watch it."""
    found: list[Step] = []
    with collecting() as remarks:

        def watch(by: Pass, before: Graph, after: Graph) -> None:
            found.append(Step(by, before, after, tuple(remarks)))
            remarks.clear()

        pipeline.run(graph, watch)
    return found


def told(edits: list[Edit]) -> str:
    """Edits in a line: what was done to which values."""
    return "; ".join(
        f"{verb} {', '.join(e.value for e in some)}" for verb, some in groupby(edits, key=lambda e: e.verb)
    )


def rule(by: str) -> str:
    """The text of a rule that is known by ``passes/file.py:line``; "" for what has no such name."""
    file, _, line = by.rpartition(":")
    if not file.startswith("passes/") or not line.isdigit():
        return ""
    return linecache.getline(str(RULES / file), int(line)).strip().removeprefix("yield ")
