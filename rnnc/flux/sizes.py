"""The sizes of a struct's fields, found by unification of its equations.

The body runs once on fields whose sizes are all unknown. Type rules compare sizes, and comparing unknown ones
finds them equal; what is left are the net's dimensions, in the order in which the fields first have them:
``LSTM(30, 15)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import FunctionType
from typing import Any, Literal, cast

from rnnc.dims import Dim, Poly, names, substitute
from rnnc.frontend.inits import Constant, Glorot, Init
from rnnc.frontend.layers import Layer
from rnnc.frontend.nets import Net, NetLayer, net
from rnnc.frontend.signature import InputSpec
from rnnc.frontend.trace import Trace
from rnnc.frontend.unify import BATCH
from rnnc.frontend.values import Value
from rnnc.ir import Array
from rnnc.types import TensorType

#: What a field is; :mod:`rnnc.flux.roles` says how that is found.
Role = Literal["state", "local", "layer", "matrix", "vector", "bias"]


def declare(
    function: FunctionType, roles: Mapping[str, Role], starts: Mapping[str, float] | None = None
) -> Net:
    """The net of a function whose keyword-only parameters are fields, each with its size and initialiser.

    ``starts`` are the numbers that states start at, where that is not 0.
    """
    fields = {name: role for name, role in roles.items() if role != "local"}
    first = starts or {}
    arrays = {n: _unsized(n, role, first.get(n, 0)) for n, role in fields.items() if role != "layer"}
    layers = [name for name, role in fields.items() if role == "layer"]
    function.__kwdefaults__ = {**arrays, **{name: _AnyLayer(name) for name in layers}}
    sketch = _Sketch(net(function), {d: _size(d) for i in arrays.values() for d in map(str, i.dims)}, {})
    trace = Trace()
    trace.sizes.unknown |= {str(d) for i in arrays.values() for d in i.dims}
    with trace.active():
        outputs = trace.run(sketch)
    found = {n: tuple(map(trace.sizes.resolve, i.dims)) for n, i in arrays.items()}
    called = _called(trace, found, outputs)
    sized = {n: tuple(substitute(d, called) for d in dims) for n, dims in found.items()}
    function.__kwdefaults__ = {n: replace(arrays[n], dims=sized[n]) for n in fields if n in arrays}
    return net(function)


def _size(name: str) -> Poly:
    return Poly((((name,), 1),))


def _unsized(name: str, role: Role, start: float) -> Init:
    """A field's initialiser, its sizes unknown."""
    dims = tuple(_size(f"?{name}{axis}") for axis in ((1, 2) if role == "matrix" else (1,)))
    return Glorot(dims, "f32") if role in ("matrix", "vector") else Constant(dims, "f32", start)


def _called(trace: Trace, found: Mapping[str, tuple[Dim, ...]], outputs: tuple[Value, ...]) -> dict[str, Dim]:
    """What each size that stays unknown is called, in the order in which the fields have them."""
    free = dict.fromkeys(name for dims in found.values() for d in dims for name in _in_order(d))
    inputs = {name: trace.sizes.type(v.type).shape[1:] for name, v in trace.inputs.items()}
    known: dict[Dim, str] = {}
    for name, shape in inputs.items():
        known.setdefault(shape[0], "in" if len(inputs) == 1 else f"in_{name}")
    if len(outputs) == 1:
        for size in trace.sizes.type(outputs[0].type).shape[1:2]:
            known.setdefault(size, "out")
    return {name: _size(known.get(_size(name), name.lstrip("?"))) for name in free}


def _in_order(d: Dim) -> list[str]:
    """The names in a size, in order."""
    return sorted(names(d))


@dataclass(frozen=True)
class _Unsized:
    """Stands in for an array whose sizes are not known."""

    type: TensorType

    @property
    def dtype(self) -> Any:
        """The element type, as an array has it."""
        return self.type.numpy

    @property
    def shape(self) -> tuple[Any, ...]:
        """The sizes, as an array has them."""
        return self.type.shape


class _Sketch(NetLayer):
    """A layer of a net whose sizes are not known."""

    def array(self, name: str, path: str, seed: int = 0) -> Array:
        """What stands in for a field's array."""
        kind = self.kinds[name]
        assert kind is not None
        return cast(Array, _Unsized(TensorType(kind.dtype, kind.dims)))


class _AnyLayer(Layer):
    """Stands in for a layer that is yet to be given: it takes anything and gives one row of unknown size."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.title = title

    def __repr__(self) -> str:
        return self.title

    def inputs(self) -> tuple[InputSpec, ...]:
        """Nothing that is known."""
        return (InputSpec("x"),)

    def accept(self, count: int, loc: Any) -> None:
        """Any number of values."""

    def apply(self, trace: Trace, args: tuple[Value, ...]) -> Value:
        """One row."""
        row = TensorType("f32", (BATCH, trace.sizes.new(self.title)))
        return Value(trace, "layer", args, row, args[0].loc if args else None)

    def walk(self, path: str) -> Iterator[tuple[str, NetLayer, str]]:
        """No arrays that are known."""
        return iter(())
