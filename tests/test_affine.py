"""Matrices and forms as recipes: what they build is what NumPy computes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnc.build import Builder
from rnnc.ir import Graph, Interface, Output
from rnnc.machine.reference import run
from rnnc.passes.lift import Lift
from rnnc.pipeline import Pipeline
from rnnc.plans.affine import Form, Forms, Source
from rnnc.plans.matrix import Bias, Diagonal, Full, Matrix, Pick, Placed, spread, zeros
from rnnc.plans.mixtures import Mixture, Polynomial, polynomial, readings
from rnnc.text import parse


@dataclass(frozen=True)
class Meant:
    """A recipe, and the array that it should build."""

    recipe: Matrix
    array: Any


def numbers(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng([seed, *shape]).integers(-4, 5, shape).astype(np.float32)


def full(array: Any) -> Matrix:
    rows, cols = array.shape
    return Full(rows, cols, lambda b: b.const(array))


def factors(array: Any) -> Bias:
    return Bias(len(array), lambda b: b.const(array))


def built(recipe: Matrix | Bias) -> Any:
    """What a recipe builds, run on the reference machine."""
    graph = Graph("built", level="function")
    value = recipe.build(Builder(graph))
    graph.outputs["v"] = value
    graph.interface = Interface(outputs=(Output("v", graph.type(value)),))
    return run(graph.freeze(), {}).outputs["v"]


# -- every kind, and every operation on it ------------------------------------------------------------------


@st.composite
def matrices(draw: st.DrawFn, rows: int, cols: int, depth: int = 2) -> Meant:
    """A matrix of any kind."""
    kinds = ["full", "zeros"]
    kinds += ["pick"] if cols <= rows else []
    kinds += ["diagonal"] if rows == cols else []
    kinds += ["placed", "sum"] if depth else []
    seed = draw(st.integers(0, 9))
    match draw(st.sampled_from(kinds)):
        case "zeros":
            return Meant(zeros(rows, cols), np.zeros((rows, cols)))
        case "pick":
            at = draw(st.integers(0, rows - cols))
            return Meant(Pick(rows, cols, at), np.eye(rows)[:, at : at + cols])
        case "diagonal":
            d = numbers(cols, seed=seed)
            return Meant(Diagonal(cols, cols, factors(d)), np.diag(d))
        case "placed":
            width = draw(st.integers(1, cols))
            at = draw(st.integers(0, cols - width))
            inner = draw(matrices(rows, width, depth - 1))
            sides = (0, 0), (at, cols - at - width)
            return Meant(Placed(rows, cols, inner.recipe, at), np.pad(inner.array, sides))
        case "sum":
            one, other = (draw(matrices(rows, cols, depth - 1)) for _ in range(2))
            return Meant(one.recipe.plus(other.recipe), one.array + other.array)
    array = numbers(rows, cols, seed=seed)
    return Meant(full(array), array)


SIZE = st.integers(1, 4)


def same(recipe: Matrix | None, array: Any) -> None:
    if recipe is None:
        assert not np.any(array)
        return
    assert (recipe.rows, recipe.cols) == array.shape
    np.testing.assert_array_equal(built(recipe), array)
    diagonal = recipe.diagonal()
    if diagonal is not None:
        np.testing.assert_array_equal(np.diag(built(diagonal)), array)


@given(st.data(), SIZE, SIZE, SIZE)
def test_product(data: st.DataObject, n: int, m: int, k: int) -> None:
    a, b = data.draw(matrices(n, m)), data.draw(matrices(m, k))
    same(a.recipe.then(b.recipe), a.array @ b.array)
    row = numbers(m)
    np.testing.assert_array_equal(built(factors(row).through(b.recipe)), row @ b.array)


@given(st.data(), SIZE, SIZE)
def test_parts(data: st.DataObject, n: int, m: int) -> None:
    a = data.draw(matrices(n, m))
    low, high = sorted((data.draw(st.integers(0, m - 1)), data.draw(st.integers(1, m))))
    high = max(high, low + 1)
    same(a.recipe.columns(low, high), a.array[:, low:high])
    low = data.draw(st.integers(0, n - 1))
    same(a.recipe.lines(low, n), a.array[low:])


@given(st.data(), SIZE, SIZE)
def test_scaled_and_summed(data: st.DataObject, n: int, m: int) -> None:
    a, b, by = data.draw(matrices(n, m)), data.draw(matrices(n, m)), numbers(m)
    same(a.recipe.scaled(factors(by)), a.array * by)
    same(a.recipe.scaled(factors(by[:1])), a.array * by[0])
    same(a.recipe.plus(b.recipe), a.array + b.array)


def test_a_diagonal_survives_concat_and_split() -> None:
    p, q = numbers(3, seed=1), numbers(3, seed=2)
    fused = (
        Placed(3, 6, Diagonal(3, 3, factors(p)), 0)
        .plus(Placed(3, 6, Pick(3, 3), 3))
        .scaled(factors(np.tile(q, 2)))
    )
    for at, wanted in ((0, p * q), (3, q)):
        part = fused.columns(at, at + 3)
        assert part is not None
        diagonal = part.diagonal()
        assert diagonal is not None
        np.testing.assert_array_equal(built(diagonal), wanted)
    assert fused.columns(1, 4).diagonal() is None  # type: ignore[union-attr]


def test_biases() -> None:
    a, b = numbers(3, seed=1), numbers(3, seed=2)
    np.testing.assert_array_equal(built(factors(a).plus(factors(b[:1]), 3)), a + b[0])
    np.testing.assert_array_equal(built(factors(a[:1]).plus(Bias(1), 3)), np.full(3, a[0]))
    np.testing.assert_array_equal(built(factors(a).times(factors(b), 3)), a * b)
    np.testing.assert_array_equal(built(factors(a).times(Bias(3), 3)), np.zeros(3))
    np.testing.assert_array_equal(built(factors(a).columns(1, 3)), a[1:])
    np.testing.assert_array_equal(built(Bias(2)), np.zeros(2))


def test_one_feature_is_repeated() -> None:
    column = Form(1, {Source("state", "h"): full(numbers(3, 1))}, factors(numbers(1)))
    wide = column.wide(4)
    np.testing.assert_array_equal(built(wide.terms[Source("state", "h")]), np.tile(numbers(3, 1), 4))
    np.testing.assert_array_equal(built(wide.bias), np.tile(numbers(1), 4))
    np.testing.assert_array_equal(built(spread(2)), np.ones((1, 2)))


# -- forms of a body ----------------------------------------------------------------------------------------

EQUATIONS = {
    "products": "%9: f32[B, 3] = add(p, q)",
    "the other way round": "%9: f32[B, 3] = sub(q, p)",
    "scaled": "%8: f32[B, 3] = mul(p, 0.5)\n%9: f32[B, 3] = sub(%8, q)",
    "by feature": "%8: f32[B, 3] = mul(b, p)\n%9: f32[B, 3] = add(%8, b)",
    "side by side": """%6: f32[B, 6] = concat(q, p) {axis = 1}
                       %9: f32[B, 3] = slice(%6) {axis = 1, start = -5, stop = -2}""",
    "taken apart": """%6: f32[B, 6] = concat(h1, p) {axis = 1}
                      %7: (f32[B, 2], f32[B, 3], f32[B, 1]) = split(%6) {axis = 1, sizes = (2, 3, 1)}
                      %9: f32[B, 3] = item(%7) {k = 1}""",
    "a product of a product": "%8: f32[B, 3] = matmul(p, R)\n%9: f32[B, 3] = neg(%8)",
    "one feature for all": """%7: f32[B, 1] = matmul(h1, c)
                              %8: f32[B, 3] = concat(%7, %7, %7) {axis = 1}
                              %9: f32[B, 3] = add(%8, b)""",
    "twice the same": "%8: f32[B, 3] = add(p, p)\n%9: f32[B, 3] = add(%8, h1)",
}


@pytest.mark.parametrize("equation", EQUATIONS.values(), ids=EQUATIONS)
@pytest.mark.parametrize("stream", ["x", "%0"])
def test_forms(equation: str, stream: str) -> None:
    """A form, evaluated, is the value: outside of the loop as inside of it."""
    text = f"""
    net f(stream x: f32[B, 4], param W: f32[4, 3], param R: f32[3, 3], param c: f32[3, 1], param b: f32[3],
          state h: f32[B, 3] = y) -> (y, %9) {{
      h1: f32[B, 3] = delay(y, h.init) {{k = 1}}
      %0: f32[B, 4] = tanh(x)
      q: f32[B, 3] = matmul({stream}, W)
      p: f32[B, 3] = matmul(h1, R)
      {equation}
      y: f32[B, 3] = sin(%9)
    }}
    """
    graph = Pipeline((Lift(),)).run(parse(text))
    (region,) = graph.find("region")
    (sine,) = graph[region].attrs["body"].find("sin")
    forms = Forms(graph, region)
    form = forms.of(graph[region].attrs["body"].operands(sine)[0])
    params = {"W": numbers(4, 3), "R": numbers(3, 3), "c": numbers(3, 1), "b": numbers(3)}
    found = run(graph, {"x": numbers(5, 2, 4)}, {"h": numbers(2, 3)}, params)
    y, affine = found.outputs["y"], found.outputs[graph.interface.outputs[1].name]
    sources: dict[str, Any] = {
        "h": np.concatenate([numbers(2, 3)[None], y[:-1]]),
        "x": numbers(5, 2, 4).astype(float),
        "%0": np.tanh(numbers(5, 2, 4).astype(float)),
    }
    total: Any = _built(graph, form.bias, params)
    for source, m in form.terms.items():
        assert source.kind != "value"
        name = source.name if source.name in sources else "%0"
        total = total + sources[name] @ _built(graph, m, params)
    np.testing.assert_allclose(np.broadcast_to(total, affine.shape), affine, rtol=1e-12, atol=1e-12)


def _built(graph: Graph, recipe: Matrix | Bias, params: Any) -> Any:
    """What a recipe over the weights of a graph builds."""
    new = graph.copy()
    value = recipe.build(Builder(new))
    new.outputs = {"v": value}
    new.interface = replace(graph.interface, params=params)
    return run(new, {"x": np.zeros((1, 1, 4))}, {"h": np.zeros((1, 3))}).outputs["v"]


# -- mixtures -----------------------------------------------------------------------------------------------


def body(equation: str) -> Graph:
    """A graph of values ``a``, ``b``, ``h`` and ``n``, and a mask ``m``, of which ``y`` is made."""
    head = (
        "net f(stream a: f32[B, 3], stream b: f32[B, 3], stream h: f32[B, 3], stream n: f32[B, 3],"
        " stream m: bool[B, 3]) -> (y) {"
    )
    return parse(f"{head}\n{equation}\n}}")


@pytest.mark.parametrize(
    ("equation", "wanted"),
    [
        (
            "%0: f32[B, 3] = sub(a, b)\n%1: f32[B, 3] = mul(%0, 2.0)\ny: f32[B, 3] = mul(%1, h)",
            {("a", "h"): 2, ("b", "h"): -2},
        ),
        ("%0: f32[B, 3] = sub(1.0, a)\ny: f32[B, 3] = sub(1.0, %0)", {("a",): 1}),
        ("%0: f32[B, 3] = neg(a)\ny: f32[B, 3] = add(a, %0)", {}),
        (
            """%0: f32[B, 3] = sigmoid(a)\n%1: f32[B, 3] = neg(a)\n%2: f32[B, 3] = sigmoid(%1)
               y: f32[B, 3] = add(%0, %2)""",
            {(): 1},
        ),
    ],
)
def test_polynomial(equation: str, wanted: Any) -> None:
    assert polynomial(body(equation), "y") == wanted


def test_what_is_too_long_is_not_multiplied_out() -> None:
    lines = ["%0: f32[B, 3] = add(a, b)"]
    lines += [f"%{k + 1}: f32[B, 3] = mul(%{k}, %{k})" for k in range(8)]
    found = polynomial(body("\n".join([*lines, "y: f32[B, 3] = neg(%8)"])), "y")
    assert len(found) < 20


A, B_, N = ({(v,): 1.0} for v in "abn")
ONE = {(): 1.0}


@pytest.mark.parametrize(
    ("equation", "keep", "wanted"),
    [
        (
            "%0: f32[B, 3] = sub(h, n)\n%1: f32[B, 3] = mul(a, %0)\ny: f32[B, 3] = add(n, %1)",
            A,
            [({(): 1, ("a",): -1}, N), (N, {(): 1, ("a",): -1}), (ONE, {("n",): 1, ("a", "n"): -1})],
        ),
        (
            "y: f32[B, 3] = where(m, n, h)",
            {(): 1, ("m",): -1},
            [(N, {("m",): 1}), ({("m",): 1}, N), (ONE, {("m", "n"): 1})],
        ),
        (
            "%0: f32[B, 3] = mul(h, a)\n%1: f32[B, 3] = mul(b, n)\ny: f32[B, 3] = add(%0, %1)",
            A,
            [(N, B_), (B_, N), (ONE, {("b", "n"): 1})],
        ),
        (
            "%0: f32[B, 3] = mul(h, a)\n%1: f32[B, 3] = mul(b, n)\ny: f32[B, 3] = sub(%0, %1)",
            A,
            [
                ({("n",): -1}, B_),
                (B_, {("n",): -1}),
                ({("b",): -1}, N),
                (N, {("b",): -1}),
                (ONE, {("b", "n"): -1}),
            ],
        ),
        ("%0: f32[B, 3] = mul(h, 0.5)\ny: f32[B, 3] = add(n, %0)", {(): 0.5}, [(ONE, N)]),
        ("%0: f32[B, 3] = mul(h, h)\n%1: f32[B, 3] = mul(b, n)\ny: f32[B, 3] = add(%0, %1)", {}, []),
        ("%0: f32[B, 3] = mul(b, n)\ny: f32[B, 3] = add(a, %0)", {}, []),
    ],
)
def test_readings(equation: str, keep: Any, wanted: list[Any]) -> None:
    found = list(readings(polynomial(body(equation), "y"), lambda v: v == "h"))
    assert found == [Mixture(keep, gate, new) for gate, new in wanted]


@pytest.mark.parametrize(("keep", "gate", "convex"), [(0.7, 0.3, True), (0.5, 0.25, False)])
def test_shares_of_one(keep: float, gate: float, convex: bool) -> None:
    kept: Polynomial = {(): float(np.float32(keep))}
    gated: Polynomial = {(): float(np.float32(gate))}
    new: Polynomial = {("n",): 1.0}
    assert Mixture(kept, gated, new).convex == convex
    assert not Mixture({("a",): 1.0}, gated, new).convex
