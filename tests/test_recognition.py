"""Recognition: however a cell is written, it is found to be the native op that it is, or refused and why.

Of every writing the native alternative is compared with the loop that it stands for: on the reference
machine, and through onnxruntime. What is found does not depend on what fuse-gates or hoist made of the loop
before.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given as drawing

from rnnc import cells, concat, flip, given, glorot, net, passes, sigmoid, tanh, zeros
from rnnc.compiler import compile
from rnnc.frontend.assemble import trace
from rnnc.ir import Graph
from rnnc.machine.reference import Arrays, random_arrays, run
from rnnc.pipeline import Pipeline
from rnnc.remarks import collecting
from rnnc.runtime import Stream, session
from tests import refusals, variants
from tests.meaning import disagreement, with_params
from tests.streaming import close
from tests.variants import BIAS, MIXTURES, PARTING, PEEPHOLES, SUMS, UPDATES, WEIGHTS, Writing, writings

#: What comes before recognition: nothing, all but fuse-gates, and all.
BEFORE = {
    "as written": "",
    "not fused": passes.STREAMS.replace("fuse-gates,", "") + ",",
    "fused": passes.STREAMS + ",",
}

#: What a writer may choose in any cell.
CHOICES: dict[str, tuple[Any, ...]] = {
    "order": ((3, 1, 0, 2), (2, 3, 1, 0)),
    "parting": PARTING,
    "early": (True,),
    "sums": SUMS,
    "state_first": (True,),
    "swapped": (True,),
    "transposed": (True,),
    "streams": (2,),
    "bias": BIAS,
}

#: What a writer may choose in this one.
OWN: dict[str, dict[str, tuple[Any, ...]]] = {
    "rnn": {},
    "lstm": {"peepholes": PEEPHOLES, "update": UPDATES},
    "gru": {"mixture": MIXTURES, "after": (False, True)},
}
CELLS: dict[str, Callable[[Writing], Graph]] = {
    "rnn": variants.rnn,
    "lstm": variants.lstm,
    "gru": variants.gru,
}


def one_choice(op: str) -> list[Writing]:
    """Each choice alone, with each layout of the weights; a GRU's in both reset forms."""
    found = []
    for weights in WEIGHTS:
        for after in OWN[op].get("after", (False,)):
            plain = Writing(weights=weights, after=after)
            choices = CHOICES | OWN[op]
            found += [replace(plain, **{field: v}) for field, values in choices.items() for v in values]
    return list(dict.fromkeys(found))


ALONE = [(op, how) for op in CELLS for how in one_choice(op)]


def alternatives(graph: Graph, before: str, lift: str = "lift") -> tuple[Graph, list[tuple[str, ...]]]:
    """The graph after recognition, and the native ops that each of its regions could be."""
    found = Pipeline.parse(f"{before}{lift},taps,canonicalize,recognize").run(graph)
    return found, [tuple(found[r].attrs.get("alternatives", ())) for r in found.find("region")]


def arrays(graph: Graph, T: int = 4, B: int = 2) -> Arrays:
    """Arrays as a file takes them."""
    drawn = random_arrays(graph, seed=T, T=T, B=B)
    return Arrays(
        *({k: v.astype(np.float32) if v.dtype.kind == "f" else v for k, v in p.items()} for p in drawn)
    )


def check_machine(graph: Graph, op: str, lengths: Any = None) -> None:
    """The op is found, whatever comes before, and means what the equations mean."""
    graph = with_params(graph)
    a = arrays(graph)
    meant = run(graph, a.inputs, a.states, lengths=lengths)
    for before in BEFORE.values():
        found, ops = alternatives(graph, before, "lift" if lengths is None else "lift{lengths=true}")
        assert ops == [(op,)], before
        native = Pipeline.parse(f"choose{{plan={op}}},lower-time").run(found)
        assert native.find(op) and not native.find("region")
        got = run(native, a.inputs, a.states, lengths=lengths)
        for name in meant.outputs:
            np.testing.assert_allclose(got.outputs[name], meant.outputs[name], rtol=1e-12, atol=1e-12)
        for path in meant.finals:
            np.testing.assert_allclose(got.finals[path], meant.finals[path], rtol=1e-12, atol=1e-12)


def check_file(graph: Graph, op: str) -> None:
    """The file runs the op, and agrees with the reference machine, whole and in pieces."""
    graph = with_params(graph)
    a = arrays(graph)
    meant = run(graph, a.inputs, a.states)
    pipeline = str(compile(graph, "chunk").pipeline).replace("choose", f"choose{{plan={op}}}")
    file = compile(graph, "chunk", pipeline=pipeline)
    assert [n.op_type for n in file.proto.graph.node if n.op_type in ("RNN", "GRU", "LSTM", "Scan")] == [
        op.upper()
    ]
    stream = Stream(file)
    for cuts in ((4,), (1, 0, 3)):
        stream.state = a.states
        at, ys = 0, []
        for size in cuts:
            ys.append(stream.push(*(x[at : at + size] for x in a.inputs.values())))
            at += size
        close(np.concatenate(ys), meant.outputs["h"])
        for path, state in stream.state.items():
            close(state, meant.finals[path])


@pytest.mark.parametrize(("op", "how"), ALONE, ids=lambda v: str(v))
def test_one_choice(op: str, how: Writing) -> None:
    check_machine(CELLS[op](how), op)


@pytest.mark.parametrize(("op", "how"), ALONE[::7], ids=lambda v: str(v))
def test_one_choice_in_a_file(op: str, how: Writing) -> None:
    check_file(CELLS[op](how), op)


@drawing(writings())
def test_any_rnn(how: Writing) -> None:
    check_machine(variants.rnn(how), "rnn")


@drawing(writings(peepholes=PEEPHOLES, update=UPDATES))
def test_any_lstm(how: Writing) -> None:
    check_machine(variants.lstm(how), "lstm")


@drawing(writings(mixture=MIXTURES, after=(False, True)))
def test_any_gru(how: Writing) -> None:
    check_machine(variants.gru(how), "gru")


@pytest.mark.parametrize(("op", "how"), ALONE[::15], ids=lambda v: str(v))
@pytest.mark.parametrize("plan", ["scan", "native"])
def test_fused_after_recognition(op: str, how: Writing, plan: str) -> None:
    """What fuse-gates does later changes neither the loop nor what stands for it."""
    graph = with_params(CELLS[op](how))
    chosen = op if plan == "native" else plan
    text = (
        f"lift,canonicalize,recognize,fuse-gates,choose{{plan={chosen}}},fuse-gates,canonicalize,lower-time"
    )
    assert not disagreement(graph, Pipeline.parse(text).run(graph))


@pytest.mark.parametrize("act", ["sigmoid", "tanh", "relu", "softsign", "softplus"])
def test_activations(act: str) -> None:
    for check in (check_machine, check_file):
        check(variants.rnn(Writing(), act), "rnn")


# -- in the language ----------------------------------------------------------------------------------------

MARK = re.compile(r"# (lstm|gru|rnn): (.+)$")


@pytest.mark.parametrize("name", refusals.models)
@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
def test_refused(name: str, before: str) -> None:
    """Not recognised, with the reason on the line that decides it."""
    net = refusals.models[name]
    lines, start = inspect.getsourcelines(getattr(refusals, name).fn)
    ((line, (op, reason)),) = [
        (start + k, found.groups()) for k, text in enumerate(lines) if (found := MARK.search(text))
    ]
    with collecting() as remarks:
        _, ops = alternatives(trace(net, {"x": (3,)}), before)
    assert all(op not in found for found in ops)
    said = [r for r in remarks if r.where == op and r.kind == "missed"]
    assert any(f"not an ONNX {op.upper()}: {reason}" in r.message for r in said), said
    assert any(r.loc is not None and r.loc.line == line for r in said if reason in r.message), said


@net
def conditioned(x, g=given(2), *, W=glorot(3, 4), V=glorot(2, 4), R=glorot(4, 4), y=zeros(4)):
    y = tanh(x @ W + g @ V + y[-1] @ R)
    return y


@net
def one_gate_for_all(x, *, W=glorot(3, 13), R=glorot(4, 13), y=zeros(4), c=zeros(4)):
    s = x @ W + y[-1] @ R
    f = sigmoid(s[..., 12:])
    c = f * c[-1] + sigmoid(s[..., :4]) * tanh(s[..., 4:8])
    y = sigmoid(s[..., 8:12]) * tanh(c)
    return y


@net
def plain_peephole(x, *, W=glorot(3, 16), R=glorot(4, 16), y=zeros(4), c=zeros(4)):
    s = x @ W + y[-1] @ R
    f = sigmoid(s[..., 12:] - c[-1])
    i = sigmoid(s[..., :4] + c[-1])
    c = f * c[-1] + i * tanh(s[..., 4:8])
    y = sigmoid(s[..., 8:12]) * tanh(c)
    return y


@net
def joined_peepholes(x, *, W=glorot(3, 16), R=glorot(4, 16), p=glorot(8), y=zeros(4), c=zeros(4)):
    s = x @ W + y[-1] @ R
    gates = sigmoid(s[..., :8] + p * concat(c[-1], c[-1]))
    c = gates[..., :4] * c[-1] + gates[..., 4:] * tanh(s[..., 8:12])
    y = sigmoid(s[..., 12:]) * tanh(c)
    return y


@net
def learned_gate(x, *, W=glorot(3, 12), R=glorot(4, 12), f=glorot(4), y=zeros(4), c=zeros(4)):
    s = x @ W + y[-1] @ R
    c = sigmoid(f) * c[-1] + sigmoid(s[..., :4]) * tanh(s[..., 4:8])
    y = sigmoid(s[..., 8:]) * tanh(c)
    return y


@net
def low_rank(x, *, W=glorot(3, 12), A=glorot(4, 2), R=glorot(2, 8), S=glorot(4, 4), b=glorot(4), y=zeros(4)):
    xs, s = x @ W, y[-1] @ A @ R
    z, r = sigmoid(xs[..., :4] + s[..., :4]), sigmoid(xs[..., 4:8] + s[..., 4:])
    n = tanh(xs[..., 8:] - 0.5 * (r * (y[-1] @ S - b)))
    y = n + z * (y[-1] - n)
    return y


@net
def affine_before(x, *, A=glorot(3, 5), a=glorot(5), W=glorot(5, 4), R=glorot(4, 4), b=glorot(4), y=zeros(4)):
    y = tanh((x @ A + a) @ W + 2 * (y[-1] - b) @ R)
    return y


LANGUAGE = {
    "a given": ("rnn", conditioned),
    "one gate for all features": ("lstm", one_gate_for_all),
    "a peephole without a weight": ("lstm", plain_peephole),
    "peepholes side by side": ("lstm", joined_peepholes),
    "a gate that is the same at every step": ("lstm", learned_gate),
    "a product of products": ("rnn", affine_before),
    "a product of two weights, a scaled reset": ("gru", low_rank),
    "IndRNN": ("rnn", cells.IndRNN(3, 4)),
    "an LSTM": ("lstm", cells.LSTM(3, 4)),
    "with peepholes": ("lstm", cells.PeepholeLSTM(3, 4)),
    "with coupled gates": ("lstm", cells.CoupledLSTM(3, 4)),
    "a GRU": ("gru", cells.GatedRecurrent(3, 4)),
    "a GRU that resets after": ("gru", cells.GatedRecurrentAfter(3, 4)),
}


def traced(model: Any) -> Graph:
    """The graph of a model, all of whose weights, zeros too, are drawn anew."""
    graph = trace(model, {"x": (3,)}).copy()
    drawn = random_arrays(replaced(graph, dict.fromkeys(graph.interface.params)), seed=1).params
    params = {path: drawn[path].astype(np.float32) for path in graph.interface.params if path in drawn}
    return replaced(graph, {**graph.interface.params, **params})


def replaced(graph: Graph, params: Any) -> Graph:
    new = graph.copy()
    new.interface = replace(graph.interface, params=params)
    return new.freeze()


@pytest.mark.parametrize("name", LANGUAGE)
def test_recognised(name: str) -> None:
    op, model = LANGUAGE[name]
    check_machine(traced(model), op)
    check_machine(traced(model), op, lengths=[4, 1])
    check_machine(traced(model), op, lengths=[0, 3])


@pytest.mark.parametrize("name", LANGUAGE)
@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("lengths", [None, [4, 1, 0]])
def test_recognised_in_a_file(name: str, flipped: bool, lengths: list[int] | None) -> None:
    op, model = LANGUAGE[name]
    graph = traced(flip(model) if flipped else model)
    file = compile(graph, "sequence", lengths=lengths is not None)
    natives = [n for n in file.proto.graph.node if n.op_type in ("RNN", "GRU", "LSTM", "Scan")]
    assert [n.op_type for n in natives] == [op.upper()]
    xs = arrays(graph, 4, 3).inputs
    ragged = {} if lengths is None else {"lengths": np.array(lengths)}
    found = session(file).run(None, {**xs, **ragged})
    meant = run(graph, xs, lengths=lengths)
    for y, wanted in zip(found, meant.outputs.values(), strict=True):
        close(y, wanted)


@net
def low_rank_rnn(x, *, W=glorot(128, 128), A=glorot(128, 16), R=glorot(16, 128), y=zeros(128)):
    y = tanh((x @ W) * 0.5 + y[-1] @ A @ R)
    return y


def test_composed_weights_are_accurate() -> None:
    """Products of weights, composed when the file is made, cost no digits over a hundred steps."""
    graph = trace(low_rank_rnn, {"x": (128,)})
    xs = arrays(graph, 100, 2).inputs
    file = compile(graph, "sequence", pipeline=passes.SEQUENCE.replace("choose", "choose{plan=rnn}"))
    assert "RNN" in {n.op_type for n in file.proto.graph.node}
    (found,) = session(file).run(None, xs)
    assert np.abs(found - run(graph, xs).outputs["y"]).max() < 2e-6
