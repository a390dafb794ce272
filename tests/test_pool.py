"""Pools: streams that run in one batch give what each gives alone."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.emit.form import Form
from rnnc.errors import UnknownStream
from tests.pools import ONE, counted, counter, held
from tests.streaming import close
from tests.test_runtime import NET, compiled, data, meant
from tools.bench.pool import TOLERANCE, Script, rehearse, rehearse_tasks


@pytest.mark.parametrize("play", [rehearse, rehearse_tasks])
def test_every_stream_equals_its_own_sequence_run(play: Any) -> None:
    model = rnnc.cells.LSTM(6, 6)
    step, whole = rnnc.compile(model, "step"), rnnc.compile(model)
    with rnnc.StreamPool(step, 60, threads=1, max_batch=17) as pool:
        player = play(Script(60, 40, 6), {"pool": pool})["pool"]
    assert sum(map(len, player.record.begun)) > 60
    assert player.record.error(whole) < TOLERANCE


@pytest.mark.parametrize("form", [Form("step"), Form("chunk"), Form("unroll", 3), Form("unroll", 3, True)])
def test_every_form(form: Form) -> None:
    """States of several steps and given values are each stream's own, in whatever batch."""
    x, g = data(6, B=5)
    result = meant(x, g)
    with rnnc.StreamPool(compiled(NET, form), 8) as pool:
        for n in (3, 1, 4, 0, 2):
            pool.open(n, given={"g": g[n]})
        ys: list[Any] = [[] for _ in range(5)]
        takes = [entry["name"] for entry in pool.manifest["inputs"] if entry["kind"] == "stream"]
        size = 1 if form.name == "step" else 3
        for start in range(0, 6, size):
            for group in ([0, 2, 4], [1], [3]):
                piece = x[start : start + size]
                if form.separate:
                    xs = [piece[int(name[2:])][group] for name in takes]
                else:
                    xs = [piece[0][group] if size == 1 else piece.swapaxes(0, 1)[group]]
                found = pool.push_many(group, *xs)
                names = [entry["name"] for entry in pool.manifest["outputs"]]
                for row, n in enumerate(group):
                    if form.separate:
                        ys[n] += [found[names.index(f"y_{t}")][row] for t in range(3)]
                    else:
                        ys[n] += [found[0][row]] if size == 1 else list(found[0][row])
        close(np.stack(ys, 1), result.outputs["y"])
        for path in ("y", "old"):
            axis = 1 if path == "old" else 0
            close(np.stack([pool.state(n)[path] for n in range(5)], axis), result.finals[path])


@pytest.mark.parametrize("lengths", [True, False])
def test_pieces_of_different_lengths(lengths: bool) -> None:
    """They are one batch where the file takes lengths, and else one for each length."""
    model = rnnc.cells.LSTM(3, 4)
    chunk = rnnc.compile(model, "chunk", lengths=lengths, batch_first=True)
    rng = np.random.default_rng(0)
    xs = [rng.normal(size=(n, 3)).astype(np.float32) for n in (1, 4, 2, 4, 3)]
    with rnnc.StreamPool(chunk, 8) as pool:
        streams = [pool.open() for _ in xs]
        with held(pool, pool.open(), xs[0]):
            asked = [pool.submit(s, x) for s, x in zip(streams, xs, strict=True)]
        ys = [future.result() for future in asked]
        assert counted(pool)["rnnc_pool_batch_streams_count"] == (2 if lengths else 5)
        for stream, x, y in zip(streams, xs, ys, strict=True):
            again = pool.push(stream, x[:2])
            mean, _ = rnnc.reference(model, np.concatenate([x, x[:2]])[:, None])
            close(np.concatenate([y, again]), mean[:, 0])


def test_what_arrives_together_runs_as_one_batch() -> None:
    with counter(8, max_batch=4) as pool:
        for name in "abcdefgh":
            pool.open(name)
        with held(pool, "a"):
            asked = [pool.submit(name, ONE) for name in "bcdefgh"]
        assert [future.result() for future in asked] == [11] * 7
        assert counted(pool)["rnnc_pool_batch_streams_count"] == 3  # of 1, 4 and 3


def test_one_stream_that_sends_much_delays_others_by_one_batch() -> None:
    with counter(3, max_batch=1) as pool:
        greedy, modest = pool.open(), pool.open()
        order: list[Any] = []
        with held(pool, greedy) as first:
            asked = [first, *(pool.submit(greedy, ONE) for _ in range(5)), pool.submit(modest, ONE)]
            for future in asked:
                future.add_done_callback(order.append)
        assert [future.result() for future in asked] == [11, 12, 13, 14, 15, 16, 11]
        assert order.index(asked[-1]) <= 2


def test_reset_comes_in_its_order() -> None:
    with counter() as pool:
        stream = pool.open()
        with held(pool, stream):
            before = pool.submit(stream, ONE)
            pool.reset(stream)
            after = [pool.submit(stream, ONE) for _ in range(2)]
        assert [before.result(), *(f.result() for f in after)] == [12, 11, 12]


def test_streams_open_close_and_open_again() -> None:
    with counter(2) as pool:
        assert [pool.open(), pool.open()] == [0, 1]
        pool.push(0, 5.0)
        pool.close(0)
        assert pool.open("x") == "x"
        assert pool.push("x", 5.0) == 15
        assert pool.push(1, 1.0) == 11
        assert pool.streams == [1, "x"]


def test_threads_push_reset_open_and_close() -> None:
    """Each thread has streams of its own, and sees them as if it were alone."""

    def client(_: int) -> None:
        for _ in range(10):
            stream = pool.open()
            assert [pool.push(stream, ONE) for _ in range(4)] == [11, 12, 13, 14]
            pool.reset(stream)
            assert pool.push(stream, ONE) == 11
            pool.set_state(stream, {"y": 3 * ONE})
            assert pool.push(stream, ONE) == 4
            assert pool.state(stream) == {"y": 4}
            pool.close(stream)

    with counter(8) as pool, ThreadPoolExecutor(8) as threads:
        list(threads.map(client, range(8)))
        assert pool.streams == []


def test_asyncio() -> None:
    async def client() -> None:
        stream = pool.open()
        futures = [pool.apush(stream, ONE) for _ in range(3)]
        futures[1].cancel()  # its frame is run all the same
        assert [await futures[0], await futures[2]] == [11, 13]
        np.testing.assert_array_equal(await pool.apush_many([stream], np.ones(1, np.float32)), [14])
        with pytest.raises(UnknownStream):
            await pool.apush("nobody", ONE)

    async def clients() -> None:
        await asyncio.gather(*(client() for _ in range(20)))

    with counter(40) as pool:
        asyncio.run(clients())
        stream = pool.open()
        with held(pool, stream):

            async def leave() -> None:
                pool.apush(stream, ONE)

            asyncio.run(leave())  # the loop is gone before the answer
        assert pool.push(stream, ONE) == 13
