"""What bounds an entry: the largest part of its time, as the prices of single parts predict it.

The parts are the call itself, the rounds of loops with their nodes, the elements that these work on, the
products, and ONNX's own recurrent ops. Their prices are those of the built-in profile, which ``rnnc tune``
measured one by one; the call is measured by the entry that does nothing. How far the sum is from what was
measured is told beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rnnc.plans.profile import Profile, builtin
from tools.bench.results import BASE, Result

#: How each part is called.
PARTS = {
    "call": "the call itself",
    "nodes": "onnxruntime's cost of {nodes} nodes and {rounds} rounds",
    "elements": "work element by element inside loops",
    "products": "products, {arithmetic}",
    "native": "the steps of ONNX's {native}",
}


def parts(work: Mapping[str, Any], units: int, call: float, profile: Profile) -> dict[str, float]:
    """The predicted µs of each part of a call of a cell of so many units."""
    return {
        "call": call,
        "nodes": work["nodes"] * profile.node("other", 0) + work["rounds"] * profile.figure("iteration"),
        "elements": work["vectors"] * profile.elements("other", units),
        "products": sum(times * profile.product(rows, n) for times, rows, n in work["products"]),
        "native": sum(steps * profile.step(op, rows, units) for op, steps, rows, units in work["native"]),
    }


def bound(result: Result, call: float) -> str:
    """What bounds rnnc there, in a few words; nothing if it is not known."""
    run = result.runs.get(BASE, {})
    work, us = run.get("work"), run.get("us")
    if not work or not us:
        return ""
    found = parts(work, result.entry.H, call, builtin("cpu"))
    whole = sum(found.values())
    name = max(found, key=found.__getitem__)
    each = max((rows for _, rows, _ in work["products"]), default=0)
    told = PARTS[name].format(
        nodes=work["nodes"],
        rounds=work["rounds"],
        native=" and ".join(dict.fromkeys(op.upper() for op, *_ in work["native"])),
        arithmetic="bound by arithmetic" if each > 1 else "bound by reading their weights",
    )
    return f"{told}: {found[name] / whole:.0%} of {whole:.0f} µs predicted, {us:.0f} measured"
