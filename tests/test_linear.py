"""Linear recurrences: found however they are written, and run in chunks as the loop would have run.

Each is compared with the reference machine in float64, to the last digits. Through onnxruntime, in float32,
it may be off by at most twice what the loop itself is, step after step.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given as drawing
from hypothesis import strategies as st

from rnnc import flip, passes
from rnnc.compiler import Compiled, compile
from rnnc.frontend.assemble import trace
from rnnc.ir import Graph
from rnnc.machine.reference import random_arrays, run
from rnnc.passes._chunking import SIZE, levels
from rnnc.passes.choose import Choose, candidates
from rnnc.pipeline import Pipeline
from rnnc.remarks import collecting
from rnnc.runtime import Stream
from rnnc.text import parse
from tests.linear_models import MODELS, REFUSED, many, min_gru
from tests.meaning import with_params

#: Numbers of steps that are run in chunks, and in chunks of chunks.
LEVELS = {1: 60, 2: 1000}

#: Recurrences, by what a step does, on streams a, b of 3 features and states h, g.
EQUATIONS = {
    "h = a h⁻ + b": "%0 = mul(a, h1) | h = add(%0, b)",
    "h = b - h⁻ a": "%0 = mul(h1, a) | h = sub(b, %0)",
    "h = h⁻ + a (b - h⁻)": "%0 = sub(b, h1) | %1 = mul(a, %0) | h = add(h1, %1)",
    "h = (1 - a) h⁻ + a b": "%0 = sub(1.0, a) | %1 = mul(%0, h1) | %2 = mul(a, b) | h = add(%1, %2)",
    "h = (h⁻ + b) / (2 + a)": "%0 = add(h1, b) | %1 = add(a, 2.0) | h = div(%0, %1)",
    "h = -(h⁻ w + b)": "%0 = mul(h1, w) | %1 = add(%0, b) | h = neg(%1)",
    "h = h⁻ + b": "h = add(b, h1)",
    "h = 0.9 h⁻ + b": "%0 = mul(0.9, h1) | h = add(%0, b)",
    "h = a h⁻ + w": "%0 = mul(a, h1) | h = add(%0, w)",
    "h = a h⁻ + 1": "%0 = mul(a, h1) | h = add(%0, 1.0)",
    "h = a h⁻": "h = mul(a, h1)",
    "h = where(a > 0, h⁻, b)": "%0: bool[B, 3] = less(0.0, a) | h = where(%0, h1, b)",
    "h = c h⁻ + b, one c for all": "%0 = mul(c, h1) | h = add(%0, b)",
    "h = w h⁻ + a g⁻, g = g⁻ + b h⁻": "%0 = mul(w, h1) | %1 = mul(a, g1) | h = add(%0, %1)"
    " | %2 = mul(b, h1) | g = add(g1, %2)",
    "h = v g⁻ + b, g = w h⁻": "%0 = mul(v, g1) | h = add(%0, b) | g = mul(w, h1)",
    "h = w h⁻ - v g⁻ + a, g = v h⁻ + w g⁻ + b": "%0 = mul(w, h1) | %1 = mul(v, g1) | %2 = sub(%0, %1)"
    " | h = add(%2, a)"
    " | %3 = mul(v, h1) | %4 = mul(w, g1) | %5 = add(%3, %4) | g = add(%5, b)",
}


def equation(name: str, back: str = "k = 1") -> Graph:
    """The graph of one of the equations."""
    lines = EQUATIONS[name].split(" | ")
    states = [s for s in "hg" if f"{s}1" in EQUATIONS[name]]
    inits = {s: f"{s}.init" if back == "k = 1" else "0.0" for s in states}
    params = [f"param {p}: f32[3]" for p in "wv" if re.search(rf"\b{p}\b", EQUATIONS[name])]
    streams = [f"stream {s}: f32[B, {'1' if s == 'c' else '3'}]" for s in "abc"]
    face = [*streams, *params, *(f"state {s}: f32[B, 3]" for s in states if back == "k = 1")]
    body = [f"{s}1: f32[B, 3] = delay({s}, {inits[s]}) {{{back}}}" for s in states]
    body += [line if ":" in line else line.replace(" =", ": f32[B, 3] =", 1) for line in lines]
    return with_params(parse(f"net f({', '.join(face)}) -> (h) {{\n" + "\n".join(body) + "\n}\n"))


def chunked(graph: Graph, deep: int = 1, lift: str = "lift") -> Graph:
    """The graph run in chunks, so many levels deep."""
    assert levels(LEVELS[deep]) == deep
    text = f"{lift},taps,canonicalize,recognize{{T={LEVELS[deep]}}},choose{{plan=linear-chunks}},lower-time"
    found = Pipeline.parse(text).run(graph)
    assert any("every8_" * deep in str(found[v].type) for v in found), "it still runs step by step"
    return found


def agree(graph: Graph, other: Graph, steps: int, lengths: Any = None) -> None:
    """Outputs and final states are the same, but for rounding in float64."""
    drawn = random_arrays(graph, seed=steps, T=steps, B=2)
    states = drawn.states if any(graph.interface.state(p).source in graph for p in drawn.states) else None
    one, two = (run(g, drawn.inputs, states, lengths=lengths) for g in (graph, other))
    for name in one.outputs:
        np.testing.assert_allclose(two.outputs[name], one.outputs[name], rtol=1e-11, atol=1e-11)
    for path in one.finals:
        np.testing.assert_allclose(two.finals[path], one.finals[path], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", EQUATIONS)
@pytest.mark.parametrize("deep", LEVELS)
def test_means_the_same(name: str, deep: int) -> None:
    graph = equation(name)
    other = chunked(graph, deep)
    for steps in (0, 1, 2, SIZE - 1, SIZE, SIZE + 1, 3 * SIZE, *([9 * SIZE + 1] if deep > 1 else [])):
        agree(graph, other, steps)


def test_long() -> None:
    graph = equation("h = a h⁻ + b")
    agree(graph, chunked(graph, 2), 1000)


@pytest.mark.parametrize("name", EQUATIONS)
def test_backward(name: str) -> None:
    graph = equation(name, "k = -1")
    other = chunked(graph)
    for steps in (0, 1, 8, 21):
        agree(graph, other, steps)


@pytest.mark.parametrize("back", ["k = 1", "k = -1"])
@pytest.mark.parametrize("name", EQUATIONS)
def test_ragged(name: str, back: str) -> None:
    graph = equation(name, back)
    other = chunked(graph, 1, "lift{lengths=true}")
    for lengths in ([0, 0], [13, 5], [0, 13], [8, 9]):
        agree(graph, other, 13, lengths)


def test_taps() -> None:
    """A state of several steps back, read at some of them, is as many registers."""
    graph = with_params(
        parse("""
        net f(stream x: f32[B, 3], stream a: f32[B, 3], param w: f32[3], state y: f32[B, 3] {k = 3}) -> (y) {
          %0: f32[1, B, 3] = slice(y.init) {axis = 0, start = 0, stop = 1}
          %1: f32[B, 3] = squeeze(%0) {axes = (0,)}
          y1: f32[B, 3] = delay(y, %1) {k = 1}
          y3: f32[B, 3] = delay(y, y.init) {k = 3}
          %2: f32[B, 3] = mul(y1, w)
          %3: f32[B, 3] = mul(y3, a)
          %4: f32[B, 3] = add(%2, %3)
          y: f32[B, 3] = add(%4, x)
        }""")
    )
    for lift in ("lift", "lift{lengths=true}"):
        other = chunked(graph, 1, lift)
        for steps in (0, 1, 2, 3, 7, 8, 9, 20):
            agree(graph, other, steps, None if lift == "lift" else [steps // 2, steps])


#: Lines that keep %v affine in the states, with what else they read.
STEPS = (
    *("add(%v, b)", "add(b, %v)", "sub(%v, a)", "sub(w, %v)", "neg(%v)", "mul(%v, a)", "mul(w, %v)"),
    *("mul(0.5, %v)", "mul(-1.0, %v)", "div(%v, d)", "where(m, %v, b)", "where(m, a, %v)"),
    *("add(%v, h1)", "sub(g1, %v)", "add(%v, %v)"),
)

lines = st.lists(st.sampled_from(STEPS), max_size=6)


@drawing(lines, lines)
def test_any_writing(h: list[str], g: list[str]) -> None:
    """Whatever keeps a state affine, in any order, over one state or two."""
    text = ["d: f32[B, 3] = add(a, 2.0)", "m: bool[B, 3] = less(0.0, a)"]
    for state, steps in (("h", ["mul(%v, 0.3)", *h]), ("g", [*g, "mul(0.5, %v)"])):
        names = [f"{state}1", *(f"{state}_{k}" for k in range(1, len(steps))), state]
        text.append(f"{state}1: f32[B, 3] = delay({state}, {state}.init) {{k = 1}}")
        for step, (x, y) in zip(steps, pairwise(names), strict=True):
            text.append(f"{y}: f32[B, 3] = {step.replace('%v', x)}")
    face = "stream a: f32[B, 3], stream b: f32[B, 3], param w: f32[3], state h: f32[B, 3], state g: f32[B, 3]"
    graph = with_params(parse("\n".join([f"net f({face}) -> (h, g) {{", *text, "}\n"])))
    agree(graph, chunked(graph), 13)


# -- through onnxruntime ------------------------------------------------------------------------------------


def files(graph: Graph) -> tuple[Compiled, Compiled]:
    """A file that runs the loop, and one that runs chunks."""
    pipeline = str(compile(graph, "chunk", sizes={"T": 1000}).pipeline)
    plans = ("scan", "linear-chunks")
    loop, chunks = (
        compile(graph, "chunk", pipeline=re.sub(r"choose\{?", f"choose{{plan={p},", pipeline, count=1))
        for p in plans
    )
    assert "every8_T" not in str(loop.proto) and "every8_every8_T" in str(chunks.proto)
    return loop, chunks


#: Decays between these bounds: a state that is kept, one that is soon forgotten, one that changes sign.
DECAYS = {"kept": (0.99, 1.0), "gone": (0.0, 0.02), "signed": (-1.0, 1.0), "any": (0.0, 1.0)}


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("name", ["h = a h⁻ + b", "h = h⁻ + a (b - h⁻)", "h = c h⁻ + b, one c for all"])
def test_rounding(name: str, decay: str) -> None:
    """Over 20 seeds, the largest error is at most twice that of the float32 loop."""
    low, high = DECAYS[decay]
    if name.startswith("h = h⁻ + a"):
        low, high = 1 - high, 1 - low
    graph = equation(name)
    streams = tuple(Stream(file) for file in files(graph))
    worst = [0.0, 0.0]
    for seed in range(20):
        rng = np.random.default_rng(seed)
        xs = {k: rng.uniform(low, high, (500, 2, w)).astype(np.float32) for k, w in (("a", 3), ("c", 1))}
        xs["b"] = rng.uniform(-1, 1, (500, 2, 3)).astype(np.float32)
        start = rng.uniform(-1, 1, (2, 3)).astype(np.float32)
        meant = run(graph, xs, {"h": start})
        for k, stream in enumerate(streams):
            stream.state = {"h": start}
            y = stream.push(*(xs[i] for i in "abc"))
            worst[k] = max(worst[k], np.abs(y - meant.outputs["h"]).max())
            worst[k] = max(worst[k], np.abs(stream.state["h"] - meant.finals["h"]).max())
    assert 0 < worst[1] <= 2 * worst[0]


@pytest.mark.parametrize("name", ["h = a h⁻", "h = a h⁻ + b"])
def test_rounding_of_steady_decays(name: str) -> None:
    """The same for a stream that stays at one decay, for long: errors of chunks do not add up."""
    graph = equation(name)
    streams = tuple(Stream(file) for file in files(graph))
    worst = [0.0, 0.0]
    for seed in range(20):
        rng = np.random.default_rng(seed)
        xs = {"a": np.full((2000, 2, 3), 1 - rng.uniform(0, 2e-4), np.float32)}
        xs |= {k: rng.uniform(-1, 1, (2000, 2, w)).astype(np.float32) for k, w in (("b", 3), ("c", 1))}
        start = rng.uniform(-1, 1, (2, 3)).astype(np.float32)
        meant = run(graph, xs, {"h": start})
        for k, stream in enumerate(streams):
            stream.state = {"h": start}
            y = stream.push(*(xs[i] for i in "abc"))
            worst[k] = max(worst[k], np.abs(y - meant.outputs["h"]).max())
    assert 0 < worst[1] <= 2 * worst[0]


@pytest.mark.parametrize("d", [1.0, 0.999, 0.5, 1e-3, 0.0, -0.9])
def test_rounding_of_powers(d: float) -> None:
    """The same where the decay never changes."""
    graph = equation("h = -(h⁻ w + b)").copy()
    graph.interface = replace(graph.interface, params={"w": np.full(3, d, np.float32)})
    streams = tuple(Stream(file) for file in files(graph.freeze()))
    worst = [0.0, 0.0]
    for seed in range(20):
        xs = random_arrays(graph, seed, T=500).inputs
        xs = {k: v.astype(np.float32) for k, v in xs.items()}
        meant = run(graph, xs)
        for k, stream in enumerate(streams):
            stream.reset()
            y = stream.push(*xs.values())
            worst[k] = max(worst[k], np.abs(y - meant.outputs["h"]).max())
    assert worst[1] <= 2 * worst[0] or worst[1] == 0


@pytest.mark.parametrize("name", EQUATIONS)
def test_in_a_file(name: str) -> None:
    """In pieces of any length, empty ones too."""
    graph = equation(name)
    _, file = files(graph)
    drawn = random_arrays(graph, seed=1, T=140, B=3)
    meant = run(graph, drawn.inputs, drawn.states)
    stream = Stream(file)
    stream.state = {p: s.astype(np.float32) for p, s in drawn.states.items()}
    xs = [x.astype(np.float32) for x in drawn.inputs.values()]
    cuts = [0, 1, 1, 3, 34, 66, 99, 140]
    ys = [stream.push(*(x[a:b] for x in xs)) for a, b in pairwise(cuts)]
    np.testing.assert_allclose(np.concatenate(ys), meant.outputs["h"], rtol=2e-5, atol=2e-5)
    for path, state in stream.state.items():
        np.testing.assert_allclose(state, meant.finals[path], rtol=2e-5, atol=2e-5)


def test_reversed_in_a_file() -> None:
    """Backward in time, whole or each sequence from its own end."""
    graph = equation("h = a h⁻ + b", "k = -1")
    drawn = random_arrays(graph, seed=1, T=50, B=3)
    xs = {k: x.astype(np.float32) for k, x in drawn.inputs.items()}
    for lengths in (None, np.array([0, 17, 50])):
        meant = run(graph, drawn.inputs, lengths=lengths).outputs["h"]
        file = compile(graph, sizes={"T": 1000}, lengths=lengths is not None)
        feeds = xs if lengths is None else xs | {"lengths": lengths}
        (y,) = ort.InferenceSession(file.proto.SerializeToString()).run(None, feeds)
        np.testing.assert_allclose(y, meant, rtol=2e-5, atol=2e-5)


# -- in the language ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_models(name: str) -> None:
    """Found in what all passes before make of it, and right in either form."""
    graph = trace(MODELS[name], {"x": (3,)})
    drawn = random_arrays(graph, seed=1, T=70, B=2)
    x = drawn.inputs["x"].astype(np.float32)
    ((_, meant),) = run(graph, drawn.inputs).outputs.items()
    file = compile(graph, sizes={"T": 1000})
    assert re.search("runs as (linear-chunks|matrix-powers)", file.explain())
    (y,) = ort.InferenceSession(file.proto.SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(y, meant, rtol=1e-4, atol=1e-5)
    stream = Stream(compile(graph, "chunk", sizes={"T": 1000}))
    y = np.concatenate([stream.push(x[:33]), stream.push(x[33:])])
    np.testing.assert_allclose(y, meant, rtol=1e-4, atol=1e-5)


def test_flipped() -> None:
    graph = trace(flip(min_gru(4)), {"x": (3,)})
    agree(graph, chunked(graph), 21)


# -- not linear ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    """With the reason, on the line that decides it."""
    lines, start = inspect.getsourcelines(REFUSED[name].fn)
    ((line, reason),) = [
        (start + k, text.split("# ")[1].strip()) for k, text in enumerate(lines) if "# " in text
    ]
    for before in ("", f"{passes.STREAMS},"):
        with collecting() as remarks:
            Pipeline.parse(f"{before}lift,taps,canonicalize,recognize").run(
                trace(REFUSED[name](), {"x": (3,)})
            )
        (said,) = [r for r in remarks if r.where == "linear-chunks"]
        assert said.kind == "missed" and said.message == f"not a linear recurrence: {reason}"
        assert said.loc is not None and said.loc.line == line


def test_too_deep() -> None:
    with collecting() as remarks:
        Pipeline.parse("lift,recognize").run(trace(many(), {"x": (3,)}))
    assert any("the loop remembers 5 values, more than 4" in r.message for r in remarks)


# -- the choice ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("T", "B", "n", "plan"),
    [
        (10, 1, 16, "lstm"),
        (100, 1, 16, "lstm"),
        (1000, 1, 64, "linear-chunks"),
        (10000, 1, 16, "linear-chunks"),
        (100, 16, 128, "scan"),
        (1000, 16, 256, "scan"),
    ],
)
def test_choice(T: int, B: int, n: int, plan: str) -> None:
    """Chunks where steps are many and small; an LSTM where they are few, and so are the units."""
    file = compile(min_gru(n), shapes={"x": (3,)}, sizes={"T": T, "B": B})
    assert f"runs as {plan} " in file.explain()


def test_cost_counts_what_is_written() -> None:
    """A state that only remembers another costs nothing to speak of; a full matrix of four does."""
    costs, pricing = {}, Choose(T=1000).pricing()
    for name in EQUATIONS:
        graph = Pipeline.parse("lift,recognize{T=1000}").run(equation(name))
        (region,) = [r for r in graph.find("region") if graph[r].attrs.get("alternatives")]
        (chunks,) = [c for c in candidates(graph, region, pricing) if c.name == "linear-chunks"]
        costs[name] = chunks.us
    assert costs["h = h⁻ + b"] < costs["h = a h⁻ + b"] < costs["h = w h⁻ + a g⁻, g = g⁻ + b h⁻"]
