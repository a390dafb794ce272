"""Layers: what can be traced, compiled, run and composed.

    Layer       anything with inputs, outputs and weights
    Function    a plain function of values, as an item of a Chain
    Flipped     a layer in reversed time
    Chain       layers one after another
    Unrolled    a layer that takes several steps at a time

Nets and their layers are in :mod:`~rnnc.frontend.nets`.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any, overload

from rnnc.errors import FormError, LanguageError, Loc, Note, RnncError, TypeMismatch
from rnnc.frontend.locations import here
from rnnc.frontend.signature import InputSpec, code_of, title_of
from rnnc.frontend.values import Value
from rnnc.ir import Array

if TYPE_CHECKING:
    from rnnc.frontend.nets import NetLayer
    from rnnc.frontend.trace import Trace


class Layer(ABC):
    """Anything with inputs, outputs and weights."""

    title: str

    def __init__(self) -> None:
        self.loc = here()

    @abstractmethod
    def inputs(self) -> tuple[InputSpec, ...]:
        """What it takes."""

    @abstractmethod
    def apply(self, trace: Trace, args: tuple[Value, ...]) -> Any:
        """Its outputs, computed in the trace's current scope: a value, or a tuple of them."""

    @abstractmethod
    def walk(self, path: str) -> Iterator[tuple[str, NetLayer, str]]:
        """Each array field in it, as (path, layer, field), of a layer found at ``path``."""

    @property
    def shared(self) -> Layer:
        """The layer whose weights these are."""
        return self

    def accept(self, count: int, loc: Loc | None) -> None:
        """Refuse a call at ``loc`` with another number of values than there are inputs."""
        names = [spec.name for spec in self.inputs()]
        if count != len(names):
            raise LanguageError(
                f"{self!r} takes {len(names)} input{'s'[: len(names) != 1]}, and {count}"
                f" {'is' if count == 1 else 'are'} given",
                hint=f"It takes {', '.join(names)}.",
                loc=loc,
            )

    def __call__(self, *xs: Any) -> Any:
        """On values of a net being traced, its outputs; on arrays ``[T, B, …]``, the reference machine's."""
        traced = next((x for x in xs if isinstance(x, Value)), None)
        if traced is not None:
            return traced.trace.call(self, [traced.trace.alive(x) if isinstance(x, Value) else x for x in xs])
        from rnnc.frontend.running import reference

        return reference(self, *xs)[0]

    @property
    def params(self) -> dict[str, Array]:
        """Every array by its path: weights and initial values, a shared layer's once."""
        from rnnc.frontend.weights import params

        return params(self)

    def load(self, source: str | PathLike[str] | Mapping[str, Any]) -> Layer:
        """Take the arrays of a safetensors or npz file, or of a mapping; initial values may be left out.

        The arrays are copied, all or none, and the layer itself is returned.
        """
        from rnnc.frontend.weights import load

        load(self, source)
        return self

    def _repr_html_(self) -> str | None:
        """What notebooks show: the graph, or nothing of their own where it cannot be traced."""
        from rnnc.frontend.assemble import trace
        from rnnc.view.notebook import picture

        try:
            return picture(trace(self), repr(self))
        except RnncError:
            return None

    def to_torch(self) -> Any:
        """The same equations as a ``torch.nn.Module``, with the same parameter names (an extra)."""
        from rnnc.torch import to_torch

        return to_torch(self)


def as_layer(model: Any) -> Layer:
    """The layer that ``model`` is; an error says what it should be."""
    if isinstance(model, Layer):
        model.inputs()
        return model
    raise LanguageError(
        f"{model!r:.60} is not a model",
        hint="Decorate the function with @net, or make it a net: net(f).",
        loc=here(),
    )


class Function(Layer):
    """A plain function of values, as an item of a Chain."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        super().__init__()
        self.fn, self.title = fn, title_of(fn)

    def __repr__(self) -> str:
        return self.title

    def inputs(self) -> tuple[InputSpec, ...]:
        """One for each parameter that must be given."""
        code = code_of(self.fn)
        try:
            parameters = inspect.signature(self.fn).parameters.values()
        except (TypeError, ValueError):  # not every callable has one
            return (InputSpec("x"),)
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        needed = [p.name for p in parameters if p.kind in kinds and p.default is p.empty]
        return tuple(InputSpec(name) for name in needed) if code and needed else (InputSpec("x"),)

    def accept(self, count: int, loc: Loc | None) -> None:
        """Refuse a call with too few values or too many, as far as the function tells."""
        try:
            signature = inspect.signature(self.fn)
        except (TypeError, ValueError):
            return
        try:
            signature.bind(*range(count))
        except TypeError as error:
            raise LanguageError(
                f"{self!r} cannot be called with {count} value{'s'[: count != 1]}: {error}", loc=loc
            ) from None

    def apply(self, trace: Trace, args: tuple[Value, ...]) -> Any:
        """What the function returns."""
        return trace.body(code_of(self.fn), lambda: self.fn(*args))

    def walk(self, path: str) -> Iterator[tuple[str, NetLayer, str]]:
        """Nothing: a function has no fields."""
        return iter(())


class Flipped(Layer):
    """A layer in reversed time: every delay in it looks the other way."""

    def __init__(self, inner: Layer) -> None:
        super().__init__()
        self.inner, self.title = inner, inner.title

    def __repr__(self) -> str:
        return f"flip({self.inner!r})"

    @property
    def shared(self) -> Layer:
        """The layer whose weights these are."""
        return self.inner.shared

    def inputs(self) -> tuple[InputSpec, ...]:
        """What the layer takes."""
        return self.inner.inputs()

    def apply(self, trace: Trace, args: tuple[Value, ...]) -> Any:
        """The layer's outputs, with time reversed."""
        trace.scope.sign = -trace.scope.sign
        return self.inner.apply(trace, args)

    def walk(self, path: str) -> Iterator[tuple[str, NetLayer, str]]:
        """The layer's own arrays."""
        return self.inner.walk(path)


def flip(layer: Layer) -> Layer:
    """``layer`` in reversed time: it runs from the last step to the first; outputs keep their places."""
    layer = as_layer(layer)
    return layer.inner if isinstance(layer, Flipped) else Flipped(layer)


class Chain(Layer):
    """Layers and functions one after another, each taking what the one before it gives.

    ``chain[i]`` is an item, ``chain[i:j]`` a Chain that shares its weights with this one.
    """

    title = "Chain"

    def __init__(self, *items: Any) -> None:
        super().__init__()
        for item in items:
            if not isinstance(item, Layer) and not callable(item):
                raise LanguageError(
                    f"{item!r:.60} cannot be in a Chain",
                    hint="Its items are layers and functions.",
                    loc=self.loc,
                )
        self.items = tuple(as_layer(i) if isinstance(i, Layer) else Function(i) for i in items)

    def __repr__(self) -> str:
        return f"Chain({', '.join(map(repr, self.items))})"

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.items)

    @overload
    def __getitem__(self, index: int) -> Layer: ...
    @overload
    def __getitem__(self, index: slice) -> Chain: ...
    def __getitem__(self, index: int | slice) -> Layer:
        return Chain(*self.items[index]) if isinstance(index, slice) else self.items[index]

    def inputs(self) -> tuple[InputSpec, ...]:
        """What the first item takes."""
        return self.items[0].inputs() if self.items else (InputSpec("x"),)

    def apply(self, trace: Trace, args: tuple[Value, ...]) -> Any:
        """What the last item gives."""
        result: Any = args if len(args) > 1 else args[0]
        for i, item in enumerate(self.items):
            try:
                result = trace.call(item, args, path=trace.scope.at(str(i)), made=item.loc)
            except TypeMismatch as e:
                if i and any(v is a for v in trace.clash for a in args):
                    raise self._clash(i, args, e) from None
                raise
            args = result if isinstance(result, tuple) else (result,)
        return result

    def _clash(self, i: int, args: tuple[Value, ...], e: TypeMismatch) -> TypeMismatch:
        """The error of an item that cannot take what comes before it, at the item itself."""
        gives = ", ".join(str(a.trace.sizes.type(a.type)) for a in args)
        return TypeMismatch(
            f"{self.items[i]!r} does not fit after {self.items[i - 1]!r}, which gives {gives}: {e.message}",
            hint=e.hint or "Make the sizes of neighbours in a Chain agree.",
            loc=self.items[i].loc,
            notes=(Note("it is used here", e.loc), Note("and given here", self.items[i - 1].loc)),
        )

    def walk(self, path: str) -> Iterator[tuple[str, NetLayer, str]]:
        """The arrays of every item, under its index."""
        for i, item in enumerate(self.items):
            yield from item.walk(f"{path}.{i}" if path else str(i))


@dataclass(frozen=True)
class Unrolled:
    """A model whose one run takes and gives ``steps`` steps of ``model``."""

    model: Layer
    steps: int
    separate: bool = False


def check_steps(steps: object, loc: Loc | None = None) -> None:
    """Refuse what is no number of steps to unroll."""
    if isinstance(steps, bool) or not isinstance(steps, int):
        raise FormError(f"unroll by {steps!r:.40}, which is no whole number of steps", loc=loc)
    if steps < 1:
        raise FormError(f"unroll by {steps}: there must be at least one step", loc=loc)


def unroll(model: Layer, steps: int, separate: bool = False) -> Unrolled:
    """A model whose one run takes and gives ``steps`` steps, ``separate`` ones as inputs of their own."""
    check_steps(steps, here())
    return Unrolled(as_layer(model), steps, separate)
