"""An entry measured: made ready by every peer, compared with the reference machine, then timed in turns."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from rnnc.plans import Sizes
from rnnc.plans.costs import Pricing
from rnnc.plans.profile import builtin
from tools.bench.handwritten import Unsupported
from tools.bench.matrix import TOLERANCE, Entry
from tools.bench.peers import Peer
from tools.bench.results import BASE
from tools.bench.subject import Subject
from tools.bench.timing import Times, in_turns

#: Some cells are chaotic at some sizes: the least rounding grows. There, how many times as far as the
#: reference machine itself strays when it computes in float32.
LENIENCE = 4

#: The longest that a call may be predicted to take, in seconds: every peer makes a score of them.
LONGEST = 1.0

#: What is known of one peer at one entry: numbers, or why there are none.
Run = dict[str, Any]


def measured(entry: Entry, peers: Sequence[Peer], seconds: float) -> dict[str, Run]:
    """What each peer that is meant for the entry does there. rnnc is the first of them.

    What is not the peer's kind of cell is left out. What fails, or answers wrongly, is not timed, and nothing
    is whose calls would take too long.
    """
    subject = Subject.of(entry)
    if (call := predicted(subject)) > LONGEST:
        return {BASE: {"skipped": f"a call would take about {call:.1f} s"}}
    runs: dict[str, Run] = {}
    calls = {}
    with ExitStack() as stack:
        for peer in (p for p in peers if p.meant_for(entry)):
            stack.enter_context(peer.running())
            start = time.perf_counter()
            try:
                ready = peer.ready(subject)
                error = subject.error([np.asarray(y) for y in ready.answer()])
            except Unsupported:
                continue
            except Exception as failure:  # noqa: BLE001 - whatever a peer fails with is what it has to show
                runs[peer.name] = {"failed": _shown(failure)}
                continue
            seconds_to_make = round(time.perf_counter() - start, 3)
            runs[peer.name] = {"error": error, "made in": seconds_to_make, **ready.facts}
            if ready.told:
                runs[peer.name]["told"] = ready.told
            if error <= TOLERANCE or error <= LENIENCE * subject.strays:
                calls[peer.name] = ready.call
            else:
                runs[peer.name]["failed"] = f"differs from the reference machine by {error:.1e}"
        if calls:
            _enter(runs, in_turns(calls, seconds), peers[0].name)
    return runs


def predicted(subject: Subject) -> float:
    """About how many seconds a call takes: every step of the cell as written, node by node."""
    entry = subject.entry
    step = Pricing(builtin("cpu"), Sizes(1, entry.B)).values(subject.graph, subject.graph)
    return step * (entry.T if entry.form == "sequence" else 1) / 1e6


def _enter(runs: Mapping[str, Run], times: Mapping[str, Times], base: str) -> None:
    """Note the times, and how many times as long as ``base`` each takes."""
    for name, found in times.items():
        runs[name]["us"] = round(found.median * 1e6, 3)
        runs[name]["rounds"] = len(found.samples)
        if base in times and name != base:
            runs[name]["low"], runs[name]["ratio"], runs[name]["high"] = (
                round(r, 4) for r in found.over(times[base])
            )


def _shown(failure: Exception) -> str:
    """A failure in a line."""
    return " ".join(f"{type(failure).__name__}: {failure}".split())[:400]
