"""Deployed step models, imported and compiled to a sequence, against calling the step file for every frame.

    taskset -c 0 python -m tools.bench.imported [--frames 1000] [--seconds 2] [--models tcn,tagger] [--small]

First the answers: the sequence and chunk files, and the step file that the import becomes again, are to agree
with the original called frame by frame, outputs and last states, to :data:`TOLERANCE`. Then the time of all
frames, in turns: the original step file called for each, and the sequence file called once. Where a frame
costs less than :data:`CHEAP` µs the sequence is to be :data:`FASTER`, elsewhere never slower. Models that
torch exports need torch.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

import rnnc
from rnnc.compiler import Compiled
from rnnc.emit.form import FormName
from rnnc.emit.save import to_bytes
from rnnc.errors import RnncError
from rnnc.inspect import inspect
from rnnc.runtime.sessions import session
from tests.imported.forms import answers, imported, worst
from tests.imported.models import KINDS, step_model
from tests.imported.step_model import Arrays, StepModel, frame_loop, session_of
from tools.bench.machine import pin
from tools.bench.timing import in_turns

TOLERANCE = 1e-4
CHEAP, FASTER = 100.0, 3.0
#: How many runs are looked into, the first of which allocates.
PROFILED = 5
FORMS: tuple[FormName, ...] = ("sequence", "chunk", "step")


@dataclass(frozen=True)
class Row:
    """One model: µs a frame alone, and in a sequence; the worst errors; its loops; what takes the time."""

    name: str
    errors: Mapping[str, float]
    frame: float = 0.0
    sequence: float = 0.0
    loops: tuple[str, ...] = ()
    bound: str = ""

    @property
    def ratio(self) -> float:
        """How many times as long as the sequence the frames take."""
        return self.frame / self.sequence

    @property
    def verdict(self) -> str:
        """What is asked of the model, if it is not so."""
        if wrong := [form for form, error in self.errors.items() if not error <= TOLERANCE]:
            return f"wrong: {', '.join(wrong)}"
        asked = FASTER if self.frame < CHEAP else 1.0
        return "" if self.ratio >= asked else f"less than {asked:.0f}"

    def __str__(self) -> str:
        errors = "  ".join(f"{form} {error:.0e}" for form, error in self.errors.items())
        times = f"{self.frame:8.1f} {self.sequence:8.1f} {self.ratio:7.1f}"
        loops = "; ".join(f"{n} × {loop}" if n > 1 else loop for loop, n in Counter(self.loops).items())
        return f"{self.name:25}{times}  {errors}  {self.verdict:12} {self.bound:32} {loops}"


def main() -> None:
    """Time the models, a line for each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--frames", type=int, default=1000, metavar="T")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each model is timed")
    parser.add_argument("--models", type=lambda text: text.split(","), default=list(KINDS), metavar="A,B")
    parser.add_argument("--small", action="store_true", help="models as small as those of the tests")
    options = parser.parse_args()
    pin(1)
    print(f"{'model':25}{'µs frame':>8} {'µs seq.':>8} {'ratio':>7}  errors")
    for name in options.models:
        try:
            print(row(name, step_model(name, options.small), options.frames, options.seconds), flush=True)
        except RnncError as error:
            print(f"{name:25}{str(error).partition(chr(10))[0]}", flush=True)


def row(name: str, model: StepModel, frames: int, seconds: float) -> Row:
    """The model compared and timed."""
    xs, fixed = model.frames(frames), model.fixed()
    expected = frame_loop(model, xs, fixed)
    graph = imported(model)
    sequence, chunk, step = (rnnc.compile(graph, form) for form in FORMS)
    errors: dict[str, float] = {
        c.form.name: max(map(worst, answers(c, model, xs, fixed), expected)) for c in (sequence, chunk, step)
    }
    if max(errors.values()) > TOLERANCE:
        return Row(name, errors, 1.0, 1.0)
    whole, inputs = session(sequence, threads=1), {**xs, **fixed}
    found = in_turns(
        {"frame": looped(model, xs, fixed), "sequence": lambda: whole.run(None, inputs)}, seconds
    )
    us = {k: t.median / frames * 1e6 for k, t in found.items()}
    return Row(name, errors, us["frame"], us["sequence"], became(sequence), bound(sequence, inputs))


def looped(model: StepModel, xs: Arrays, fixed: Arrays) -> Callable[[], None]:
    """The original called for every frame, as its users do."""
    original = session_of(model.proto)
    names = [o.name for o in original.get_outputs()]
    places: Sequence[tuple[int, str]] = [(names.index(o), i) for o, i in model.state.items()]
    always = {**fixed, **{k: np.asarray(v) for k, v in model.constants.items()}}
    frames = [{k: x[t] for k, x in xs.items()} for t in range(len(next(iter(xs.values()))))]
    first = model.zeros()

    def run() -> None:
        state = first
        for frame in frames:
            got = original.run(names, {**frame, **always, **state})
            state = {i: got[k] for k, i in places}

    return run


def bound(compiled: Compiled, inputs: Arrays) -> str:
    """The ops that a sequence file spends most of its time in, by onnxruntime's own count."""
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.enable_profiling = 1, True
        options.profile_file_prefix = f"{folder}/run"
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        profiled = onnxruntime.InferenceSession(
            to_bytes(compiled.proto), options, providers=["CPUExecutionProvider"]
        )
        for _ in range(PROFILED):
            profiled.run(None, inputs)
        events = json.loads(Path(profiled.end_profiling()).read_text())
    spent: Counter[str] = Counter()
    for event in events:
        op = event.get("args", {}).get("op_name", "")
        if event["name"].endswith("_kernel_time") and op not in ("Scan", "Loop", "If"):
            spent[op] += event["dur"]
    total = sum(spent.values())
    return ", ".join(f"{op} {us / total:.0%}" for op, us in spent.most_common(2))


def became(compiled: Compiled) -> tuple[str, ...]:
    """What runs each loop of the file, and for how many steps."""
    return tuple(f"{loop.became} × {loop.steps}" for loop in inspect(compiled.proto).loops)


if __name__ == "__main__":
    main()
