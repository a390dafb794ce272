"""The verifier: one broken graph for each rule, and what it says."""

from __future__ import annotations

import numpy as np
import pytest

from rnnc.errors import Loc, VerifyError
from rnnc.ir import Graph, Input, Interface, Output, State
from rnnc.text import parse
from rnnc.types import tensor
from rnnc.verify import verify

LINE = tensor("f32", "B")

SOUND = [
    """net f(stream x: f32[B], state y: f32[B]) -> (y) {
         y1: f32[B] = delay(y, y.init) {k = 1} y: f32[B] = add(x, y1) }""",
    "net f(stream x: f32[B, 3]) -> (last y) { d: f32[B, 3] = delay(x, 0.0) {k = -2} y: f32[B, 3] = last(d) }",
    "net f(stream x: f32[B, 3], param i: f32[2, 1, 3]) -> (d) { d: f32[B, 3] = delay(x, i) {k = 2} }",
    "net f(stream x: f32[B], bound state y: f32[B]) -> (x) {}",
    "net f(given g: f32[B]) -> (g, last h = g) {}",
    # forward and backward in one graph, in two components
    """net f(stream x: f32[B]) -> (a, b) {
         a1: f32[B] = delay(a, 0.0) {k = 1} a: f32[B] = add(a1, x)
         b1: f32[B] = delay(b, 0.0) {k = -1} b: f32[B] = add(b1, a) }""",
    "function f(stream x: f32[T, B, 2], given g: f32[B, 2], state y: f32[B, 2] = g) -> (x, last g) {}",
    "function f(stream x: f32[B, 2], state y: f32[B, 2] = x) -> (x) {}",
    "function f(stream x: f32[B, T, 2] of f32[B, 2]) -> (x of f32[B, 2]) {}",
    "function f(stream x: f32[4, B] of f32[B], state y: f32[B] {k = 2} = y.init) -> (x of f32[B]) {}",
    """function f(stream x: f32[T, B], state y: f32[B] {k = 2} = n) -> (x) {
         lengths: i64[B] = input() {} n: f32[2, B] = final(x, y.init, lengths) {k = 2} }""".replace(
        " {}", ""
    ),
]


@pytest.mark.parametrize("text", SOUND)
def test_sound_graphs_pass(text):
    verify(parse(text))


#: Lines of a stream graph of one input, and what the verifier says of them.
VALUES = [
    ("a: f64[B] = neg(x)", "a has type f64[B], and by neg should have f32[B]"),
    ("a: f32[B] = delay(x, 1) {k = 1}", "a has operands that do not fit: element types differ"),
    ("a: f32[B] = item(x) {k = 0}", "a gives item one tensor, which it cannot take"),
    ("a: (f32[B]) = tuple(x) b: f32[B] = neg(a)", "b gives neg a tuple, which it cannot take"),
    ("a: f32[B] = delay(x, 0.0) {k = 1.5}", "a has k = 1.5, which is no int"),
    ("a: f32[B] = delay(x, 0.0) {k = true}", "a has k = True, which is no int"),
    ("a: f32[B] = transpose(x) {perm = 0}", "a has perm = 0, which is no Perm"),
    ("a: f32[B] = reduce_sum(x) {axes = (-1,)}", "a has axes = (-1,), which is no Axes"),
    ('a: f16[B] = cast(x) {dtype = "half"}', "a has dtype = 'half', which is no Dtype"),
    ("z: f32[B] = input()", "z is an input that the interface does not declare"),
    ("z: f32[B] = param()", "z is an param that the interface does not declare"),
    ("a: f32[B] = add(b, x) b: f32[B] = neg(a)", "a cycle has no delay: a → b → a"),
    ("a: f32[B] = add(a, x)", "a cycle has no delay: a → a"),
    ("d: f32[B] = delay(x, d) {k = 1}", "a cycle has no delay: d → d"),
    ("a: f32[B] = delay(x, x) {k = 1}", "a starts from x, which is not the same at every step"),
    (
        "a: f32[B] = last(x) b: f32[B] = neg(a) c: f32[B] = delay(b, 0.0) {k = 1}",
        "c delays b, of which only the final step is known",
    ),
]

#: The same of a function graph.
TENSORS = [
    ("a: f32[T, B] = delay(x, 0.0) {k = 1}", "a is computed by delay, which no function graph has"),
    ("a: f32[T, B] = last(x)", "a is computed by last, which no function graph has"),
    ("a: f32[T, B] = add(b, x) b: f32[T, B] = neg(a)", "a cycle has no delay: a → b → a"),
]

#: Whole graphs.
GRAPHS = [
    (
        "net f(stream x: f32[B], stream w: f32[3]) -> (x) { a: f32[B] = add(x, w) }",
        "a has operands that do not fit: cannot broadcast [B] and [3]",
    ),
    (
        "net f() -> () { a: f32[2] = const() {value = f32[1] (1.0)} }",
        "a has type f32[2], and by its array should have f32[1]",
    ),
    (
        "net f(stream x: f32[B], param i: f32[3, B]) -> (x) { a: f32[B] = delay(x, i) {k = 2} }",
        "a has operands that do not fit: cannot broadcast",
    ),
    (
        "net f(stream x: f32[B], param i: f32[2, B]) -> (x) { a: f32[B] = delay(x, i) {k = 1} }",
        "a starts from f32[2, B], which does not broadcast to its slots f32[B]",
    ),
    (
        "net f(stream x: f32[B], state y: f32[B, 2] = x) -> (x) {}",
        "x has type f32[B], and by the state y should have f32[B, 2]",
    ),
    ("net f(stream x: f32[B], bound state y: f32[B] = x) -> (x) {}", "the state y has no source"),
    (
        "function f(stream x: f32[T, B, 2] of f32[B, 3]) -> (x of f32[B, 2]) {}",
        "x has type f32[T, B, 2], which is no stream of f32[B, 3]",
    ),
    (
        "function f(stream x: f32[T, B], stream z: f32[B]) -> (x) {}",
        "the streams do not agree on an axis of time: x: f32[T, B], z: f32[B]",
    ),
    (
        "function f(stream x: f32[T, B], state y: f32[B] = x) -> (x) {}",
        "x has type f32[T, B], and by the state y should have f32[B]",
    ),
    (
        """net f(stream x: f32[B]) -> (x) {
          p: f32[B] = delay(s, 0.0) {k = 1} n: f32[B] = delay(s, 0.0) {k = -1} s: f32[B] = add(p, n) }""",
        "one cycle looks both back and ahead: n, p",
    ),
    (
        "net f(stream x: f32[T, B]) -> (x) { a: f32[T, B] = reverse(x) }",
        "a is computed by reverse, which no stream graph has",
    ),
    (
        "net f(stream x: f32[B], state y: f32[B]) -> (x) { y: f32[B] = last(x) }",
        "y is followed by the state y, and only",
    ),
    (
        "net f(stream x: f32[B]) -> (y) { y: f32[B] = last(x) }",
        "y is a final value, and y is a stream output",
    ),
    ("net f(stream x: f32[B]) -> (last x) {}", "x is a stream value, and x is a final output"),
]

BROKEN = [
    *((f"net f(stream x: f32[B]) -> (x) {{ {lines} }}", message) for lines, message in VALUES),
    *((f"function f(stream x: f32[T, B]) -> (x) {{ {lines} }}", message) for lines, message in TENSORS),
    *GRAPHS,
]


@pytest.mark.parametrize(("text", "message"), BROKEN, ids=[m for _, m in BROKEN])
def test_broken_graphs_are_refused(text, message):
    with pytest.raises(VerifyError) as caught:
        verify(parse(text))
    assert f"f: {message}" in caught.value.message


REGION = """function f(stream x: f32[T, B], given g: f32[B], state y: f32[B] = %1) -> (y) {{
  r: {type} = region({operands}) {{steps = {steps}, {more}body = net loop(stream v: f32[B], given w: f32[B], \
state y: f32[B]) -> (y) {{
    y1: f32[B] = delay(y, y.init) {{k = {k}}}
    %0: f32[B] = {op}(y1)
    %1: f32[B] = add(v, w)
    y: f32[B] = mul(%0, %1)
  }}}}
  y: f32[T, B] = item(r) {{k = 0}}
  %1: f32[B] = item(r) {{k = 1}}
}}
"""
WHOLE = {
    "type": "(f32[T, B], f32[B])",
    "operands": "x, g, y.init",
    "steps": "T",
    "more": "",
    "k": 1,
    "op": "neg",
}

REGIONS = [
    (
        {"type": "(f32[T, B], f32[T, B])"},
        "r has type (f32[T, B], f32[T, B]), and by its body should have (f32[T, B], f32[B])",
    ),
    ({"operands": "x, y.init"}, "r has 2 operands, and its body and alternatives need 3"),
    ({"operands": "g, g, y.init"}, "r gives v of its body a value of type f32[B], which should be f32[T, B]"),
    ({"operands": "x, g, x"}, "r gives y.init of its body a value of type f32[T, B], which should be f32[B]"),
    (
        {"operands": "x, g, y.init, g", "more": "ragged = true, "},
        "r gives lengths of its body a value of type f32[B], which should be i64[B]",
    ),
    (
        {"operands": "x, g, y.init, x", "more": 'alternatives = ("lstm",), '},
        "r gives lstm of its body a value of type f32[T, B], which should be (f32",
    ),
    ({"k": -1}, "r has a body in which y1 looks ahead"),
    ({"op": "last"}, "r has a body in which y is followed by the state y, and only its final step is known"),
    ({"op": "sin_of"}, "r has a body in which %0 is computed by sin_of, which is no op"),
    ({"steps": "0.5"}, "r is no region: its body must be a stream graph, and its steps a dim"),
]


def test_a_sound_region_passes():
    verify(parse(REGION.format(**WHOLE)))


@pytest.mark.parametrize(("change", "message"), REGIONS, ids=[m for _, m in REGIONS])
def test_broken_regions_are_refused(change, message):
    text = REGION.format(**(WHOLE | change))
    graph = parse(text.replace("sin_of", "neg"))
    if "sin_of" in text:
        body = graph["r"].attrs["body"]
        value = next(v for v in body if body[v].op == "neg")
        body.nx.nodes[value]["node"] = body[value].__class__("sin_of", body[value].type)
    with pytest.raises(VerifyError) as caught:
        verify(graph)
    assert message in caught.value.message


def lone() -> Graph:
    """A graph of one input, to be broken by hand."""
    graph = Graph("f", Interface((Input("x", LINE),), (Output("x", LINE),)))
    graph.add("input", type=LINE, name="x")
    graph.outputs["x"] = "x"
    return graph


def refused(graph: Graph) -> str:
    with pytest.raises(VerifyError) as caught:
        verify(graph)
    return caught.value.message


def test_what_text_cannot_say_is_refused():
    graph = lone()
    graph.add("neg", "x", type=LINE, name="a b")
    assert refused(graph) == "f: a b has a name that graph text cannot write"

    graph = lone()
    graph.add("neg", "x", type=LINE, name="a", locs=[Loc("models/x.py", 3, 4)], alpha=1)
    assert refused(graph) == "f: a has the attribute alpha, which neg does not know (models/x.py:3:5)"

    graph = lone()
    graph.add("delay", "x", "x", type=LINE, name="a")
    assert refused(graph) == "f: a lacks the attribute k of delay"

    graph = lone()
    graph.add("add", "x", type=LINE, name="a")
    graph.nx.add_edge("x", "a", key=2)
    assert refused(graph) == "f: a fills the slots 0, 2 of add instead of 0, 1, …"

    graph = lone()
    graph.add("add", "x", type=LINE, name="a")
    assert refused(graph) == "f: a has the wrong number of operands: add takes 2 operands, not 1"

    graph = lone()
    graph.add("frobnicate", type=LINE, name="a")
    assert refused(graph) == "f: a is computed by frobnicate, which is no op"


def test_outputs_and_finals_are_those_of_the_interface():
    graph = lone()
    graph.outputs = {"y": "x"}
    assert refused(graph) == (
        "f breaks 2 rules:\n  - the output y is not in the interface\n  - the output x has no value"
    )
    graph = lone()
    graph.outputs["x"] = "gone"
    assert refused(graph) == "f: the output x is gone, which is no value"
    graph = lone()
    graph.finals["s"] = "x"
    assert refused(graph) == "f: the final s is of no state of the interface"


def test_params_have_the_types_of_their_arrays():
    graph = parse("net f(param w: f32[2]) -> () {}")
    graph.interface = Interface(params={"w": np.zeros(3, np.float32)})
    assert refused(graph) == "f: w has type f32[2], and by its array should have f32[3]"


def test_a_state_without_a_value_is_refused():
    graph = Graph("f", Interface(states=(State("y", LINE),)))
    graph.add("init", type=LINE, name="y.init")
    assert refused(graph) == "f: the state y follows no value"


def test_every_broken_rule_is_told_at_once():
    lines = "a: f64[B] = neg(x) b: f32[B] = delay(x, 0.0) {k = 0} c: i8[B] = neg(x)"
    message = refused(parse(f"net f(stream x: f32[B]) -> (x) {{ {lines} }}"))
    assert message.startswith("f breaks 3 rules:\n  - a has type f64[B]")
