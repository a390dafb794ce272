"""The worker: one process, pinned, that measures entries one after another.

    echo '{"cpus": 1, "entries": […], "peers": […], "seconds": 2.0, "where": {…}, "out": "…"}' |
        python -m tools.bench.worker

It is pinned before it imports what is to be measured. Each result is written as soon as it is there, so that
whoever started the worker may start another if a library takes this one down.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tools.bench.machine import pin
from tools.bench.matrix import Entry
from tools.bench.results import Result, Results


def main() -> None:
    """Do the job that standard input describes."""
    job = json.load(sys.stdin)
    pin(job["cpus"])
    work(job)


def work(job: dict[str, Any]) -> None:
    """Measure every entry of a job, in order."""
    from tools.bench.measure import measured
    from tools.bench.peers import chosen

    peers, results = chosen(job["peers"]), Results(Path(job["out"]))
    _settle([peer.name for peer in peers], job["cpus"])
    for entry in (Entry(**e) for e in job["entries"]):
        runs = measured(entry, peers, job["seconds"])
        result = Result(entry, job["where"], tuple(peer.name for peer in peers), runs)
        results.add(result)
        print(told(result), flush=True)


def told(result: Result) -> str:
    """A result in a line."""
    failed = [f"{name} failed" for name, run in result.runs.items() if "failed" in run]
    failed += [f"skipped: {run['skipped']}" for run in result.runs.values() if "skipped" in run]
    parts = [f"rnnc {result.us:.3g} µs" if result.us else "", result.told]
    if result.best:
        parts.append(f"{result.best} {result.ratio:.2f} times that")
    return f"{result.entry}: " + "; ".join([p for p in parts if p] + failed)


def _settle(peers: list[str], cpus: int) -> None:
    """What is set once for the whole process: threads, and denormals, which onnxruntime flushes too."""
    if any(name.startswith("torch") for name in peers):
        import torch

        torch.set_num_threads(cpus)
        torch.set_flush_denormal(True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:  # which the command has got too, and answers
        sys.exit(130)
