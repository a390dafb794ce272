"""Layers of ``torch.nn`` as layers of ours, with their weights.

PyTorch stacks the gates of a layer in one matrix, which it multiplies from the left, and has two biases
where one is meant; here each gate has its own matrix and bias. Layers of several directions or on top of one
another become :func:`~rnnc.cells.Bidirectional` layers and a ``Chain``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rnnc import cells
from rnnc.errors import FormError, missing_torch
from rnnc.frontend.layers import Chain, Layer
from rnnc.frontend.nets import Net
from rnnc.ir import Array

try:
    from torch import nn
except ImportError:
    raise missing_torch("taking over a layer of PyTorch") from None

#: Of each cell, the last letters of its gates' fields, in PyTorch's order.
GATES: Mapping[str, str] = {"LSTM": "ifco", "GRU": "rzn", "RNN_TANH": "y"}


def layer_of(module: Any, net: Net | None = None) -> Layer:
    """The layer that computes what ``module``, of ``torch.nn``, does, which ``net`` must be able to say.

    A stream is ``[T, B, …]`` here, whatever ``batch_first`` says. Dropout belongs to training, and is left
    out. Raises :class:`FormError` for a module that no cell is.
    """
    for kind, (made, nets) in _KINDS.items():
        if isinstance(module, kind):
            found, fit = made(module), nets(module)
            if net is not None and net is not fit:
                raise FormError(
                    f"{type(module).__name__} is not what {net} computes",
                    hint=f"It is a {fit}: write {fit}.from_torch(…).",
                )
            return found
    raise FormError(
        f"no cell of rnnc is a {type(module).__name__}",
        hint=f"There are for {', '.join(k.__name__ for k in _KINDS)}; rnnc.from_torch reads any module.",
    )


def _array(tensor: Any) -> Array:
    found: Array = tensor.detach().cpu().numpy()
    return found


def _linear(module: Any) -> Layer:
    weight = _array(module.weight).T
    bias = np.zeros(weight.shape[1], weight.dtype) if module.bias is None else _array(module.bias)
    found: Layer = cells.Affine(*weight.shape).load({"W": weight, "b": bias})
    return found


def _embedding(module: Any) -> Layer:
    if module.max_norm is not None:
        raise FormError(
            "an Embedding with max_norm changes its weights as it runs", hint="Leave max_norm out."
        )
    found: Layer = cells.Embedding(*module.weight.shape).load({"W": _array(module.weight)})
    return found


def _layer_norm(module: Any) -> Layer:
    if len(module.normalized_shape) != 1 or module.eps != 1e-5:
        raise FormError("cells.LayerNorm normalises one axis, and has eps=1e-5")
    size = module.normalized_shape[0]
    parts = {"scale": (module.weight, np.ones), "bias": (module.bias, np.zeros)}
    fields = {n: fill(size, np.float32) if t is None else _array(t) for n, (t, fill) in parts.items()}
    found: Layer = cells.LayerNorm(size).load(fields)
    return found


def _stack(module: Any) -> Layer:
    """An ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN``: a layer, or a chain of them."""
    made = []
    for k in range(module.num_layers):
        ways = [_one(module, f"_l{k}{way}") for way in ("", "_reverse")[: 1 + module.bidirectional]]
        made.append(_both(*ways) if len(ways) > 1 else ways[0])
    return made[0] if len(made) == 1 else Chain(*made)


def _both(forward: Layer, backward: Layer) -> Layer:
    """A layer from each end."""
    found: Layer = cells.Bidirectional(forward, backward)  # type: ignore[no-untyped-call]
    return found


def _cell(module: Any) -> Layer:
    """An ``nn.LSTMCell``, ``nn.GRUCell`` or ``nn.RNNCell``."""
    return _one(module, "")


def _mode(module: Any) -> str:
    """Which equations a module has, as ``nn.RNNBase`` calls them."""
    if isinstance(module, nn.RNNCell):
        return f"RNN_{module.nonlinearity.upper()}"
    mode: str = getattr(module, "mode", type(module).__name__.removesuffix("Cell"))
    return mode


def _net(module: Any) -> Net:
    """The net of those equations."""
    if getattr(module, "proj_size", 0):
        return cells.ProjectedLSTM
    mode = _mode(module)
    if mode not in GATES:
        raise FormError(
            f"{type(module).__name__} has the activation relu, and cells.Recurrent has tanh",
            hint="rnnc.from_torch reads it, or write the net: three lines.",
        )
    nets: dict[str, Net] = {
        "LSTM": cells.LSTM,
        "GRU": cells.GatedRecurrentAfter,
        "RNN_TANH": cells.Recurrent,
    }
    return nets[mode]


def _one(module: Any, suffix: str) -> Layer:
    """One layer in one direction."""
    net, gates = _net(module), GATES[_mode(module)]
    wx, wh = (
        np.split(_array(getattr(module, name + suffix)), len(gates)) for name in ("weight_ih", "weight_hh")
    )
    if module.bias:
        bx, bh = (
            np.split(_array(getattr(module, name + suffix)), len(gates)) for name in ("bias_ih", "bias_hh")
        )
    else:
        bx = bh = [np.zeros(len(w), w.dtype) for w in wx]
    fields: dict[str, Array] = {}
    for k, gate in enumerate(gates):
        fields |= {f"Wx{gate}": wx[k].T, f"Wy{gate}": wh[k].T, f"b{gate}": bx[k] + bh[k]}
    if net is cells.GatedRecurrentAfter:  # the bias of its new value is one inside the reset, and one outside
        fields |= {"bn": bx[2], "cn": bh[2]}
    if net is cells.ProjectedLSTM:
        fields["P"] = _array(getattr(module, f"weight_hr{suffix}")).T
    sizes = (wx[0].shape[1], len(wx[0]), *((fields["P"].shape[1],) if "P" in fields else ()))
    found: Layer = net(*sizes).load(fields)
    return found


#: How the layer of each kind of module is made, and the net of it.
_KINDS: Mapping[Any, tuple[Callable[[Any], Layer], Callable[[Any], Net]]] = {
    nn.RNNBase: (_stack, _net),
    nn.RNNCellBase: (_cell, _net),
    nn.Linear: (_linear, lambda module: cells.Affine),
    nn.Embedding: (_embedding, lambda module: cells.Embedding),
    nn.LayerNorm: (_layer_norm, lambda module: cells.LayerNorm),
}
