"""Matrix memories: found however they are written, and run by one LinearAttention as by the loop."""

from __future__ import annotations

import inspect
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from rnnc import (
    einsum,
    exp,
    flip,
    glorot,
    net,
    passes,
    sigmoid,
    softplus,
    sum,
    tanh,
    uniform,
    unsqueeze,
    zeros,
)
from rnnc.compiler import Compiled, compile
from rnnc.frontend.assemble import trace
from rnnc.machine.reference import Result, random_arrays, run
from rnnc.pipeline import Pipeline
from rnnc.remarks import collecting
from rnnc.runtime import Stream, session


@net
def plain(x, *, Wq=glorot(3, 4), Wk=glorot(3, 4), Wv=glorot(3, 5), S=zeros(4, 5)):
    S = S[-1] + einsum("k,v->kv", x @ Wk, x @ Wv)
    return einsum("kv,k->v", S, x @ Wq)


@net
def values_first(x, *, Wq=glorot(3, 4), Wk=glorot(3, 4), Wv=glorot(3, 5), S=zeros(5, 4)):
    S = einsum("k,v->vk", x @ Wk, x @ Wv) + S[-1]
    return einsum("k,vk->v", x @ Wq, S)


@net
def decaying(x, *, Wq=glorot(3, 4), Wk=glorot(3, 4), Wv=glorot(3, 5), Wa=glorot(3, 1), S=zeros(4, 5)):
    a = sigmoid(x @ Wa)
    S = unsqueeze(a) * S[-1] + einsum("k,v->kv", x @ Wk, (1 - a) * (x @ Wv))
    return einsum("kv,k->v", S, x @ Wq)


@net
def decaying_keys(x, *, Wq=glorot(3, 4), Wk=glorot(3, 4), Wv=glorot(3, 5), Wa=glorot(3, 4), S=zeros(4, 5)):
    a = exp(-softplus(x @ Wa))
    S = unsqueeze(a) * S[-1] + einsum("k,v->kv", x @ Wk, x @ Wv)
    return einsum("kv,k->v", S, x @ Wq)


@net
def fixed_decay(x, *, Wq=glorot(3, 4), Wk=glorot(3, 4), Wv=glorot(3, 5), S=zeros(4, 5)):
    S = 0.9 * S[-1] + einsum("k,v->kv", x @ Wk, x @ Wv)
    return einsum("kv,k->v", S, x @ Wq)


@net
def weighted_decay(
    x, *, Wq=glorot(3, 4), Wk=glorot(3, 4), Wv=glorot(3, 5), d=uniform(4, 1, low=0, high=1), S=zeros(4, 5)
):
    S = d * S[-1] + einsum("k,v->kv", x @ Wk, x @ Wv)
    return einsum("kv,k->v", S, x @ Wq)


def unit(k):
    return k / (1 + sum(k * k, axis=-1, keepdims=True))


@net
def correcting(x, *, Wq=glorot(3, 4), Wk=glorot(3, 4), Wv=glorot(3, 5), Wb=glorot(3, 1), S=zeros(4, 5)):
    k, β = unit(x @ Wk), sigmoid(x @ Wb)
    S = S[-1] + einsum("k,v->kv", β * k, x @ Wv - einsum("kv,k->v", S[-1], k))
    return einsum("kv,k->v", S, x @ Wq)


@net
def correcting_fully(x, *, Wq=glorot(3, 4), Wk=glorot(3, 4), Wv=glorot(3, 5), S=zeros(4, 5)):
    k = unit(x @ Wk)
    S = S[-1] - einsum("k,v->kv", k, einsum("kv,k->v", S[-1], k)) + einsum("k,v->kv", k, x @ Wv)
    return einsum("kv,k->v", S, x @ Wq)


@net
def gated_delta(
    x, *, Wq=glorot(3, 4), Wk=glorot(3, 4), Wv=glorot(3, 5), Wa=glorot(3, 1), Wb=glorot(3, 1), S=zeros(5, 4)
):
    k, a, β = unit(x @ Wk), sigmoid(x @ Wa), sigmoid(x @ Wb)
    kept = unsqueeze(a) * S[-1]
    S = kept + einsum("v,k->vk", β * (x @ Wv - einsum("vk,k->v", kept, k)), k)
    return einsum("vk,k->v", S, x @ Wq)


MODELS = {
    m.title: m
    for m in (
        *(plain, values_first, decaying, decaying_keys, fixed_decay, weighted_decay),
        *(correcting, correcting_fully, gated_delta),
    )
}
RULES = {
    "plain": "linear",
    "values_first": "linear",
    "correcting": "gated_delta",
    "correcting_fully": "gated_delta",
    "gated_delta": "gated_delta",
}


def file(model: Any, form: str, lengths: bool = False) -> Compiled:
    """A file in which the loop runs as one node."""
    made = compile(model, form, shapes={"x": (3,)}, lengths=lengths)  # type: ignore[arg-type]
    pipeline = str(made.pipeline).replace("choose", "choose{plan=linear-attention}")
    made = compile(model, form, shapes={"x": (3,)}, lengths=lengths, pipeline=pipeline)  # type: ignore[arg-type]
    ops = [n.op_type for n in made.proto.graph.node]
    assert ops.count("LinearAttention") == 1 and "Scan" not in ops
    return made


def agree(found: Any, meant: Any, tolerance: float = 1e-5) -> None:
    assert found.shape == meant.shape
    np.testing.assert_allclose(found, meant, rtol=tolerance, atol=tolerance)


def only(meant: Result) -> Any:
    """The one output."""
    (y,) = meant.outputs.values()
    return y


@pytest.mark.parametrize("name", MODELS)
def test_rule(name: str) -> None:
    node = next(n for n in file(MODELS[name](), "sequence").proto.graph.node if n.domain == "com.microsoft")
    rule = next(a.s.decode() for a in node.attribute if a.name == "update_rule")
    assert rule == RULES.get(name, "gated")


@pytest.mark.parametrize("name", MODELS)
def test_means_the_same(name: str) -> None:
    """On the exact machine, to its last digits, forward and backward, whatever the lengths."""
    for model in (MODELS[name](), flip(MODELS[name]())):
        graph = trace(model, {"x": (3,)})
        for lift in ("lift", "lift{lengths=true}"):
            text = f"{passes.STREAMS},{lift},taps,canonicalize,recognize,choose{{plan=linear-attention}}"
            other = Pipeline.parse(f"{text},lower-time").run(graph)
            assert other.find("linear_attention") and not other.find("region")
            for T in (0, 1, 5):
                a = random_arrays(graph, seed=T, T=T, B=3)
                lengths = None if lift == "lift" else [T, 0, T // 2]
                states = a.states if "S.init" in graph else None
                one, two = (run(g, a.inputs, states, lengths=lengths) for g in (graph, other))
                for path in one.finals:
                    agree(two.finals[path], one.finals[path], 1e-11)
                for output in one.outputs:
                    agree(two.outputs[output], one.outputs[output], 1e-11)


@pytest.mark.parametrize("name", MODELS)
def test_in_a_file(name: str) -> None:
    """In pieces of any length, empty ones too."""
    graph = trace(MODELS[name](), {"x": (3,)})
    stream = Stream(file(MODELS[name](), "chunk"))
    for B in (1, 3):
        a = random_arrays(graph, seed=B, T=100, B=B)
        x, states = a.inputs["x"].astype(np.float32), {"S": a.states["S"].astype(np.float32)}
        meant = run(graph, {"x": x}, states)
        for cuts in ((0, 100), (0, 0, 1, 40, 100)):
            stream.reset()
            stream.state = states
            ys = [stream.push(x[s:e]) for s, e in pairwise(cuts)]
            agree(np.concatenate(ys), only(meant), 1e-4)
            agree(stream.state["S"], meant.finals["S"], 1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_ragged_in_a_file(name: str) -> None:
    graph, lengths = trace(MODELS[name](), {"x": (3,)}), np.array([0, 7, 3, 1])
    x = random_arrays(graph, seed=1, T=7, B=4).inputs["x"].astype(np.float32)
    (y,) = session(file(MODELS[name](), "sequence", lengths=True)).run(None, {"x": x, "lengths": lengths})
    agree(y, only(run(graph, {"x": x}, lengths=lengths)), 1e-4)


def test_rounding() -> None:
    """Over 20 seeds, the largest error is at most twice that of the loop in float32."""
    for name in MODELS:
        graph = trace(MODELS[name](), {"x": (3,)})
        pipeline = str(compile(graph, "sequence").pipeline).replace("choose", "choose{plan=scan}")
        loop, node = session(compile(graph, pipeline=pipeline)), session(file(graph, "sequence"))
        worst = [0.0, 0.0]
        for seed in range(20):
            x = random_arrays(graph, seed, T=300, B=2).inputs["x"].astype(np.float32)
            (meant,) = run(graph, {"x": x}).outputs.values()
            for k, opened in enumerate((loop, node)):
                worst[k] = max(worst[k], np.abs(opened.run(None, {"x": x})[0] - meant).max())
        assert 0 < worst[1] <= 2 * worst[0], name


# -- no matrix memory ---------------------------------------------------------------------------------------


@net
def shown(x, *, Wk=glorot(3, 4), Wv=glorot(3, 5), S=zeros(4, 5)):
    S = S[-1] + einsum("k,v->kv", x @ Wk, x @ Wv)  # the state itself is needed outside of the loop
    return S


@net
def curved(x, *, Wq=glorot(3, 4), Wk=glorot(3, 4), Wv=glorot(3, 5), S=zeros(4, 5)):
    S = tanh(S[-1] + einsum("k,v->kv", x @ Wk, x @ Wv))  # the state goes through tanh
    return einsum("kv,k->v", S, x @ Wq)


@net
def elsewhere(x, *, Wq=glorot(3, 4), Wk=glorot(3, 4), Wr=glorot(3, 4), Wv=glorot(3, 5), S=zeros(4, 5)):
    kept = einsum("kv,k->v", S[-1], x @ Wr)
    S = S[-1] + einsum("k,v->kv", x @ Wk, x @ Wv - kept)  # the key is no multiple of what reads the state
    return einsum("kv,k->v", S, x @ Wq)


@net
def growing(x, *, Wq=glorot(3, 4), Wk=glorot(3, 4), Wv=glorot(3, 5), Wa=glorot(3, 1), S=zeros(4, 5)):
    a = x @ Wa
    S = unsqueeze(a) * S[-1] + einsum("k,v->kv", x @ Wk, x @ Wv)  # may be negative, and a decay may not
    return einsum("kv,k->v", S, x @ Wq)


@net
def late(x, *, Wq=glorot(3, 4), Wk=glorot(3, 4), Wv=glorot(3, 5), S=zeros(4, 5)):
    y = einsum("kv,k->v", S[-1], x @ Wq)  # the state itself is needed outside of the loop
    S = S[-1] + einsum("k,v->kv", x @ Wk, x @ Wv)
    return y


@pytest.mark.parametrize("model", [shown, curved, elsewhere, growing, late], ids=lambda m: m.title)
def test_refused(model: Any) -> None:
    """With the reason, on the line that decides it."""
    lines, start = inspect.getsourcelines(model.fn)
    ((line, reason),) = [
        (start + k, text.split("# ")[1].strip()) for k, text in enumerate(lines) if "  # " in text
    ]
    with collecting() as remarks:
        Pipeline.parse(f"{passes.STREAMS},lift,taps,canonicalize,recognize").run(trace(model(), {"x": (3,)}))
    (said,) = [r for r in remarks if r.where == "linear-attention"]
    assert said.kind == "missed" and reason in said.message
    assert said.loc is not None and said.loc.line == line


def test_choice() -> None:
    """The node wherever it can run, for a loop of several nodes pays for each."""
    made = compile(gated_delta(), shapes={"x": (3,)}, sizes={"T": 100, "B": 1})
    assert "runs as linear-attention " in made.explain()
