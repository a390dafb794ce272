"""Inspection of any file: loops wherever they stand, guessed pairs, costs, and files that are wrong."""

from __future__ import annotations

import json
import os
import re
from dataclasses import fields
from time import process_time

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import rnnc
from rnnc import Chain, cells, flip, glorot, net, tanh, zeros
from rnnc.cli import cli
from rnnc.errors import FileError
from rnnc.inspect import inspect
from rnnc.inspect.pairs import stem
from rnnc.inspect.report import Report
from rnnc.runtime import session
from tests import foreign
from tests.foreign import fixed, model, node, port, weight


@net
def Far(x, *, W=glorot("in", "out"), y=zeros("out")):
    y = tanh(x @ W + y[-1] - y[-3])
    return y


# -- what loops -------------------------------------------------------------------------------------------


def test_loops_are_found_wherever_they_stand():
    loops = inspect(foreign.nested()).loops
    assert [(x.name, x.inside, x.steps) for x in loops] == [
        ("loop", "", "7"),
        ("scan", "loop", "T"),
        ("lstm", "scan", "unknown"),  # onnx infers no shape behind axes that are a tensor of the graph around
    ]
    loop, scan, lstm = loops
    assert [(c.name, c.type, c.initial, c.delay) for c in scan.carried] == [("s", "float32[1, 3]", "0.0", 1)]
    assert scan.through == ("s2",), "the LSTM does not read what is carried"
    assert (loop.became, loop.critical_path) == ("Loop of 7 nodes", 6)
    assert lstm.became == "LSTM, forward, 3 units"
    assert lstm.multiply_adds == 4 * 3 * (3 + 3)


def test_a_scan_of_opset_8_runs_along_the_second_axis():
    body = foreign.graph(
        [node("Add", ["s", "x"], ["s2"]), node("Identity", ["s2"], ["y"])],
        [port("s", [3]), port("x", [3])],
        [port("s2", [3]), port("y", [3])],
    )
    scan = node("Scan", ["", "s0", "X"], ["last", "Y"], body=body, num_scan_inputs=1)
    ins, outs = (
        [port("s0", ["B", 3]), port("X", ["B", "T", 3])],
        [port("last", ["B", 3]), port("Y", ["B", "T", 3])],
    )
    (loop,) = inspect(model([scan], ins, outs, opsets=(("", 8),))).loops
    assert (loop.steps, loop.carried[0].initial) == ("T", "s0")


def test_what_a_state_is_at_first():
    layer = cells.LSTM(3, 4, y=np.full(4, 2, np.float32), state=np.arange(4, dtype=np.float32))
    (loop,) = inspect(rnnc.compile(layer).proto).loops
    assert [c.initial for c in loop.carried] == ["2.0", "array"]


def test_a_net_says_its_recurrences():
    compiled = rnnc.compile(Chain(Far(3, 4), net(lambda x=rnnc.stream(4): x[1] - x)))
    found = inspect(compiled.proto, net=compiled.source).recurrences
    far, ahead = found
    assert far.values == ("0.y",)
    assert [(c.name, c.type, c.initial, c.delay) for c in far.delays] == [
        ("0.y", "float32[B, 4]", "0.0", 1),
        ("0.y", "float32[B, 4]", "0.0", 3),
    ]
    assert re.search(r"test_inspect_any\.py:\d+:\d+$", far.source)
    assert (ahead.values, [c.delay for c in ahead.delays]) == ((), [-1])


def test_both_ways():
    loops = inspect(
        rnnc.compile(
            cells.Bidirectional(cells.GatedRecurrentAfter(3, 4), cells.GatedRecurrentAfter(3, 4))
        ).proto
    ).loops
    assert loops
    assert all("GRU" in x.became or "Scan" in x.became for x in loops)
    assert inspect(rnnc.compile(flip(cells.GatedRecurrentAfter(3, 4))).proto).loops


# -- pairs ------------------------------------------------------------------------------------------------


def test_pairs_are_guessed():
    found = inspect(foreign.vad())
    (state,) = found.states
    assert (state.path, state.input, state.output) == ("state", "state", "stateN")
    assert state.guessed
    assert state.initial == "?"
    (loop,) = found.loops
    assert (loop.became, loop.states, loop.name) == ("straight line of 3 nodes", ("state",), "stateN")
    assert loop.through == ("both", "p", "stateN")
    assert state.loop == "stateN"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("h_in", "h_out"),
        ("state", "stateN"),
        ("h0", "hn"),
        ("c0", "cn"),
        ("cache_in.3", "cache_out.3"),
        ("prevHidden", "newHidden"),
        ("conv_cache", "conv_cache_out"),
    ],
)
def test_names_that_make_a_pair(before, after):
    assert stem(before) == stem(after) != ""


@pytest.mark.parametrize(("before", "after"), [("h1_in", "h2_out"), ("h0", "cn"), ("cache.0", "cache.1")])
def test_names_that_make_no_pair(before, after):
    assert stem(before) != stem(after)


@pytest.mark.parametrize(
    ("before", "after", "shapes"),
    [
        ("audio_in", "audio_out", ([1, 8], [1, 8])),  # nothing else goes in
        ("input", "output", ([1, 8], [1, 8])),
        ("h_in", "h_out", ([1, 8], [1, 4])),
    ],
)
def test_what_is_no_pair(before, after, shapes):
    nodes = [node("Slice", [before, "zero", "size"], [after])]
    weights = [fixed("zero", np.array([0, 0])), fixed("size", np.array(shapes[1]))]
    made = model(nodes, [port(before, shapes[0])], [port(after, shapes[1])], weights)
    assert inspect(made).states == ()


def test_a_tool_may_not_name_anything():
    found = inspect(foreign.old())
    assert found.opset == 7
    assert found.opsets == {"ai.onnx": 7, "com.acme": 1}
    assert list(found.inputs) == ["x"], "weights are no inputs"


# -- costs ------------------------------------------------------------------------------------------------


def test_a_chain_is_what_waits():
    nodes = [node("Neg", ["x"], ["a"]), node("Neg", ["x"], ["b"]), node("Add", ["a", "b"], ["y"])]
    found = inspect(model(nodes, [port("x", ["B", 4])], [port("y", ["B", 4])]))
    assert (found.nodes_per_step, found.chain_per_step) == (3, 2)
    assert found.critical_path.through == ("a", "y")
    assert found.bytes_per_step == (2 + 2 + 3) * 4 * 4


def test_a_step_of_a_sequence_adds_the_chain_of_its_loop():
    found = inspect(rnnc.compile(Far(3, 4)).proto)
    (loop,) = (x for x in found.loops if x.steps)
    assert found.chain_per_step == loop.critical_path > 0
    assert loop.critical_path <= loop.nodes


def test_memory_is_held_from_the_first_to_the_last_use():
    nodes = [
        node("Neg", ["x"], ["a"]),
        node("Reshape", ["a", "shape"], ["v"]),  # the same memory
        node("Neg", ["v"], ["b"]),
        node("ReduceSum", ["b"], ["y"], keepdims=0),
    ]
    made = model(nodes, [port("x", ["N"])], [port("y", [])], [fixed("shape", np.array([-1]))])
    found = inspect(made, sizes={"N": 1000})
    assert found.peak_memory.bytes == 2 * 4000
    assert found.sizes == {"N": 1000}
    assert inspect(made).peak_memory.bytes == 2 * 4


def test_memory_does_not_know_the_number_of_steps_of_a_scan():
    made = rnnc.compile(Far(3, 4), "chunk").proto
    small, large = (inspect(made, sizes={"T": n}).peak_memory.bytes for n in (10, 1000))
    assert 90 * small < 100 * large
    assert large < 200 * small


def test_moved_bytes_of_a_native_op_are_weights_and_states():
    found = inspect(rnnc.compile(cells.LSTM(30, 15)).proto)
    (loop,) = found.loops
    assert loop.bytes == 4 * (4 * 15 * 15) + 4 * 15 * 2 * 2


def test_an_unknown_size_is_told():
    assert inspect(foreign.old()).unknown_sizes == 2, "z and d"
    assert inspect(foreign.vad()).unknown_sizes == 0


# -- providers --------------------------------------------------------------------------------------------


def test_providers():
    cpu, cuda = inspect(foreign.old()).providers
    assert [(e.op, e.provider) for e in cpu.elsewhere] == [("com.acme.Magic", "none known")]
    assert [(e.op, e.provider) for e in cuda.elsewhere] == [
        ("LSTM", "CPU"),
        ("com.acme.Magic", "none known"),
        ("Det", "CPU"),
    ]
    assert "clip" in cuda.elsewhere[0].why


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (cells.LSTM(3, 4), None),
        (cells.Recurrent(3, 4), None),
        (cells.GatedRecurrent(3, 4), "no linear_before_reset"),
    ],
)
def test_recurrent_ops_on_cuda(layer, reason):
    made = rnnc.compile(layer, pipeline=None).proto
    *_, cuda = inspect(made).providers
    native = [e for e in cuda.elsewhere if e.op in ("LSTM", "GRU", "RNN")]
    assert [reason in e.why for e in native if reason] == [True] * (reason is not None)
    assert bool(native) == (reason is not None)


def test_peepholes_on_cuda():
    lstm = node("LSTM", ["x", "W", "R", "", "", "", "", "P"], ["y"], hidden_size=3, name="l")
    weights = [weight("W", 1, 12, 3), weight("R", 1, 12, 3), weight("P", 1, 9)]
    made = model([lstm], [port("x", ["T", "B", 3])], [port("y", ["T", 1, "B", 3])], weights)
    (elsewhere,) = inspect(made).providers[1].elsewhere
    assert "peepholes" in elsewhere.why


def test_no_kernel_has_the_batch_first():
    lstm = node("LSTM", ["x", "W", "R"], ["y"], hidden_size=3, layout=1, name="l")
    weights = [weight("W", 1, 12, 3), weight("R", 1, 12, 3)]
    made = model([lstm], [port("x", ["B", "T", 3])], [port("y", ["B", "T", 1, 3])], weights)
    found = inspect(made)
    assert [e.provider for e in found.providers[0].elsewhere] == ["none known"]
    assert found.loops[0].steps == "T"
    with pytest.raises(FileError, match="layout"):
        session(made.SerializeToString())


# -- functions --------------------------------------------------------------------------------------------


def test_functions_are_looked_into():
    found = inspect(foreign.calling(["A", "B"], [["Neg", "Neg"], ["A", "A", "Neg"]]))
    assert found.nodes_per_step == 5


def test_a_function_that_calls_itself():
    with pytest.raises(FileError, match="calls itself"):
        inspect(foreign.calling(["A", "B"], [["B"], ["A"]]))


def test_functions_that_expand_without_end_are_left():
    names = [f"F{n}" for n in range(30)]
    found = inspect(foreign.calling(names, [["Neg", "Neg"], *([n, n] for n in names[:-1])]))
    assert found.nodes_per_step == 1
    assert "more than 1,000,000 nodes" in found.notes[0]


# -- files that are wrong ---------------------------------------------------------------------------------


def wrong(name: str) -> onnx.ModelProto:
    x, b = [port("x", [1])], [port("b", [1])]
    return {
        "in a circle: one reads two reads one": model(
            [node("Add", ["x", "b"], ["a"], name="one"), node("Neg", ["a"], ["b"], name="two")], x, b
        ),
        "two nodes give b: one and two": model(
            [node("Neg", ["x"], ["b"], name="one"), node("Abs", ["x"], ["b"], name="two")], x, b
        ),
        "the node one reads gone, which nothing computes": model(
            [node("Add", ["x", "gone"], ["b"], name="one")], x, b
        ),
        "the file gives b, which nothing computes": model([], x, b),
    }[name]


@pytest.mark.parametrize(
    "message",
    [
        "in a circle: one reads two reads one",
        "two nodes give b: one and two",
        "the node one reads gone, which nothing computes",
        "the file gives b, which nothing computes",
    ],
)
def test_what_is_no_graph(message, tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(wrong(message).SerializeToString())
    for style in ([], ["--json"], ["--dot"], ["--mermaid"], ["--wiring", "js"]):
        done = CliRunner().invoke(cli, ["inspect", str(path), *style])
        assert done.exit_code == 1
        assert message in done.output


def test_order_does_not_matter():
    nodes = [node("Neg", ["a"], ["b"]), node("Abs", ["x"], ["a"])]
    found = inspect(model(nodes, [port("x", [1])], [port("b", [1])]))
    assert found.critical_path.through == ("a", "b")


def test_gigantic_names_are_cut(tmp_path):
    long = "x" * 100_000
    odd = '\n"]`<b>#;\\' * 10_000
    made = model([node("Neg", [long], [odd], name=odd)], [port(long, ["B" * 5_000])], [port(odd, [1])])
    onnx.save(made, tmp_path / "m.onnx")
    done = CliRunner().invoke(cli, ["inspect", str(tmp_path / "m.onnx")])
    assert done.exit_code == 0
    assert len(done.output) < 4_000


def test_damaged_files(tmp_path):
    """Whatever bytes are changed, there is a report or a sentence."""
    whole = rnnc.compile(cells.LSTM(3, 4), "step").proto.SerializeToString()
    rng = np.random.default_rng(0)
    path, codes = tmp_path / "m.onnx", set()
    for trial in range(60):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), 1 + trial % 12):
            data[at] = rng.integers(256)
        path.write_bytes(data[: len(data) if trial % 3 else int(rng.integers(len(data)))])
        done = CliRunner().invoke(cli, ["inspect", str(path), *(["--json"] if trial % 2 else [])])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        assert done.exit_code in (0, 1)
        codes.add(done.exit_code)
    assert codes == {0, 1}


def test_weights_elsewhere_are_not_read(tmp_path):
    made = foreign.old()
    path = tmp_path / "m.onnx"
    onnx.save(made, path, save_as_external_data=True, location="gone.data", size_threshold=8)
    os.remove(tmp_path / "gone.data")
    assert inspect(path).weight_bytes == 2 * 12 * 3 * 4


# -- for programs -----------------------------------------------------------------------------------------


def test_the_keys_of_the_report_are_documented():
    found = json.loads(inspect(foreign.nested()).json())
    told = set(re.findall(r"\w+", (Report.__doc__ or "").replace("…", "")))
    assert set(found) == {"schema", "weight_bytes", *(f.name for f in fields(Report))}
    short = {re.sub(r"^(nodes|multiply_adds|bytes)_per_\w+$", r"\1_", name) for name in found}
    assert short - told == {"schema", "weight_bytes"}, "these the module's docstring tells"


def test_time_is_linear():
    """Ten times the nodes take ten times as long and not a hundred times; the best of three runs counts."""

    def seconds(made: onnx.ModelProto) -> float:
        start = process_time()
        assert inspect(made).nodes_per_step == len(made.graph.node)
        return process_time() - start

    small, large = foreign.chain(1_000), foreign.chain(10_000)
    assert min(seconds(large) for _ in range(3)) < 50 * min(seconds(small) for _ in range(3))


def test_shapes_of_many_bodies_are_not_inferred(monkeypatch):
    monkeypatch.setattr("rnnc.inspect.reading.COPIES", 10)
    found = inspect(foreign.nested())
    assert "too many bodies" in found.notes[0]
    assert [x.name for x in found.loops] == ["loop", "scan", "lstm"]


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_model_of_torch():
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")

    args = (torch.zeros(9, 1, 5), (torch.zeros(2, 1, 7), torch.zeros(2, 1, 7)))
    names = {"input_names": ["x", "h0", "c0"], "output_names": ["y", "hn", "cn"]}
    lstm = torch.nn.LSTM(5, 7, num_layers=2).eval()
    made = torch.onnx.export(lstm, args, dynamo=True, verbose=False, **names)
    found = inspect(made.model_proto)
    assert [x.became for x in found.loops] == ["LSTM, forward, 7 units"] * 2
    assert [(s.input, s.output) for s in found.states] == [("h0", "hn"), ("c0", "cn")]
    assert [x.states for x in found.loops] == [("h", "c")] * 2
    assert found.multiply_adds_per_step == 9 * 4 * 7 * (5 + 7 + 7 + 7)
