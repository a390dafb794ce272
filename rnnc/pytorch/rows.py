"""A module as a function from tensors in a row to tensors in a row, whatever it takes and gives."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from rnnc.errors import FormError


class Row(torch.nn.Module):  # type: ignore[misc]
    """A module that takes ``names`` as tensors in order; ``tensors`` are those of the example.

    An input is called as the parameter of ``forward``; the parts of one that is a tuple have numbers,
    ``hx_0`` and ``hx_1``. What is no tensor stays what it is in the example.
    """

    def __init__(self, module: Any, example_inputs: Any) -> None:
        super().__init__()
        self.module = module
        self._signature = inspect.signature(module.forward)
        args = () if isinstance(example_inputs, Mapping) else example_inputs
        args = (args,) if isinstance(args, torch.Tensor) else tuple(args)
        kwargs = dict(example_inputs) if isinstance(example_inputs, Mapping) else {}
        try:
            bound = self._signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise FormError(
                f"{type(module).__name__} does not take the example inputs: {error}",
                hint=f"Its forward is forward{self._signature}.",
            ) from None
        leaves, self._spec = pytree.tree_flatten(dict(bound))
        self._leaves = [None if isinstance(v, torch.Tensor) else v for v in leaves]
        self._at = [k for k, v in enumerate(leaves) if isinstance(v, torch.Tensor)]
        self.names = [n for n, v in _named(bound) if isinstance(v, torch.Tensor)]
        self.tensors = [leaves[k] for k in self._at]
        self.outputs: tuple[str, ...] = ()
        if not self.tensors:
            raise FormError("the example inputs have no tensor", hint="Give one for each input of forward.")
        self.eval()  # an exporter puts all of it back into the mode of its root

    def forward(self, *tensors: Any) -> tuple[Any, ...]:
        """The tensors that the module gives."""
        leaves = list(self._leaves)
        for k, tensor in zip(self._at, tensors, strict=True):
            leaves[k] = tensor
        bound = self._signature.bind_partial()
        bound.arguments.update(pytree.tree_unflatten(leaves, self._spec))
        found = self.module(*bound.args, **bound.kwargs)
        named = isinstance(found, Mapping)
        parts = pytree.tree_flatten(found)[0]
        self.outputs = tuple(found) if named and len(found) == len(parts) else ()
        return tuple(v for v in parts if isinstance(v, torch.Tensor))

    def run(self, tensors: Sequence[Any]) -> list[Any]:
        """What the module gives for copies of ``tensors``, or raises."""
        return list(self(*(t.clone() for t in tensors)))


def _named(bound: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Every part of the arguments, with its name."""
    found = []
    for name, value in bound.items():
        parts = pytree.tree_flatten(value)[0]
        single = isinstance(value, torch.Tensor)
        found += [(name if single else f"{name}_{k}", part) for k, part in enumerate(parts)]
    return found
