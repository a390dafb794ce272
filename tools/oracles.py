"""Make the fixtures that cells are compared with: what PyTorch computes with the same weights.

    python -m tools.oracles            writes tests/fixtures/{rnn,lstm,gru,gru_before}.npz

Each file holds the weights as ``torch.nn`` has them, an input of 100 steps, the initial states, what comes
out, and the versions that computed it. ``torch.nn`` has no GRU whose reset gate stands before the product:
that one is computed here, from PyTorch's own operations.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

FIXTURES = Path(__file__).resolve().parent.parent / "tests" / "fixtures"

Array = np.ndarray[Any, Any]

STEPS, BATCH, INPUTS, UNITS = 100, 2, 3, 5

#: The gates of each cell in the order in which PyTorch stacks them, as our fields call them.
GATES: Mapping[str, str] = {"rnn": "y", "lstm": "ifco", "gru": "rzn", "gru_before": "rzn"}


def fields(kind: str, weights: Mapping[str, Array]) -> dict[str, Array]:
    """The fields of our cell for weights as ``torch.nn`` has them: transposed, gate by gate, biases added."""
    gates = GATES[kind]
    ih, hh, bi, bh = (
        np.split(np.asarray(weights[f"{name}_l0"]), len(gates))
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    found: dict[str, Array] = {}
    for k, gate in enumerate(gates):
        found |= {f"Wx{gate}": ih[k].T, f"Wy{gate}": hh[k].T, f"b{gate}": bi[k] + bh[k]}
    if kind == "gru":  # its new value has a bias inside the reset, and one outside
        found |= {"bn": bi[2], "cn": bh[2]}
    return {name: np.ascontiguousarray(array) for name, array in found.items()}


def oracle(kind: str, seed: int = 0) -> dict[str, Array]:
    """Weights, input, initial states and results of one cell, computed by PyTorch."""
    import torch

    torch.manual_seed(seed)
    make: Mapping[str, Callable[..., Any]] = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM}
    module = make.get(kind, torch.nn.GRU)(INPUTS, UNITS)
    x, h, c = torch.randn(STEPS, BATCH, INPUTS), torch.randn(BATCH, UNITS), torch.randn(BATCH, UNITS)
    weights = dict(module.named_parameters())
    with torch.no_grad():
        if kind == "lstm":
            y, (h1, c1) = module(x, (h[None], c[None]))
            states = {"c": c, "c_after": c1[0]}
        elif kind == "gru_before":
            y, states = _reset_before(weights, x, h), {}
            h1 = y[-1:]
        else:
            y, h1 = module(x, h[None])
            states = {}
    found = {**weights, "x": x, "y": y, "h": h, "h_after": h1[0], **states}
    return {name: value.detach().numpy() for name, value in found.items()}


def _reset_before(weights: Mapping[str, Any], x: Any, h: Any) -> Any:
    """A GRU whose reset gate acts on the state before its product."""
    import torch
    from torch.nn.functional import linear

    (wr, wz, wn), (ur, uz, un), (br, bz, bn), (cr, cz, cn) = (
        weights[f"{name}_l0"].chunk(3) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    ys = []
    for step in x:
        r = torch.sigmoid(linear(step, wr, br) + linear(h, ur, cr))
        z = torch.sigmoid(linear(step, wz, bz) + linear(h, uz, cz))
        n = torch.tanh(linear(step, wn, bn) + linear(r * h, un, cn))
        h = (1 - z) * n + z * h
        ys.append(h)
    return torch.stack(ys)


def versions() -> Array:
    """What computes here, as JSON."""
    import torch

    told = {"torch": torch.__version__, "python": platform.python_version(), "machine": platform.machine()}
    return np.array(json.dumps(told, sort_keys=True))


def main() -> None:
    """Write every fixture."""
    FIXTURES.mkdir(exist_ok=True)
    for kind in GATES:
        np.savez_compressed(FIXTURES / f"{kind}.npz", versions=versions(), **oracle(kind))  # type: ignore[arg-type]
        print(f"{FIXTURES.name}/{kind}.npz")


if __name__ == "__main__":
    main()
