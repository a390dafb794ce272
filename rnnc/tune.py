"""Tuning: a machine measured part by part, as the table of a profile. It takes well under a minute.

Every part is run many times over in a small model, and what the same model costs without it is taken off.
Models that are compared take turns, and of each its fastest turn counts: noise only ever adds.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from rnnc.emit import probes
from rnnc.ir import Array
from rnnc.runtime import session

#: Where the grids have their points.
ROWS = (1, 4, 16, 64, 256)
WIDTHS = (16, 32, 64, 128, 256, 512, 1024)
BATCHES = (1, 4, 16, 64)
UNITS = (16, 64, 128, 256, 512)
#: Ops whose cost an element is measured; all others count as the sum.
ELEMENTS = {"tanh": "Tanh", "sigmoid": "Sigmoid", "exp": "Exp", "other": "Add"}
#: Ops that copy elements, and those that only look at them anew.
COPIES, VIEWS = ("gather", "slice", "split", "concat"), ("reshape", "squeeze", "unsqueeze")
#: Activations of native ops, each in the place of the usual one of the candidate.
CANDIDATES = {"lstm": ("Sigmoid", "{}", "Tanh"), "gru": ("Sigmoid", "{}"), "rnn": ("{}",)}
ACTIVATIONS = ("Sigmoid", "Relu", "Affine", "Softsign", "Softplus")
#: Sizes of tensors of which many fit into the caches, and none.
FAR = (1 << 14, 1 << 20)
#: Of how many rows and units they are measured, and how many elements a large vector has.
ACTIVE, LARGE = (4, 64), 2048

#: How long one sample should take, in µs, and how many turns each model gets.
SAMPLE, TURNS = 1000.0, 25
#: What no time is below, in µs: differences of what is measured may vanish.
LEAST = 1e-6

Call = Callable[[], Any]


def fastest(calls: Mapping[str, Call], turns: int = TURNS, sample: float = SAMPLE) -> dict[str, float]:
    """The fastest of several turns of each call, in µs a call; in each turn a call runs a few times."""
    counts, best = {}, dict.fromkeys(calls, float("inf"))
    for name, call in calls.items():
        call()
        counts[name] = max(1, min(1000, round(sample / max(_timed(call, 1), 0.1))))
    for _ in range(turns):
        for name, call in calls.items():
            if counts[name] > 1:
                call()  # brings back what the others drove from the caches
            best[name] = min(best[name], _timed(call, counts[name]))
    return best


def _timed(call: Call, count: int) -> float:
    start = perf_counter()
    for _ in range(count):
        call()
    return (perf_counter() - start) * 1e6 / count


def _run(model: bytes, **shapes: tuple[int, ...]) -> Call:
    """One run of a model on small numbers, on one thread."""
    opened, rng = session(model, threads=1), np.random.default_rng(1)
    arrays: dict[str, Array] = {
        name: rng.uniform(-0.1, 0.1, shape).astype(np.float32) for name, shape in shapes.items()
    }
    return lambda: opened.run(None, arrays)


@contextmanager
def one_processor() -> Iterator[None]:
    """Inside, this process stays on one processor, where the system can do that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def measured(told: Callable[[str], None] = lambda part: None) -> dict[str, Any]:
    """The table of this machine; ``told`` hears which part is next."""
    with one_processor():
        told("nodes")
        nodes, bare = _nodes()
        told("loops")
        loops, lone = _loops(nodes["node"]["other"])
        nodes["node"]["identity"], nodes["element"]["stream"] = loops.pop("identity"), loops.pop("element")
        nodes["element"]["far"] = _far()
        table: dict[str, Any] = {"machine": machine(), "versions": versions(), "threads": 1, **nodes, **loops}
        told("products")
        table["product"] = _products(loops["scan"], lone)
        calls = {}
        for op in probes.GATES:
            told(f"{op.upper()} steps")
            table[op], calls[op] = _steps(op, bare)
        told("activations")
        table["activation"] = {op: _activations(op) for op in probes.GATES}
        table["call"] = max(calls.values())
    return table


def _nodes() -> tuple[dict[str, Any], float]:
    """What a node costs, by op, and each of its elements; and what a call of a model without any."""
    few, many, small, large = 10, 110, 16, 16384
    calls = {}
    for name, op in ELEMENTS.items():
        calls[f"{name} few"] = _run(probes.chain(op, few, small), x0=(1, small))
        calls[f"{name} many"] = _run(probes.chain(op, many, small), x0=(1, small))
        calls[f"{name} large"] = _run(probes.chain(op, few, large), x0=(1, large))
    for name in probes.PIECES:
        calls[f"{name} few"] = _run(probes.pieces(name, few), x0=(3, small))
        calls[f"{name} many"] = _run(probes.pieces(name, many), x0=(3, small))
    calls["split large"] = _run(probes.pieces("split", few), x0=(3, large))
    rows = large // 64
    calls["rows"] = _run(probes.chain("Mul", few, large // 16), x0=(1, large // 16))
    calls["stretched"] = _run(probes.stretched(few, large // 16 // rows), x0=(rows, large // 16 // rows))
    calls["choice"] = _run(probes.choice(), x=(1, 16))
    found = fastest(calls)
    each = {n: (found[f"{n} many"] - found[f"{n} few"]) / (many - few) for n in (*ELEMENTS, *probes.PIECES)}
    slice_ = each["slices"] - each["slice"]
    concat = each["slice"] - slice_
    node = {
        "other": _above(min(each[n] for n in ELEMENTS)),
        "where": _above(each["where"]),
        "slice": _above(slice_),
        "concat": _above(concat / 3),
        "split": _above((each["split"] - concat) / 3),
    }
    element = {
        name: _above((found[f"{name} large"] - found[f"{name} few"]) / few / (large - small))
        for name in ELEMENTS
    }
    copies = (found["split large"] - found["split few"]) / few / 3 / (large - small) / 2  # a split, a concat
    element |= dict.fromkeys(COPIES, _above(copies)) | dict.fromkeys(VIEWS, LEAST)
    span = _above((found["stretched"] - found["rows"]) / few / rows)
    bare = found["other few"] - few * node["other"]  # a call of no node
    choice = _above(found["choice"] - bare - 3 * node["other"])
    return {"node": node, "element": element, "span": span, "if": choice}, bare


def _far() -> float:
    """What an element of tensors costs more that leave the caches before they are read again."""
    calls = {}
    for size in FAR:
        for count in (4, 12):
            calls[f"{size} {count}"] = _run(probes.kept(count), x0=(1, size))
    found = fastest(calls, turns=9, sample=3 * SAMPLE)
    near, far = ((found[f"{size} 12"] - found[f"{size} 4"]) / 8 / size for size in FAR)
    return _above((far - near) / 2)  # each is written, and read once more


def _loops(node: float) -> tuple[dict[str, float], float]:
    """What starting a loop costs, a round of it, each stream that it reads or gives, an element of that, and
    a copy of a state; and what a round of a loop of one node costs besides, which allocates nothing."""
    few, many = 100, 600
    # Nodes of a step, streams, copies of the state and elements.
    small = {"lone": (1, 1, 0), "two": (2, 1, 0), "four": (4, 1, 0), "read": (4, 4, 0), "given": (4, 1, 3)}
    calls = {}
    for name, (nodes, streams, copies) in small.items():
        run = probes.loop(nodes, streams, copies)
        for steps in (few, many):
            shapes = {f"c{k}s": (steps, 1, 16) for k in range(streams)}
            calls[f"{name} {steps}"] = _run(run, start=(1, 16), **shapes)
    for name in ("four", "read"):
        streams = small[name][1]
        shapes = {f"c{k}s": (few, 1, LARGE) for k in range(streams)}
        calls[f"{name} large"] = _run(probes.loop(4, streams, 0, LARGE), start=(1, LARGE), **shapes)
    calls["none"] = _run(probes.chain("Add", 1, 16), x0=(1, 16))
    found = fastest(calls)
    each = {name: (found[f"{name} {many}"] - found[f"{name} {few}"]) / (many - few) for name in small}
    inside = (each["four"] - each["two"]) / 2
    stream = _above((each["read"] - each["four"]) / 3)
    start = found[f"lone {few}"] - few * each["lone"] - (found["none"] - node)
    large = (found["read large"] - found["four large"]) / few / 3 - stream
    figures = {
        "scan": _above(start),
        "iteration": _above(each["two"] - 2 * inside - stream),
        "stream": stream,
        "identity": _above((each["given"] - each["four"]) / 3 - stream),
        "element": _above(large / LARGE),
    }
    return figures, each["lone"] - inside


def _products(scan: float, lone: float) -> dict[str, Any]:
    """The grid of products, as a loop runs them, a round of which costs ``lone`` besides."""
    us = []
    for rows in ROWS:
        steps = {w: max(4, min(400, round(2 * SAMPLE / (0.5 + rows * w * w * 2e-5)))) for w in WIDTHS}
        found = fastest(
            {str(w): _run(probes.product(rows, w), start=(rows, w), cs=(steps[w], rows, w)) for w in WIDTHS},
            turns=15,
        )
        us.append([_above((found[str(w)] - scan) / steps[w] - lone) for w in WIDTHS])
    return {"rows": ROWS, "weights": [w * w for w in WIDTHS], "us": us}


def _steps(op: str, bare: float) -> tuple[dict[str, Any], float]:
    """The grid of a native op's steps, and what a run costs besides."""
    us, call = [], 0.0
    for rows in BATCHES:
        calls, steps = {}, {}
        for units in UNITS:
            weights = probes.GATES[op] * units * units
            steps[units] = max(8, min(100, round(2 * SAMPLE / (0.2 + rows * weights * 2e-5))))
            run = probes.native(op, units)
            for part in (1, 2):
                calls[f"{units} {part}"] = _run(run, x=(steps[units] * part, rows, 1))
        found = fastest(calls, turns=15)
        slopes = {u: (found[f"{u} 2"] - found[f"{u} 1"]) / steps[u] for u in UNITS}
        us.append([_above(slopes[u]) for u in UNITS])
        if rows == 1:
            call = found[f"{UNITS[0]} 1"] - steps[UNITS[0]] * slopes[UNITS[0]] - bare
    return {"rows": BATCHES, "units": UNITS, "us": us}, _above(call)


def _activations(op: str) -> dict[str, float]:
    """What an element of each activation costs more than one of the usual; some cost less."""
    (rows, units), steps, calls = ACTIVE, 100, {}
    for name in ("Tanh", *ACTIVATIONS):
        run = probes.native(op, units, [a.format(name) for a in CANDIDATES[op]])
        for part in (1, 2):
            calls[f"{name} {part}"] = _run(run, x=(steps * part, rows, 1))
    found = fastest(calls, turns=15)
    each = {n: (found[f"{n} 2"] - found[f"{n} 1"]) / (steps * rows * units) for n in ("Tanh", *ACTIVATIONS)}
    return {name: float(f"{each[name] - each['Tanh']:.3g}") for name in ACTIVATIONS}


def _above(us: float) -> float:
    """A time as the table has it: to four digits, and above 0."""
    return float(f"{max(us, LEAST):.4g}")


def machine() -> str:
    """The processor by its name, and the system."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {platform.system()}"


def versions() -> dict[str, str]:
    """Those of the libraries that the figures depend on."""
    return {library: version(library) for library in ("onnxruntime", "numpy")}
