"""What a net declares, read off its function: inputs, fields, and dimensions in order of first appearance."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from rnnc.dims import Poly
from rnnc.errors import LanguageError, Loc
from rnnc.frontend.inits import Declared, Stream
from rnnc.frontend.locations import here, start

#: The default of a field that must be given.
REQUIRED = inspect.Parameter.empty

#: What marks code that does not run when it is called.
_NOT_PLAIN = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR

_UNDECLARED = Stream((), "f32", declared=False)


@dataclass(frozen=True)
class InputSpec:
    """An input: its name and what is declared of it."""

    name: str
    declared: Stream = _UNDECLARED
    loc: Loc | None = None


@dataclass(frozen=True)
class Signature:
    """A net's inputs and fields."""

    title: str
    inputs: tuple[InputSpec, ...]
    fields: Mapping[str, Any] = field(default_factory=dict)

    def dims(self, dims_of: Callable[[Any], tuple[Any, ...]]) -> tuple[str, ...]:
        """The free dimensions; ``dims_of`` tells those of a field's default."""
        declared = [d for spec in self.inputs for d in spec.declared.dims]
        declared += [d for default in self.fields.values() for d in dims_of(default)]
        found = [name for d in declared if isinstance(d, Poly) for m, _ in d.terms for name in m]
        return tuple(dict.fromkeys(found))


def code_of(fn: Callable[..., Any]) -> CodeType | None:
    """The code that runs as the body of ``fn``, if it is written in Python."""
    inner: Any = inspect.unwrap(fn)
    inner = getattr(inner, "__func__", inner)
    code = getattr(inner, "__code__", None)
    return code if isinstance(code, CodeType) else None


def title_of(fn: Callable[..., Any]) -> str:
    """What a net is called in paths: its function's name; a lambda is a ``net``."""
    name = getattr(fn, "__name__", "net")
    return name if name.isidentifier() else "net"


def read(fn: Callable[..., Any]) -> Signature:
    """The signature of a net's function."""
    code = code_of(fn)
    if code is None:
        raise LanguageError(
            f"{fn!r:.60} is not a Python function", hint="A net is a function or a lambda.", loc=here()
        )
    at = start(code)
    if code.co_flags & _NOT_PLAIN:
        raise LanguageError(
            f"{title_of(fn)} is a generator or a coroutine", hint="A net's body returns its values.", loc=at
        )
    inputs, fields = [], {}
    for p in inspect.signature(fn).parameters.values():
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            raise LanguageError(
                f"{title_of(fn)} takes *{p.name}: a net names its inputs and fields",
                hint="Positional parameters are inputs, keyword-only ones (after *) are fields.",
                loc=at,
            )
        if p.kind is p.KEYWORD_ONLY:
            fields[p.name] = p.default
        elif p.default is p.empty:
            inputs.append(InputSpec(p.name, loc=at))
        elif isinstance(p.default, Stream):
            inputs.append(InputSpec(p.name, p.default, at))
        else:
            field_like = isinstance(p.default, Declared)
            raise LanguageError(
                f"{p.name} is an input of {title_of(fn)}, and its default is no declaration of one",
                hint=f"Fields stand after a *, as in def {title_of(fn)}(x, *, {p.name}=…)."
                if field_like
                else "Declare what one step looks like with stream(…) or given(…).",
                loc=at,
            )
    if not inputs:
        raise LanguageError(
            f"{title_of(fn)} has no input",
            hint="Positional parameters are inputs, keyword-only ones (after *) are fields.",
            loc=at,
        )
    return Signature(title_of(fn), tuple(inputs), fields)
