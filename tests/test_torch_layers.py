"""Layers of torch.nn as layers of ours: the same numbers, by the reference machine."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from rnnc import Chain
from rnnc.cells import (
    LSTM,
    Affine,
    Embedding,
    GatedRecurrent,
    GatedRecurrentAfter,
    LayerNorm,
    ProjectedLSTM,
    Recurrent,
)
from rnnc.errors import FormError, MissingExtra

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore:LSTM with projections")]
torch = pytest.importorskip("torch")
nn = torch.nn
NETS = {"LSTM": LSTM, "GRU": GatedRecurrentAfter, "RNN": Recurrent, "projected": ProjectedLSTM}


def sequence(module, x):
    """What a recurrent module gives, time first."""
    with torch.no_grad():
        y = module(x.transpose(0, 1) if module.batch_first else x)[0]
        return (y.transpose(0, 1) if module.batch_first else y).numpy()


@pytest.mark.parametrize(
    "options",
    [{}, {"num_layers": 2}, {"bidirectional": True}, {"num_layers": 2, "bidirectional": True, "bias": False}],
    ids=str,
)
@pytest.mark.parametrize("kind", NETS)
def test_recurrent_layers(kind, options):
    torch.manual_seed(0)
    made = {"projected": lambda *a, **k: nn.LSTM(*a, proj_size=3, **k)}.get(kind) or getattr(nn, kind)
    module = made(4, 6, batch_first=True, dropout=0.0, **options)
    layer, x = NETS[kind].from_torch(module), torch.rand(9, 2, 4)
    np.testing.assert_allclose(layer(x.numpy()), sequence(module, x), atol=1e-6)
    assert isinstance(layer, Chain) == (module.num_layers > 1)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_cells(kind, bias):
    cell = getattr(nn, f"{kind}Cell")(4, 6, bias=bias)
    layer, x, state = NETS[kind].from_torch(cell), torch.rand(7, 2, 4), None
    wanted = []
    with torch.no_grad():
        for frame in x:
            state = cell(frame, state)
            wanted.append((state[0] if kind == "LSTM" else state).numpy())
    np.testing.assert_allclose(layer(x.numpy()), np.stack(wanted), atol=1e-6)


def test_layers_without_states():
    x = torch.rand(5, 2, 4)
    with torch.no_grad():
        for net, module in (
            (Affine, nn.Linear(4, 3)),
            (Affine, nn.Linear(4, 3, bias=False)),
            (LayerNorm, nn.LayerNorm(4)),
        ):
            np.testing.assert_allclose(net.from_torch(module)(x.numpy()), module(x).numpy(), atol=1e-6)
        tokens, table = torch.tensor([[0, 2], [1, 1]]), nn.Embedding(3, 5, padding_idx=0)
        np.testing.assert_allclose(Embedding.from_torch(table)(tokens.numpy()), table(tokens).numpy())


def test_what_is_another_cell_is_refused():
    with pytest.raises(FormError, match=r"LSTM is not what GatedRecurrentAfter computes[^$]*LSTM.from_torch"):
        GatedRecurrentAfter.from_torch(nn.LSTM(4, 6))
    with pytest.raises(FormError, match=r"GRU is not what GatedRecurrent computes"):
        GatedRecurrent.from_torch(nn.GRU(4, 6))
    with pytest.raises(FormError, match="activation relu"):
        Recurrent.from_torch(nn.RNN(4, 6, nonlinearity="relu"))
    with pytest.raises(FormError, match="no cell of rnnc is a Conv1d"):
        Affine.from_torch(nn.Conv1d(4, 6, 3))
    with pytest.raises(FormError, match="max_norm"):
        Embedding.from_torch(nn.Embedding(3, 5, max_norm=1.0))


def test_without_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [n for n in sys.modules if n.startswith("rnnc.pytorch")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingExtra, match="PyTorch"):
        LSTM.from_torch(None)
