"""The service without Ray: the protocol's requests and responses, and the links to replicas."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from rnnc.cli import cli
from rnnc.emit.form import Form
from rnnc.runtime import manifest_of, session
from rnnc.service.links import CALL, WAITING, Gone, Item, Link, Links
from rnnc.service.protocol import Ask, Refusal, Shapes, metadata, parse, respond
from rnnc.serving.metrics import merged
from rnnc.serving.turns import Id
from tests.pools import ONE, counter
from tests.test_runtime import NET, compiled

X = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2.5]}


def body(*inputs: Any, **parameters: Any) -> bytes:
    return json.dumps({"inputs": list(inputs), "parameters": parameters}).encode()


# -- the protocol -------------------------------------------------------------------------------------------


def test_a_request_in_json() -> None:
    ask = parse(
        json.dumps(
            {
                "id": "7",
                "parameters": {"sequence_id": 5, "sequence_start": True},
                "inputs": [X, {"name": "n", "shape": [2, 1], "datatype": "INT64", "data": [[3], [4]]}],
                "outputs": [{"name": "y"}],
            }
        ).encode()
    )
    assert (ask.id, ask.sequence, ask.start, ask.end, ask.outputs) == ("7", 5, True, False, ["y"])
    assert not ask.binary
    np.testing.assert_array_equal(ask.inputs["x"], np.array([[1, 2.5]], np.float32), strict=True)
    np.testing.assert_array_equal(ask.inputs["n"], np.array([[3], [4]]), strict=True)


def test_binary_tensors_go_around() -> None:
    arrays: dict[str, Any] = {"a": np.array([[np.nan, 1]], np.float32), "b": np.arange(3, dtype=np.int8)}
    entries = [
        {"name": n, "shape": list(a.shape), "datatype": t, "parameters": {"binary_data_size": a.nbytes}}
        for (n, a), t in zip(arrays.items(), ("FP32", "INT8"), strict=True)
    ]
    header = body(*entries, sequence_id="s", binary_data_output=True)
    ask = parse(header + b"".join(a.tobytes() for a in arrays.values()), len(header))
    for name, array in arrays.items():
        np.testing.assert_array_equal(ask.inputs[name], array, strict=True)
    told, tensors = respond("m", ask, list(ask.inputs.items()), "s")
    again = json.loads(told)
    assert [t["parameters"]["binary_data_size"] for t in again["outputs"]] == [8, 3]
    assert b"".join(tensors) == b"".join(a.tobytes() for a in arrays.values())


def test_a_response_in_json() -> None:
    y = np.array([[np.nan, 0.5, -np.inf]], np.float32)
    told, tensors = respond("m", Ask("i", "s", outputs=["y"]), [("y", y), ("z", y)], "s")
    assert tensors == []
    assert json.loads(told) == {
        "model_name": "m",
        "id": "i",
        "parameters": {"sequence_id": "s"},
        "outputs": [{"name": "y", "shape": [1, 3], "datatype": "FP32", "data": [None, 0.5, None]}],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe\x00", "no JSON"),
        (b"[" * 99_999, "no JSON"),
        (b"[]", "no JSON object"),
        (b'{"id": 3}', "id is no string"),
        (b'{"parameters": []}', "parameters is no JSON object"),
        (body(sequence_id=True), "sequence_id is neither"),
        (body(sequence_id="x" * 257), "more than 256"),
        (body(sequence_id=1.5), "sequence_id is neither"),
        (body(sequence_start=1), "sequence_start is neither true nor false"),
        (b'{"inputs": {}}', "inputs is no list"),
        (body(3), "an input is no JSON object"),
        (body({}), "a tensor has no name"),
        (body(X, X), "input x is there twice"),
        (body({**X, "datatype": "FP33"}), "no datatype that is known"),
        (body({**X, "datatype": []}), "no datatype that is known"),
        (body({**X, "shape": [1, -2]}), "no shape"),
        (body({**X, "shape": [True, 2]}), "no shape"),
        (body({**X, "shape": 2}), "no shape"),
        (body({**X, "shape": [1, 3]}), "are not 3 numbers of FP32"),
        (body({**X, "shape": [1 << 60, 1 << 60]}), "numbers of FP32"),
        (body({**X, "data": ["1", "2"]}), "are not 2 numbers"),
        (body({**X, "data": [[1], [2, 3]]}), "are not 2 numbers"),
        (body({**X, "data": [None, 2]}), "are not 2 numbers"),
        (body({**X, "data": [float("nan"), 2]}), "JSON has no NaN"),
        (body({**X, "datatype": "INT64"}), "numbers of INT64"),
        (body({**X, "datatype": "INT8", "data": [1, 300]}), "numbers of INT8"),
        (body({**X, "datatype": "UINT64", "data": [1, 10**30]}), "numbers of UINT64"),
        (body({**X, "datatype": "BOOL", "data": [1, 0]}), "numbers of BOOL"),
        (body({**X, "data": None}), "the data of input x is no list"),
        (body({**X, "parameters": {"binary_data_size": 8}}), "8 bytes of binary data, and 0 are there"),
        (body({**X, "parameters": {"binary_data_size": "8"}}), "binary data"),
    ],
)
def test_malformed_requests(text: bytes, message: str) -> None:
    with pytest.raises(Refusal, match=message) as refused:
        parse(text)
    assert (refused.value.code, refused.value.status) == ("MALFORMED", 400)


def test_malformed_binary() -> None:
    header = body({**X, "parameters": {"binary_data_size": 8}}, sequence_id="me")
    for raw, size, message in (
        (b"", len(header) + 1, "the header is said to have"),
        (b"1234567", len(header), "7 are there"),
        (b"123456789", len(header), "1 bytes are left"),
        (b"12345678", len(header) - 1, "no JSON"),
    ):
        with pytest.raises(Refusal, match=message) as refused:
            parse(header + raw, size)
        assert refused.value.sequence in (None, "me")


def test_shapes_and_metadata() -> None:
    manifest = manifest_of(session(compiled(NET, Form("chunk")))) or {}
    told = metadata("m", manifest)
    assert told["inputs"][0] == {"name": "x", "datatype": "FP32", "shape": [-1, -1, 2]}
    assert [o["name"] for o in told["outputs"]] == ["y", "z"]
    shapes, x, g = Shapes(manifest), np.zeros((3, 1, 2), np.float32), np.ones((1, 2), np.float32)
    frames, given = shapes.frames(Ask(inputs={"g": g, "x": x}))
    assert frames is not None
    assert [f.shape for f in frames] == [(3, 2)]
    assert given["g"].shape == (2,)
    assert [(n, y.shape) for n, y in shapes.outputs([x[:, 0], x[:, 0]])] == [
        ("y", (3, 1, 2)),
        ("z", (3, 1, 2)),
    ]
    assert shapes.frames(Ask(end=True)) == (None, {})
    for ask, message in (
        (Ask(), "the request has no input x"),
        (Ask(inputs={"z": x}), "the model has no input z. It has x, g"),
        (Ask(inputs={"x": x[0]}), "axis 1 of it, the batch, should have 1"),
        (Ask(inputs={"x": np.zeros((3, 2, 2), np.float32)}), "should have 1"),
    ):
        with pytest.raises(Refusal) as refused:
            shapes.frames(ask)
        assert message in json.loads(refused.value.content())["error"]


def test_metrics_of_several_replicas() -> None:
    with counter() as one, counter() as two:
        one.open()
        one.push(0, ONE)
        lines = merged({"a": one.metrics(), "b": two.metrics()}).splitlines()
    assert 'rnnc_pool_streams{replica="a"} 1.0' in lines
    assert 'rnnc_pool_streams{replica="b"} 0.0' in lines
    assert sum(line.startswith("# TYPE rnnc_pool_streams ") for line in lines) == 1


# -- links --------------------------------------------------------------------------------------------------


class Cluster:
    """Replicas whose streams count their frames, in place of Ray's."""

    def __init__(self, *names: str, room: int = 100) -> None:
        self.replicas: dict[str, dict[Id, int]] = {name: {} for name in names}
        self.room, self.next, self.calls = room, names[0], list[int]()
        self.lost: list[Id] = []
        self.links = self.front()

    def front(self, shared: bool = False) -> Links:
        return Links(self.send, self.locate, self.roomy, self.lost.extend, shared)

    async def send(self, replica: str, items: Sequence[Item]) -> tuple[str, list[Any]]:
        self.calls.append(len(items))
        await asyncio.sleep(0.001)
        name = replica or self.next
        if name not in self.replicas:
            raise Gone(name)
        return name, [self.reply(self.replicas[name], item) for item in items]

    def reply(self, streams: dict[Id, int], item: Item) -> Any:
        if item.start:
            if len(streams) >= self.room:
                return Refusal("OVERLOADED", "full", item.sequence)
            streams[item.sequence] = 0
        if item.sequence not in streams:
            return Refusal("STREAM_UNKNOWN", "unknown", item.sequence)
        streams[item.sequence] += 1
        count = streams[item.sequence]
        if item.end:
            del streams[item.sequence]
        return (count,)

    async def locate(self, sequence: Id) -> str | None:
        return next((name for name, streams in self.replicas.items() if sequence in streams), None)

    async def roomy(self) -> str | None:
        return next((name for name, streams in self.replicas.items() if len(streams) < self.room), None)


def code(reply: Any) -> str:
    assert isinstance(reply, Refusal)
    return reply.code


def test_what_waits_is_one_call_in_order() -> None:
    async def clients() -> None:
        cluster = Cluster("a", "b")
        ask = cluster.links.ask
        await asyncio.gather(*(ask(Item(n, start=True)) for n in range(20)))
        cluster.calls.clear()
        frames = [ask(Item(n)) for _ in range(3) for n in range(20)]
        assert await asyncio.gather(*frames) == [(k,) for k in (2, 3, 4) for _ in range(20)]
        assert cluster.calls == [20, 20, 20]

    asyncio.run(clients())


def test_streams_stay_where_they_are() -> None:
    async def client() -> None:
        cluster = Cluster("a", "b", room=2)
        ask = cluster.links.ask
        assert await ask(Item("s", start=True)) == (1,)
        cluster.next = "b"
        assert await ask(Item("s")) == (2,)
        assert await ask(Item("s", start=True)) == (1,)
        assert cluster.replicas == {"a": {"s": 1}, "b": {}}
        other = cluster.front(shared=True)
        assert await other.ask(Item("s")) == (2,)
        assert await other.ask(Item("s", start=True)) == (1,)
        assert cluster.replicas["b"] == {}
        assert await ask(Item("s", end=True)) == (2,)
        assert code(await ask(Item("s"))) == "STREAM_UNKNOWN"
        assert code(await ask(Item("t"))) == "STREAM_UNKNOWN"
        for n in range(3):  # one more than "b" has room for
            assert await ask(Item(n, start=True)) == (1,)
        assert {name: len(streams) for name, streams in cluster.replicas.items()} == {"a": 1, "b": 2}
        assert await ask(Item(3, start=True)) == (1,)
        assert code(await ask(Item(4, start=True))) == "OVERLOADED"

    asyncio.run(client())


def test_a_replica_that_dies_takes_its_own_streams_only() -> None:
    async def clients() -> None:
        cluster = Cluster("a", "b")
        ask = cluster.links.ask
        await asyncio.gather(*(ask(Item(n, start=True)) for n in (1, 2, 3)))
        cluster.next = "b"
        await asyncio.gather(*(ask(Item(n, start=True)) for n in (4, 5)))
        del cluster.replicas["a"]
        replies = await asyncio.gather(*(ask(Item(n)) for n in (1, 2, 4, 1)))
        assert [r if isinstance(r, tuple) else r.code for r in replies] == [
            "STREAM_LOST", "STREAM_LOST", (2,), "STREAM_LOST",
        ]  # fmt: skip
        assert sorted(cluster.lost) == [1, 2, 3]
        assert code(await ask(Item(3))) == "STREAM_LOST"
        assert await ask(Item(3, start=True)) == (1,)
        assert await ask(Item(3)) == (2,)
        assert await ask(Item(5)) == (2,)
        cluster.replicas.clear()
        assert code(await ask(Item(9, start=True))) == "OVERLOADED"

    asyncio.run(clients())


def test_links_are_bounded_and_outlive_faults() -> None:
    async def client() -> None:
        go, sizes = asyncio.Event(), []

        async def send(replica: str, items: Sequence[Item]) -> tuple[str, list[Any]]:
            sizes.append(len(items))
            await go.wait()
            if len(sizes) == 1:
                raise ZeroDivisionError
            return replica, [(item.sequence,) for item in items]

        link = Link(send, "a")
        first = asyncio.create_task(link.ask(Item("first")))
        await asyncio.sleep(0.01)
        asked = [asyncio.create_task(link.ask(Item(n))) for n in range(WAITING)]
        await asyncio.sleep(0.01)
        assert code(await asyncio.wait_for(link.ask(Item("late")), 5)) == "OVERLOADED"
        asked[5].cancel()
        go.set()
        assert code(await first) == "INTERNAL"
        replies = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(replies[5], asyncio.CancelledError)
        assert replies[:5] + replies[6:] == [(n,) for n in range(WAITING) if n != 5]
        assert max(sizes) == CALL

    asyncio.run(client())


def test_the_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "rnnc.service.app", raising=False)
    run = CliRunner().invoke(cli, ["serve", "any.onnx"])
    assert run.exit_code == 1
    assert "serving needs Ray Serve, and ray is missing" in run.output
    assert "pip install 'rnnc[serve]'" in run.output
