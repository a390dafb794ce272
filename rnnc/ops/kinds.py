"""The kinds of attributes: what the annotation of an op's attribute lets it be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np

from rnnc.dims import Poly
from rnnc.ops.declare import Op
from rnnc.types import DTYPES


def wrong(op: Op, attrs: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the attributes of a value that ``op`` computes."""
    for name, value in attrs.items():
        declared = op.attrs.get(name)
        if declared is None:
            yield f"has the attribute {name}, which {op.name} does not know"
        elif not _kind(declared.kind)(value):
            yield f"has {name} = {value!r}, which is no {declared.kind}"
    missing = [name for name, declared in op.attrs.items() if name not in attrs and declared.required]
    if missing:
        yield f"lacks the attribute {', '.join(missing)} of {op.name}"


def plain(op: Op, attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as users write them, in Python's own numbers, and floats where those are declared."""
    found = {name: _number(value) for name, value in attrs.items()}
    for name, value in found.items():
        if name in op.attrs and op.attrs[name].kind == "float" and _is_int(value):
            found[name] = float(value)
    return found


def _number(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return tuple(map(_number, value))
    return value.item() if isinstance(value, np.generic) else value


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_KINDS: dict[str, Callable[[Any], bool]] = {
    "None": lambda value: value is None,
    "bool": lambda value: isinstance(value, bool),
    "int": _is_int,
    "float": lambda value: isinstance(value, float) or _is_int(value),
    "str": lambda value: isinstance(value, str),
    "Dtype": lambda value: value in DTYPES,
    "Axis": lambda value: _is_int(value) and value >= 0,
    "Size": lambda value: isinstance(value, Poly) or _is_int(value),
}
_TUPLES = {"Axes": "Axis", "Perm": "Axis", "Shape": "Size", "Sizes": "Size"}


@cache
def _kind(kind: str) -> Callable[[Any], bool]:
    """Whether a value is of a kind of attributes; kinds that are not known here take anything."""
    choices = kind.split(" | ")
    if len(choices) > 1:
        return lambda value: any(_kind(c)(value) for c in choices)
    each = _TUPLES.get(kind) or (kind[len("tuple[") : -len(", ...]")] if kind.startswith("tuple[") else "")
    if each:
        return lambda value: isinstance(value, tuple) and all(map(_kind(each), value))
    return _KINDS.get(kind, lambda value: True)
