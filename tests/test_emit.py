"""Emission: function graphs, written as text, become ONNX that onnxruntime runs and that says what it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

from rnnc.emit import manifest
from rnnc.emit.form import Form
from rnnc.emit.model import nodes, write_model
from rnnc.emit.names import Names, state_stem
from rnnc.emit.save import to_bytes
from rnnc.errors import FormError
from rnnc.ir import Graph
from rnnc.machine.reference import random_arrays
from rnnc.machine.reference import run as run_reference
from rnnc.text import parse

CHUNK = Form("chunk")

REGION = """
function net(stream x: f32[T, B, 4], param Wxy: f32[4, 3], param Wyy: f32[3, 3],
             state y: f32[B, 3] = %2) -> (y) {
  %0: f32[T, B, 3] = matmul(x, Wxy)
  %1: (f32[T, B, 3], f32[B, 3]) = region(%0, Wyy, y.init) {steps = T, body =
    net loop(stream v: f32[B, 3], given W: f32[3, 3], state h: f32[B, 3]) -> (h) {
      h1: f32[B, 3] = delay(h, h.init) {k = 1}
      %0: f32[B, 3] = matmul(h1, W)
      %1: f32[B, 3] = add(v, %0)
      h: f32[B, 3] = tanh(%1)
    }}
  y: f32[T, B, 3] = item(%1) {k = 0}
  %2: f32[B, 3] = item(%1) {k = 1}
}
"""


def graph(text: str, seed: int = 0) -> Graph:
    """The graph that ``text`` says, with random weights."""
    found = parse(text).copy()
    params = {
        path: array.astype(found.type(path).numpy)
        for path, array in random_arrays(found, seed).params.items()
    }
    found.interface = replace(found.interface, params=params)
    return found.freeze()


def model(text: str, form: Form = CHUNK, opset: int | None = None) -> onnx.ModelProto:
    """The model of ``text``, checked."""
    found = write_model(graph(text), form, opset)
    onnx.checker.check_model(found, full_check=True)
    return found


def ops(proto: onnx.ModelProto) -> list[str]:
    """The op of every node, nested ones too."""
    return [node.op_type for node in nodes(proto.graph)]


def agree(text: str, T: int = 5, B: int = 2, form: Form = CHUNK, tolerance: float = 1e-5) -> onnx.ModelProto:
    """Run ``text`` by onnxruntime and on the reference machine: the same."""
    source = graph(text)
    proto = model(text, form)
    session = onnxruntime.InferenceSession(to_bytes(proto))
    arrays = random_arrays(source, 1, T=T, B=B)
    said = manifest.read(proto)
    feeds = {name: arrays.inputs[name] for name in (entry["name"] for entry in said["inputs"])}
    feeds |= {entry["input"]: arrays.states[entry["name"]] for entry in said["states"]}
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(names, feeds), strict=True))
    meant = run_reference(source, arrays.inputs, arrays.states)
    for name, array in meant.outputs.items():
        np.testing.assert_allclose(found[name], array, rtol=tolerance, atol=tolerance)
        assert found[name].shape == array.shape
    for entry in said["states"]:
        np.testing.assert_allclose(
            found[entry["output"]], meant.finals[entry["name"]], rtol=tolerance, atol=tolerance
        )
    return proto


# -- regions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("T", [0, 1, 2, 7])
@pytest.mark.parametrize("B", [1, 3])
def test_region(T: int, B: int) -> None:
    agree(REGION, T, B)


@pytest.mark.parametrize("dtype", ["f64", "f16"])
def test_region_of_other_floats(dtype: str) -> None:
    proto = agree(REGION.replace("f32", dtype), tolerance=1e-12 if dtype == "f64" else 5e-3)
    assert "Scan" in ops(proto)


@pytest.mark.parametrize("T", [1, 3])
def test_region_in_the_reference_evaluator_of_onnx(T: int) -> None:
    source, proto = graph(REGION), model(REGION)
    arrays = random_arrays(source, 1, T=T)
    feeds = {"x": arrays.inputs["x"], "y_in": arrays.states["y"]}
    y, after = (np.asarray(a) for a in ReferenceEvaluator(proto).run(None, feeds))
    meant = run_reference(source, arrays.inputs, arrays.states)
    np.testing.assert_allclose(y, meant.outputs["y"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(after, meant.finals["y"], rtol=1e-5, atol=1e-5)


def test_region_is_a_scan_that_no_step_skips() -> None:
    proto = agree(REGION)
    assert ops(proto) == ["MatMul", "Shape", "Equal", "Shape", "Concat", "If", *ops(proto)[6:]]
    assert sorted(ops(proto)[6:]) == sorted(
        ["Scan", "MatMul", "Add", "Tanh", "Identity", "ConstantOfShape", "Identity"]
    )


def test_weights_of_a_region_are_inside_its_body() -> None:
    proto = model(REGION)
    (scan,) = (n for n in nodes(proto.graph) if n.op_type == "Scan")
    (body,) = (a.g for a in scan.attribute if a.name == "body")
    assert [t.name for t in body.initializer] == ["Wyy"]
    assert "Wyy" not in [t.name for t in proto.graph.initializer]


def test_a_known_number_of_steps_needs_no_choice() -> None:
    proto = agree(REGION.replace("T", "6"), form=Form("unroll", steps=6))
    assert "If" not in ops(proto)
    assert "Scan" in ops(proto)


@pytest.mark.parametrize("T", [0, 1, 4])
@pytest.mark.parametrize("reverse", ["", ", reverse = true"])
def test_deep_reversed_region_with_several_outputs(T: int, reverse: str) -> None:
    agree(
        f"""
        function net(stream x: f32[T, B, 3], given g: f32[B, 3], state y: f32[B, 3] {{k = 2}} = last)
            -> (y, b) {{
          r: (f32[T, B, 3], f32[T, B, 3], f32[2, B, 3]) = region(x, g, y.init) {{steps = T{reverse}, body =
            net loop(stream v: f32[B, 3], given g: f32[B, 3], state h: f32[B, 3] {{k = 2}}) -> (h, b) {{
              h2: f32[B, 3] = delay(h, h.init) {{k = 2}}
              b: f32[B, 3] = mul(g, h2)
              %1: f32[B, 3] = add(v, b)
              h: f32[B, 3] = tanh(%1)
            }}}}
          y: f32[T, B, 3] = item(r) {{k = 0}}
          b: f32[T, B, 3] = item(r) {{k = 1}}
          last: f32[2, B, 3] = item(r) {{k = 2}}
        }}
        """,
        T,
    )


@pytest.mark.parametrize("T", [0, 1, 4])
def test_region_without_streams(T: int) -> None:
    text = """
    function net(stream x: f32[T, B, 3], state y: f32[B, 3] = last) -> (out) {
      r: (f32[T, B, 3], f32[B, 3]) = region(y.init) {steps = T, body =
        net loop(state h: f32[B, 3]) -> (h) {
          h1: f32[B, 3] = delay(h, h.init) {k = 1}
          h: f32[B, 3] = mul(h1, 0.5)
        }}
      y: f32[T, B, 3] = item(r) {k = 0}
      last: f32[B, 3] = item(r) {k = 1}
      out: f32[T, B, 3] = add(x, y)
    }
    """
    assert "Range" in ops(agree(text, T))


@pytest.mark.parametrize("reverse", ["", ", reverse = true"])
def test_ragged_region(reverse: str) -> None:
    text = f"""
    function net(stream x: f32[T, B, 3], given lengths: i64[B], state y: f32[B, 3] {{k = 2}} = last) -> (y) {{
      r: (f32[T, B, 3], f32[2, B, 3]) = region(x, y.init, lengths) {{steps = T, ragged = true{reverse}, body =
        net loop(stream v: f32[B, 3], state h: f32[B, 3] {{k = 2}}) -> (h) {{
          h2: f32[B, 3] = delay(h, h.init) {{k = 2}}
          h: f32[B, 3] = add(v, h2)
        }}}}
      y: f32[T, B, 3] = item(r) {{k = 0}}
      last: f32[2, B, 3] = item(r) {{k = 1}}
    }}
    """
    source, proto = graph(text), model(text)
    session = onnxruntime.InferenceSession(to_bytes(proto))
    arrays = random_arrays(source, 3, T=5, B=4)
    inputs = {**arrays.inputs, "lengths": np.array([5, 0, 1, 3])}
    meant = run_reference(source, inputs, arrays.states)
    y, last = session.run(None, {**inputs, "y_in": arrays.states["y"]})
    np.testing.assert_allclose(y, meant.outputs["y"], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(last, meant.finals["y"], rtol=1e-6, atol=1e-6)


# -- values, names and sizes ----------------------------------------------------------------------------


def test_one_value_for_several_outputs() -> None:
    proto = agree(
        """
        function net(stream x: f32[B, 3], param w: f32[3], state a: f32[B, 3] = s, state b: f32[B, 3] = s,
                     state c: f32[B, 3] = x) -> (y = s, z = s, w = w) {
          s: f32[B, 3] = add(x, w)
        }
        """,
        form=Form("step"),
    )
    assert ops(proto) == ["Add", "Identity", "Identity", "Identity", "Identity", "Identity"]
    assert [o.name for o in proto.graph.output] == ["y", "z", "w", "a_out", "b_out", "c_out"]


def test_items_of_a_tuple_vanish() -> None:
    proto = agree(
        """
        function net(stream x: f32[B, 5]) -> (a, b = c) {
          %0: (f32[B, 2], f32[B, 1], f32[B, 2]) = split(x) {axis = 1, sizes = (2, 1, 2)}
          a: f32[B, 2] = item(%0) {k = 0}
          again: f32[B, 2] = item(%0) {k = 0}
          c: f32[B, 2] = add(again, a)
        }
        """,
        form=Form("step"),
    )
    assert ops(proto) == ["Split", "Add"]
    split = proto.graph.node[0]
    assert split.output[0] == "a"
    assert len(set(split.output)) == 3


def test_only_what_is_used_is_written() -> None:
    proto = model(
        """
        function net(stream x: f32[B, 3], param used: f32[3], param unused: f32[3]) -> (y) {
          y: f32[B, 3] = add(x, used)
          dead: f32[B, 3] = mul(x, unused)
        }
        """,
        Form("step"),
    )
    assert ops(proto) == ["Add"]
    assert [t.name for t in proto.graph.initializer] == ["used"]


def test_every_value_has_its_type() -> None:
    proto = model(REGION)
    for g in [proto.graph, *(a.g for n in nodes(proto.graph) for a in n.attribute if a.HasField("g"))]:
        typed = {v.name for v in (*g.value_info, *g.input, *g.output)}
        assert {o for n in g.node for o in n.output} <= typed
    info = next(v for v in proto.graph.value_info if v.name == "y/matmul")
    assert [d.dim_param or d.dim_value for d in info.type.tensor_type.shape.dim] == ["T", "B", 3]


def test_names_of_states_and_clashes() -> None:
    proto = model(
        """
        function net(stream y_in: f32[B], state y: f32[B] = y, state 0.1.y: f32[B] = %1,
                     state y.in: f32[B] = %1) -> (y_in = y, y) {
          y: f32[B] = add(y_in, y.init)
          %1: f32[B] = add(y, y.in.init)
        }
        """,
        Form("step"),
    )
    assert [i.name for i in proto.graph.input] == ["y_in", "y_in_2", "s0_1_y_in", "y_in_in"]
    assert [o.name for o in proto.graph.output] == ["y_in_out", "y", "y_out", "s0_1_y_out", "y_in_out_2"]


def test_state_stem() -> None:
    assert [state_stem(p) for p in ("y", "0.1.y", "net.y_2")] == ["y", "s0_1_y", "net_y_2"]


def test_unique_names() -> None:
    names = Names()
    assert [names(n) for n in ("a", "a", "a_2", "a", "b", "a_2")] == [
        "a",
        "a_2",
        "a_2_2",
        "a_3",
        "b",
        "a_2_3",
    ]


def test_nodes_are_named_after_the_source() -> None:
    named = [n.name for n in nodes(model(REGION).graph)]
    assert len(set(named)) == len(named)
    assert {"y/matmul", "y/region", "h/matmul", "h/add", "h"} <= set(named)


@pytest.mark.parametrize("T", [0, 1, 3])
def test_sizes_are_computed_once(T: int) -> None:
    proto = agree(
        """
        function net(stream x: f32[T, B, 6]) -> (y) {
          %0: f32[T*B, 6] = reshape(x) {shape = (T*B, 6)}
          %1: f32[T*B, 6] = tanh(%0)
          a: f32[T, B, 2, 3] = reshape(%1) {shape = (T, B, 2, 3)}
          b: f32[T, B, 2, 3] = expand(1.0) {shape = (T, B, 2, 3)}
          c: f32[T, B, 2, 3] = add(a, b)
          %2: f32[B, T, 2, 3] = transpose(c) {perm = (1, 0, 2, 3)}
          %3: f32[B, T, 6] = reshape(%2) {shape = (B, T, 6)}
          %4: f32[B*T*6] = reshape(%3) {shape = (6*B*T,)}
          n: i64[2*T+1] = arange() {stop = 2*T+1}
          m: i64[1] = reduce_sum(n) {axes = (0,), keepdims = true}
          f: f32[1] = cast(m) {dtype = "f32"}
          %5: f32[T, B, 6] = reshape(%4) {shape = (T, B, 6)}
          y: f32[T, B, 6] = add(%5, f)
        }
        """,
        T,
    )
    assert ops(proto).count("Shape") == 2
    assert ops(proto).count("Concat") == 2


def test_oldest_opset() -> None:
    text = "function net(stream x: f32[B, 3]) -> (y) {{ y: f32[B, 3] = {}(x) }}"
    for op, opset, ir in (("tanh", 17, 8), ("mish", 18, 8), ("gelu", 20, 9)):
        proto = model(text.format(op), Form("step"))
        assert (proto.opset_import[0].version, proto.ir_version) == (opset, ir)
    assert model(text.format("tanh"), Form("step"), 21).opset_import[0].version == 21
    with pytest.raises(FormError, match="opset 17 of ONNX has no gelu"):
        model(text.format("gelu"), Form("step"), 17)
    with pytest.raises(FormError, match="opset 16 is not one of those"):
        model(text.format("tanh"), Form("step"), 16)


def test_lengths_are_narrowed_for_onnx() -> None:
    proto = model(
        """
        function net(stream x: f32[T, B, 2], given lengths: i64[B], param w: f32[1, 3, 2],
                     param r: f32[1, 3, 3], param b: f32[1, 6], state h: f32[1, B, 3] = %2) -> (y) {
          %0: (f32[T, 1, B, 3], f32[1, B, 3]) = rnn(x, w, r, b, h.init, lengths)
          %1: f32[T, 1, B, 3] = item(%0) {k = 0}
          %2: f32[1, B, 3] = item(%0) {k = 1}
          y: f32[T, B, 3] = squeeze(%1) {axes = (1,)}
        }
        """
    )
    assert ops(proto) == ["Cast", "RNN", "Squeeze"]
    onnxruntime.InferenceSession(to_bytes(proto))
