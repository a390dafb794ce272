"""Compare the zoo's liquid cells and extended LSTMs with their authors' packages, ``ncps`` and ``xlstm``.

    python -m tools.oracles_zoo_others        writes tests/fixtures/zoo_others.json

The same weights, input and states go through their step, in float64, and through ours on the reference
machine. Where theirs is another of the forms that the paper allows, the note says which, and it is given what
makes it ours. Needs ``torch``, ``ncps`` and ``xlstm``, of which two files are read (``pip install --no-deps
xlstm`` is enough).
"""

from __future__ import annotations

import importlib.util
import json
import platform
from collections.abc import Callable, Mapping
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Any

import numpy as np

import rnnc
from rnnc.cells import zoo
from tools.oracles_zoo import BATCH, INPUTS, STEPS, TOLERANCE, UNITS, Array

TABLE = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "zoo_others.json"

#: One step of theirs: from input and states to output and states, by name, as tensors.
Step = Callable[[Any, dict[str, Any]], tuple[Any, dict[str, Any]]]
Weights = Mapping[str, Any]


def source(path: str) -> Any:
    """A module of ``xlstm`` by its file; the package itself would import much more."""
    found = str(distribution("xlstm").locate_file(path))
    spec = importlib.util.spec_from_file_location(Path(path).stem, found)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cfc(w: Weights) -> Step:
    """CfC: our three small nets are blocks of their one backbone and heads; f is minus their first time."""
    import torch
    from ncps.torch import CfCCell

    hidden = w["f.b"].shape[0]
    cell = CfCCell(INPUTS, UNITS, backbone_activation="tanh", backbone_units=3 * hidden).double()
    heads = {"ff1": ("h", 1), "ff2": ("g", 1), "time_a": ("f", -1)}
    with torch.no_grad():
        backbone = cell.backbone[0]
        rows = [torch.cat([w[f"{net}.W"], w[f"{net}.U"]]).T for net, _ in heads.values()]
        backbone.weight[:] = torch.cat(rows)
        backbone.bias[:] = torch.cat([w[f"{net}.b"] for net, _ in heads.values()])
        for k, (head, (net, sign)) in enumerate(heads.items()):
            linear = getattr(cell, head)
            linear.weight[:] = 0
            linear.weight[:, k * hidden : (k + 1) * hidden] = sign * w[f"{net}.V"].T
            linear.bias[:] = sign * w[f"{net}.c"]
        cell.time_b.weight[:], cell.time_b.bias[:] = 0, 0
    return lambda x, s: (y := cell(x, s["y"], 1.0)[0], {"y": y})


def ltc(w: Weights) -> Step:
    """LTC: one unit without input, one unfolding; there, a gate per synapse and one per unit are the same."""
    import torch
    from ncps.torch.ltc_cell import LTCCell
    from ncps.wirings import FullyConnected

    wiring = FullyConnected(1)
    wiring.build(1)
    cell = LTCCell(wiring, 1, ode_unfolds=1, epsilon=0.0).double()
    figures = {"gleak": 1 / w["τ"], "vleak": 0, "cm": 1, "sigma": w["U"], "mu": -w["b"] / w["U"]}
    figures |= {"w": 1, "erev": w["A"], "sensory_w": 0, "input_w": 1, "input_b": 0}
    with torch.no_grad():
        for name, value in figures.items():
            cell._params[name][:] = value
    return lambda x, s: (y := cell(x[:, :1], s["y"], 1.0)[0], {"y": y})


def unsigmoided(f: Any) -> Any:
    """What the logarithm of σ takes to ``f``, which is negative."""
    import torch

    return f - torch.log(-torch.expm1(f))


def slstm(w: Weights) -> Step:
    """sLSTM: gates i, f, z, o, one after the other."""
    import torch

    pointwise = source("xlstm/blocks/slstm/src/vanilla/slstm.py").slstm_forward_pointwise

    def step(x: Any, s: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        sums = {g: x @ w[f"W{g}"] + s["h"] @ w[f"R{g}"] + w[f"b{g}"] for g in "ifzo"}
        raw = torch.cat([sums["i"], unsigmoided(sums["f"]), sums["z"], sums["o"]], -1)
        after, _ = pointwise(raw, 0 * raw, 0 * raw, torch.stack([s[name] for name in "hcnm"]), {})
        return after[0], dict(zip("hcnm", after, strict=True))

    return step


def mlstm(w: Weights) -> Step:
    """mLSTM: one head as wide as its keys, and around their step the output gate."""
    import torch

    recurrent = source("xlstm/blocks/mlstm/backends.py").recurrent_step_stabilized_simple

    def step(x: Any, s: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        width = w["bk"].shape[0]
        q, v = x @ w["Wq"] + w["bq"], x @ w["Wv"] + w["bv"]
        k = x @ w["Wk"] + w["bk"] * width**0.5  # theirs is divided by the root after its bias is added
        i, f = x @ w["wi"] + w["bi"], unsigmoided(x @ w["wf"] + w["bf"])
        h, (C, n, m) = recurrent(
            s["C"].transpose(1, 2)[:, None], s["n"][:, None, :, None], s["m"][:, None, :, None],
            *(a[:, None, None] for a in (q, k, v)), i[:, :, None, None], f[:, :, None, None], eps=0.0,
        )  # fmt: skip
        y = torch.sigmoid(x @ w["Wo"] + w["bo"]) * h[:, 0, 0]
        return y, {"C": C[:, 0].transpose(1, 2), "n": n[:, 0, :, 0], "m": m[:, 0, :, 0]}

    return step


#: What is compared, and what is to be said about it.
TWINS: Mapping[str, tuple[str, Callable[[Weights], Step], str]] = {
    "CfC": ("ncps", cfc, "its backbone is shared by all heads, ours are blocks of it"),
    "LTC": (
        "ncps",
        ltc,
        "compared at one unit without input: theirs has a gate at every synapse (Lechner's neural circuit "
        "policies, 6 unfoldings), the paper's equation one for each unit, of all that it sees",
    ),
    "sLSTM": (
        "xlstm",
        slstm,
        "its forget gate is σ, which the paper allows beside exp; given what makes it exp",
    ),
    "mLSTM": (
        "xlstm",
        mlstm,
        "its forget gate is σ, which the paper allows beside exp; given what makes it exp. It divides the "
        "bias of keys by √d too, and the paper does not",
    ),
}


def compare(name: str) -> float:
    """The largest difference between what the two give."""
    import torch

    cell = next(c for c in zoo.CELLS if c.title == name)
    layer = zoo.sized(cell, INPUTS, 1 if name == "LTC" else UNITS)
    rng = np.random.default_rng(0)
    params: dict[str, Array] = {
        path: np.asarray(rng.uniform(-0.5, 0.5, a.shape), a.dtype) for path, a in layer.params.items()
    }
    if "bf" in params:
        params["bf"] -= 4  # so that a forget gate of exp lies below 1, where σ has the same
    if name == "LTC":
        params |= {"τ": params["τ"] + 1, "W": 0 * params["W"]}
    layer.load(params)
    x = rng.uniform(-1, 1, (STEPS, BATCH, INPUTS))
    _, finals = rnnc.reference(layer, x[:1])
    state = {path: np.asarray(rng.uniform(0.1, 0.5, final.shape)) for path, final in finals.items()}
    ours, _ = rnnc.reference(layer, x, state=state)
    step = TWINS[name][1]({path: torch.tensor(a, dtype=torch.float64) for path, a in params.items()})
    held = {path: torch.tensor(a) for path, a in state.items()}
    ys = []
    with torch.no_grad():
        for now in torch.tensor(x):
            y, held = step(now, held)
            ys.append(y)
    return float(np.abs(ours - np.asarray(torch.stack(ys))).max())


def main() -> None:
    """Compare every cell, print the table and write it."""
    cells = {}
    for name, (package, _, note) in TWINS.items():
        error = compare(name)
        agrees = error < TOLERANCE
        cells[name] = {"package": package, "agrees": agrees, "error": float(f"{error:.0e}"), "note": note}
        print(f"{name:8}{package:8}{error:8.0e}  {'agrees' if agrees else 'DISAGREES'}  {note}")
    told = {p: version(p) for p in ("torch", "ncps", "xlstm", "numpy")} | {
        "python": platform.python_version()
    }
    table = {"versions": told, "cells": cells}
    TABLE.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
