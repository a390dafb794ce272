"""PyTorch's own ``nn.LSTM``, ``nn.GRU`` and ``nn.RNN``, for the cells that these are.

The weights are those of :mod:`tools.oracles`, the other way round: our fields become theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import numpy as np

from rnnc.ir import Array
from tools.bench.handwritten import Unsupported, carried
from tools.bench.peers import Peer, Ready
from tools.bench.peers.torch import serving
from tools.bench.subject import Subject
from tools.oracles import GATES

#: The module that a cell is, and the fields of its states, as the module takes them.
MODULES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "Recurrent": ("rnn", ("y",)),
    "LSTM": ("lstm", ("y", "state")),
    "GatedRecurrentAfter": ("gru", ("y",)),
}


class TorchNN(Peer):
    """The module, given whole sequences, or steps as sequences of one."""

    name: ClassVar[str] = "torch.nn"
    needs: ClassVar[tuple[str, ...]] = ("torch",)

    def running(self) -> AbstractContextManager[Any]:
        """Without gradients."""
        return serving()

    def ready(self, subject: Subject) -> Ready:
        """The module with the cell's weights."""
        import torch

        entry, params = subject.entry, subject.layer.params
        if entry.cell not in MODULES:
            raise Unsupported("torch.nn has no such module")
        kind, fields = MODULES[entry.cell]
        module = getattr(torch.nn, kind.upper())(entry.H, entry.H)
        module.load_state_dict({name: torch.tensor(array) for name, array in weights(kind, params).items()})
        starts = tuple(torch.tensor(params[field]).expand(1, entry.B, -1).contiguous() for field in fields)
        if entry.form == "step":

            def step(x: Any, *held: Any) -> Any:
                y, after = module(x, held if len(held) > 1 else held[0])
                return after if len(held) > 1 else (after,), (y,)

            ready = carried(step, starts, subject, lambda x: torch.tensor(x)[None])
            return Ready(ready.call, lambda: [y[:, 0] for y in ready.answer()])
        (x,), state = map(torch.tensor, subject.inputs.values()), starts if len(starts) > 1 else starts[0]
        return Ready(lambda: module(x, state)[0], lambda: [module(x, state)[0].numpy()])


def weights(kind: str, params: Mapping[str, Array]) -> dict[str, Array]:
    """The weights of a ``torch.nn`` module for the fields of our cell: gate by gate, transposed."""
    gates = GATES[kind]

    def joined(prefix: str) -> Array:
        found = [params.get(f"{prefix}{gate}", np.zeros_like(params[f"b{gate}"])) for gate in gates]
        return np.concatenate([array.T for array in found])

    return {
        "weight_ih_l0": joined("Wx"),
        "weight_hh_l0": joined("Wy"),
        "bias_ih_l0": joined("b"),
        "bias_hh_l0": joined("c"),
    }
