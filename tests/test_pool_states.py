"""States of a pool: given, taken, saved and restored."""

from __future__ import annotations

import numpy as np
import pytest

import rnnc
from rnnc.emit.form import Form
from rnnc.errors import FileError, Overloaded, StreamError, UnknownStream
from tests.pools import LOOKUP, counter
from tests.streaming import close
from tests.test_runtime import NET, compiled, data


def test_states_are_given_and_taken() -> None:
    x, g = data(3, B=1)
    with rnnc.StreamPool(compiled(NET, Form("step")), 4) as pool:
        one = pool.open(given={"g": g[0]}, state={"y": [4, 5]})
        close(pool.state(one)["y"], [4, 5])
        pool.push(one, x[0, 0])
        close(pool.state(one)["y"], [4, 5] + x[0, 0])
        two = pool.open(given={"g": g[0]}, state=pool.state(one))
        assert pool.state(two)["old"].shape == (5, 2)
        close(pool.push(two, x[1, 0])[0], pool.push(one, x[1, 0])[0])
        pool.set_state(two, {"y": [0, 0]})
        close(pool.push(two, x[2, 0])[0], x[2, 0])


def test_streams_are_saved_and_restored(tmp_path) -> None:
    x, g = data(4, B=3)
    names: list[str | int] = ["a", 7, "c"]
    source = compiled(NET, Form("step"))
    with rnnc.StreamPool(source, 4) as pool:
        for n, name in enumerate(names):
            pool.open(name, given={"g": g[n]})
            pool.push(name, x[0, n])
        pool.reset("c")
        pool.save(tmp_path / "all.safetensors")
        pool.save(tmp_path / "again.safetensors")
        pool.save(tmp_path / "one.safetensors", [7])
        after = [pool.push(name, x[1, n]) for n, name in enumerate(names)]
    assert (tmp_path / "all.safetensors").read_bytes() == (tmp_path / "again.safetensors").read_bytes()
    with rnnc.StreamPool(source, 3) as pool:
        assert pool.restore(tmp_path / "one.safetensors") == [7]
        with pytest.raises(StreamError, match="stream 7 is open already"):
            pool.restore(tmp_path / "all.safetensors")
        assert pool.streams == [7]
        assert pool.restore(tmp_path / "all.safetensors", ["a", "c"]) == ["a", "c"]
        for n, name in enumerate(names):
            for found, mean in zip(pool.push(name, x[1, n]), after[n], strict=True):
                np.testing.assert_array_equal(found, mean)
        with pytest.raises(UnknownStream, match="holds no stream 'z'"):
            pool.restore(tmp_path / "all.safetensors", ["z"])
    with rnnc.StreamPool(source, 2) as pool:
        with pytest.raises(Overloaded, match="room for 2"):
            pool.restore(tmp_path / "all.safetensors")
        assert pool.streams == []


def test_files_that_are_no_states_of_the_model(tmp_path) -> None:
    from safetensors.numpy import save_file

    good, bad = tmp_path / "good.safetensors", tmp_path / "bad.safetensors"
    with counter() as pool:
        pool.open()
        pool.save(good)
        with rnnc.StreamPool(compiled(LOOKUP, Form("step")), 4) as other:
            with pytest.raises(FileError, match="streams of another model"):
                other.restore(good)
            other.open()
            assert other.push(0, 1) == 2
        whole = good.read_bytes()
        for content in (b"", whole[:9], whole[: len(whole) // 2], whole[:-1], b"\xff" * 64, b"{}" * 99):
            bad.write_bytes(content)
            with pytest.raises(FileError, match="is not a whole safetensors file"):
                pool.restore(bad)
        pool.close(0)
        owner = pool._engine.model
        about = f'{{"model": "{owner}", "streams": [0], "version": 1}}'
        for tensors, metadata, message in (
            ({}, None, "holds no streams"),
            ({}, {"rnnc.streams": "["}, "holds no streams"),
            ({}, {"rnnc.streams": about.replace("1}", "9}")}, "version 9"),
            ({}, {"rnnc.streams": about.replace("[0]", "[0, 0]")}, "names its streams in a way"),
            ({}, {"rnnc.streams": about}, "does not hold the states"),
            ({"state.y": np.zeros((2,), np.float32)}, {"rnnc.streams": about}, "unlike its model"),
            ({"state.y": np.zeros((1,), np.float64)}, {"rnnc.streams": about}, "unlike its model"),
        ):
            save_file(tensors, bad, metadata)
            with pytest.raises(FileError, match=message):
                pool.restore(bad)
        with pytest.raises(FileError, match="there is no file"):
            pool.restore(tmp_path / "absent")
        with pytest.raises(FileError, match="cannot be written"):
            pool.save(tmp_path / "absent" / "x")
        assert pool.streams == []
