"""Results: one line of JSON for each entry measured, appended as it is measured.

A line says what was measured, where, and what came of it. An entry that has a line of the same machine,
versions, sources and peers need not be measured again: so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tools.bench.matrix import Entry

#: What one peer did at one entry: ``us`` a call and its ``ratio`` to rnnc's, or that it ``failed``.
Run = Mapping[str, Any]

#: The one that the others are compared with.
BASE = "rnnc"


@dataclass(frozen=True)
class Result:
    """One entry as it was measured."""

    entry: Entry
    where: Mapping[str, Any]
    peers: tuple[str, ...]
    runs: Mapping[str, Run]

    @property
    def best(self) -> str | None:
        """The fastest of the peers; none if rnnc or all of them have no time."""
        ratios = {n: r["ratio"] for n, r in self.runs.items() if "ratio" in r}
        return min(ratios, key=ratios.__getitem__) if ratios else None

    @property
    def ratio(self) -> float | None:
        """How many times as long as rnnc the best peer takes: below 1, rnnc loses."""
        return None if self.best is None else float(self.runs[self.best]["ratio"])

    @property
    def us(self) -> float | None:
        """What rnnc takes, in microseconds a step."""
        found = self.runs.get(BASE, {}).get("us")
        return None if found is None else found / (self.entry.T if self.entry.form == "sequence" else 1)

    @property
    def told(self) -> str:
        """What became of the cell."""
        return str(self.runs.get(BASE, {}).get("told", ""))

    @property
    def kind(self) -> str:
        """The class of plans that fit the cell: ``native``, ``linear`` or ``loop``."""
        return str(self.runs.get(BASE, {}).get("class", "loop"))

    def line(self) -> str:
        """As it stands in the file."""
        told = {"entry": asdict(self.entry), "where": self.where, "peers": self.peers, "runs": self.runs}
        return json.dumps(told, ensure_ascii=False)

    @staticmethod
    def read(line: str) -> Result:
        """The result that a line holds."""
        told = json.loads(line)
        return Result(Entry(**told["entry"]), told["where"], tuple(told["peers"]), told["runs"])


class Results:
    """A file of results."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def all(self) -> list[Result]:
        """Every result, oldest first. What follows the last newline was cut off while it was written."""
        if not self.path.exists():
            return []
        whole = self.path.read_text(encoding="utf-8").split("\n")[:-1]
        return [Result.read(line) for line in whole if line]

    def add(self, result: Result) -> None:
        """Append a result."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        cut = bool(text) and not text.endswith("\n")
        if cut:  # by a run that was stopped as it wrote
            self.path.write_text(text[: text.rfind("\n") + 1], encoding="utf-8")
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{result.line()}\n")

    def missing(
        self, entries: Iterable[Entry], where: Mapping[str, Any], peers: tuple[str, ...]
    ) -> list[Entry]:
        """The entries that have not been measured there with these peers."""
        done = {r.entry for r in self.all() if r.where == where and set(peers) <= set(r.peers)}
        return [entry for entry in entries if entry not in done]

    def latest(self, where: Mapping[str, Any] | None = None) -> list[Result]:
        """The last result of each entry, measured there or, without ``where``, anywhere."""
        found = {r.entry: r for r in self.all() if where is None or r.where == where}
        return list(found.values())
