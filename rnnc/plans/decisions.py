"""Decisions: which plan a region got, of which candidates, and why, as explanations show them.

models/seed.py:37:9: passed: choose: y runs as lstm (the cheapest; T=100, B=1, profile cpu)
    plan    µs a run    a step
  * lstm        20.3      0.20
    scan       195.9      1.96
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rnnc.remarks import Remark


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plan that can run a region: its predicted µs a run, and those of the whole file, if measured.

    ``risk`` is why it runs only if asked for, and ``note`` what else is to be said.
    """

    name: str
    us: float
    risk: str = ""
    note: str = ""
    measured: float | None = None


@dataclass(frozen=True, slots=True)
class Decision(Remark):
    """The candidates of a region, the cheapest first, and the one that was ``chosen``, over so many steps."""

    candidates: tuple[Candidate, ...] = ()
    chosen: str = ""
    steps: int = 1

    def measured(self, us: dict[str, float]) -> Decision:
        """The same, with times of the whole file by plan."""
        known = tuple(replace(c, measured=us.get(c.name)) for c in self.candidates)
        return replace(self, candidates=known, details=lines(known, self.chosen, self.steps))


def lines(found: tuple[Candidate, ...], chosen: str, steps: int) -> tuple[str, ...]:
    """A line for each candidate; ``*`` marks the chosen one."""
    wide = max(len(c.name) for c in found)
    timed = any(c.measured is not None for c in found)
    head = f"    {'plan':{wide}}  {'µs a run':>10}  {'a step':>8}" + f"  {'file timed':>10}" * timed
    told = [head]
    for c in found:
        row = (
            f"  {'*' if c.name == chosen else ' '} {c.name:{wide}}  {c.us:10.1f}  {c.us / max(steps, 1):8.2f}"
        )
        if timed:
            row += " " * 12 if c.measured is None else f"  {c.measured:10.1f}"
        said = "; ".join(filter(None, (c.risk and f"only if asked for: {c.risk}", c.note)))
        told.append(f"{row}  {said}".rstrip())
    return tuple(told)
