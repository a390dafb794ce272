"""Naming: the names of what loops take and give, which must differ from one another."""

from __future__ import annotations

from collections.abc import Container
from itertools import chain, count


def free(wanted: str, taken: Container[str]) -> str:
    """``wanted``, else ``wanted_2``, …: the first that is not taken."""
    return next(n for n in chain((wanted,), (f"{wanted}_{k}" for k in count(2))) if n not in taken)
