"""What the notation means: each form of it against the same net in Python, and Julia's precedence."""

from __future__ import annotations

import numpy as np
import pytest

import rnnc
from rnnc import Chain, concat, flip, glorot, net, relu, softmax, tanh, where, zeros
from rnnc import sigmoid as σ
from rnnc.cells import Affine, Bidirectional, GatedRecurrent
from rnnc.errors import FormError
from rnnc.flux.definitions import Definitions
from rnnc.flux.source import JuliaSource
from rnnc.frontend.assemble import trace
from rnnc.frontend.layers import Unrolled
from rnnc.text import show


def defined(text: str) -> Definitions:
    return Definitions(JuliaSource(text, "test.jl"))


def graph(model, features: int | None = None) -> str:
    """The graph of a model as text, without its title."""
    found = show(trace(model, {"x": (features,)} if features else None))
    return found.partition("(")[2]


# -- numbers ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("2 - 3 - 4", -5),
        ("-2^2", -4),
        ("2^-1", 0.5),
        ("2^3^2", 512),
        ("2^2n", 64),
        ("2n^2", 18),
        ("12 ÷ 2n", 2),
        ("12 / 2n", 2.0),
        ("-7 ÷ 2", -3),
        ("-7 % 4", -3),
        ("2(n + 1)", 8),
        ("1 - -n", 4),
        ("1e2 + .5 + 1f0 + 1_000", 1101.5),
        ("1.0 .+ n", 4.0),
        ("n > 2", True),
        ("n ≤ 2", False),
        ("n |> abs", 3),
        ("max(n, 5)", 5),
    ],
)
def test_precedence(expression, value):
    found = defined("n = 3\n")(expression)
    assert found == value
    assert type(found) is type(value)


# -- nets -------------------------------------------------------------------------------------------------
def test_gated_recurrent():
    """The cell as the first Flux had it: ``type``, and dots everywhere."""
    page = defined("""
        @net type GatedRecurrent
          Wxr; Wyr; br
          Wxu; Wyu; bu
          Wxh; Wyh; bh
          y
          function (x)
            reset  = σ.( x * Wxr .+ y{-1} * Wyr .+ br )
            update = σ.( x * Wxu .+ y{-1} * Wyu .+ bu )
            y′     = tanh.( x * Wxh .+ (reset .* y{-1}) * Wyh .+ bh )
            y      = (1 .- update) .* y′ .+ update .* y{-1}
          end
        end
    """)
    layer = page.GatedRecurrent(4, 3)
    meant = GatedRecurrent(4, 3)
    x = np.random.default_rng(0).normal(size=(5, 2, 4))
    layer.load(dict(zip(layer.params, meant.params.values(), strict=True)))
    assert np.array_equal(layer(x), meant(x))


def test_equations_in_any_order_of_fields():
    """Dimensions are bound in the order in which the fields first have them."""
    page = defined("@net struct Dense\n b\n W\n x -> x*W + b\nend")
    assert page.Dense.dims == ("out", "in")
    assert page.Dense(3, 4).params["W"].shape == (4, 3)


def test_peephole_two_outputs_and_two_steps_back():
    page = defined("""
        @net mutable struct Peep
          W; U; b; p; c
          function (x, g)
            c = tanh(x * W + c{-1} .* p + b - 2g)
            return hcat(c, c{-2}) * U', c
          end
        end
    """)

    @net
    def peep(
        x,
        g,
        *,
        W=glorot("in", "n"),
        U=glorot("out", "2*n"),
        b=zeros("n"),
        p=glorot("n"),
        c=zeros("n"),
    ):
        c = tanh(x @ W + c[-1] * p + b - 2 * g)
        return concat(c, c[-2]) @ U.T, c

    assert graph(page("Peep(3, 4, 5)")) == graph(peep(3, 4, 5))


def test_names_are_used_as_what_they_stand_for():
    """A matrix behind a local name, or behind a function's parameter, is a matrix."""
    page = defined("""
        gate(x, h, W, U, b) = σ(x*W .+ h*U .+ b)
        @net mutable struct Cell
          Wz; Uz; bz; V; u; h
          function (x)
            z = gate(x, h{-1}, Wz, Uz, bz)
            W = V .* 2
            h = z .* h{-1} + (1 - z) .* tanh(x * W + u)
          end
        end
    """)

    def gate(x, h, W, U, b):
        return σ(x @ W + h @ U + b)

    @net
    def cell(
        x,
        *,
        Wz=glorot("in", "n"),
        Uz=glorot("n", "n"),
        bz=zeros("n"),
        V=glorot("in", "n"),
        u=zeros("n"),
        h=zeros("n"),
    ):
        z = gate(x, h[-1], Wz, Uz, bz)
        W = V * 2
        h = z * h[-1] + (1 - z) * tanh(x @ W + u)
        return h

    assert graph(page("Cell(3, 4)")) == graph(cell(3, 4))
    assert {p: a.any() for p, a in page("Cell(3, 4)").params.items()} == {
        "Wz": True, "Uz": True, "bz": False, "V": True, "u": False, "h": False,
    }  # fmt: skip


def test_layers_as_fields():
    page = defined("""
        @net type TLP
          first
          second
          function (x)
            l1 = σ(first(x))
            l2 = softmax(second(l1))
          end
        end
        model = TLP(Affine(10, 20), Affine(20, 15))
    """)

    @net
    def tlp(x, *, first=Affine(10, 20), second=Affine(20, 15)):
        l1 = σ(first(x))
        l2 = softmax(second(l1))
        return l2

    assert graph(page.model) == graph(tlp)


@pytest.mark.parametrize(
    ("source", "meant"),
    [
        ("x -> x - x{-1}", lambda x: x - x[-1]),
        ("(x) -> x{1} .- 2x{0}", lambda x: x[1] - 2 * x),
        ("x -> begin\n h = tanh(x); h .* h{-2}\n end", lambda x: (h := tanh(x)) * h[-2]),
        ("function (x)\n return relu.(x) ./ 2\n end", lambda x: relu(x) / 2),
        ("x -> ifelse.(x .> 0, x, 0.5x)", lambda x: where(x > 0, x, 0.5 * x)),
        ("x -> x[:, 1:2] .* x[:, 3:end]", lambda x: x[..., 0:2] * x[..., 2:]),
        ("x -> x .^ 2 |> tanh", lambda x: tanh(x**2)),
        ("x -> (y = tanh(x))", lambda x: (y := tanh(x))),
        ("x -> -x .+ +x", lambda x: -x + x),
    ],
)
def test_nets_without_a_struct(source, meant):
    assert graph(defined(f"f = @net {source}").f, 4) == graph(net(meant), 4)


def test_states_that_start_as_a_name_around_them():
    page = defined("""
        y = 1
        fibonacci = @net x -> (y = y{-1} + y{-2} + x)
        @net powers(x) = (y = 2y{-1} + x)
    """)
    fibonacci = net(lambda x, *, y=rnnc.ones("in"): (y := y[-1] + y[-2] + x))
    assert graph(page("fibonacci(3)")) == graph(fibonacci(3))
    assert page("powers(1)")(np.zeros((4, 1, 1))).ravel().tolist() == [2, 4, 8, 16]


def test_chains():
    page = defined("""
        using Flux
        "Two layers."
        n = 3
        scale(x) = 2x
        @net twice(x) = scale(scale(x))
        #= a comment #= in a comment =#
           of two lines =#
        model = Chain(
          Affine(2n, n)
          σ
          x -> relu.(x), flip(GatedRecurrent(n, 2))  # three
          twice)
        both = Bidirectional(Affine(4, 3), GatedRecurrent(4, 2))
    """)
    twice = net(lambda x: 2 * (2 * x))
    chain = Chain(Affine(6, 3), σ, lambda x: relu(x), flip(GatedRecurrent(3, 2)), twice)
    assert graph(page.model) == graph(chain)
    assert graph(page("model[1:2]")) == graph(chain[:2])
    assert graph(page("model[4]")) == graph(chain[3])
    assert graph(page.both) == graph(Bidirectional(Affine(4, 3), GatedRecurrent(4, 2)))


def test_layers_outside_of_a_net_are_shared():
    page = defined("a = Affine(3, 3)\n@net model(x) = a(tanh(a(x)))")
    assert list(page.model.params) == ["Affine.W", "Affine.b"]


def test_values_of_a_net_with_several():
    page = defined("""
        @net two(x) = tanh(x), 2x
        @net function model(x)
          a, b = two(x)
          a .* b
        end
    """)

    @net
    def model(x):
        a, b = tanh(x), 2 * x
        return a * b

    assert graph(page.model, 3) == graph(model, 3)


# -- definitions ------------------------------------------------------------------------------------------
def test_names_mean_the_nearest_line_above():
    page = defined("n = 3\na = Affine(n, 2)\nn = 4\nb = Affine(n, 2)\nf(x) = g(x)\ng(x) = x\n")
    assert repr((page.a, page.b)) == "(Affine(3, 2), Affine(4, 2))"
    assert page.a is page.a
    assert list(page) == ["n", "a", "b", "f", "g"]
    assert "a" in page
    with pytest.raises(AttributeError, match="has no c"):
        _ = page.c


def test_unroll():
    found = defined("model = Affine(3, 2)\nthree = unroll(model, 3)").three
    assert isinstance(found, Unrolled)
    assert found.steps == 3
    with pytest.raises(FormError, match="at least one step"):
        defined("three = unroll(Affine(3, 2), 0)")("three")


def test_what_is_unknown_stays_open():
    """A net without fields takes any size; its input is declared when it is compiled."""
    model = defined("@net model(x) = x - x{-1}").model
    assert rnnc.compile(model, shapes={"x": (3,)}).proto.graph.input[0].name == "x"
