"""Checks of a compiled file: is it sound, does it mean what it says, and what its source says?

sound       onnx.checker accepts it
manifest    it is there, and agrees with the graph about every input, output and state
pieces      a sequence run in pieces of any length, states carried over, equals the same run whole
reference   onnx.reference computes the same
against     so does another file, or the reference machine on the model that it was compiled from
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import lcm
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from rnnc import runtime
from rnnc.emit.form import FORMS
from rnnc.emit.manifest import VERSION, decode
from rnnc.errors import FileError, RnncError
from rnnc.frontend.assemble import trace
from rnnc.inspect import manifest_of, read_model
from rnnc.inspect.graphs import NATIVE
from rnnc.inspect.sizes import bodies
from rnnc.ir import Array, Graph
from rnnc.machine.reference import run as run_reference
from rnnc.runtime import Stream, session
from rnnc.runtime.ort_format import ORT

#: How far results may lie apart: absolutely up to 1, relatively above.
TOLERANCE = 1e-4
BATCH = 3
STEPS = 12


@dataclass(frozen=True)
class Finding:
    """What one check found: ``error`` is the largest difference, where it compared numbers."""

    check: str
    verdict: Literal["ok", "failed", "skipped"]
    note: str = ""
    error: float | None = None


@dataclass(frozen=True)
class Run:
    """What a run over whole sequences gave: outputs by name, over time, and the states after it by path."""

    outputs: Mapping[str, Array]
    states: Mapping[str, Array]


class File:
    """A compiled file that runs over sequences ``[T, B, …]``, whatever its form."""

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        if self.path.endswith(ORT):
            found = runtime.manifest_of(session(self.path))
        else:
            found = manifest_of(read_model(path, weights=False))
        if found is None:
            raise FileError(
                f"{path} has no manifest, so its form and states are not known", hint="Write it with rnnc."
            )
        self.manifest = found
        self.form = found["form"]
        self.steps = int(found.get("steps") or 1)
        self.separate = bool(found.get("separate"))

    def arrays(self, seed: int, T: int) -> dict[str, Array]:
        """Inputs over ``T`` steps, drawn from ``seed``: numbers between -1 and 1, integers 0 or 1."""
        rng = np.random.default_rng(seed)
        found: dict[str, Array] = {}
        for entry in self.manifest["inputs"]:
            name, kind, shape = entry["name"], entry["kind"], list(entry["shape"])
            if self.separate and kind == "stream":
                name = name.rpartition("_")[0]
            if self.manifest["time_axis"] is not None and kind == "stream":
                del shape[self.manifest["time_axis"]]
            shape = [*([T] if kind == "stream" else []), *(BATCH if isinstance(d, str) else d for d in shape)]
            if kind == "lengths":
                found[name] = rng.integers(0, T + 1, shape).astype(entry["dtype"])
            elif np.dtype(entry["dtype"]).kind == "f":
                found[name] = rng.uniform(-1, 1, shape).astype(entry["dtype"])
            else:
                found[name] = rng.integers(0, 2, shape).astype(entry["dtype"])
        return found

    def run(self, inputs: Mapping[str, Array], cuts: list[int] | None = None) -> Run:
        """Run from the initial states over ``inputs``, in pieces that end at ``cuts``."""
        T = next((len(inputs[n]) for n in self.names("stream")), STEPS)
        if self.form == "sequence":
            opened = session(self.path)
            names = [o.name for o in opened.get_outputs()]
            return Run(
                self._joined([dict(zip(names, opened.run(names, self.piece(inputs, 0, T)), strict=True))]),
                {},
            )
        size = {"chunk": T or 1, "step": 1}.get(self.form, self.steps)
        ends = cuts if cuts is not None else list(range(0, T + 1, size))
        stream = Stream(self.path)
        names = [o["name"] for o in self.manifest["outputs"]]
        found: list[dict[str, Array]] = []
        for start, stop in pairwise(ends):
            ys = stream.push(*self.piece(inputs, start, stop).values())
            found.append(dict(zip(names, ys if isinstance(ys, tuple) else (ys,), strict=True)))
        return Run(self._joined(found), stream.state)

    def names(self, kind: str) -> list[str]:
        """The inputs of a kind; the steps of a stream that come one by one count as one."""
        return [
            e["name"].rpartition("_")[0] if self.separate and kind == "stream" else e["name"]
            for e in self.manifest["inputs"]
            if e["kind"] == kind
        ]

    def piece(self, inputs: Mapping[str, Array], start: int, stop: int) -> dict[str, Array]:
        """What the file takes for the steps from ``start`` to ``stop``, under its own names."""
        axis = self.manifest["time_axis"]
        found: dict[str, Array] = {}
        for entry in self.manifest["inputs"]:
            name, kind = entry["name"], entry["kind"]
            if kind == "lengths":
                found[name] = np.clip(inputs[name] - start, 0, stop - start)
            elif kind == "given":
                found[name] = inputs[name]
            elif self.separate:
                stem, _, step = name.rpartition("_")
                found[name] = inputs[stem][start + int(step)]
            elif axis is None:
                found[name] = inputs[name][start]
            else:
                found[name] = np.moveaxis(inputs[name][start:stop], 0, axis)
        return found

    def _joined(self, pieces: list[dict[str, Array]]) -> dict[str, Array]:
        """The pieces of every output as one array over time; of a final one the last."""
        axis = self.manifest["time_axis"]
        found: dict[str, list[Array]] = {}
        for piece in pieces:
            for entry in self.manifest["outputs"]:
                name, y = entry["name"], piece[entry["name"]]
                if entry["kind"] == "final":
                    found[name] = [y]
                    continue
                stem = name.rpartition("_")[0] if self.separate else name
                found.setdefault(stem, []).append(y[None] if axis is None else np.moveaxis(y, axis, 0))
        return {name: np.concatenate(ys) for name, ys in found.items()}


def check(path: str | Path, against: Any = None, seed: int = 0) -> list[Finding]:
    """Every check of the file at ``path``; ``against`` is another file's path, or a model, or its graph.

    A file is not run if it is not sound, or not what its manifest says.
    """
    file = File(path)
    findings: list[Finding] = []
    for one in (_sound, _manifest):
        findings.append(one(file))
        if findings[-1].verdict == "failed":
            return findings
    findings += [_pieces(file, seed), _evaluator(file, seed)]
    if against is not None:
        findings.append(_against(file, against, seed))
    return findings


def compare(path: str | Path, other: str | Path, seed: int = 0) -> Finding:
    """Whether two files compute the same on inputs drawn from ``seed``."""
    return _against(File(path), other, seed)


def _sound(file: File) -> Finding:
    if file.path.endswith(ORT):
        return Finding("sound", "skipped", "onnx.checker does not read the ORT format")
    try:
        onnx.checker.check_model(file.path, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as e:
        return Finding("sound", "failed", _first_line(e))
    return Finding("sound", "ok", "onnx.checker accepts it")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _manifest(file: File) -> Finding:
    faults = list(_manifest_faults(file))
    if faults:
        return Finding("manifest", "failed", "; ".join(faults))
    states = len(file.manifest["states"])
    return Finding("manifest", "ok", f"{file.form} form, {states} state{'s' * (states != 1)}")


def _manifest_faults(file: File) -> Iterator[str]:
    """What the manifest says that the graph does not."""
    found = file.manifest
    if found.get("version") != VERSION:
        yield f"version {found.get('version')} is not {VERSION}"
    if file.form not in FORMS:
        yield f"{file.form} is no form"
    opened = session(file.path)
    graph = {"input": _ports(opened.get_inputs()), "output": _ports(opened.get_outputs())}
    for end in ("input", "output"):
        said = {e["name"]: e for e in found[f"{end}s"]} | {s[end]: s for s in found["states"]}
        for name in said.keys() ^ graph[end].keys():
            yield f"{end} {name} is only in the {'manifest' if name in said else 'graph'}"
        for name in said.keys() & graph[end].keys():
            said_type = (said[name]["dtype"], tuple(said[name]["shape"]))
            if said_type != graph[end][name]:
                yield f"{end} {name} is {_shown(*graph[end][name])}, not {_shown(*said_type)}"
    for state in found["states"]:
        shape = [BATCH if isinstance(d, str) else d for d in state["shape"]]
        try:
            np.broadcast_to(decode(state["initial"], state["dtype"]), shape)
        except ValueError:
            type = _shown(state["dtype"], state["shape"])
            yield f"the initial value of {state['name']} does not fit {type}"


def _ports(ports: Any) -> dict[str, tuple[str, tuple[Any, ...]]]:
    """The inputs or outputs of a session: NumPy's name of the element type, and the shape."""
    short = {"float": "float32", "double": "float64"}
    types = {p.name: p.type.removeprefix("tensor(").removesuffix(")") for p in ports}
    return {p.name: (short.get(types[p.name], types[p.name]), tuple(p.shape)) for p in ports}


def _shown(dtype: str, shape: Any) -> str:
    return f"{dtype}[{', '.join(map(str, shape))}]"


def _pieces(file: File, seed: int) -> Finding:
    if file.form != "chunk":
        why = "keeps no states" if file.form == "sequence" else "takes pieces of one length only"
        return Finding("pieces", "skipped", f"the {file.form} form {why}")
    rng = np.random.default_rng(seed)
    inner = sorted(rng.integers(0, STEPS + 1, 4).tolist())
    cuts = [0, *inner, inner[1], STEPS]  # one piece is empty
    cuts.sort()
    inputs = file.arrays(seed, STEPS)
    whole, cut = file.run(inputs), file.run(inputs, cuts)
    lengths = "+".join(str(b - a) for a, b in pairwise(cuts))
    return _compared("pieces", f"{STEPS} steps as {lengths}", cut, whole)


def _evaluator(file: File, seed: int) -> Finding:
    """Runs the file as it is, from random states, on onnx.reference."""
    if file.path.endswith(ORT):
        return Finding("reference", "skipped", "onnx.reference does not read the ORT format")
    model = read_model(file.path)
    if gap := _gap(model.graph):
        return Finding("reference", "skipped", f"onnx.reference leaves out {gap}")
    T = {"unroll": file.steps, "step": 1}.get(file.form, 5)
    feeds = file.piece(file.arrays(seed, T), 0, T)
    rng = np.random.default_rng(seed)
    for state in file.manifest["states"]:
        shape = [BATCH if isinstance(d, str) else d for d in state["shape"]]
        feeds[state["input"]] = rng.uniform(-1, 1, shape).astype(state["dtype"])
    opened = session(file.path)
    names = [o.name for o in opened.get_outputs()]
    ours = dict(zip(names, opened.run(names, feeds), strict=True))
    try:
        with np.errstate(all="ignore"):
            theirs: Any = ReferenceEvaluator(model).run(names, feeds)
    except (NotImplementedError, RuntimeError, ValueError, TypeError, IndexError) as e:
        return Finding("reference", "skipped", f"onnx.reference cannot run it: {_first_line(e)}")
    meant = dict(zip(names, theirs, strict=True))
    return _compared("reference", "onnx.reference computes the same", Run(ours, {}), Run(meant, {}))


def _gap(graph: onnx.GraphProto) -> str:
    """What onnx.reference takes no notice of in the recurrent ops of a graph."""
    for node in graph.node:
        if node.op_type in NATIVE:
            if any(a.name == "direction" and a.s != b"forward" for a in node.attribute):
                return f"the direction of {node.op_type}"
            if len(node.input) > 4 and node.input[4]:
                return f"the lengths of sequences in {node.op_type}"
        for body in bodies(node):
            if gap := _gap(body):
                return gap
    return ""


def _against(file: File, other: Any, seed: int) -> Finding:
    if isinstance(other, str | Path):
        peer = File(other)
        size = lcm(file.steps, peer.steps)
        inputs = file.arrays(seed, size * -(-STEPS // size))
        alone = set(inputs) ^ set(peer.arrays(seed, 1))
        if alone:
            return Finding("against", "failed", f"only one of the files has the input {min(alone)}")
        return _compared("against", f"{other} computes the same", file.run(inputs), peer.run(inputs))
    graph = other if isinstance(other, Graph) else trace(other)
    inputs = file.arrays(seed, file.steps * -(-STEPS // file.steps))
    lengths = next((inputs.pop(name) for name in file.names("lengths")), None)
    alone = set(inputs) ^ {i.name for i in graph.interface.inputs}
    if alone:
        return Finding("against", "failed", f"only one of file and source has the input {min(alone)}")
    meant = run_reference(graph, inputs, lengths=lengths)
    found = file.run(inputs if lengths is None else {**inputs, file.names("lengths")[0]: lengths})
    note = "the reference machine computes the same"
    return _compared("against", note, found, Run(meant.outputs, meant.finals))


def _compared(name: str, note: str, found: Run, meant: Run) -> Finding:
    """Whether two runs agree, where there is something to compare."""
    numbers = [*meant.outputs.values(), *meant.states.values()]
    if not all(np.isfinite(np.asarray(n, np.float64)).all() for n in numbers):
        return Finding(name, "skipped", "the model gives infinities or NaN for random inputs")
    error = distance(found, meant)
    if error <= TOLERANCE:
        return Finding(name, "ok", note, error)
    return Finding(name, "failed", f"not so: {note}", error)


def distance(a: Run, b: Run) -> float:
    """The largest difference between two runs, in any output, or in any state that both have."""
    pairs = [(a.outputs[n], b.outputs[n]) for n in b.outputs]
    pairs += [(a.states[n], b.states[n]) for n in a.states.keys() & b.states.keys()]
    return max((_difference(x, y) for x, y in pairs), default=0.0)


def _difference(x: Array, y: Array) -> float:
    if x.shape != y.shape:
        raise RnncError(f"the shapes of results differ: {list(x.shape)} and {list(y.shape)}")
    if not x.size:
        return 0.0
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    error = float(np.max(np.abs(a - b) / np.maximum(1.0, np.abs(b))))
    return error if np.isfinite(error) else np.inf
