"""What a pool refuses: whoever asked for it is told, and nobody else notices."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.emit.form import Form
from rnnc.errors import FileError, FormError, Overloaded, RnncError, StreamError, UnknownStream
from tests.pools import LOOKUP, ONE, counted, counter, held
from tests.test_runtime import NET, compiled, data


@pytest.mark.parametrize(
    ("xs", "message"),
    [
        ((), "push got 0 arrays, and a stream takes 1: x"),
        ((np.zeros(3, np.float32),), "axis 0 of x has 3, and should have 2"),
        ((np.zeros((1, 2), np.float32),), "x has 2 axes"),
        ((np.zeros(2),), "x is float64, and the file takes float32"),
        ((["a", "b"],), "x is no array of numbers"),
    ],
)
def test_wrong_frames_are_refused_and_change_nothing(xs: tuple[Any, ...], message: str) -> None:
    x, g = data(2, B=1)
    with rnnc.StreamPool(compiled(NET, Form("step")), 4) as pool:
        stream = pool.open(given={"g": g[0]})
        pool.push(stream, x[0, 0])
        before = pool.state(stream)
        with pytest.raises(RnncError, match=message):
            pool.push(stream, *xs)
        if xs:
            with pytest.raises(
                RnncError, match=message.replace("axis 0", "axis 1").replace("2 axes", "3 axes")
            ):
                pool.push_many([stream], [xs[0]] if isinstance(xs[0], list) else xs[0][None])
        for path, value in pool.state(stream).items():
            np.testing.assert_array_equal(value, before[path])


def test_what_fails_as_it_runs_fails_alone() -> None:
    with rnnc.StreamPool(compiled(LOOKUP, Form("step")), 16) as pool:
        streams = [pool.open() for _ in range(9)]
        with held(pool, pool.open(), 0):
            asked = [pool.submit(s, 7 if s in (2, 6) else 1) for s in streams]
        for stream, future in zip(streams, asked, strict=True):
            if stream in (2, 6):
                with pytest.raises(RnncError, match="onnxruntime failed in v"):
                    future.result()
            else:
                assert future.result() == 2
        assert [pool.push(s, 0) for s in streams] == [1 if s in (2, 6) else 3 for s in streams]
        assert counted(pool)["rnnc_pool_failed_total"] == 2


def test_what_is_no_number() -> None:
    with counter() as pool, counter(refuse_nan=True) as strict:
        for each in (pool, strict):
            each.open(), each.open()
        pool.push_many([0, 1], np.array([np.nan, 1], np.float32))
        found = pool.push_many([0, 1], np.ones(2, np.float32))
        assert np.isnan(found[0])
        assert found[1] == 12
        pool.reset(0)
        assert pool.push(0, ONE) == 11
        with pytest.raises(RnncError, match="x has what is no number"):
            strict.push(0, np.float32("nan"))
        assert strict.push(0, ONE) == 11


def test_streams_that_are_not_there() -> None:
    with counter() as pool:
        pool.open("a")
        pool.close("a")
        uses: dict[str, list[Any]] = {"push": [ONE], "set_state": [{}], "reset": [], "close": [], "state": []}
        for use, rest in uses.items():
            with pytest.raises(UnknownStream, match="stream 'a' was closed"):
                getattr(pool, use)("a", *rest)
        unknown: list[Any] = ["b", 5, None, [1], {}]
        for name in unknown:
            with pytest.raises(UnknownStream, match="is not open"):
                pool.push(name, ONE)
        with pytest.raises(StreamError, match="named by a string or a number"):
            pool.open([1])  # type: ignore[arg-type]
        pool.open("a")
        with pytest.raises(StreamError, match="open already"):
            pool.open("a")
        with pytest.raises(RnncError, match="got a stream twice"):
            pool.push_many(["a", "a"], np.ones(2, np.float32))
        with pytest.raises(UnknownStream):
            pool.push_many(["a", "b"], np.ones(2, np.float32))
        assert pool.push("a", ONE) == 11


def test_closing_refuses_what_waits() -> None:
    with counter(2) as pool:
        one, two = pool.open(), pool.open()
        with held(pool, one) as running:
            waits, other = pool.submit(one, ONE), pool.submit(two, ONE)
            pool.close(one)
            with pytest.raises(Overloaded, match="room for 2"):
                pool.open()  # its slot is free when the frame that runs is done
        assert running.result() == 11
        with pytest.raises(UnknownStream, match="was closed while a frame of it waited"):
            waits.result()
        assert other.result() == 11
        assert pool.push(pool.open(), ONE) == 11


def test_more_than_there_is_room_for() -> None:
    with counter(3, max_waiting=2, max_queue=4) as pool:
        streams = [pool.open() for _ in range(3)]
        with pytest.raises(Overloaded, match="3 streams are open, and there is room for 3"):
            pool.open()
        with held(pool, 0):
            asked = [pool.submit(0, ONE), pool.submit(0, ONE)]
            with pytest.raises(Overloaded, match="2 frames of stream 0 wait"):
                pool.submit(0, ONE)
            with pytest.raises(Overloaded, match="2 frames wait, which is all there is room for"):
                pool.push_many([0, 1, 2], np.ones(3, np.float32))
            asked += [pool.submit(1, ONE), pool.submit(2, ONE)]
            with pytest.raises(Overloaded, match="4 frames wait, which is all there is room for"):
                pool.submit(2, ONE)
        assert [future.result() for future in asked] == [12, 13, 11, 11]
        assert [pool.push(stream, ONE) for stream in streams] == [14, 12, 12]
        found = counted(pool)
        assert found["rnnc_pool_refused_total overloaded"] == 4
        assert found["rnnc_pool_waiting"] == 0


def test_pieces_that_are_too_long() -> None:
    chunk = rnnc.compile(rnnc.cells.LSTM(2, 2), "chunk")
    with rnnc.StreamPool(chunk, 1, max_steps=5) as pool:
        pool.open()
        assert pool.push(0, np.zeros((5, 2), np.float32)).shape == (5, 2)
        with pytest.raises(RnncError, match="x has 6 steps, and a piece may have 5"):
            pool.push(0, np.zeros((6, 2), np.float32))


def test_streams_that_are_not_used_expire() -> None:
    now = [0.0]
    with counter(2, idle=10, clock=lambda: now[0]) as pool:
        pool.open("a"), pool.open("b")
        now[0] = 6
        pool.push("a", ONE)
        now[0] = 12
        pool.open("c")
        assert pool.streams == ["a", "c"]
        with pytest.raises(UnknownStream, match="stream 'b' expired: it was not used for 10 s"):
            pool.push("b", ONE)
        assert pool.push("a", ONE) == 12
        now[0] = 13
        with held(pool, "a"):
            now[0] = 1000
            waits = pool.submit("a", ONE)
        assert waits.result() == 14
        assert pool.streams == ["a"]
        found = counted(pool)
        assert found["rnnc_pool_closed_total expired"] == 2
        assert found["rnnc_pool_opened_total"] == 3


def test_streams_expire_while_nothing_else_happens() -> None:
    with counter(1, idle=0.02) as pool:
        pool.open()
        waiting = threading.Event()
        for _ in range(200):
            if not pool.streams:
                break
            waiting.wait(0.01)
        assert pool.streams == []


def test_a_pool_that_was_shut_down() -> None:
    pool = counter()
    stream = pool.open()
    with held(pool, stream) as running:
        waits = pool.submit(stream, ONE)
        ending = threading.Thread(target=pool.shutdown)
        ending.start()
        while not pool._worker._closed:
            threading.Event().wait(0.001)
    ending.join()
    assert running.result() == 11
    with pytest.raises(StreamError, match="the pool was shut down"):
        waits.result()
    for use in (lambda: pool.push(stream, ONE), pool.open, lambda: pool.state(stream)):
        with pytest.raises(StreamError, match="the pool was shut down"):
            use()
    pool.shutdown()


def test_files_and_options_that_make_no_pool() -> None:
    with pytest.raises(FormError, match="a sequence file keeps no state"):
        rnnc.StreamPool(rnnc.compile(rnnc.cells.LSTM(2, 2)), 1)
    with pytest.raises(FileError, match="there is no file absent"):
        rnnc.StreamPool("absent", 1)
    for name in ("max_streams", "max_batch", "max_waiting", "max_queue", "max_steps", "idle"):
        with pytest.raises(RnncError, match=f"{name} is 0, and should be above 0"):
            counter(**{name: 0})
    with rnnc.StreamPool(compiled(NET, Form("step")), 1) as pool:
        with pytest.raises(RnncError, match="a stream is given g as it is opened, and was given nothing"):
            pool.open()
        with pytest.raises(RnncError, match="axis 0 of g has 3"):
            pool.open(given={"g": [1, 2, 3]})
        with pytest.raises(RnncError, match="the file has no state z"):
            pool.open(given={"g": [1, 2]}, state={"z": 1})
        assert pool.streams == []


def test_metrics() -> None:
    with counter(3, max_batch=2) as pool:
        for _ in range(3):
            pool.open()
        pool.push_many([0, 1, 2], np.ones(3, np.float32))
        pool.close(2)
        found = counted(pool)
        assert found["rnnc_pool_latency_seconds_count"] == 3
        assert found["rnnc_pool_latency_seconds_bucket +Inf"] == 3
        assert 0 < found["rnnc_pool_latency_seconds_sum"] < 10
        assert found["rnnc_pool_batch_streams_bucket 1"] == 1
        assert found["rnnc_pool_batch_streams_bucket 2"] == 2
        assert found["rnnc_pool_batch_streams_sum"] == 3
        assert found["rnnc_pool_streams"] == 2
        assert found["rnnc_pool_max_streams"] == 3
        assert found["rnnc_pool_closed_total asked"] == 1
        assert 0 < found["rnnc_pool_run_seconds_total"] < 10


def test_an_interrupt_of_whoever_runs_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    with counter() as pool:
        stream = pool.open()
        with monkeypatch.context() as patch:
            patch.setattr(pool._engine, "run", interrupted)
            with pytest.raises(KeyboardInterrupt):
                pool.push(stream, ONE)
        assert pool.push(stream, ONE) == 11
