"""What becomes of ONNX's own node tests: each imported as a step, compiled, run and compared.

    python -m tools.backend_report              every test: counts, and the reason of each refusal
    python -m tools.backend_report lstm loop    those whose names contain any of the words

A test is a model, inputs, and the outputs that it must give. It is read as a step without states, and then
compiled to the step form and to the sequence form of three steps, all alike; both run in onnxruntime, and
the graph on the reference machine. All must give the test's outputs, as near as the test itself asks; the two
forms those of the test's own model in onnxruntime where these are further off, and nothing where onnxruntime
cannot run that. Tests that roll dice are compared by their shapes.
"""

from __future__ import annotations

import re
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto
from onnx.backend.test.case.node import collect_testcases

import rnnc
from rnnc.errors import RnncError
from rnnc.foreign import all_nodes
from rnnc.importer.protos import plain
from rnnc.machine.reference import run
from rnnc.runtime.sessions import failures, run_error, session

#: The ops that issue and report single out: a test with one of them, at any depth, concerns recurrence.
RECURRENT = frozenset({"LSTM", "GRU", "RNN", "Scan", "Loop"})
#: Ops whose results are not the same twice. A dropout is one only while it trains.
RANDOM = frozenset({"Bernoulli", "Dropout", "RandomUniformLike"})
STEPS = 3


@dataclass(frozen=True)
class Outcome:
    """What became of a test: ``passed``, ``refused`` or ``failed``, and why; where it was compared."""

    name: str
    verdict: str
    reason: str = ""


class Unrunnable(RnncError):
    """onnxruntime cannot run the test itself."""


def main(words: Sequence[str]) -> int:
    """Print the counts, and the reasons."""
    cases = [c for c in node_tests() if not words or any(w in c.name for w in words)]
    found = [outcome(c) for c in cases]
    _print("all", found)
    names = {c.name for c in cases if recurrent(c.model)}
    _print("with LSTM, GRU, RNN, Scan or Loop", [o for o in found if o.name in names])
    for verdict in ("machine only", "refused", "failed"):
        reasons: dict[str, list[str]] = {}
        for o in found:
            if o.verdict == verdict:
                reason = re.sub(r"'[^']*'|\S*/\S*", "…", o.reason).partition(" : Fatal")[0][:160]
                reasons.setdefault(reason, []).append(o.name)
        for reason, tests in sorted(reasons.items(), key=lambda r: -len(r[1])):
            print(f"{verdict} {len(tests):4}  {reason}\n              {' '.join(tests[:4])}")
    return 1 if any(o.verdict == "failed" for o in found) else 0


def _print(what: str, found: Sequence[Outcome]) -> None:
    counts = Counter(o.verdict for o in found)
    print(f"{what}: {len(found)}; " + ", ".join(f"{counts[v]} {v}" for v in sorted(counts)))


@cache
def node_tests() -> tuple[Any, ...]:
    """ONNX's node tests, made by the onnx package itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they divide by zero and overflow, to see that others do
        return tuple(collect_testcases(None))


def recurrent(model: ModelProto) -> bool:
    """Whether a model has any recurrent op or loop, in the graphs inside it and its functions too."""
    return any(n.op_type in RECURRENT for g in (model.graph, *model.functions) for n in all_nodes(g))


def outcome(case: Any) -> Outcome:
    """What becomes of one test."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reason = _differs(case)
    except Unrunnable as error:
        return Outcome(case.name, "machine only", error.message)
    except RnncError as error:
        return Outcome(case.name, "refused", error.message)
    except Exception as error:  # noqa: BLE001 - whatever else is raised is what the report is for
        where = traceback.extract_tb(error.__traceback__)[-1]
        return Outcome(
            case.name, "failed", f"{type(error).__name__} in {where.filename}:{where.lineno}: {error}"[:300]
        )
    return Outcome(case.name, "failed" if reason else "passed", reason)


def _differs(case: Any) -> str:
    """Where results differ from the test's own; empty if nowhere."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{case.name}.onnx")
        onnx.save(case.model, path)
        graph = rnnc.from_onnx(path, state={})
    inputs, wanted = ([_array(x) for x in side] for side in case.data_sets[0])
    names = [i.name for i in case.model.graph.input]
    feeds = {plain(n): a for n, a in zip(names, inputs, strict=False)}
    ends = [plain(o.name) for o in case.model.graph.output]
    streams = {n: np.stack([a] * STEPS) for n, a in feeds.items()}
    reason = ""
    half = any(a.dtype == np.float16 for a in wanted)  # then the test may expect what 16 bits give
    for dtype in (np.float64, np.float16) if half else (np.float64,):
        meant = run(graph, streams, sizes={"T": STEPS}, dtype=dtype).outputs
        reason = _apart(case, [meant[e][-1] for e in ends], wanted)
        if not reason:
            break
    if reason:
        return f"reference machine: {reason}"
    forms: list[tuple[str, Any, dict[str, Any]]] = [("step", rnnc.compile(graph, "step"), feeds)]
    if streams:
        forms.append(("sequence", rnnc.compile(graph), streams))
    for form, compiled, given in forms:
        try:
            found = _run(compiled, given)
        except RnncError as error:
            _original(case, names, inputs)
            return f"{form} form: {error.message}"
        steps = [found] if form == "step" else [[y[t] for y in found] for t in range(STEPS)]
        for t, ys in enumerate(steps):
            reason = _apart(case, ys, wanted)
            if reason and _apart(case, ys, _original(case, names, inputs)):
                return f"{form} form, step {t}: {reason}"
    return ""


def _original(case: Any, names: Sequence[str], inputs: Sequence[Any]) -> list[Any]:
    """What onnxruntime makes of the test's own model."""
    try:
        return _run(case.model.SerializeToString(), dict(zip(names, inputs, strict=False)))
    except RnncError as error:
        raise Unrunnable(error.message) from None


def _array(x: Any) -> Any:
    """An input or output of a test as an array; a list of them as it is."""
    if isinstance(x, onnx.TensorProto):
        return onnx.numpy_helper.to_array(x)
    return x if isinstance(x, list) else np.asarray(x)


def _run(model: Any, feeds: dict[str, Any]) -> list[Any]:
    """What onnxruntime makes of a model."""
    opened = session(model)
    taken = {i.name for i in opened.get_inputs()}
    try:
        return list(opened.run(None, {n: a for n, a in feeds.items() if n in taken}))
    except failures() as error:
        raise run_error(error, model) from None


def _apart(case: Any, found: Sequence[Any], wanted: Sequence[Any]) -> str:
    """How results differ from those wanted; empty if they do not."""
    random = any(n.op_type in RANDOM for n in all_nodes(case.model.graph))
    for k, (y, w) in enumerate(zip(found, wanted, strict=True)):
        a, b = np.asarray(y), np.asarray(w)
        if a.shape != b.shape:
            return f"output {k} has shape {list(a.shape)}, not {list(b.shape)}"
        a, b = a.astype(np.float64), b.astype(np.float64)
        if not random and not np.allclose(a, b, case.rtol, case.atol, equal_nan=True):
            return f"output {k} differs by {np.max(np.abs(a - b))}"
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
