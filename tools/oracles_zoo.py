"""Compare the zoo with ``torchrecurrent``, which has most of its gated cells.

    python -m tools.oracles_zoo        writes tests/fixtures/zoo_torchrecurrent.json

The same weights, input and states go through their cell, in float64, and through ours on the reference
machine. Where the two differ, the paper's equation decides, and the note says what differs. Needs the
packages ``torch`` and ``torchrecurrent``.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import rnnc
from rnnc.cells import zoo

TABLE = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "zoo_torchrecurrent.json"

Array = np.ndarray[Any, Any]

STEPS, BATCH, INPUTS, UNITS = 100, 2, 3, 5

#: Numbers in our graphs are float32, such as a step of 0.1.
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Twin:
    """Their cell: which of our fields stand in its tensors, one under the other, and which states it has.

    A bias that is not named, or named ``0``, is one that we do not have. ``options`` are theirs, and so is
    ``name`` where it is not ours.
    """

    tensors: Mapping[str, str]
    states: str = "h"
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    note: str = ""


def gates(ih: str, hh: str = "", b: str = "", **others: str) -> dict[str, str]:
    """The usual tensors, and others."""
    return {"weight_ih": ih, "weight_hh": hh, "bias_ih": b, **others}


TWINS: Mapping[str, Twin] = {
    "AntisymmetricRNN": Twin(gates("W", "U", "b"), options={"epsilon": 0.1, "gamma": 0.01}),
    "GatedAntisymmetricRNN": Twin(gates("Wz Wh", "U", "bz bh"), options={"epsilon": 0.1, "gamma": 0.01}),
    "ATR": Twin(gates("W", "U")),
    "BR": Twin(gates("Wa Wc W", "ua uc")),
    "NBR": Twin(gates("Wa Wc W", "Ua Uc")),
    "CFN": Twin(gates("Wθ Wη W", "Uθ Uη", "bθ bη 0")),
    "coRNN": Twin(gates("W", "U", "b", weight_ch="V"), "h z"),
    "FastRNN": Twin(gates("W", "U", "b", alpha="α", beta="β")),
    "FastGRNN": Twin(
        gates("W", "U", "bz bh", zeta="ζ", nu="ν"),
        note="its gate is tanh by default, and the paper's is σ; with nonlinearity='sigmoid' it agrees",
    ),
    "IndRNN": Twin(gates("W", "", "b", vector_u="u"), "y", {"nonlinearity": "relu"}),
    "IntersectionRNN": Twin(gates("Wyi Whi Wgy Wgh", "Uyi Uhi Ugy Ugh", "byi bhi bgy bgh")),
    "JANET": Twin(gates("Wf Wc", "Uf Uc", "bf bc"), "h h"),
    "LEM": Twin(
        gates("W2 W1 Wz Wh", "U2 U1 Uz", "b2 b1 bz bh", weight_ch="Vh"),
        "h z",
        note="its h is computed from the old z, and the paper's from the new one",
    ),
    "LiGRU": Twin(gates("Wz Wh", "Uz Uh", "bz bh")),
    "LightRU": Twin(gates("Wh Wf", "Uf", "0 bf")),
    "MCLSTM": Twin(gates("Wf Wi Wo Wm Wn", "Uf Ui Uo Um Un", "bf bi bo bm bn"), "v c"),
    "MinimalGatedUnit": Twin(gates("Wxf Wxn", "Wyf Wyn", "bf bn"), "y", name="MGU"),
    "MinimalRNN": Twin(gates("W", "U", "bz", weight_mm="V", bias_hh="bu")),
    "MiRU1": Twin(gates("Wr Wh", "Ur Uh", "br bh")),
    "MiRU2": Twin(gates("W", "U", "b")),
    "MultiplicativeLSTM": Twin(
        gates("Wm Wi Wf Wz Wo", "Um", "0 bi bf bz bo", weight_mh="Ui Uf Uz Uo"), "h c"
    ),
    "MUT1": Twin(gates("Wz Wr Wh", "Ur Uh", "bz br 0", bias_hh="0 bh")),
    "MUT2": Twin(gates("Wz Wr Wh", "Uz Ur Uh", "bz br bh")),
    "MUT3": Twin(gates("Wz Wr Wh", "Uz Ur Uh", "bz br bh")),
    "NAS": Twin(gates("W", "U", "b"), "h c"),
    "OriginalLSTM": Twin(gates("Wi Wz Wo", "Ui Uz Uo", "bi bz bo"), "h c"),
    "PeepholeLSTM": Twin(
        gates("Wxi Wxf Wxc Wxo", "Wyi Wyf Wyc Wyo", "bi bf bc bo", weight_ph="pi pf po"), "y state"
    ),
    "RAN": Twin(gates("Wc Wi Wf", "Ui Uf", "bi bf"), "h c"),
    "SCRN": Twin(
        gates("B A", "R U", weight_ch="P V"),
        "h s",
        {"alpha": 0.95},
        note="it feeds what goes out back into the hidden layer, and the paper the hidden layer itself",
    ),
    "SGRN": Twin(gates("W", "U", "b")),
    "STAR": Twin(gates("Wz Wk", "Uk", "bz bk")),
    "TRNN": Twin(gates("W Wf", "", "0 bf")),
    "TGRU": Twin(gates("Wz Wf Wo", "Uz Uf Uo", "bz bf bo"), "h x"),
    "TLSTM": Twin(gates("Wz Wf Wo", "Uz Uf Uo", "bz bf bo"), "c x"),
    "UGRNN": Twin(gates("Wc Wg", "Uc Ug", "bc bg")),
    "UnICORNN": Twin(gates("W", "", "b", weight_hh="u", weight_ch="c"), "h z", {"alpha": 1.0}),
    "WMCLSTM": Twin(
        gates("Wi Wf Wz Wo", "Ui Uf Uz Uo", "bi bf bz bo", weight_mh="Vi Vf Vo"),
        "h c",
        note="its documentation leaves out the tanh of what is remembered; its code, like the paper, has it",
    ),
}


def compare(name: str) -> float:
    """The largest difference between what the two cells give."""
    cell = next(c for c in zoo.CELLS if c.title == name)
    layer = zoo.sized(cell, INPUTS, UNITS)
    rng = np.random.default_rng(0)
    layer.load(
        {path: np.asarray(rng.uniform(-0.5, 0.5, a.shape), a.dtype) for path, a in layer.params.items()}
    )
    x = rng.uniform(-1, 1, (STEPS, BATCH, zoo.width(cell, INPUTS, UNITS)))
    _, finals = rnnc.reference(layer, x[:1])
    state = {path: np.asarray(rng.uniform(-0.5, 0.5, final.shape)) for path, final in finals.items()}
    ours, _ = rnnc.reference(layer, x, state=state)
    return float(np.abs(ours - theirs(TWINS[name], name, layer.params, x, state)).max())


def theirs(twin: Twin, name: str, params: Mapping[str, Array], x: Array, state: Mapping[str, Array]) -> Array:
    """What their cell gives over a sequence."""
    import torch
    import torchrecurrent

    cell = getattr(torchrecurrent, f"{twin.name or name}Cell")(x.shape[-1], UNITS, **twin.options).double()
    with torch.no_grad():
        for path, tensor in cell.named_parameters():
            if path in twin.tensors or path.startswith("bias"):
                fields = twin.tensors.get(path, "").split() or ["0"]
                rows = [np.zeros(UNITS) if f == "0" else params[f].T for f in fields]
                tensor[:] = torch.tensor(np.concatenate(rows)) if len(rows) > 1 or fields != ["0"] else 0
        states = tuple(torch.tensor(state[path]) for path in twin.states.split())
        ys = []
        for now in torch.tensor(x):
            y, states = _outcome(cell(now, states if len(states) > 1 else states[0]), len(states))
            ys.append(y)
    return np.asarray(torch.stack(ys))


def _outcome(found: Any, states: int) -> tuple[Any, tuple[Any, ...]]:
    """What goes out and the next states: a cell gives ``h``, ``(h, c)``, ``(y, h)`` or ``(y, (v, c))``."""
    if not isinstance(found, tuple):
        return found, (found,)
    y, rest = found
    if isinstance(rest, tuple):
        return y, rest
    return y, (rest,) if states == 1 else found


def main() -> None:
    """Compare every cell, print the table and write it."""
    cells = {}
    for name, twin in TWINS.items():
        error = compare(name)
        cells[name] = {"agrees": error < TOLERANCE, "error": float(f"{error:.0e}"), "note": twin.note}
        print(f"{name:24}{error:8.0e}  {'agrees' if error < TOLERANCE else 'DISAGREES'}  {twin.note}")
    told = {p: version(p) for p in ("torch", "torchrecurrent", "numpy")} | {
        "python": platform.python_version()
    }
    absent = [c.title for c in zoo.CELLS if c.title not in TWINS]
    table = {"versions": told, "cells": cells, "not there": absent}
    TABLE.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
