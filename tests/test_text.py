"""Graph text: what is written reads back, what is read is written the same, and faults have a place."""

from __future__ import annotations

import time
from textwrap import dedent

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnc.build import Builder
from rnnc.errors import Loc, TextError
from rnnc.ir import Graph, Input, Interface, Output, State
from rnnc.text import parse, show
from rnnc.text.literals import Digest, digest, is_name, read_scalar, show_attr, show_scalar
from rnnc.types import DTYPES, tensor

CANONICAL = {
    "recurrent": """
        net recurrent(stream x: f32[B, 4], param Wxy: f32[4, 3], param Wyy: f32[3, 3], param by: f32[3],
                      state y: f32[B, 3]) -> (y) {
          y1: f32[B, 3] = delay(y, y.init) {k = 1}
          %0: f32[B, 3] = matmul(x, Wxy)
          %1: f32[B, 3] = matmul(y1, Wyy)
          %2: f32[B, 3] = add(%0, %1)
          %3: f32[B, 3] = add(%2, by)
          y: f32[B, 3] = tanh(%3)
        }
        """,
    "states": """
        net f(stream x: f32[B], state y: f32[B] {k = 2, init = 0.5} = %0, bound state s: i8[]) -> (o = %0) {
          %0: f32[B] = delay(x, y.init) {k = 2}
          y: f32[B] = neg(%0)
        }
        """,
    "path names": """
        net f(stream x: f32[B], given 0.g: f32[B], state 2.s: f32[B, 1] {init = i8[1] (5)} = σ) -> (last σ) {
          x̄.1: f32[B] = add(x, 0.g)
          σ: f32[B] = tanh(x̄.1)
        }
        """,
    "words as names": """
        net net(stream stream: f32[B], given of: i8[], state state: f32[B]) -> (state, last, last net = of) {
          last: f32[B] = delay(state, state.init) {k = 1}
          state: f32[B] = add(stream, last)
        }
        """,
    "scalars": """
        net f(stream x: f32[B], stream n: i64[B], stream b: bool[B], stream h: f16[B]) -> (x) {
          %0: f32[B] = sub(1.0, x)
          %1: f32[B] = mul(1e-05, %0)
          %2: f32[B] = sub(1.0, %1)
          %3: f32[B] = minimum(-inf:f32, nan:f32)
          %4: i64[B] = add(n, -1)
          %5: bool[B] = logical_and(b, true)
          %6: f16[B] = add(h, 1.5:f16)
          one: f32[] = const() {value = f32[] (1.0)}
        }
        """,
    "attributes": """
        net f(stream x: f32[B, 2]) -> (x) {
          %0: f32[B, 2, 1] = reshape(x) {shape = (B, 2, 1)}
          %1: f32[2*B] = reshape(x) {shape = (2*B,)}
          %2: f32[B, 1] = slice(x) {axis = 1, start = 1, stop = none}
          %3: f32[B, 2] = leaky_relu(x) {alpha = 0.01}
          %4: f32[B, 2] = gelu(x) {approximate = "tanh"}
          %5: f32[B] = reduce_sum(x) {axes = (1,), keepdims = false}
          %6: f32[B, 2] = pad(x) {axis = 1, before = 0, after = 0, value = -inf}
          %7: (f32[B, 1], f32[B, 1]) = split(x) {axis = 1, sizes = (1, 1)}
          small: f32[2, 1] = const() {value = f32[2, 1] (1.0, 2e-05)}
          large: i64[3, 4] = const() {value = i64[3, 4]#1a2b3c4d}
          none: f32[0] = const() {value = f32[0] ()}
        }
        """,
    "function": """
        function sum(stream x: f32[T, B, 2], param w: f32[2, 3], state y: f32[B, 3] = %2) -> (y) {
          %0: f32[T, B, 3] = matmul(x, w)
          %1: (f32[T, B, 3], f32[B, 3]) = region(%0, y.init) {steps = T, body = net b(stream v: f32[B, 3], \
state y: f32[B, 3]) -> (y) {
            y1: f32[B, 3] = delay(y, y.init) {k = 1}
            y: f32[B, 3] = add(v, y1)
          }}
          y: f32[T, B, 3] = item(%1) {k = 0}
          %2: f32[B, 3] = item(%1) {k = 1}
        }
        """,
    "other times": """
        function f(stream x: f32[8, B] of f32[B], bound given g: i8[], bound param w) -> (x of f32[B]) {
          y: f32[8, B] = neg(x)
        }
        """,
    "quoted name": """
        net "<lambda>"() -> () {
        }
        """,
}


@pytest.mark.parametrize("name", CANONICAL)
def test_canonical_text_is_shown_as_it_was_read(name):
    text = dedent(CANONICAL[name]).lstrip("\n")
    assert show(parse(text)) == text


def test_layout_comments_and_numbers_of_temporaries_do_not_matter():
    loose = """net f( stream x : f32[B] )->( y ) // a comment
        { %7:f32[B]=neg(x) one: f32[] = const() {value = f32[] (1.0)}
          y:f32[ B ] = add( %7,
             one ) }"""
    assert show(parse(loose)) == dedent("""\
        net f(stream x: f32[B]) -> (y) {
          %0: f32[B] = neg(x)
          one: f32[] = const() {value = f32[] (1.0)}
          y: f32[B] = add(%0, one)
        }
        """)


def test_the_interface_is_read():
    graph = parse("""
        function f(stream x: f32[T, B, 4], given g: i64[B], param 0.W: f32[4],
                   state y: f32[B, 4] {k = 2, init = 1.5} = x) -> (out = x, last g) {}
        """)
    face = graph.interface
    assert [(i.name, str(i.type), i.kind) for i in face.inputs] == [
        ("x", "f32[B, 4]", "stream"),
        ("g", "i64[B]", "given"),
    ]
    assert [(o.name, str(o.type), o.kind) for o in face.outputs] == [
        ("out", "f32[B, 4]", "stream"),
        ("g", "i64[B]", "final"),
    ]
    assert dict(face.params) == {"0.W": None}
    (state,) = face.states
    assert (state.path, str(state.tensor), state.init) == ("y", "f32[2, B, 4]", np.array(1.5, np.float32))
    assert str(graph.type("y.init")) == "f32[2, B, 4]"
    assert (graph.outputs, graph.finals) == ({"out": "x", "g": "g"}, {"y": "x"})
    assert not graph.frozen and not graph.edits


def test_equal_scalars_among_operands_are_one_value():
    graph = parse("net f(stream x: f32[B]) -> (y) { a: f32[B] = add(x, 1.0) y: f32[B] = mul(a, 1.0) }")
    assert len(graph.find("const")) == 1


def test_arrays_are_told_apart_by_digest():
    array = np.arange(20, dtype=np.float32)
    assert digest(array) == digest(array.copy()) != digest(array + 1)
    assert digest(array) == digest(array.astype(">f4").astype("<f4")) != digest(array.reshape(4, 5))
    graph = Graph("f")
    graph.outputs["y"] = Builder(graph).const(array, name="y")
    graph.interface = Interface(outputs=(Output("y", tensor("f32", 20)),))
    read = parse(show(graph))["y"].attrs["value"]
    assert read == Digest(tensor("f32", 20), digest(array))
    with pytest.raises(TextError, match=r"the elements of f32\[20\]#"):
        np.add(read, 1)


def test_locations_are_shown_when_asked_for():
    graph = parse("net f(stream x: f32[B]) -> (y) { y: f32[B] = neg(x) }")
    graph.add("neg", "x", type=graph.type("x"), name="z", locs=[Loc("models/x.py", 5, 6)])
    assert "  z: f32[B] = neg(x)  // models/x.py:5:7\n" in show(graph, locs=True)
    assert "//" not in show(graph)
    assert parse(show(graph, locs=True)).find("neg") == ["y", "z"]


# -- faults -------------------------------------------------------------------------------------------------

FAULTS = [
    ("a: f32[B] = tanhh(x)", "tanhh", "there is no op tanhh", "Did you mean tanh?"),
    ("a: f32[B] = tanh(xx)", "xx", "xx is not defined", "Did you mean x?"),
    ("a: f32[B] = neg(x)\n  a: f32[B] = neg(x)", "a:", "a is defined twice", ""),
    ("x: f32[B] = neg(x)", "x:", "x is defined twice", ""),
    ("a: f32[B] = tanh(x, x)", "tanh", "tanh takes 1 operand, not 2", ""),
    ("a: f32[B] = add(x)", "add", "add takes 2 operands, not 1", ""),
    ("a: f32[B] = delay(x, 0.0) {j = 1}", "j", "delay has no attribute j", "It has k."),
    ("a: f32[B] = delay(x, 0.0) {k = 1, k = 2}", "k = 2", "the attribute k is given twice", ""),
    ("a: f32[B] = delay(x, 0.0)", "delay", "delay needs the attribute k", ""),
    ("a: f33[B] = neg(x)", "f33[B]", "'f33[B]' is not a type: write one like f32[B, 3]", ""),
    (
        "a: f32[B/2] = neg(x)",
        "f32[B/2]",
        "'B/2' is not a dim: write a number, a name, or sums and products of them",
        "",
    ),
    (
        "a: f32[2] = const() {value = f32[2] (1.0)}",
        "f32[2] (",
        "these elements do not make an array of type f32[2]",
        "",
    ),
    (
        "a: i8[] = const() {value = i8[] (300)}",
        "i8[] (",
        "these elements do not make an array of type i8[]",
        "",
    ),
    (
        "a: f32[] = const() {value = 1.0}",
        "value",
        "the value of a const is an array",
        "Write one as f32[2] (1.0, 2.0).",
    ),
    ("a: f32[B] = neg(x);", ";", "expected '{', '}' or a name, not ';'", ""),
    ("a f32[B] = neg(x)", "f32", "expected ':', not 'f32[B]'", ""),
    ("a: f32[B] = add(x, 1.0:f99)", "1.0:f99", "f99 is no element type", ""),
]


@pytest.mark.parametrize(("line", "at", "message", "hint"), FAULTS, ids=[f[2] for f in FAULTS])
def test_a_fault_has_a_sentence_and_a_place(line, at, message, hint):
    text = f"net f(stream x: f32[B]) -> (x) {{\n  σσ: f32[B] = neg(x)\n  {line}\n}}\n"
    with pytest.raises(TextError) as caught:
        parse(text)
    error = caught.value
    assert (error.message, error.hint) == (message, hint)
    assert error.loc is not None
    found = text.split("\n")[error.loc.line - 1].encode()[error.loc.col :].decode()
    assert found.startswith(at)
    assert "^" in str(error)


def test_the_end_of_the_text_is_a_place():
    with pytest.raises(TextError, match="not the end of the text") as caught:
        parse("net f(stream x: f32[B]) -> (x) {\n  y: f32[B] =\n\n")
    assert str(caught.value.loc) == "<graph>:2:14"


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("stream x: f32[B], stream x: f32[B]", "x is declared twice"),
        ("state y: f32[B] {k = 0}", "a state has no k of this kind"),
        ("state y: f32[B] {j = 1}", "a state has no j of this kind"),
        ("state y: f32[B]", "y is not defined"),
    ],
)
def test_faults_of_the_header(header, message):
    with pytest.raises(TextError, match=message):
        parse(f"net f({header}) -> () {{}}")


def test_a_fault_in_a_file_names_the_file(tmp_path):
    file = tmp_path / "bad.rnnc"
    file.write_text("net f() -> (y) {}")
    with pytest.raises(TextError) as caught:
        parse(file.read_text(), str(file))
    assert str(caught.value).splitlines()[1:] == ["    net f() -> (y) {}", "                ^"]
    assert str(caught.value).endswith(
        "bad.rnnc:1:13: error: y is not defined\n    net f() -> (y) {}\n                ^"
    )


# -- generated ----------------------------------------------------------------------------------------------


# Without subnormals: a session of onnxruntime that flushes them does so for the thread that made it.
FLOATS = {
    "f16": st.floats(width=16, allow_nan=False, allow_subnormal=False),
    "f32": st.floats(width=32, allow_nan=False, allow_subnormal=False),
    "f64": st.floats(width=64, allow_nan=False, allow_subnormal=False),
}


@given(st.data(), st.sampled_from(sorted(DTYPES)))
def test_every_scalar_reads_back_exactly(data, dtype):
    kind = tensor(dtype).numpy
    if kind.kind == "f":
        numbers = FLOATS[dtype]
    elif kind.kind == "b":
        numbers = st.booleans()
    else:
        numbers = st.integers(int(np.iinfo(kind).min), int(np.iinfo(kind).max))
    array = np.array(data.draw(numbers), kind)
    back = read_scalar(show_scalar(array))
    assert back.dtype == array.dtype and back.tobytes() == array.tobytes()


names = st.text("abkx1_.%σ̄last", min_size=1, max_size=6).filter(
    lambda s: is_name(s) and not s.startswith("%")
)
attrs = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | FLOATS["f64"] | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=5,
)


@given(st.lists(names, min_size=1, max_size=6, unique=True), st.data())
def test_graphs_of_any_names_and_wiring_round_trip(values, data):
    kind = tensor("f32", "B")
    first, *rest = values
    graph = Graph(first, Interface((Input(first, kind),), (), (State("s", kind),)))
    graph.add("input", type=kind, name=first)
    graph.add("init", type=kind, name="s.init")
    known = [first, "s.init"]
    for name in rest:
        a, b = (data.draw(st.sampled_from(known)) for _ in range(2))
        known.append(graph.add("add", a, b, type=kind, name=data.draw(st.sampled_from([name, ""]))))
    graph.finals["s"] = data.draw(st.sampled_from(known))
    text = show(graph)
    back = parse(text)
    assert show(back) == text
    assert len(back) == len(graph)


@given(attrs)
def test_every_attribute_reads_back(value):
    text = f"net f() -> () {{ a: f32[B] = region(1) {{body = {show_attr(value)}, steps = 1}} }}"
    assert repr(parse(text)["a"].attrs["body"]) == repr(value)


def test_long_graphs_are_shown_fast():
    kind = tensor("f32", "B", 4)
    graph = Graph("long", Interface((Input("x", kind),), (Output("y", kind),)))
    value = graph.add("input", type=kind, name="x")
    for _ in range(30_000):
        value = graph.add("tanh", value, type=kind)
    graph.outputs["y"] = value
    start = time.perf_counter()
    text = show(graph)
    assert time.perf_counter() - start < 2
    assert text.count("\n") == 30_002
