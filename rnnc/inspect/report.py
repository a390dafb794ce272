"""The report: what a file is, for readers and for programs.

As JSON it is an object whose keys are the fields below, by these names, ``weight_bytes``, their sum, and
``schema``, which grows when one of them changes its meaning or goes. Costs are counted at sizes of 1, and
memory at ``sizes``. *A step* is one step of the time axis; in a file without one, a run's share of its steps.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from rnnc.inspect.chains import Chain, Peak
from rnnc.inspect.loops import Loop
from rnnc.inspect.nets import Recurrence
from rnnc.inspect.pairs import StateReport
from rnnc.inspect.providers import Provider

#: The version of the JSON.
SCHEMA = 1


@dataclass(frozen=True)
class Report:
    """What a file is.

    name                     the file, or what was compiled
    form                     ``sequence``, ``chunk``, ``step`` or ``unroll``; "" if rnnc did not write it
    opset, opsets            of ONNX, and of every domain
    ir_version, producer     as the file says
    inputs, outputs          name → type, ``float32[T, B, 3]``; weights are not inputs
    states                   pairs of an input and an output, told by the file or guessed
    loops                    what loops, and through what
    recurrences              of a net, its loops as they are written; of a file nothing
    weights                  name → bytes, the largest first
    nodes_…, multiply_adds_…, bytes_…
                             what each run takes besides its steps, and each step; bytes are read or written
    chain_per_run, chain_per_step
                             how much of these nodes must wait for one another
    critical_path            the longest chain of a run, by name
    peak_memory              the most bytes of activations held at once, at ``sizes``
    sizes                    what the open sizes are taken to be
    unknown_sizes            of how many tensors the file does not say enough to count them
    providers                what would run each node
    notes                    what could not be found out
    """

    name: str
    form: str
    opset: int
    opsets: Mapping[str, int]
    ir_version: int
    producer: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    states: tuple[StateReport, ...]
    loops: tuple[Loop, ...]
    recurrences: tuple[Recurrence, ...]
    weights: Mapping[str, int]
    nodes_per_run: int
    nodes_per_step: int
    multiply_adds_per_run: int
    multiply_adds_per_step: int
    bytes_per_run: int
    bytes_per_step: int
    chain_per_run: int
    chain_per_step: int
    critical_path: Chain
    peak_memory: Peak
    sizes: Mapping[str, int]
    unknown_sizes: int
    providers: tuple[Provider, ...]
    notes: tuple[str, ...]

    @property
    def weight_bytes(self) -> int:
        """The size of all weights and constants."""
        return sum(self.weights.values())

    def json(self) -> str:
        """The report for other programs."""
        states = [asdict(s) | {"type": s.type} for s in self.states]
        found = {"schema": SCHEMA, **asdict(self), "states": states, "weight_bytes": self.weight_bytes}
        return json.dumps(found, indent=2, ensure_ascii=False)
