"""One run of a model on symbolic values.

A :class:`Trace` records every value that the bodies compute, in order. Applying an op infers its type at
once, so that a clash is reported on the line that caused it; sizes still unknown are found on the way
(:mod:`~rnnc.frontend.unify`). Calling a layer opens a :class:`~rnnc.frontend.scope.Scope`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnc.dims import Dim
from rnnc.errors import FormError, LanguageError, Loc, Note, SourceError, TypeMismatch
from rnnc.frontend.locations import span, user_frame
from rnnc.frontend.scope import Scope, looks_like_weight, unassigned
from rnnc.frontend.unify import BATCH, Sizes
from rnnc.frontend.values import Delay, Field, Plain, Value, running
from rnnc.ir import Array, Attr
from rnnc.ops.declare import Op, broadcast_shapes
from rnnc.ops.kinds import plain, wrong
from rnnc.types import TensorType, TupleType, Type, short_dtype, type_of

if TYPE_CHECKING:
    from rnnc.frontend.layers import Layer
    from rnnc.frontend.nets import NetLayer
    from rnnc.frontend.signature import InputSpec

#: How many steps away a delay may read: files count them in 64 bits, and machines remember fewer.
FURTHEST = 2**31 - 1

#: How deep calls of layers may be nested.
_DEEPEST = 50

Shapes = Mapping[str, Sequence[int] | int]


class Trace:
    """One run of a model on symbolic values, and all that it leaves behind."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.sizes = Sizes()
        self.values: list[Value] = []
        self.scopes: list[Scope] = []
        self.scope = self._new_scope("", None, 1)
        self.inputs: dict[str, Value] = {}
        self.kinds: dict[str, str] = {}
        self.names: dict[str, Value] = {}
        self.weights: dict[str, tuple[NetLayer, str]] = {}
        self.params: dict[str, Value] = {}
        self.starts: set[str] = set()
        self.clash: tuple[Value, ...] = ()
        self._paths: dict[tuple[int, str], str] = {}
        self._layers: dict[int, Layer] = {}

    # -- running a model ----------------------------------------------------------------
    @contextmanager
    def active(self) -> Iterator[None]:
        """Let bodies compute with this trace's values."""
        token = running.set(self)
        try:
            with self.sizes.unifying():
                yield
        finally:
            running.reset(token)
            self.scope.open = False

    def run(self, layer: Layer, shapes: Shapes | None = None) -> tuple[Value, ...]:
        """Run ``layer`` on inputs as it declares them and return its outputs."""
        specs = layer.inputs()
        for name in shapes or {}:
            if name not in (s.name for s in specs):
                known = ", ".join(s.name for s in specs)
                raise FormError(
                    f"shapes gives {name}, which is not an input", hint=f"The inputs are {known}."
                )
        for spec in specs:
            self.inputs[spec.name] = self._input(spec, (shapes or {}).get(spec.name))
            self.kinds[spec.name] = spec.declared.kind
        self._register(layer, "")
        result = self._inside(self.scope, layer, tuple(self.inputs.values()))
        return result if isinstance(result, tuple) else (result,)

    def _input(self, spec: InputSpec, shape: Sequence[int] | int | None) -> Value:
        dims: tuple[Dim, ...] | None = spec.declared.dims if spec.declared.declared else None
        if shape is not None:
            sizes: Sequence[Any] = shape if isinstance(shape, Sequence) else (shape,)
            asked = tuple(int(d) if isinstance(d, np.integer) else d for d in sizes)
            if dims is not None and dims != asked:
                raise FormError(f"shapes gives {spec.name} as {asked}, and it is declared as {dims}")
            if not all(isinstance(d, int) and d > 0 for d in asked):
                raise FormError(f"shapes gives {spec.name} as {asked}: sizes are whole numbers above 0")
            dims = asked
        features = (self.sizes.new(spec.name),) if dims is None else dims
        type = TensorType(spec.declared.dtype, (BATCH, *features))
        value = Value(self, "input", (), type, spec.loc)
        value.name = spec.name
        value.invariant = spec.declared.kind == "given"
        return value

    def call(self, layer: Layer, args: Sequence[object], path: str = "", made: Loc | None = None) -> Any:
        """Call a layer from a body; ``path`` is that of its scope, by default from its name.

        An error inside is noted to be in the layer called here, or ``made`` there.
        """
        loc = made or self.locate()
        for a in args:
            if not isinstance(a, Value):
                raise LanguageError(
                    f"{layer!r} is called with {a!r:.40}, which is not a symbolic value", loc=loc
                )
        if self.scope.depth > _DEEPEST:
            raise LanguageError(
                f"{layer!r} is called inside {_DEEPEST} others: does it call itself?", loc=loc
            )
        values = tuple(self.read(a, loc) for a in args if isinstance(a, Value))
        path = path or self.scope.child(layer)
        self._register(layer, path)
        layer.accept(len(values), loc)
        scope = self._new_scope(path, self.scope, self.scope.sign)
        try:
            return self._inside(scope, layer, values)
        except SourceError as e:
            if loc and loc != e.loc:
                e.notes += (Note(f"in {layer!r}, called here", loc),)
            raise

    def _new_scope(self, path: str, parent: Scope | None, sign: int) -> Scope:
        scope = Scope(path, parent, sign)
        self.scopes.append(scope)
        return scope

    def _inside(self, scope: Scope, layer: Layer, args: tuple[Value, ...]) -> Any:
        before, self.scope = self.scope, scope
        try:
            result = layer.apply(self, args)
        finally:
            self.scope = before
            scope.open = scope is before
        for value in result if isinstance(result, tuple) else (result,):
            if value.scope is scope:
                value.scope = before
        return result

    def body(self, code: Any, run: Callable[[], object]) -> Any:
        """Run a body in the current scope, tie its feedback, and return its values."""
        scope = self.scope
        scope.code = code
        result = run()
        scope.close(self)
        returned, _ = scope.returned
        several = isinstance(result, (tuple, list))
        items = (tuple(result) if isinstance(result, (tuple, list)) else ()) or (result,)
        for item in items:
            if not isinstance(item, Value):
                empty = item is None or (isinstance(item, (tuple, list)) and not item)
                raise LanguageError(
                    f"the body returns {'nothing' if empty else repr(item)}",
                    hint="Return one of its values, or a tuple of them.",
                    loc=returned,
                )
        values = tuple(self.read(self.alive(v), returned) for v in items)
        return values if several else values[0]

    def _register(self, layer: Layer, path: str) -> None:
        """Give the weights of a layer their paths: a shared one keeps the first."""
        if id(layer) in self._layers:
            return
        self._layers[id(layer)] = layer
        for at, owner, name in layer.walk(path):
            if (id(owner), name) not in self._paths:
                self._layers[id(owner)] = owner
                self._paths[id(owner), name] = at
                self.weights[at] = owner, name

    def path_of(self, layer: NetLayer, name: str) -> str:
        """The path of a field's array."""
        return self._paths[id(layer), name]

    # -- values ----------------------------------------------------------------
    def record(self, value: Value) -> int:
        """Keep a new value, and return its place in order."""
        self.values.append(value)
        return len(self.values) - 1

    def locate(self) -> Loc | None:
        """Where the user's code stands; the running body's frame is kept when first seen."""
        frame = user_frame()
        if self.scope.frame is None and self.scope.code is not None:
            self.scope.seen_from(frame)
        return span(frame) if frame else None

    def alive(self, value: Value) -> Value:
        """The value, which must belong to a net that is being traced now."""
        if running.get() is not self or value.trace is not self or not value.scope.open:
            raise LanguageError(
                f"{value.label} is used after its net has returned",
                hint="A symbolic value lives while its net is traced: return it, or pass it to the next net.",
                loc=self.locate(),
            )
        return value

    def read(self, value: Value, loc: Loc | None) -> Value:
        """The value itself; for a field, its weight."""
        if not isinstance(value, Field):
            return value
        value.bare = value.bare or loc
        return self.param(value.layer, value.name, value.array)

    def param(self, layer: NetLayer, name: str, array: Array) -> Value:
        """The weight that a field holds."""
        path = self.path_of(layer, name)
        if path not in self.params:
            self.params[path] = Value(self, "param", (), type_of(array), None, {"array": array})
            self.params[path].name = path
            self.params[path].scope = self.scopes[0]
        return self.params[path]

    def const(self, value: object, dtype: str = "") -> Value:
        """A constant. A float array has 32 bits, as weights have."""
        array = np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        if dtype and dtype != short_dtype(array.dtype):
            array = np.asarray(value, TensorType(dtype).numpy)
        array = array.copy()
        array.flags.writeable = False
        return Value(self, "const", (), type_of(array), None, {"value": array})

    def operands(self, args: Sequence[object], loc: Loc | None) -> tuple[Value, ...]:
        """What an op reads: fields become weights; numbers take the element type of what they stand by."""
        found = [self.read(self.alive(a), loc) if isinstance(a, Value) else a for a in args]
        dtypes = [v.type.dtype for v in found if isinstance(v, Value)]
        dtype = next((d for d in dtypes if d != "bool"), "f32")
        return tuple(a if isinstance(a, Value) else self._constant(a, dtype, loc) for a in found)

    def _constant(self, a: object, dtype: str, loc: Loc | None) -> Value:
        if not isinstance(a, Plain):
            raise LanguageError(
                f"{a!r:.60} cannot be computed with: it is neither a value of the net nor a number",
                hint="A layer is called on values, as in layer(x).",
                loc=loc,
            )
        if isinstance(a, np.ndarray) and a.ndim:
            return self.const(a)
        if isinstance(a, (bool, np.bool_)):
            return self.const(a)
        try:
            exact = np.asarray(a, TensorType(dtype).numpy)
        except OverflowError:
            raise TypeMismatch(f"a number of {len(str(a))} digits does not fit {dtype}", loc=loc) from None
        if not TensorType(dtype).floating and exact != np.asarray(a):
            raise TypeMismatch(
                f"{a!r} meets {dtype}, whose elements are whole numbers",
                hint='Convert with cast(v, "float32").',
                loc=loc,
            )
        return self.const(exact, dtype)

    def apply(self, op: Op, args: Sequence[object], attrs: Mapping[str, Attr]) -> Any:
        """The value, or the tuple of values, of an op."""
        loc = self.locate()
        attrs = plain(op, attrs)
        for message in wrong(op, attrs):
            raise LanguageError(f"{op.name} {message}", loc=loc)
        least, _ = op.arity()
        while len(args) > least and args[-1] is None:  # optional operands left out
            args = args[:-1]
        values = self.operands(args, loc)
        try:
            types = self._operand_types(op, values)
            kind = op.infer(*types, **attrs)
            self._check_batch(op, values, kind)
        except TypeMismatch as e:
            for v in values:
                if isinstance(v, Delay) and isinstance(v.of, Field) and looks_like_weight(v.of):
                    raise unassigned(v.of) from None
            e = self._told(op, values, attrs, e)
            e.loc = e.loc or loc
            e.notes += tuple(
                Note(f"{v.label} is {self.sizes.type(v.type)}", v.loc)
                for v in dict.fromkeys(values)
                if v.op != "const"
            )
            self.clash = values
            raise e from None
        value = Value(self, op.name, values, kind, loc, attrs)
        if isinstance(kind, TupleType):
            return tuple(Value(self, "item", (value,), t, loc, {"k": k}) for k, t in enumerate(kind.items))
        return value

    def _told(
        self, op: Op, values: tuple[Value, ...], attrs: Mapping[str, Attr], clash: TypeMismatch
    ) -> TypeMismatch:
        """A clash in terms of the sizes that have been found."""
        try:
            op.infer(*(self.sizes.type(v.type) for v in values), **attrs)
        except TypeMismatch as e:
            return e
        return clash

    def _operand_types(self, op: Op, values: tuple[Value, ...]) -> list[TensorType]:
        if not op.elementwise or len(values) < 2:
            return [self.sizes.type(v.type) for v in values]
        for field in values:
            if field.op == "param" or (isinstance(field, Delay) and field.fed_back):
                for other in values:
                    self._meet(field, other)
        return [self.sizes.known_ones(v.type) for v in values]

    def _meet(self, field: Value, other: Value) -> None:
        """An unknown size that meets a field element by element is the field's, and never broadcasts."""
        for a, b in zip(reversed(field.type.shape), reversed(other.type.shape), strict=False):
            if self.sizes.open(b) and not self.sizes.open(a) and self.sizes.same(a, b) is None:
                raise TypeMismatch(
                    f"{other.label} is {self.sizes.type(other.type)} and meets {field.label}, which is"
                    f" {field.type}: {self.sizes.resolve(b)} is not {a}",
                    hint="An input without declared dimensions has the size of the fields it meets:"
                    " declare it with stream(…) to broadcast.",
                )

    def _check_batch(self, op: Op, values: tuple[Value, ...], kind: Type) -> None:
        batched = any(v.batched for v in values)
        for t in kind.items if isinstance(kind, TupleType) else (kind,):
            if batched != (t.shape[:1] == (BATCH,)) or any(d == BATCH for d in t.shape[1:]):
                shown = " and ".join(str(self.sizes.type(v.type)) for v in values)
                raise TypeMismatch(
                    f"{op.name} of {shown} mixes the batch axis with features",
                    hint="The batch axis stays first: give a number a feature axis with reshape(v, 1).",
                )

    def delay(self, value: Value, k: int, init: object = None, *, explicit: bool = False) -> Value:
        """``value`` as it was ``k`` steps ago; an ``explicit`` one may be of an invariant."""
        loc = self.locate()
        self.alive(value)
        if abs(k) > FURTHEST:
            raise LanguageError(f"a delay of {k:,} steps: the furthest is {FURTHEST:,}", loc=loc)
        if k == 0 and not isinstance(value, Field):
            return value
        if value.final:
            raise LanguageError(
                f"{value.label} is known at the last step only, and has no step before", loc=loc
            )
        if value.op == "param" or (value.invariant and not isinstance(value, Field) and not explicit):
            raise LanguageError(
                f"{value.label} is the same at every step, and an integer index is time",
                hint="For features use a slice, v[..., a:b].",
                loc=loc,
            )
        if not isinstance(value, Field) and not value.batched:
            raise LanguageError(
                f"{value.label} has no batch axis: only a value of a stream can be delayed", loc=loc
            )
        start = None if init is None else self._initial(value, init, loc)
        delay = Delay(self, value, k * self.scope.sign, start, loc)
        if isinstance(value, Field):
            value.delays.append(delay)
        else:
            delay.held = () if explicit and init is not None else self.scope.holders(value)
            self.scope.delays.append(delay)
        return delay

    def _initial(self, value: Value, init: object, loc: Loc | None) -> Value:
        slot = value.slot if isinstance(value, Field) else value.type
        if isinstance(init, np.ndarray) and np.can_cast(init.dtype, slot.numpy, "same_kind"):
            start = self.const(init, slot.dtype)
        elif isinstance(init, Value):
            (start,) = self.operands([init], loc)
        else:
            start = self._constant(init, slot.dtype, loc)
        if not start.invariant:
            raise LanguageError(
                f"{start.label} changes from step to step, and cannot be an initial value",
                hint="An initial value is a number, a weight, or for a look ahead anything that is given.",
                loc=loc,
            )
        shown = f"an initial value {start.type} does not fit {value.label}, which is {self.sizes.type(slot)}"
        try:
            shape = broadcast_shapes(start.type.shape, slot.shape)
        except TypeMismatch:
            raise TypeMismatch(shown, loc=loc) from None
        if start.type.dtype != slot.dtype or TensorType(slot.dtype, shape) != self.sizes.type(slot):
            raise TypeMismatch(shown, loc=loc)
        return start
