"""Space: what ``v[..., a:b]`` takes of the features.

A value of a net has the batch as its first axis, which cannot be indexed: an index starts with ``...``, or
with ``:`` in the batch's place. A weight has no batch axis, and is sliced as in NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from rnnc.errors import LanguageError
from rnnc.frontend.locations import here
from rnnc.ops import OPS

if TYPE_CHECKING:
    from rnnc.frontend.values import Value

_ALL = slice(None)


def sliced(v: Value, index: object) -> Any:
    """The features of ``v`` that ``index`` names."""
    parts = list(index) if isinstance(index, tuple) else [index]
    for p in parts:
        if p is not ... and not _is_integer(p) and not (isinstance(p, slice) and _is_plain(p)):
            raise LanguageError(
                f"{v.label} is indexed with {p!r:.40}: an index is made of slices and integers",
                hint="Look rows up with gather(table, indices); add axes with unsqueeze or reshape.",
                loc=here(),
            )
    rank = len(v.type.shape)
    gaps = [i for i, p in enumerate(parts) if p is ...]
    if len(gaps) > 1 or len(parts) - len(gaps) > rank:
        raise LanguageError(
            f"too many indices for {v.label}, whose type is {v.trace.sizes.type(v.type)}", loc=here()
        )
    at = gaps[0] if gaps else len(parts)
    whole = [_ALL] * (rank - len(parts) + len(gaps))
    parts = [*parts[:at], *whole, *parts[at + 1 :]]
    if v.batched and parts[0] != _ALL:
        raise LanguageError(
            "the batch axis cannot be indexed: every sequence means what it means alone",
            hint="Features are sliced with v[..., a:b]; v[-1] is one step ago.",
            loc=here(),
        )
    out: Any = v
    dropped = []
    for axis, p in enumerate(parts):
        if _is_integer(p):
            dropped.append(axis)
        part = slice(p, p + 1 or None) if _is_integer(p) else p
        if isinstance(part, slice) and part != _ALL:
            out = OPS["slice"](out, axis=axis, **_bounds(v, axis, part))
    return OPS["squeeze"](out, axes=tuple(dropped)) if dropped else out


def _is_integer(p: object) -> TypeGuard[int]:
    return isinstance(p, (int, np.integer)) and not isinstance(p, bool)


def _is_plain(p: slice) -> bool:
    return all(e is None or _is_integer(e) for e in (p.start, p.stop, p.step))


def _bounds(v: Value, axis: int, p: slice) -> dict[str, int | None]:
    """Attributes of ``slice``: counted from the front where the size is known and the step goes forward."""
    size = v.trace.sizes.resolve(v.type.shape[axis])
    step = 1 if p.step is None else int(p.step)
    if isinstance(size, int) and step > 0:
        start, stop, step = p.indices(size)
        if stop <= start:
            raise LanguageError(
                f"{p.start}:{p.stop} takes nothing of the {size} features of {v.label}", loc=here()
            )
        return {"start": start, "stop": stop, "step": step}
    start = p.start if p.start is not None else 0 if step > 0 else -1
    return {"start": start, "stop": p.stop, "step": step}
