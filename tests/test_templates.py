"""Templates: cells that are no LSTM and no GRU, and run as one all the same, by what their gates are.

Each is found to be just these ops, whatever comes before, and compared with the loop on the reference
machine and through onnxruntime: from any initial state, in pieces, ragged, and backwards.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnnc import (
    constant,
    flip,
    glorot,
    net,
    passes,
    relu,
    sigmoid,
    stream,
    tanh,
    uniform,
    where,
    zeros,
)
from rnnc.compiler import compile
from rnnc.machine.reference import run
from rnnc.pipeline import Pipeline
from rnnc.runtime import Stream, session
from tests.streaming import close, several
from tests.test_recognition import BEFORE, alternatives, arrays, replaced, traced

W, R, B4 = glorot(3, 4), glorot(4, 4), uniform(4)


@net
def leaky(x, *, W=W, R=R, b=B4, h=zeros(4)):
    h = 0.75 * h[-1] + 0.25 * tanh(x @ W + h[-1] @ R + b)
    return h


@net
def leaky_not_by_one(x, *, W=W, R=R, b=B4, h=zeros(4)):
    h = 0.9 * h[-1] + 0.25 * tanh(x @ W + h[-1] @ R + b)
    return h


@net
def leaky_by_unit(x, *, W=W, R=R, h=zeros(4)):
    a = np.array([0.125, 0.5, 0.75, 0.9375], np.float32)
    h = a * h[-1] + (1 - a) * tanh(x @ W + h[-1] @ R)
    return h


@net
def leaky_learned(x, *, W=W, R=R, α=constant(-2, 1), β=constant(2, 4), h=zeros(4)):
    h = sigmoid(α) * tanh(x @ W + h[-1] @ R) + sigmoid(β) * h[-1]
    return h


@net
def integrator(x, *, W=W, R=R, V=W, Q=R, h=zeros(4)):
    h = h[-1] - 0.3 * sigmoid(x @ V + h[-1] @ Q) * relu(x @ W + h[-1] @ R)
    return h


@net
def linear_candidate(x, *, W=W, R=R, V=W, Q=R, h=zeros(4)):
    i = sigmoid(x @ V + h[-1] @ Q)
    h = 0.5 * h[-1] + 2 * i * (x @ W - 0.5 * (h[-1] @ R) + 1)
    return h


@net
def mirrored(x, *, W=W, R=R, V=W, Q=R, h=zeros(4)):
    s = x @ V + h[-1] @ Q
    h = sigmoid(s) * h[-1] + (1 - sigmoid(s - 1)) * tanh(x @ W + h[-1] @ R)
    return h


@net
def raised_tanh(x, *, W=W, R=R, V=W, Q=R, h=zeros(4)):
    u = tanh(x @ V + h[-1] @ Q)
    h = 0.5 * (1 - u) * h[-1] + 0.5 * (1 + u) * tanh(x @ W + h[-1] @ R)
    return h


@net
def never_forgets(x, *, W=glorot(3, 12), R=glorot(4, 12), h=zeros(4), c=zeros(4)):
    s = x @ W + h[-1] @ R
    c = c[-1] + sigmoid(s[..., :4]) * tanh(s[..., 4:8])
    h = sigmoid(s[..., 8:]) * tanh(c)
    return h


@net
def no_output_gate(x, *, W=glorot(3, 12), R=glorot(4, 8), p=B4, h=zeros(4), c=zeros(4)):
    s = x @ W[:, :8] + h[-1] @ R
    c = sigmoid(s[..., :4] + p * c[-1]) * c[-1] + 0.5 * sigmoid(s[..., 4:]) * (x @ W[:, 8:])
    h = tanh(c)
    return h


@net
def bare_cell(x, *, W=glorot(3, 16), R=glorot(4, 16), p=B4, h=zeros(4), c=zeros(4)):
    s = x @ W + h[-1] @ R
    c = sigmoid(s[..., :4]) * c[-1] + sigmoid(s[..., 4:8]) * tanh(s[..., 8:12])
    h = (1 - sigmoid(s[..., 12:] + p * c)) * c
    return h


@net
def projected(x, *, W=glorot(3, 20), R=glorot(4, 20), p=uniform(5), P=glorot(5, 4), h=uniform(4), c=zeros(5)):
    s = x @ W + h[-1] @ R
    c = sigmoid(s[..., :5]) * c[-1] + sigmoid(s[..., 5:10]) * tanh(s[..., 10:15])
    h = (sigmoid(s[..., 15:] + p * c) * tanh(c)) @ P
    return h


@net
def no_reset(x, *, W=W, R=R, V=W, Q=R, h=zeros(4)):
    z = sigmoid(x @ V + h[-1] @ Q)
    h = z * h[-1] + (1 - z) * relu(x @ W + h[-1] @ R)
    return h


@net
def candidate_outside(x, *, W=W, V=W, Q=R, h=zeros(4)):
    z = sigmoid(x @ V)
    r = sigmoid(x @ V + h[-1] @ Q)
    h = z * tanh((r * h[-1]) @ Q + tanh(x @ W)) + (1 - z) * h[-1]
    return h


@net
def doubled_reset(x, *, W=W, V=W, Q=R, a=B4, h=zeros(4)):
    z = sigmoid(x @ V + h[-1] @ Q)
    h = z * h[-1] + (1 - z) * tanh(x @ W + (1 - tanh(x @ V + a * h[-1])) * h[-1])
    return h


@net
def constant_update(x, *, W=W, R=R, V=W, Q=R, h=zeros(4)):
    r = sigmoid(x @ V + h[-1] @ Q)
    h = 0.25 * h[-1] + 0.75 * tanh(x @ W + r * (h[-1] @ R))
    return h


@net
def masked(x, m=stream(1, dtype="bool"), *, W=W, R=R, h=zeros(4)):
    h = where(m, tanh(x @ W + h[-1] @ R), h[-1])
    return h


@net
def masked_units(x, *, W=W, R=R, h=zeros(4)):
    h = where(x @ W < 0, h[-1], tanh(x @ W + h[-1] @ R))
    return h


@net
def both_sides(x, *, W=W, R=R, V=W, Q=R, b=B4, h=uniform(4)):
    z = sigmoid(x @ V + h[-1] @ Q)
    before = h[-1]
    h = z * h[-1] + (1 - z) * tanh(x @ W + h[-1] @ R)
    return h, before * b, tanh(h) @ R


MODELS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "leaky": (leaky, ("lstm", "gru")),
    "leaky, not by 1": (leaky_not_by_one, ("lstm",)),
    "leaky by unit": (leaky_by_unit, ("lstm",)),
    "leaky by learned gates": (leaky_learned, ("lstm",)),
    "a scaled state": (integrator, ("lstm",)),
    "a linear candidate": (linear_candidate, ("lstm",)),
    "gates that mirror one another": (mirrored, ("lstm",)),
    "a raised tanh": (raised_tanh, ("lstm", "gru")),
    "no forget gate": (never_forgets, ("lstm",)),
    "no output gate": (no_output_gate, ("lstm",)),
    "the cell itself": (bare_cell, ("lstm",)),
    "a projected output": (projected, ("lstm",)),
    "no reset gate": (no_reset, ("lstm", "gru")),
    "a candidate from outside": (candidate_outside, ("gru",)),
    "a doubled reset gate": (doubled_reset, ("gru",)),
    "an update gate that is a number": (constant_update, ("gru",)),
    "a mask for all units": (masked, ("lstm", "gru")),
    "a mask a unit": (masked_units, ("lstm", "gru")),
    "the state before and after": (both_sides, ("lstm", "gru")),
}

OPS = ("RNN", "GRU", "LSTM", "Scan")
EACH = [(name, op) for name, (_, ops) in MODELS.items() for op in ops]


@pytest.mark.parametrize("name", MODELS)
def test_on_the_machine(name: str) -> None:
    """float64: what a gate's bias makes of 1 and of numbers is exact there, but for their own float32."""
    model, wanted = MODELS[name]
    graph = traced(model)
    a = arrays(graph)
    for lengths in (None, [4, 1], [0, 3]):
        meant = run(graph, a.inputs, a.states, lengths=lengths)
        for before in BEFORE.values():
            found, ops = alternatives(graph, before, "lift{lengths=true}" if lengths else "lift")
            assert ops == [wanted]
            for op in wanted:
                native = Pipeline.parse(f"choose{{plan={op}}},lower-time").run(found)
                got = run(native, a.inputs, a.states, lengths=lengths)
                for kind, values in (("outputs", meant.outputs), ("finals", meant.finals)):
                    for path, value in values.items():
                        np.testing.assert_allclose(getattr(got, kind)[path], value, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("name", "op"), EACH)
@pytest.mark.parametrize("flipped", [False, True])
def test_in_a_file(name: str, op: str, flipped: bool) -> None:
    model, _ = MODELS[name]
    graph = traced(flip(model) if flipped else model)
    xs = arrays(graph, 6, 3).inputs
    for lengths in (None, np.array([6, 0, 2])):
        text = passes.SEQUENCE.replace("choose", f"choose{{plan={op}}}")
        text = text if lengths is None else text.replace("lift,", "lift{lengths=true},")
        file = compile(graph, "sequence", pipeline=text, lengths=lengths is not None)
        assert [n.op_type for n in file.proto.graph.node if n.op_type in OPS] == [op.upper()]
        found = session(file).run(None, xs if lengths is None else {**xs, "lengths": lengths})
        meant = run(graph, xs, lengths=lengths)
        for y, wanted in zip(found, meant.outputs.values(), strict=True):
            close(y, wanted)


@pytest.mark.parametrize(("name", "op"), EACH)
def test_in_pieces(name: str, op: str) -> None:
    """From any initial state, which is converted on its way in where the op's own differs, and back."""
    graph = traced(MODELS[name][0])
    a = arrays(graph, 4, 2)
    meant = run(graph, a.inputs, a.states)
    text = str(compile(graph, "chunk").pipeline).replace("choose", f"choose{{plan={op}}}")
    stream_ = Stream(compile(graph, "chunk", pipeline=text))
    for cuts in ((4,), (1, 0, 3)):
        stream_.state = a.states
        at, parts = 0, []
        for size in cuts:
            parts.append(several(stream_.push(*(x[at : at + size] for x in a.inputs.values()))))
            at += size
        for ys, wanted in zip(zip(*parts, strict=True), meant.outputs.values(), strict=True):
            close(np.concatenate(ys), wanted)
        for path, state in stream_.state.items():
            close(state, meant.finals[path])


@pytest.mark.parametrize(("size", "op"), [(1e15, "lstm"), (1e20, "scan")])
def test_weights_too_large_to_be_composed(size: float, op: str) -> None:
    """They stay as they were, and a remark says so on the line of the projection."""
    graph = traced(projected)
    params = dict(graph.interface.params)
    params |= {k: np.asarray(params[k]) * np.float32(size) for k in ("P", "R")}
    file = compile(replaced(graph, params), "chunk")
    assert ("LSTM" in {n.op_type for n in file.proto.graph.node}) == (op == "lstm")
    said = [r for r in file.remarks if r.where == "lstm" and r.kind == "missed"]
    assert bool(said) == (op == "scan")
    for r in said:
        assert "the projection and the weights of h are too large to be multiplied" in r.message
        assert r.loc is not None
