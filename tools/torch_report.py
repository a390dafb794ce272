"""Modules of PyTorch, read by ``rnnc.from_torch``, compared with what PyTorch computes.

    python -m tools.torch_report [--steps 50] [--exporter torchscript] [--exporter dynamo]

First five modules: the largest difference to PyTorch of the sequence file, and of the step file called step
by step, at lengths and batch sizes other than those of the example. Then cells in a loop in Python, exported
at ``--steps`` steps: how many nodes PyTorch writes and how many there are once the loop is found, and the
largest difference at three lengths.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnxruntime
import torch
from rich.console import Console
from rich.table import Table

import rnnc
from rnnc.pytorch.export import EXPORTERS, export, quiet, still
from rnnc.pytorch.rows import Row
from tools.torch_modules import MODULES, ROLLS, Roll, Subject

#: Lengths and batch sizes at which modules are compared, and lengths for loops.
SIZES = ((5, 3), (33, 1), (200, 2))
LENGTHS = (7, 50, 333)

Array = np.ndarray[Any, Any]


def main() -> None:
    """Print the two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=50, help="the length at which loops are exported")
    parser.add_argument("--exporter", action="append", choices=[*EXPORTERS], help="by default all")
    options = parser.parse_args()
    torch.set_num_threads(1)
    exporters = options.exporter or [*EXPORTERS]
    titles = ["module", "exporter", "became", "sequence", "step"]
    _print("Modules: largest difference to PyTorch", titles, _modules(exporters))
    titles = ["cell in a loop", "exporter", "nodes before", "nodes after", *(f"T={t}" for t in LENGTHS)]
    _print(f"Loops exported at {options.steps} steps", titles, _loops(exporters, options.steps))


def _print(title: str, titles: Sequence[str], rows: Iterator[Sequence[str]]) -> None:
    table = Table(title=title, title_justify="left")
    for name in titles:
        table.add_column(name)
    for row in rows:
        table.add_row(*row)
    Console(width=110).print(table)


def _modules(exporters: Sequence[str]) -> Iterator[Sequence[str]]:
    for subject in MODULES:
        for exporter in exporters:
            module = subject.made()
            graph = rnnc.from_torch(module, _example(subject), exporter=exporter, **subject.options)
            whole = rnnc.compile(graph)
            errors = {"whole": 0.0, "steps": 0.0}
            for steps, batch in SIZES:
                x = subject.example(steps, batch)
                wanted, first = _wanted(subject, module, x), np.moveaxis(x.numpy(), subject.time, 0)
                errors["whole"] = max(errors["whole"], _apart(_run(whole, first), wanted))
                if subject.causal:
                    stream = rnnc.Stream(rnnc.compile(graph, "step"))
                    found = np.stack([stream.push(frame) for frame in first])
                    errors["steps"] = max(errors["steps"], _apart(found, wanted))
            ops = [n.op_type for n in whole.proto.graph.node]
            loops = [f"{ops.count(op)} {op}" for op in ("LSTM", "GRU", "RNN", "Scan") if op in ops]
            step = f"{errors['steps']:.0e}" if subject.causal else "looks ahead"
            yield (subject.name, exporter, ", ".join(loops) or "Scan", f"{errors['whole']:.0e}", step)


def _example(subject: Subject) -> Any:
    """An example of a batch of 2, 7 steps long; of a step module one step, with states of zeros."""
    if "state" not in subject.options:
        return subject.example(7, 2)
    return (subject.example(1, 2)[0], torch.zeros(2, 10), torch.zeros(2, 10))


def _wanted(subject: Subject, module: Any, x: Any) -> Array:
    """What the module gives, time first."""
    with torch.no_grad():
        if "state" not in subject.options:
            return np.moveaxis(module(x).numpy(), subject.time, 0)
        states, found = [torch.zeros(x.shape[1], 10)] * 2, []
        for frame in x:
            y, *states = module(frame, *states)
            found.append(y.numpy())
        return np.stack(found)


def _loops(exporters: Sequence[str], steps: int) -> Iterator[Sequence[str]]:
    for roll in ROLLS:
        for exporter in exporters:
            module = roll.made()
            before = _written(roll, module, exporter, steps)
            compiled = rnnc.compile(
                rnnc.from_torch(module, roll.example(steps, 2), time=roll.time, exporter=exporter)
            )
            errors = []
            for length in LENGTHS:
                x = roll.example(length, 3)
                with torch.no_grad():
                    wanted = module(x).numpy()
                wanted = np.moveaxis(wanted, roll.time, 0) if roll.stacked else wanted
                errors.append(_apart(_run(compiled, np.moveaxis(x.numpy(), roll.time, 0)), wanted))
            yield (
                *(roll.name, exporter, str(before), str(_count(compiled.proto.graph))),
                *(f"{e:.0e}" for e in errors),
            )


def _written(roll: Roll, module: Any, exporter: str, steps: int) -> int:
    """How many nodes PyTorch writes for a loop of so many steps."""
    with still(module), quiet():
        row = Row(module, roll.example(steps, 2))
        model = export(exporter, row, row.tensors, ["y"], [{1 - roll.time: "B"}])
    return _count(model.graph)


def _count(graph: Any) -> int:
    """How many nodes a graph has, with those of graphs inside."""
    inner = (a.g for node in graph.node for a in node.attribute if a.HasField("g"))
    return len(graph.node) + sum(map(_count, inner))


def _run(compiled: Any, x: Array) -> Array:
    session = onnxruntime.InferenceSession(compiled.proto.SerializeToString())
    y: Array = session.run(None, {session.get_inputs()[0].name: x})[0]
    return y


def _apart(found: Array, wanted: Array) -> float:
    return float(np.max(np.abs(found - wanted)))


if __name__ == "__main__":
    main()
