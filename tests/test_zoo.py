"""Every cell of the zoo, in every form, is what the reference machine says, and that what its paper says."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import rnnc
from rnnc.cells import zoo
from rnnc.emit.form import FormName
from rnnc.frontend.assemble import trace
from rnnc.inspect.sizes import bodies
from rnnc.machine.reference import Arrays, random_arrays
from rnnc.runtime import run_file
from tests import zoo_numpy, zoo_numpy_late

NAMES = [cell.title for cell in zoo.CELLS]

#: What each cell does in one step, by the paper.
EQUATIONS: dict[str, zoo_numpy.Step] = {
    name: getattr(module, name)
    for module in (zoo_numpy, zoo_numpy_late)
    for name in NAMES
    if hasattr(module, name)
}

INPUTS, UNITS = 3, 5

#: How many nodes onnxruntime runs in a step of the loop: for small cells, its time.
NODES_A_STEP = {
    "CfC": 11,
    "FastGRNN": 11,
    "LEM": 11,
    "MCLSTM": 9,
    "MUT3": 9,
    "MultiplicativeLSTM": 11,
    "NAS": 22,
    "RHN": 16,
    "STAR": 6,
    "WMCLSTM": 18,
}

#: float32 against float64, over the largest of what goes out and 1.
TOLERANCE = 1e-4


@functools.cache
def layer(name: str) -> Any:
    """A small layer of the cell. Weights that start at 0 are drawn as well; states start as the cell says."""
    made = zoo.sized(zoo.CELLS[NAMES.index(name)], INPUTS, UNITS)
    states = {s.path for s in trace(made).interface.states}
    rng = np.random.default_rng(NAMES.index(name))
    return made.load(
        {
            path: np.asarray(rng.uniform(-0.5, 0.5, a.shape), a.dtype)
            if path not in states and not a.any()
            else a
            for path, a in made.params.items()
        }
    )


def arrays(name: str, T: int, B: int) -> Arrays:
    """Inputs, and states as the cell starts."""
    return random_arrays(trace(layer(name)), seed=T * 10 + B, T=T, B=B)


def compiled(name: str, form: FormName, steps: int | None = None) -> Any:
    return rnnc.compile(layer(name), form, steps=steps)


def close(a: Any, b: Any) -> None:
    assert a.shape == b.shape
    assert np.isfinite(b).all()
    assert np.abs(a - b).max(initial=0) <= TOLERANCE * max(1, np.abs(b).max(initial=0))


def test_there_are_53_cells() -> None:
    assert len(set(NAMES)) == 53
    assert set(NAMES) == EQUATIONS.keys()
    assert {*NAMES, "CELLS", "sized", "width"} == set(zoo.__all__)


@pytest.mark.parametrize("name", NAMES)
def test_equation(name: str) -> None:
    """The reference machine, from states drawn at random, computes what the plain loop does."""
    x, states, params = arrays(name, 30, 2)
    weights = {path: a for path, a in params.items() if path not in states}
    meant = zoo_numpy.run(EQUATIONS[name], x["x"], weights, states)
    found, _ = rnnc.reference(layer(name), x["x"], state=states)
    assert np.allclose(found, meant, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("B", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_sequence(name: str, B: int) -> None:
    x = arrays(name, 100, B).inputs["x"]
    (found,) = run_file(compiled(name, "sequence"), {"x": x})
    (y,) = found.values()
    close(y, layer(name)(x))


@pytest.mark.parametrize("name", NAMES)
def test_chunks_and_steps(name: str) -> None:
    """A sequence in pieces, and step by step: outputs, and the states after it."""
    chunk, step = (rnnc.Stream(compiled(name, form)) for form in ("chunk", "step"))
    for B in (1, 3):
        x = arrays(name, 12, B).inputs["x"]
        ys, states = rnnc.reference(layer(name), x)
        chunk.reset()
        step.reset()
        close(np.concatenate([chunk.push(x[a:b]) for a, b in pairwise((0, 1, 3, 3, 12))]), ys)
        close(np.stack([step.push(now) for now in x]), ys)
        for path, state in states.items():
            close(chunk.state[path], state)
            close(step.state[path], state)


@pytest.mark.parametrize("name", NAMES)
def test_unrolled(name: str) -> None:
    stream = rnnc.Stream(compiled(name, "unroll", steps=3))
    for B in (1, 3):
        x = arrays(name, 6, B).inputs["x"]
        stream.reset()
        close(np.concatenate([stream.push(x[:3]), stream.push(x[3:])]), layer(name)(x))


def test_a_reservoir_is_sparse() -> None:
    U = zoo.EchoState(3, 200).params["U"]
    assert ((U != 0).sum(axis=0) == 20).all()
    assert 0.7 < np.abs(np.linalg.eigvals(U)).max() < 1.1


@pytest.mark.parametrize(
    ("units", "periods"), [(5, [1, 1, 2, 4, 8]), (2, [1, 2]), (8, [1, 1, 2, 2, 4, 4, 8, 8])]
)
def test_clockwork_modules(units: int, periods: list[int]) -> None:
    assert zoo.ClockworkRNN(3, units).params["T"].tolist() == periods


def test_clockwork_stands_still() -> None:
    y = layer("ClockworkRNN")(arrays("ClockworkRNN", 17, 1).inputs["x"])
    moved = (np.diff(y[:, 0], axis=0) != 0).T
    assert [(np.flatnonzero(unit) + 1).tolist()[:2] for unit in moved] == [
        [1, 2],
        [1, 2],
        [2, 4],
        [4, 8],
        [8, 16],
    ]


@pytest.mark.parametrize(("name", "nodes"), NODES_A_STEP.items())
def test_nodes_a_step(name: str, nodes: int, tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3  # which says that such a file is for this machine
    model = rnnc.compile(layer(name), sizes={"T": 100, "B": 1}).proto.SerializeToString()
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    assert list(nodes_of_scans(onnx.load(options.optimized_model_filepath).graph)) == [nodes]


def nodes_of_scans(graph: onnx.GraphProto) -> Iterator[int]:
    for node in graph.node:
        for body in bodies(node):
            yield from [len(body.node)] if node.op_type == "Scan" else nodes_of_scans(body)


def test_recorded_disagreements() -> None:
    """The other implementation's cells are ours, but for those whose note says what differs."""
    table = json.loads((Path(__file__).parent / "fixtures" / "zoo_torchrecurrent.json").read_text("utf-8"))
    assert table["cells"].keys() | set(table["not there"]) == set(NAMES)
    apart = {name for name, found in table["cells"].items() if not found["agrees"]}
    assert apart == {"FastGRNN", "LEM", "SCRN"}
    assert all(table["cells"][name]["note"] for name in apart)


def test_recorded_agreements_with_the_authors() -> None:
    """Liquid cells and extended LSTMs are what their authors' packages compute, in the form a note says."""
    table = json.loads((Path(__file__).parent / "fixtures" / "zoo_others.json").read_text("utf-8"))
    assert {name for name, found in table["cells"].items() if found["agrees"]} == {
        "CfC",
        "LTC",
        "sLSTM",
        "mLSTM",
    }
    assert all(found["note"] and found["error"] < 1e-6 for found in table["cells"].values())
    assert {"ncps", "xlstm", "torch"} <= table["versions"].keys()
