"""Dims: the sizes of axes, integers or polynomials in names with integer coefficients.

``dim("T+2")`` and ``dim("2*B")`` are polynomials; ``dim("B") - dim("B")`` is the integer 0: a dim that is
constant is always a plain ``int``, so that ``==`` decides equality of sizes for every value of the names.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping

Monomial = tuple[str, ...]


class Poly:
    """A polynomial in named sizes that is not a constant. Immutable, hashable, ordered by its text."""

    __slots__ = ("_hash", "terms")
    terms: tuple[tuple[Monomial, int], ...]

    def __init__(self, terms: tuple[tuple[Monomial, int], ...]) -> None:
        self.terms = terms
        self._hash = hash(terms)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Poly) and self.terms == other.terms

    def __lt__(self, other: object) -> bool:
        return str(self) < str(other)

    def __add__(self, other: int | Poly) -> int | Poly:
        return _make([*self.terms, *_terms(other)])

    __radd__ = __add__

    def __neg__(self) -> int | Poly:
        return _make([(m, -c) for m, c in self.terms])

    def __sub__(self, other: int | Poly) -> int | Poly:
        return self + (-other)

    def __rsub__(self, other: int | Poly) -> int | Poly:
        return -self + other

    def __mul__(self, other: int | Poly) -> int | Poly:
        return _make([(tuple(sorted(m + n)), c * d) for m, c in self.terms for n, d in _terms(other)])

    __rmul__ = __mul__

    def __floordiv__(self, other: int | Poly) -> int | Poly:
        """Exact division by an integer or by a single-term polynomial; ``ValueError`` if inexact."""
        ((divisor, by),) = _terms(other) if len(_terms(other)) == 1 else (((), 0),)
        if by == 0:
            raise ValueError(f"cannot divide {self} by {other}")
        out: list[tuple[Monomial, int]] = []
        for m, c in self.terms:
            rest = list(m)
            for name in divisor:
                if name not in rest:
                    raise ValueError(f"{self} is not a multiple of {other}")
                rest.remove(name)
            if c % by:
                raise ValueError(f"{self} is not a multiple of {other}")
            out.append((tuple(rest), c // by))
        return _make(out)

    def __str__(self) -> str:
        text = ""
        for m, c in self.terms:
            factors = ([str(abs(c))] if abs(c) != 1 or not m else []) + list(m)
            sign = "-" if c < 0 else "+" if text else ""
            text += sign + "*".join(factors)
        return text

    def __repr__(self) -> str:
        return f"dim({str(self)!r})"


def _terms(d: int | Poly) -> tuple[tuple[Monomial, int], ...]:
    return d.terms if isinstance(d, Poly) else (((), int(d)),)


def _make(terms: Iterable[tuple[Monomial, int]]) -> int | Poly:
    total: dict[Monomial, int] = {}
    for m, c in terms:
        total[m] = total.get(m, 0) + c
    kept = {m: c for m, c in total.items() if c}
    if not kept:
        return 0
    if set(kept) == {()}:
        return kept[()]
    return Poly(tuple(sorted(kept.items(), key=lambda t: (-len(t[0]), t[0]))))


def dim(d: int | str | Poly) -> int | Poly:
    """The dim that ``d`` writes: an integer, a name, or a polynomial such as ``"2*T + 1"``.

    Raises ``ValueError`` for any other text.
    """
    if isinstance(d, Poly):
        return d
    if not isinstance(d, str):
        return int(d)
    try:
        # Marked, for "in" is a word of Python's own expressions.
        marked = re.sub(r"\b[^\W\d]\w*", r"_\g<0>", d.strip())
        return _read(ast.parse(marked, mode="eval").body)
    except (SyntaxError, ValueError, RecursionError):
        raise ValueError(
            f"{d!r} is not a dim: write a number, a name, or sums and products of them"
        ) from None


_OPERATORS: Mapping[type, Callable[[int | Poly, int | Poly], int | Poly]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
}


def _read(e: ast.expr) -> int | Poly:
    match e:
        case ast.Constant(value=int(n)):
            return n
        case ast.Name(id=name):
            return Poly((((name[1:],), 1),))
        case ast.UnaryOp(op=ast.USub(), operand=x):
            return 0 - _read(x)
        case ast.BinOp(left=a, op=o, right=b) if type(o) in _OPERATORS:
            return _OPERATORS[type(o)](_read(a), _read(b))
    raise ValueError


def names(d: int | Poly) -> set[str]:
    """The names that ``d`` depends on."""
    return {n for m, _ in d.terms for n in m} if isinstance(d, Poly) else set()


def substitute(d: int | Poly, env: Mapping[str, int | Poly]) -> int | Poly:
    """``d`` with names replaced by other dims; names not in ``env`` stay."""
    if not isinstance(d, Poly) or not (names(d) & env.keys()):
        return d
    total: int | Poly = 0
    for m, c in d.terms:
        total = total + product((c, *(env[n] if n in env else Poly((((n,), 1),)) for n in m)))
    return total


def product(dims: Iterable[int | Poly]) -> int | Poly:
    """The product of dims; 1 for none."""
    out: int | Poly = 1
    for d in dims:
        out = out * d
    return out


def total(dims: Iterable[int | Poly]) -> int | Poly:
    """The sum of dims, in time linear in their terms; 0 for none."""
    return _make(term for d in dims for term in _terms(d))


def solve(a: int | Poly, b: int | Poly, free: set[str]) -> dict[str, int | Poly] | None:
    """A binding of one ``free`` name that makes ``a == b``: ``{}`` if they are equal, ``None`` without one.

    One linear equation is solved, in a name whose coefficient divides the rest.
    """
    rest = a - b
    if not isinstance(rest, Poly):
        return {} if rest == 0 else None
    for m, c in rest.terms:
        if len(m) == 1 and m[0] in free:
            others = rest - Poly(((m, c),))
            if m[0] in names(others):
                continue
            try:
                return {m[0]: (-others) // c if isinstance(others, Poly) else _exact(-others, c)}
            except ValueError:
                continue
    return None


def _exact(a: int, b: int) -> int:
    if a % b:
        raise ValueError
    return a // b


Dim = int | Poly
