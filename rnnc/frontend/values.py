"""The symbolic values that the body of a net computes with.

A :class:`Value` has a type and knows its operands and its place in the source; the operators of
:class:`~rnnc.ops.operators.Arithmetic`, the language's functions and indexing make new ones. A
:class:`Field` stands for a weight or a state under its name, until the body shows which of the two it is. A
:class:`Delay` is a value at another step; what it delays may be settled only when the body returns.

What Python would need a number for, a symbolic value refuses, with a sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from rnnc.dims import Dim
from rnnc.errors import LanguageError, Loc
from rnnc.frontend.indexing import sliced
from rnnc.frontend.locations import at_step, here
from rnnc.frontend.unify import BATCH
from rnnc.ir import Array, Attr
from rnnc.ops import OPS
from rnnc.ops.declare import Op
from rnnc.ops.operators import Arithmetic
from rnnc.types import TensorType, Type

if TYPE_CHECKING:
    from rnnc.frontend.nets import NetLayer
    from rnnc.frontend.scope import Scope
    from rnnc.frontend.trace import Trace

#: What may stand next to a symbolic value: it becomes a constant.
Plain = (bool, int, float, np.generic, np.ndarray)

#: The trace that is running.
running: ContextVar[Trace | None] = ContextVar("running", default=None)

_OURS_INSTEAD = "Use the language's functions, such as rnnc.tanh, instead of NumPy's."

#: NumPy's functions that its arrays' operators call when a symbolic value stands on the right.
_REFLECTED: Mapping[str, str] = {
    "add": "add",
    "subtract": "sub",
    "multiply": "mul",
    "divide": "div",
    "true_divide": "div",
    "matmul": "matmul",
    "power": "pow",
}


class Value(Arithmetic):
    """What a net's body computes with instead of arrays: one step of a stream, or an invariant."""

    def __init__(
        self,
        trace: Trace,
        op: str,
        args: tuple[Value, ...],
        kind: Type,
        loc: Loc | None,
        attrs: Mapping[str, Attr] | None = None,
    ) -> None:
        self.trace, self.op, self.args, self.kind, self.loc = trace, op, args, kind, loc
        self.attrs = attrs or {}
        self.scope: Scope = trace.scope
        self.name = ""
        self.invariant: bool = all(a.invariant for a in args)
        self.final: bool = op == "last" or any(a.final for a in args)
        self.order = trace.record(self)

    def __rnnc_op__(self, op: Op, args: tuple[Any, ...], attrs: Mapping[str, Attr]) -> Any:
        return self.trace.apply(op, args, attrs)

    def __repr__(self) -> str:
        return f"<{self.label}: {self.trace.sizes.type(self.type)}>"

    @property
    def type(self) -> TensorType:
        """The type, of a value that is one tensor."""
        assert isinstance(self.kind, TensorType), f"{self.op} gives a tuple"
        return self.kind

    @property
    def label(self) -> str:
        """How messages call it."""
        return self.name or f"the {self.op}"

    @property
    def batched(self) -> bool:
        """Whether the first axis is the batch: not so of weights, constants and what follows from them."""
        return bool(self.type.shape) and self.type.shape[0] == BATCH

    @property
    def features(self) -> tuple[Dim, ...]:
        """The sizes of all axes but the batch, some of them perhaps unknown."""
        shape = self.trace.sizes.type(self.type).shape
        return shape[1:] if self.batched else shape

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the feature axes; the batch axis is not among them."""
        if not all(isinstance(d, int) for d in self.features):
            raise LanguageError(
                f"the shape of {self.label}, {self.trace.sizes.type(self.type)}, is not known yet",
                hint="Declare the input's dimensions with stream(…).",
                loc=here(),
            )
        return tuple(d for d in self.features if isinstance(d, int))

    @property
    def T(self) -> Any:
        """The last two feature axes exchanged."""
        n = len(self.features)
        if n < 2:
            raise LanguageError(f"{self.label} has no two feature axes to exchange", loc=here())
        first = int(self.batched)
        perm = (*range(first + n - 2), first + n - 1, first + n - 2)
        return OPS["transpose"](self, perm=perm)

    def __getitem__(self, index: object) -> Any:
        """An integer index is time, anything else is space."""
        if isinstance(index, (int, np.integer)) and not isinstance(index, bool):
            return self.trace.delay(self, -int(index))
        return sliced(self, index)

    # -- comparisons: element by element, as all else ----------------------
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> Any:
        return OPS["equal"](self, other)

    def __ne__(self, other: object) -> Any:
        return OPS["logical_not"](OPS["equal"](self, other))

    def __lt__(self, other: object) -> Any:
        return OPS["less"](self, other)

    def __le__(self, other: object) -> Any:
        return OPS["less_equal"](self, other)

    def __gt__(self, other: object) -> Any:
        return OPS["greater"](self, other)

    def __ge__(self, other: object) -> Any:
        return OPS["greater_equal"](self, other)

    # -- what only a number, a container or an array has -------------------
    def _refuse(self, what: str, hint: str) -> NoReturn:
        raise LanguageError(f"{self.label} has no {what} while the net is traced", hint=hint, loc=here())

    def __bool__(self) -> NoReturn:
        self._refuse("truth value", "Choose element by element with where(condition, a, b).")

    def __len__(self) -> NoReturn:
        self._refuse(
            "length", "Its feature sizes are in .shape; the numbers of steps and sequences stay open."
        )

    def __iter__(self) -> NoReturn:
        self._refuse("items to iterate over", "Take features apart with split(v, n) or v[..., a:b].")

    def __contains__(self, item: object) -> NoReturn:
        self._refuse("items to search", "Compare element by element, as in v == 0.")

    def __float__(self) -> NoReturn:
        self._refuse(
            "number", "Stay with the language's functions; convert element types with cast(v, dtype)."
        )

    __int__ = __index__ = __complex__ = __float__

    def __setitem__(self, index: object, value: object) -> NoReturn:
        self._refuse("parts to assign", "Values do not change: build a new one with concat, stack or where.")

    def __array__(self, *_: object, **__: object) -> NoReturn:
        self._refuse("array", _OURS_INSTEAD)

    def __array_function__(self, function: Callable[..., Any], *_: object) -> NoReturn:
        self._refuse(f"value for numpy.{function.__name__}", _OURS_INSTEAD)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: object, **options: object) -> Any:
        """An array's own operator, ``array * v``, builds; NumPy's functions are refused."""
        operation = _REFLECTED.get(ufunc.__name__)
        if operation is None or method != "__call__" or options or isinstance(inputs[0], Value):
            self._refuse(f"value for numpy.{ufunc.__name__}", _OURS_INSTEAD)
        return OPS[operation](*inputs)


class Field(Value):
    """A field under its name: a weight where it is read as it is, a state where it is read with an index."""

    def __init__(self, trace: Trace, layer: NetLayer, name: str, array: Array, type: TensorType) -> None:
        super().__init__(trace, "field", (), type, None)
        self.layer, self.name, self.array = layer, name, array
        self.invariant = True
        self.bare: Loc | None = None
        self.delays: list[Delay] = []
        self.bound: Value | None = None

    @property
    def label(self) -> str:
        """How messages call it."""
        return self.name

    @property
    def slot(self) -> TensorType:
        """The type of the state, the batch axis first. An initial value ``(1, …)`` broadcasts over it."""
        shape = self.type.shape
        if self.layer.kinds[self.name] is None and len(shape) > 1 and shape[0] == 1:
            shape = shape[1:]
        return TensorType(self.type.dtype, (BATCH, *shape))


class Delay(Value):
    """``of`` at another step: ``k`` steps ago, or in ``-k`` steps. ``init`` is ``None`` for the usual one.

    ``home`` is the scope in which it was taken; ``held`` are the fields' names bound to ``of`` then.
    """

    def __init__(self, trace: Trace, of: Value, k: int, init: Value | None, loc: Loc | None) -> None:
        super().__init__(trace, "delay", (), of.slot if isinstance(of, Field) else of.type, loc)
        self.of, self.k, self.init, self.home = of, k, init, trace.scope
        self.invariant = False
        self.held: tuple[str, ...] = ()
        self.fed_back = isinstance(of, Field)

    @property
    def label(self) -> str:
        """How messages call it: as it is written."""
        return self.name or at_step(self.of.label, -self.k * self.home.sign, self.loc)
