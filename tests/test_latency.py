"""Models that look ahead, run step by step: outputs come late, and are what the sequence gives."""

from __future__ import annotations

import numpy as np
import pytest

import rnnc
from rnnc import cells, delay, net, ones, stream, tanh
from rnnc.errors import FormError, RnncError
from rnnc.runtime import Stream

RNG = np.random.default_rng(3)

smooth = net(lambda x=stream(3): 0.25 * x[-1] + 0.5 * x + 0.25 * x[1])
far = net(lambda x=stream(3): x[2] - x[-2])
held = net(lambda x=stream(3): delay(x, -2, init=0.5))


@net
def Meeting(x=stream(3), *, y=ones(3)):
    """What looks ahead by different distances meets in a state, and looks ahead again."""
    sum_ = x[1] + tanh(x[3])
    y = 0.5 * y[-1] + sum_
    return y[2] + x


@net
def Deep(x=stream(3), *, y=ones(3)):
    """A state two steps deep, behind a look ahead."""
    y = tanh(0.5 * y[-2] + x[1])
    return y


MODELS = {
    "smooth": (smooth, 1),
    "far": (far, 2),
    "held": (held, 2),
    "meeting": (Meeting(), 5),
    "deep": (Deep(), 1),
    "before an lstm": (rnnc.Chain(smooth, cells.LSTM(3, 4), cells.Recurrent(4, 3), smooth), 2),
}


def sequence(steps: int) -> np.ndarray:
    return RNG.uniform(-1, 1, (steps, 2, 3)).astype(np.float32)


@pytest.mark.parametrize("more", [0, 3])
@pytest.mark.parametrize("name", MODELS)
def test_outputs_come_so_many_steps_late(name: str, more: int) -> None:
    model, least = MODELS[name]
    late = least + more
    file = Stream(rnnc.compile(model, "step", latency=late))
    for steps in (7, 1):
        x = sequence(steps)
        meant, _ = rnnc.reference(model, x)
        pushed = np.stack([file.push(f) for f in x])
        found = np.concatenate([pushed, file.flush()])
        assert not found[:late].any(), "nothing is known before"
        np.testing.assert_allclose(found[late:], meant, atol=1e-5)


@pytest.mark.parametrize("name", ["smooth", "meeting", "before an lstm"])
def test_so_they_do_in_chunks(name: str) -> None:
    model, late = MODELS[name]
    file = Stream(rnnc.compile(model, "chunk", latency=late))
    x = sequence(11)
    pieces = [file.push(part) for part in (x[:4], x[4:5], x[5:])]
    found = np.concatenate([*pieces, file.flush()])
    np.testing.assert_allclose(found[late:], rnnc.reference(model, x)[0], atol=1e-5)


def test_the_manifest_says_so() -> None:
    compiled = rnnc.compile(smooth, "step", latency=4)
    assert (compiled.manifest["latency"], compiled.manifest["valid"]) == (4, "valid")
    assert [i["name"] for i in compiled.manifest["inputs"]] == ["x", "valid"]


def test_what_has_no_latency() -> None:
    with pytest.raises(FormError, match="looks ahead by 1") as told:
        rnnc.compile(smooth, "step", latency=0)
    assert "latency=1" in told.value.hint
    with pytest.raises(FormError, match="waits for the end"):
        rnnc.compile(rnnc.flip(cells.LSTM(3, 4)), "step", latency=9)
    with pytest.raises(FormError, match="needs no latency"):
        rnnc.compile(smooth, latency=1)
    with pytest.raises(RnncError, match="the file has no latency"):
        Stream(rnnc.compile(cells.LSTM(3, 4), "step")).flush()
