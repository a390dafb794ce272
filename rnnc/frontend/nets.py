"""Nets, and the layers made of them.

A :class:`Net` is a function; ``LSTM(30, 15)`` gives its dimensions their sizes and makes a :class:`NetLayer`,
which holds the arrays. A net without free dimensions is itself a layer.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from rnnc.dims import Dim, Poly, dim, names, solve, substitute
from rnnc.errors import LanguageError, Loc, TypeMismatch
from rnnc.frontend.inits import Init, generator
from rnnc.frontend.layers import Layer
from rnnc.frontend.locations import here
from rnnc.frontend.signature import REQUIRED, InputSpec, code_of, read
from rnnc.frontend.unify import BATCH
from rnnc.frontend.values import Field, Value, running
from rnnc.ir import Array
from rnnc.types import TensorType, type_of


@dataclass(frozen=True)
class Template:
    """A layer to be made: a net with dimensions that are still names, as a field's default."""

    net: Net
    dims: Mapping[str, Dim]
    fields: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"{self.net}({', '.join(map(str, self.dims.values()))})"

    def make(self, sizes: Mapping[str, Dim]) -> NetLayer:
        """A layer of its own, ``sizes`` giving the names their values."""
        return NetLayer(self.net, {d: substitute(size, sizes) for d, size in self.dims.items()}, self.fields)


class Net(Layer):
    """A function as a net. Called with sizes, it makes a layer; without free dimensions it is one."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        super().__init__()
        self.fn, self.code = fn, code_of(fn)
        self.signature = read(fn)
        self.title = self.signature.title
        self.dims = self.signature.dims(_dims_of)
        self.__doc__ = inspect.getdoc(fn)

    def __repr__(self) -> str:
        return self.title

    def __call__(self, *args: Any, **fields: Any) -> Any:
        """With sizes, in order of first appearance, a layer; with values or arrays, its outputs."""
        if args and not fields and not all(isinstance(a, (int, str, Poly)) for a in args):
            return super().__call__(*args)
        if len(args) > len(self.dims):
            raise LanguageError(
                f"{self.title} has {_count(self.dims)}, and {len(args)} sizes are given",
                hint=self._usage(),
                loc=here(),
            )
        by_name = {d: fields.pop(d) for d in self.dims if d in fields and d not in self.signature.fields}
        sizes = dict(zip(self.dims, args, strict=False))
        if twice := sorted(sizes.keys() & by_name.keys()):
            raise LanguageError(f"{self.title} is given its dimension {twice[0]} twice", loc=here())
        sizes |= by_name
        for d, size in sizes.items():
            if (
                isinstance(size, bool)
                or not isinstance(size, (int, str, Poly))
                or (isinstance(size, int) and size < 1)
            ):
                raise LanguageError(
                    f"{size!r} is not a size for {d}: it must be a whole number above 0", loc=here()
                )
        if any(isinstance(size, (str, Poly)) for size in sizes.values()):
            return Template(self, {d: dim(size) for d, size in sizes.items()}, fields)
        if running.get() is not None and _has_arrays(self.signature.fields.values()):
            raise LanguageError(
                f"{self.title} makes a layer inside a body, and its weights would be new in every run",
                hint=f"Make it a field, as in layer={self.title}(…), or make it outside.",
                loc=here(),
            )
        return NetLayer(self, sizes, fields)

    @cached_property
    def own(self) -> NetLayer:
        """The layer that a net without free dimensions is."""
        return NetLayer(self, {}, {}, self.loc)

    @property
    def shared(self) -> Layer:
        """The layer whose weights these are."""
        return self.own

    def from_torch(self, module: Any) -> Layer:
        """The layer of this net that a layer of ``torch.nn`` is, with its weights (an extra).

        ``LSTM.from_torch(nn.LSTM(30, 15))``; one of several layers becomes a ``Chain``, one of two directions
        a ``Bidirectional``. Raises :class:`FormError` for a module that is not what this net computes.
        """
        from rnnc.pytorch.layers import layer_of

        return layer_of(module, self)

    def inputs(self) -> tuple[InputSpec, ...]:
        """What it takes."""
        return self.own.inputs()

    def apply(self, trace: Any, args: tuple[Value, ...]) -> Any:
        """Its outputs."""
        return self.own.apply(trace, args)

    def walk(self, path: str) -> Iterator[tuple[str, NetLayer, str]]:
        """Its arrays."""
        return self.own.walk(path)

    def _repr_html_(self) -> str | None:
        """What notebooks show: the graph, or, while sizes are open, what the net has."""
        if not self.dims:
            return super()._repr_html_()
        from rnnc.view.notebook import signature

        fields = {name: _dims_of(default) for name, default in self.signature.fields.items()}
        return signature(self.title, fields, self.dims)

    def _usage(self) -> str:
        return f"Write {self.title}({', '.join(self.dims)}) with a number for each."


def net(fn: Callable[..., Any]) -> Net:
    """The net of a function: positional parameters are inputs, keyword-only ones are fields."""
    return Net(fn)


def _count(dims: tuple[str, ...]) -> str:
    if not dims:
        return "no free dimensions"
    return f"{len(dims)} dimension{'s'[: len(dims) > 1]} ({', '.join(dims)})"


def _dims_of(default: Any) -> tuple[Dim, ...]:
    """The dimensions in a field's default; a net has those that it leaves free."""
    match default:
        case Init():
            return default.dims
        case Template():
            return tuple(default.dims.values())
        case Net():
            return tuple(dim(d) for d in default.dims)
    return ()


def _has_arrays(defaults: Any) -> bool:
    return any(isinstance(d, (Init, np.ndarray, Template, Net)) for d in defaults)


class NetLayer(Layer):
    """A net with all its dimensions known, and with the arrays of its fields.

    ``kinds`` holds each array field's initialiser, or ``None`` where only an array is given. An array that is
    neither given nor loaded is drawn when first asked for, and stays.
    """

    def __init__(
        self, net: Net, dims: Mapping[str, Dim], given: Mapping[str, Any], loc: Loc | None = None
    ) -> None:
        super().__init__()
        self.loc = self.loc or loc
        self.net, self.title = net, net.title
        self.kinds: dict[str, Init | None] = {}
        self.arrays: dict[str, Array | None] = {}
        self.layers: dict[str, Layer] = {}
        self.options: dict[str, Any] = {}
        self._drawn: dict[tuple[int, str], Array] = {}
        unknown = sorted(given.keys() - net.signature.fields.keys())
        if unknown:
            raise LanguageError(
                f"{net.title} has no field {unknown[0]}",
                hint=f"Its fields are {', '.join(net.signature.fields)}." if net.signature.fields else "",
                loc=self.loc,
            )
        templates: dict[str, Template] = {}
        self.dims: dict[str, Dim] = dict(dims)
        for name, default in net.signature.fields.items():
            self._take(name, default, given.get(name, default), templates)
        for d in net.dims:
            if d not in self.dims:
                raise LanguageError(
                    f"{net.title} does not know its dimension {d}", hint=net._usage(), loc=self.loc
                )
        for name, template in templates.items():
            self.layers[name] = template.make(self.dims)
        for name in self.kinds:
            if any(size < 1 for size in self.shape(name)) and self.arrays[name] is None:
                raise LanguageError(
                    f"{name} of {self!r} would have the shape {self.shape(name)}",
                    hint="Give its dimensions other sizes.",
                    loc=self.loc,
                )

    def _take(self, name: str, default: Any, value: Any, templates: dict[str, Template]) -> None:
        """Give one field its value."""
        if value is REQUIRED:
            raise LanguageError(
                f"{self.title} needs its field {name}", hint=f"Give it as {name}=…", loc=self.loc
            )
        if isinstance(default, Init) and isinstance(value, (Layer, Template)):
            raise LanguageError(f"{name} of {self.title} is an array, and is given as a layer", loc=self.loc)
        if isinstance(default, (Layer, Template)) and not isinstance(value, (Layer, Template)):
            raise LanguageError(
                f"{name} of {self.title} is a layer, and is given as {value!r:.40}", loc=self.loc
            )
        if isinstance(value, Net):
            templates[name] = Template(value, {d: dim(d) for d in value.dims}, {})
        elif isinstance(value, Template):
            templates[name] = value
        elif isinstance(value, Layer):
            self.layers[name] = value
        elif isinstance(value, Init):
            unknown = sorted({n for d in value.dims for n in names(d)} - set(self.net.dims))
            if unknown:
                raise LanguageError(
                    f"{name} is given with the dimension {unknown[0]}, which {self.title} does not have",
                    hint=f"It has {_count(self.net.dims)}.",
                    loc=self.loc,
                )
            self.kinds[name], self.arrays[name] = value, None
        elif isinstance(default, Init) or isinstance(value, np.ndarray):
            self.kinds[name] = default if isinstance(default, Init) else None
            self.arrays[name] = self._array(name, value)
        else:
            self.options[name] = value

    def _array(self, name: str, value: Any) -> Array:
        """An array given for a field; dimensions not given are taken from it."""
        kind = self.kinds[name]
        try:
            array = np.asarray(value)
        except ValueError:  # its rows differ in length
            raise TypeMismatch(f"{name} is given as {value!r:.40}, which is no array", loc=self.loc) from None
        dtype = np.dtype(np.float32) if array.dtype == np.float64 else array.dtype
        if kind is not None:
            dtype = TensorType(kind.dtype).numpy
        if not np.can_cast(array.dtype, dtype, "same_kind"):
            raise TypeMismatch(f"{name} is given as {array.dtype}, and is {dtype}", loc=self.loc)
        if kind is not None:
            if (
                array.ndim == len(kind.dims) + 1 and array.shape[0] == 1
            ):  # an initial value (1, …) is for all the batch
                array = array[0]
            shown = f"{name} is given with shape {array.shape}, and is [{', '.join(map(str, kind.dims))}]"
            if array.ndim != len(kind.dims):
                raise TypeMismatch(shown, loc=self.loc)
            for d, size in zip(kind.dims, array.shape, strict=True):
                d = substitute(d, self.dims)
                found = solve(d, size, set(self.net.dims) - self.dims.keys())
                if found is None:
                    raise TypeMismatch(f"{shown}: {d} is not {size}", loc=self.loc)
                self.dims.update(found)
        array = np.array(array, dtype)
        array.flags.writeable = False
        return array

    def __repr__(self) -> str:
        return f"{self.title}({', '.join(str(self.dims[d]) for d in self.net.dims)})"

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an array field."""
        kind, array = self.kinds[name], self.arrays[name]
        if array is not None:
            return tuple(array.shape)
        assert kind is not None
        sizes = [substitute(d, self.dims) for d in kind.dims]
        return tuple(s for s in sizes if isinstance(s, int))

    def array(self, name: str, path: str, seed: int = 0) -> Array:
        """The array of a field: given, loaded, or drawn from the generator of ``seed`` and ``path``."""
        held, kind = self.arrays[name], self.kinds[name]
        if held is not None:
            return held
        if (seed, name) not in self._drawn:
            assert kind is not None
            array = kind.draw(self.shape(name), generator(seed, path))
            array.flags.writeable = False
            self._drawn[seed, name] = array
        return self._drawn[seed, name]

    def inputs(self) -> tuple[InputSpec, ...]:
        """What it takes, with its dimensions known."""
        return tuple(
            replace(
                s, declared=replace(s.declared, dims=tuple(substitute(d, self.dims) for d in s.declared.dims))
            )
            for s in self.net.signature.inputs
        )

    def apply(self, trace: Any, args: tuple[Value, ...]) -> Any:
        """What the body returns."""
        scope, specs = trace.scope, self.inputs()
        for spec, value in zip(specs, args, strict=True):
            self._check(trace, spec, value)
        scope.inputs = {spec.name: value for spec, value in zip(specs, args, strict=True)}
        for name in self.kinds:
            array = self.array(name, trace.path_of(self, name), trace.seed)
            scope.fields[name] = Field(trace, self, name, array, type_of(array))
            scope.unique(name)
        for name, layer in self.layers.items():
            scope.layers.setdefault(id(layer), name)
            scope.unique(name)
        fields = {**scope.fields, **self.layers, **self.options}
        return trace.body(self.net.code, lambda: self.net.fn(*args, **fields))

    def _check(self, trace: Any, spec: InputSpec, value: Value) -> None:
        """An input must be as it is declared."""
        if not spec.declared.declared:
            return
        wanted = TensorType(spec.declared.dtype, (BATCH, *spec.declared.dims))
        found = value.type
        fits = found.dtype == wanted.dtype and found.rank == wanted.rank
        if not fits or any(
            trace.sizes.same(a, b) is None for a, b in zip(wanted.shape, found.shape, strict=True)
        ):
            trace.clash = (value,)
            raise TypeMismatch(
                f"{self!r} declares {spec.name} as {wanted}, and is given {trace.sizes.type(found)}",
                loc=here(),
            )
        if spec.declared.kind == "given" and not value.invariant:
            raise LanguageError(
                f"{self!r} declares {spec.name} as given, the same at every step, and gets a stream",
                hint=f"Declare it as {spec.name}=stream(…).",
                loc=here(),
            )

    def walk(self, path: str) -> Iterator[tuple[str, NetLayer, str]]:
        """Its array fields, then those of its layers, in the order of the signature."""
        for name in self.net.signature.fields:
            at = f"{path}.{name}" if path else name
            if name in self.kinds:
                yield at, self, name
            elif name in self.layers:
                yield from self.layers[name].walk(at)
