"""Every form of a file computes what the reference machine says its stream graph means."""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest

from rnnc import unroll
from rnnc.compiler import Compiled, compile
from rnnc.emit.form import FormName
from rnnc.ir import Graph
from rnnc.machine.reference import Arrays, random_arrays
from rnnc.machine.reference import run as run_reference
from rnnc.runtime import Stream, session
from rnnc.text import parse
from tests.semantics import Case, cases
from tests.streaming import close, push_on, several

NETS = {
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
    "lstm": """
    net lstm(stream x: f32[B, 4], param Wxf: f32[4, 3], param Wyf: f32[3, 3], param bf: f32[3],
             param Wxi: f32[4, 3], param Wyi: f32[3, 3], param bi: f32[3],
             param Wxo: f32[4, 3], param Wyo: f32[3, 3], param bo: f32[3],
             param Wxc: f32[4, 3], param Wyc: f32[3, 3], param bc: f32[3],
             state y: f32[B, 3], state state: f32[B, 3] {init = 0.5}) -> (y) {
      y1: f32[B, 3] = delay(y, y.init) {k = 1}
      s1: f32[B, 3] = delay(state, state.init) {k = 1}
      %0: f32[B, 3] = matmul(x, Wxf)
      %1: f32[B, 3] = matmul(y1, Wyf)
      %2: f32[B, 3] = add(%0, %1)
      %3: f32[B, 3] = add(%2, bf)
      forget: f32[B, 3] = sigmoid(%3)
      %4: f32[B, 3] = matmul(x, Wxi)
      %5: f32[B, 3] = matmul(y1, Wyi)
      %6: f32[B, 3] = add(%4, %5)
      %7: f32[B, 3] = add(%6, bi)
      input: f32[B, 3] = sigmoid(%7)
      %8: f32[B, 3] = matmul(x, Wxo)
      %9: f32[B, 3] = matmul(y1, Wyo)
      %10: f32[B, 3] = add(%8, %9)
      %11: f32[B, 3] = add(%10, bo)
      output: f32[B, 3] = sigmoid(%11)
      %12: f32[B, 3] = matmul(x, Wxc)
      %13: f32[B, 3] = matmul(y1, Wyc)
      %14: f32[B, 3] = add(%12, %13)
      %15: f32[B, 3] = add(%14, bc)
      update: f32[B, 3] = tanh(%15)
      %16: f32[B, 3] = mul(forget, s1)
      %17: f32[B, 3] = mul(input, update)
      state: f32[B, 3] = add(%16, %17)
      %18: f32[B, 3] = tanh(state)
      y: f32[B, 3] = mul(output, %18)
    }
    """,
    "delays without a loop": """
    net fir(stream x: f32[B, 2], param w: f32[2], state x: f32[B, 2] {k = 5, init = 2.0} = x) -> (y) {
      %0: f32[2, B, 2] = slice(x.init) {axis = 0, start = 0, stop = 2}
      x2: f32[B, 2] = delay(x, %0) {k = 2}
      x5: f32[B, 2] = delay(x, x.init) {k = 5}
      %1: f32[B, 2] = mul(x2, w)
      %2: f32[B, 2] = add(x5, %1)
      y: f32[B, 2] = sub(x, %2)
    }
    """,
    "delays of delays": """
    net chain(stream x: f32[B, 2], state a: f32[B, 2] {init = 2.0} = y1, state y: f32[B, 2] {init = 1.0})
        -> (y, y1) {
      y1: f32[B, 2] = delay(y, y.init) {k = 1}
      a1: f32[B, 2] = delay(y1, a.init) {k = 1}
      %0: f32[B, 2] = mul(a1, 0.5)
      y: f32[B, 2] = add(%0, x)
    }
    """,
    "two states that agree": """
    net feedback(stream x: f32[B, 3], param W: f32[3, 3], state y: f32[B, 3] = r, state r.y: f32[B, 3] = r)
        -> (r) {
      y1: f32[B, 3] = delay(r, y.init) {k = 1}
      r1: f32[B, 3] = delay(r, r.y.init) {k = 1}
      %0: f32[B, 3] = add(x, y1)
      %1: f32[B, 3] = matmul(r1, W)
      %2: f32[B, 3] = add(%0, %1)
      r: f32[B, 3] = tanh(%2)
    }
    """,
    "a given, a deep loop and what leads away": """
    net mixed(stream x: f32[B, 2], given g: f32[B, 2], param w: f32[2, 2], state y: f32[B, 2] {k = 3})
        -> (z, y, g) {
      y3: f32[B, 2] = delay(y, y.init) {k = 3}
      %0: f32[B, 2] = mul(y3, g)
      %1: f32[B, 2] = add(x, %0)
      y: f32[B, 2] = tanh(%1)
      %2: f32[B, 2] = matmul(y, w)
      z: f32[B, 2] = softmax(%2) {axis = 1}
    }
    """,
    "tokens, and only the last step": """
    net tokens(stream i: i64[B], param table: f32[2, 3], state y: f32[B, 3]) -> (y, last end) {
      x: f32[B, 3] = gather(table, i) {axis = 0}
      y1: f32[B, 3] = delay(y, y.init) {k = 1}
      %0: f32[B, 3] = add(x, y1)
      y: f32[B, 3] = mul(%0, 0.5)
      e: f32[B, 3] = last(y)
      end: f32[B, 3] = exp(e)
    }
    """,
    "an input that is also an output": """
    net through(stream x: f32[B, 2]) -> (x_out = x, y, again = x) {
      y: f32[B, 2] = neg(x)
    }
    """,
    "feedback that several products share": """
    net shared(stream x: f32[B, 2], param V: f32[2, 2], param W: f32[2, 2], param b: f32[2],
               state y: f32[B, 2]) -> (y) {
      y1: f32[B, 2] = delay(y, y.init) {k = 1}
      s: f32[B, 2] = add(x, y1)
      %0: f32[B, 2] = matmul(s, V)
      %1: f32[B, 2] = add(%0, b)
      %2: f32[B, 2] = sigmoid(%1)
      %3: f32[B, 2] = matmul(s, W)
      %4: f32[B, 2] = add(%3, b)
      %5: f32[B, 2] = tanh(%4)
      y: f32[B, 2] = mul(%2, %5)
    }
    """,
    "counting": """
    net count(stream x: i64[B], state n: i64[B] {init = 7}) -> (n) {
      n1: i64[B] = delay(n, n.init) {k = 1}
      n: i64[B] = add(n1, x)
    }
    """,
}

STEPS = 7
FORMS: tuple[FormName, ...] = ("sequence", "chunk", "step", "unroll")


@functools.cache
def net(name: str) -> Graph:
    """A net with random weights."""
    graph = parse(NETS[name]).copy()
    params = {
        path: array.astype(graph.type(path).numpy)
        for path, array in random_arrays(graph, seed=0).params.items()
    }
    graph.interface = replace(graph.interface, params=params)
    return graph.freeze()


@functools.cache
def compiled(name: str, form: FormName, plan: str = "") -> Compiled:
    pipeline = (
        str(compile(net(name), form).pipeline).replace("choose", f"choose{{plan={plan}}}") if plan else None
    )
    found = compile(net(name), form, steps=STEPS if form == "unroll" else None, pipeline=pipeline)
    onnx.checker.check_model(found.proto, full_check=True)
    return found


@functools.cache
def opened(name: str, form: FormName, plan: str = "") -> Any:
    return session(compiled(name, form, plan))


def arrays(name: str, T: int, B: int) -> Arrays:
    """Inputs and states of the types that files take."""
    graph, found = net(name), random_arrays(net(name), seed=T * 100 + B, T=T, B=B)
    kinds = {i.name: i.type.numpy for i in graph.interface.inputs}
    return Arrays(
        {k: v.astype(kinds[k]) for k, v in found.inputs.items()},
        {k: v.astype(graph.interface.state(k).type.numpy) for k, v in found.states.items()},
        found.params,
    )


def run(name: str, form: FormName, feeds: dict[str, Any], plan: str = "") -> dict[str, Any]:
    file = opened(name, form, plan)
    names = [o.name for o in file.get_outputs()]
    return dict(zip(names, file.run(names, feeds), strict=True))


#: Every form with every length; an unrolled file has but one.
CASES = [(form, T) for form in FORMS for T in (0, 1, 2, STEPS, 64) if form != "unroll" or T == STEPS]


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("B", [1, 3, 17])
@pytest.mark.parametrize(("form", "T"), CASES)
def test_form(name: str, form: FormName, T: int, B: int) -> None:
    xs, states, _ = arrays(name, T, B)
    said = compiled(name, form).manifest
    before = {s["input"]: states[s["name"]] for s in said["states"]}
    meant = run_reference(net(name), xs, states if said["states"] else None)
    found = (step_by_step if form == "step" else run)(name, form, {**xs, **before})
    outputs = [] if form == "step" and T == 0 else net(name).interface.outputs
    for output, entry in zip(outputs, said["outputs"], strict=False):
        close(found[entry["name"]], meant.outputs[output.name])
    for s in said["states"]:
        close(found[s["output"]], meant.finals[s["name"]])


def step_by_step(name: str, form: FormName, feeds: dict[str, Any]) -> dict[str, Any]:
    """What a step file gives over a sequence: outputs over time, and the states at the end."""
    said = compiled(name, form).manifest
    streams = [i["name"] for i in said["inputs"] if i["kind"] == "stream"]
    found = {s["output"]: feeds[s["input"]] for s in said["states"]}
    steps = []
    for t in range(len(feeds[streams[0]])):
        now = {s["input"]: found[s["output"]] for s in said["states"]}
        found = run(name, form, {**feeds, **now, **{x: feeds[x][t] for x in streams}})
        steps.append(found)
    over_time = [o["name"] for o in said["outputs"] if o["kind"] == "stream" and steps]
    return {**found, **{o: np.stack([f[o] for f in steps]) for o in over_time}}


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("pieces", [(1, 2, 4), (0, 3, 0, 4), (1,) * 7, (6, 1)])
def test_pieces(name: str, pieces: tuple[int, ...]) -> None:
    graph = net(name)
    xs, states, _ = arrays(name, sum(pieces), 3)
    stream, meant = Stream(compiled(name, "chunk")), run_reference(graph, xs, states)
    stream.state = states
    kinds = {i.name: i.kind for i in graph.interface.inputs}
    ends = np.cumsum([0, *pieces])
    found = []
    for a, b in itertools.pairwise(ends):
        ys = stream.push(*(x[a:b] if kinds[k] == "stream" else x for k, x in xs.items()))
        found.append(ys if isinstance(ys, tuple) else (ys,))
    for k, output in enumerate(graph.interface.outputs):
        parts = [p[k] for p in found]
        close(parts[-1] if output.kind == "final" else np.concatenate(parts), meant.outputs[output.name])
    for path, state in stream.state.items():
        close(state, meant.finals[path])


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("B", [1, 3])
@pytest.mark.parametrize("T", [0, 1, 2, STEPS])
@pytest.mark.parametrize("form", ["sequence", "chunk"])
def test_scan(name: str, form: FormName, T: int, B: int) -> None:
    xs, states, _ = arrays(name, T, B)
    said = compiled(name, form, "scan").manifest
    found = run(name, form, {**xs, **{s["input"]: states[s["name"]] for s in said["states"]}}, "scan")
    meant = run_reference(net(name), xs, states if said["states"] else None)
    for output, entry in zip(net(name).interface.outputs, said["outputs"], strict=True):
        close(found[entry["name"]], meant.outputs[output.name])
    for s in said["states"]:
        close(found[s["output"]], meant.finals[s["name"]])


#: Every case in every form that exists for it; a sequence file starts from the initial states.
IN_FORMS = [
    (case, form)
    for case in cases()
    for form in (*case.forms, *(["separate"] if "unroll" in case.forms else []))
    if form != "sequence" or not case.state
]


@pytest.mark.parametrize(("case", "form"), IN_FORMS, ids=str)
def test_semantics(case: Case, form: Any) -> None:
    name: Any = "unroll" if form == "separate" else form
    model = unroll(case.model, len(case.x), separate=True) if form == "separate" else case.model
    shapes = {"x": case.x.shape[2:]}
    file = compile(model, name, steps=len(case.x) if form == "unroll" else None, shapes=shapes)
    onnx.checker.check_model(file.proto, full_check=True)
    if form == "sequence":
        found = tuple(session(file).run(None, {"x": case.x}))
    else:
        stream = Stream(file)
        if case.state:
            stream.state = case.state
        found = push_on(stream, case.x)
        for path, state in case.finals.items():
            close(stream.state[path], state)
    assert len(found) == len(case.ys)
    for y, meant in zip(found, case.ys, strict=True):
        close(y, meant)


@pytest.mark.parametrize("case", [c for c in cases() if "chunk" in c.forms], ids=str)
@pytest.mark.parametrize("size", [1, 2, 5])
def test_semantics_in_chunks(case: Case, size: int) -> None:
    stream = Stream(compile(case.model, "chunk", shapes={"x": case.x.shape[2:]}))
    if case.state:
        stream.state = case.state
    ends = [*range(0, len(case.x), size), len(case.x)]
    parts = [several(stream.push(case.x[a:b])) for a, b in itertools.pairwise(ends)]
    for ys, meant in zip(zip(*parts, strict=True), case.ys, strict=True):
        close(np.concatenate(ys), meant)
    for path, state in case.finals.items():
        close(stream.state[path], state)
