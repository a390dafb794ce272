"""PyTorch's recurrent modules while a module is exported: each layer and direction as one node.

The exporters of PyTorch write LSTM, GRU and RNN each in its own way, fix sizes, and refuse projections. Here
such a module runs a node ``rnnc::Recurrent`` for every layer and direction, whose equations
:mod:`rnnc.importer.layers` has; outside an export it runs as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from rnnc.errors import FormError

#: The domain of the node, and its version.
DOMAIN, VERSION = "rnnc", 1

Tensors = tuple[Any, ...]
#: Adds a node: its tensors, attributes, and the shapes of its results, as they are without computing.
Write = Callable[[Sequence[Any], dict[str, Any], Sequence[tuple[Any, ...]]], Sequence[Any]]


def by_tracing(tensors: Sequence[Any], attrs: dict[str, Any], shapes: Sequence[tuple[Any, ...]]) -> Tensors:
    """The node for the exporter that traces (TorchScript)."""
    found: Tensors = _Node.apply(attrs, tuple(tuple(map(int, s)) for s in shapes), *tensors)
    return found


def by_symbols(tensors: Sequence[Any], attrs: dict[str, Any], shapes: Sequence[tuple[Any, ...]]) -> Tensors:
    """The node for the exporter that follows symbolic sizes (dynamo)."""
    found = torch.onnx.ops.symbolic_multi_out(
        f"{DOMAIN}::Recurrent",
        tensors,
        attrs,
        dtypes=[tensors[0].dtype] * len(shapes),
        shapes=shapes,
        version=VERSION,
    )
    return tuple(found)


class _Node(torch.autograd.Function):  # type: ignore[misc]
    """The node while it is traced: zeros of the shapes that it gives."""

    @staticmethod
    def forward(ctx: Any, attrs: dict[str, Any], shapes: Sequence[Sequence[int]], *tensors: Any) -> Tensors:
        """Zeros, which nothing looks at."""
        return tuple(tensors[0].new_zeros(s) for s in shapes)

    @staticmethod
    def symbolic(g: Any, attrs: dict[str, Any], shapes: Sequence[Sequence[int]], *tensors: Any) -> Any:
        """The node, with the ranks and the last sizes of what it gives."""
        kinds = {n: f"{n}_s" if isinstance(v, str) else f"{n}_i" for n, v in attrs.items()}
        written = {kinds[n]: v for n, v in attrs.items()}
        found = g.op(f"{DOMAIN}::Recurrent", *tensors, **written, outputs=len(shapes))
        for value, shape in zip(found, shapes, strict=True):
            value.setType(tensors[0].type().with_sizes([None] * (len(shape) - 1) + [shape[-1]]))
        return tuple(found)


@contextmanager
def as_nodes(module: Any, write: Write) -> Iterator[None]:
    """While this lasts, the recurrent modules in ``module`` run as nodes."""
    found = [(n, m) for n, m in module.named_modules() if isinstance(m, torch.nn.RNNBase)]
    before = [m.__dict__.get("forward") for _, m in found]
    for name, m in found:
        m.forward = partial(_forward, m, name.partition(".")[2] or "rnn", write)
    try:
        yield
    finally:
        for (_, m), own in zip(found, before, strict=True):
            if own is None:
                del m.__dict__["forward"]
            else:
                m.forward = own


def _forward(module: Any, path: str, write: Write, input: Any, hx: Any = None) -> Any:
    """What the module's own ``forward`` takes and gives."""
    if not isinstance(input, torch.Tensor):
        raise FormError(
            f"{path} reads a packed sequence, whose lengths are its own",
            hint="Leave the lengths out, and give them to the file: rnnc.compile(…, lengths=True).",
        )
    batched = input.dim() == 3
    x = input if batched else input.unsqueeze(1)
    x = x.transpose(0, 1) if module.batch_first and batched else x
    states = None if hx is None else [s if batched else s.unsqueeze(1) for s in _several(module, hx)]
    y, finals = _layers(module, path, write, x, states)
    y = y.transpose(0, 1) if module.batch_first and batched else y
    if not batched:
        y, finals = y.squeeze(1), [f.squeeze(1) for f in finals]
    return y, tuple(finals) if module.mode == "LSTM" else finals[0]


def _several(module: Any, hx: Any) -> Tensors:
    return tuple(hx) if module.mode == "LSTM" else (hx,)


def _layers(module: Any, path: str, write: Write, x: Any, states: Any) -> tuple[Any, list[Any]]:
    """All layers and directions, one after another: the last output, and the final states stacked."""
    ends: list[Tensors] = []
    for layer in range(module.num_layers):
        ways = []
        for reverse in range(1 + module.bidirectional):
            own = [] if states is None else [s[len(ends)] for s in states]
            y, *after = _one_way(module, path, write, x, own, layer, reverse)
            ways.append(y)
            ends.append(tuple(after))
        x = torch.cat(ways, -1) if len(ways) > 1 else ways[0]
    return x, [torch.stack(parts, 0) for parts in zip(*ends, strict=True)]


def _one_way(
    module: Any, path: str, write: Write, x: Any, states: Sequence[Any], layer: int, reverse: int
) -> Tensors:
    """One layer in one direction."""
    suffix = f"_l{layer}{'_reverse' * reverse}"
    names = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if module.bias else [])]
    names += ["weight_hr"] if module.proj_size else []
    out = module.proj_size or module.hidden_size
    steps, batch = x.shape[:2]
    shapes: list[tuple[Any, ...]] = [(steps, batch, out), (batch, out)]
    shapes += [(batch, module.hidden_size)] if module.mode == "LSTM" else []
    attrs = {
        "kind": module.mode,
        "path": f"{path}{suffix.replace('_', '.', 1)}",
        "bias": int(module.bias),
        "projected": int(bool(module.proj_size)),
        "reverse": reverse,
    }
    return tuple(write([x, *(getattr(module, n + suffix) for n in names), *states], attrs, shapes))
