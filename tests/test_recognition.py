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
from hypothesis import given

from rnnc import passes
from rnnc.compiler import compile
from rnnc.frontend.assemble import trace
from rnnc.ir import Graph
from rnnc.machine.reference import Arrays, random_arrays, run
from rnnc.pipeline import Pipeline
from rnnc.remarks import collecting
from rnnc.runtime import Stream
from tests import refusals, variants
from tests.meaning import with_params
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
    return Arrays(*({k: v.astype(np.float32) for k, v in part.items()} for part in drawn))


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


@given(writings())
def test_any_rnn(how: Writing) -> None:
    check_machine(variants.rnn(how), "rnn")


@given(writings(peepholes=PEEPHOLES, update=UPDATES))
def test_any_lstm(how: Writing) -> None:
    check_machine(variants.lstm(how), "lstm")


@given(writings(mixture=MIXTURES, after=(False, True)))
def test_any_gru(how: Writing) -> None:
    check_machine(variants.gru(how), "gru")


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
