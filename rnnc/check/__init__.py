"""Checks of a compiled file: is it sound, does it mean what it says, and what its source says?

sound       onnx.checker accepts it
manifest    it is there, and agrees with the graph about every input, output and state
pieces      a sequence run in pieces of any length, states carried over, equals the same run whole
reference   onnx.reference computes the same
against     so does another file, or the reference machine on the model that it was compiled from
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import lcm
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from rnnc.check.agreeing import TOLERANCE, difference
from rnnc.check.files import BATCH, STEPS, Entry, File, Reading, Run, Runnable, drawn, fitted, opened
from rnnc.dims import Dim
from rnnc.emit.form import FORMS
from rnnc.emit.manifest import VERSION, decode
from rnnc.frontend.assemble import trace
from rnnc.inspect import manifest_of, read_model
from rnnc.inspect.graphs import NATIVE
from rnnc.inspect.sizes import bodies
from rnnc.ir import Array, Graph
from rnnc.machine.reference import run as run_reference
from rnnc.runtime import session
from rnnc.runtime.ort_format import ORT

#: The activations that onnx.reference has for ops of which it reads none.
ACTIVATIONS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"]}


@dataclass(frozen=True)
class Finding:
    """What one check found: ``error`` is the largest difference, where it compared numbers."""

    check: str
    verdict: Literal["ok", "failed", "skipped"]
    note: str = ""
    error: float | None = None


def check(
    path: str | Path, against: Any = None, seed: int = 0, reading: Reading | None = None
) -> list[Finding]:
    """Every check of the file at ``path``; ``against`` is another file's path, or a model, or its graph.

    ``reading`` says of files that are not ours how they are called. A file is not run if it is not sound, or
    not what its manifest says.
    """
    if against is not None and reading is None:
        reading = Reading()
    file = opened(path, *_about(reading, path, against))
    findings = [_sound(file)]
    if isinstance(file, File) and findings[-1].verdict != "failed":
        findings.append(_manifest(file))
    if findings[-1].verdict == "failed":
        return findings
    if isinstance(file, File):
        findings += [_pieces(file, seed), _evaluator(file, seed)]
    if against is not None:
        findings.append(_against(file, against, seed, *_about(reading, against, path)))
    return findings


def _about(reading: Reading | None, path: Any, other: Any) -> tuple[Reading | None]:
    """What is said of a file; where two are not ours, each takes what fits it."""
    if reading is not None and all(_is_foreign(p) for p in (path, other)):
        return (reading.of(str(path)),)
    return (reading,)


def _is_foreign(path: Any) -> bool:
    """Whether something is a file that is not ours."""
    if not isinstance(path, str | Path) or str(path).endswith(ORT):
        return False
    return manifest_of(read_model(path, weights=False)) is None


def compare(path: str | Path, other: str | Path, seed: int = 0) -> Finding:
    """Whether two files compute the same on inputs drawn from ``seed``."""
    return _against(opened(path), other, seed, None)


def _sound(file: Runnable) -> Finding:
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
    inputs, cuts = drawn(file.entries(), seed, STEPS), _cuts(seed, STEPS)
    whole, cut = file.run(inputs), file.run(inputs, cuts)
    lengths = "+".join(str(b - a) for a, b in pairwise(cuts))
    return _compared("pieces", f"{STEPS} steps as {lengths}", cut, whole)


def _cuts(seed: int, T: int) -> list[int]:
    """Where a sequence of ``T`` steps is cut: five pieces, one of them empty, and as long as it happens."""
    inner = sorted(np.random.default_rng(seed).integers(0, T + 1, 4).tolist())
    return sorted([0, *inner, inner[1], T])


def _evaluator(file: File, seed: int) -> Finding:
    """Runs the file as it is, from random states, on onnx.reference."""
    if file.path.endswith(ORT):
        return Finding("reference", "skipped", "onnx.reference does not read the ORT format")
    model = read_model(file.path)
    if gap := _gap(model.graph):
        return Finding("reference", "skipped", f"onnx.reference leaves out {gap}")
    T = {"unroll": file.steps, "step": 1}.get(file.form, 5)
    feeds = file.piece(drawn(file.entries(), seed, T), 0, T)
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
            if (known := ACTIVATIONS.get(node.op_type)) and _activations(node) not in ([], known):
                return f"the activations of {node.op_type}"
        for body in bodies(node):
            if gap := _gap(body):
                return gap
    return ""


def _activations(node: onnx.NodeProto) -> list[str]:
    """The activations that a recurrent op states."""
    return [name.decode() for a in node.attribute if a.name == "activations" for name in a.strings]


def _against(file: Runnable, other: Any, seed: int, reading: Reading | None) -> Finding:
    if isinstance(other, str | Path):
        peer = opened(other, reading)
        theirs, size = peer.entries(), lcm(file.steps, peer.steps)
    else:
        peer, graph = None, other if isinstance(other, Graph) else trace(other)
        theirs = [Entry(i.name, i.kind, i.type.shape, i.type.numpy.name) for i in graph.interface.inputs]
        size = file.steps
    T = size * -(-STEPS // size)
    mine = file.entries()
    lengths = [] if peer else [e.name for e in mine if e.kind == "lengths"]
    if fault := _unlike([e for e in mine if e.name not in lengths], theirs):
        return Finding("against", "failed", fault)
    inputs = _same(mine, theirs, seed, T)
    found = file.run(inputs, _cuts(seed, T))
    if peer:
        meant = peer.run(inputs, _cuts(seed + 1, T))
        return _compared("against", f"{other} computes the same", found, meant)
    told = next((inputs.pop(name) for name in lengths), None)
    result = run_reference(graph, inputs, lengths=told, sizes={"T": T})
    final = frozenset(o.name for o in graph.interface.outputs if o.kind == "final")
    note = "the reference machine computes the same"
    return _compared("against", note, found, Run(result.outputs, result.finals, final))


def _unlike(mine: Sequence[Entry], theirs: Sequence[Entry]) -> str:
    """How the inputs of two models differ; empty if they can be the same."""
    ours, others = ({e.name: e for e in side} for side in (mine, theirs))
    alone = ours.keys() ^ others.keys()
    if alone:
        return f"only one of the two has the input {min(alone)}"
    for name, a in ours.items():
        b = others[name]
        if a.kind != b.kind:
            return f"the input {name} is a {a.kind} in one of the two, and a {b.kind} in the other"
        if a.dtype != b.dtype or fitted(a.shape, b.shape) is None or fitted(b.shape, a.shape) is None:
            shown = (_shown(e.dtype, e.shape) for e in (a, b))
            return f"one step of {name} is {next(shown)} in one of the two, and {next(shown)} in the other"
    return ""


def _same(mine: Sequence[Entry], theirs: Sequence[Entry], seed: int, T: int) -> dict[str, Array]:
    """Inputs for both of two models: of a size that only one of them names, as large as the other has it."""
    others = {e.name: e for e in theirs}
    sizes: dict[str, Dim] = {}
    for e in mine:
        sizes |= (fitted(e.shape, others[e.name].shape) or {}) if e.name in others else {}
    return drawn(mine, seed, T, sizes)


def _compared(name: str, note: str, found: Run, meant: Run) -> Finding:
    """Whether two runs agree, where there is something to compare."""
    numbers = [*meant.outputs.values(), *meant.states.values()]
    if not all(np.isfinite(np.asarray(n, np.float64)).all() for n in numbers):
        return Finding(name, "skipped", "the model gives infinities or NaN for random inputs")
    apart = difference(found, meant)
    if apart.error <= TOLERANCE:
        return Finding(name, "ok", note, apart.error)
    return Finding(name, "failed", f"not so: {note}; {apart.first}", apart.error)
