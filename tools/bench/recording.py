"""PyTorch's calls, written down as the Python that makes them.

The bodies of ops find out at every call which library their arrays are of. A cell written by hand does not,
and a comparison with one must not pay for it. So the bodies are run once, on sample tensors, while every
function of PyTorch that they call is recorded; what is left is source text such as one would write::

    def cell(s9, s10, s11, ):
        v13 = addmm(s9, s10, c12, )
        v14, v15,  = split(v13, (48, 16, ), dim=1, )
        v16 = tanh(v15, )
        ...

What is computed from constants alone is a constant. Sizes are fixed to those of the sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

#: Functions that are written as operators, by the name that PyTorch tells.
OPERATORS = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "matmul": "{0} @ {1}",
    "neg": "-{0}",
    "gt": "{0} > {1}",
    "ge": "{0} >= {1}",
    "lt": "{0} < {1}",
    "le": "{0} <= {1}",
    "__rsub__": "{1} - {0}",
    "__rdiv__": "{1} / {0}",
}


class Recorder(TorchFunctionMode):  # type: ignore[misc]
    """Records, while it is entered, what is computed from the tensors it is told of, line by line.

    ``space`` has what the lines name: functions, constants, and the functions that are :meth:`define`-d.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.space: dict[str, Any] = {}
        self._names: dict[int, str] = {}
        self._kept: list[Any] = []  # so that no identity is used again
        self._paused = False

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if not self._paused and not all(map(self.is_constant, _tensors([args, kwargs]))):
            several = isinstance(result, tuple | list) and result
            if several and all(isinstance(r, torch.Tensor) for r in result):
                text = self._call(func, args, kwargs or {})
                self.lines.append(f"{self.names(result)} = {text}")
            elif isinstance(result, torch.Tensor):
                text = self._call(func, args, kwargs or {})
                self.lines.append(f"{self.named(result)} = {text}")
        return result

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What is computed inside is not recorded."""
        self._paused = True
        try:
            yield
        finally:
            self._paused = False

    @contextmanager
    def apart(self) -> Iterator[list[str]]:
        """What is recorded inside goes to lines of its own."""
        outer, self.lines = self.lines, []
        try:
            yield self.lines
        finally:
            self.lines = outer

    def sample(self, tensor: Any) -> Any:
        """A tensor like this one, unknown yet."""
        with self.paused():
            return tensor.clone()

    def named(self, tensor: Any, prefix: str = "v") -> str:
        """Let a tensor be known, from here on, by a name that no other has."""
        name = f"{prefix}{len(self._kept)}"
        self._kept.append(tensor)
        self._names[id(tensor)] = name
        return name

    def names(self, tensors: Iterable[Any], prefix: str = "v") -> str:
        """New names for several tensors, as they stand left of ``=`` and among parameters."""
        return "".join(f"{self.named(t, prefix)}, " for t in tensors)

    def texts(self, values: Iterable[Any]) -> str:
        """Several values as they stand among arguments and in tuples."""
        return "".join(f"{self.text(v)}, " for v in values)

    def text(self, value: Any) -> str:
        """A tensor by its name, or what else an argument may be as it is written."""
        if isinstance(value, torch.Tensor):
            if id(value) not in self._names:
                self.space[self.named(value, "c")] = value
            return self._names[id(value)]
        if isinstance(value, tuple | list):
            return f"({self.texts(value)})"
        if value is None or isinstance(value, bool | int | float | str):
            return repr(value)
        return self._constant(value, "k")

    def is_constant(self, tensor: Any) -> bool:
        """Whether a tensor is the same at every call."""
        name = self._names.get(id(tensor))
        return name is None or name in self.space

    def define(self, name: str, parameters: str, lines: Iterable[str], result: str) -> Callable[..., Any]:
        """Define a function of recorded lines in ``space``."""
        body = "".join(f"    {line}\n" for line in lines)
        source = f"def {name}({parameters}):\n{body}    return {result}\n"
        exec(compile(source, f"<{name} as recorded>", "exec"), self.space)
        function: Callable[..., Any] = self.space[name]
        function.__doc__ = source
        return function

    def _call(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        name = func.__name__
        if name in OPERATORS and not kwargs:
            return OPERATORS[name].format(*map(self.text, args))
        if name == "__getitem__":
            return f"{self.text(args[0])}[{self.text(args[1])}]"
        named = "".join(f"{key}={self.text(value)}, " for key, value in kwargs.items())
        return f"{self._constant(func, name)}({self.texts(args)}{named})"

    def _constant(self, value: Any, wanted: str) -> str:
        """A name in ``space`` for something that is no tensor."""
        stem = name = wanted.strip("_")
        while self.space.setdefault(name, value) is not value:
            name = f"{stem}_{len(self.space)}"
        return name


def _tensors(value: Any) -> Iterator[Any]:
    """The tensors among arguments, wherever they stand."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from _tensors(inner)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
