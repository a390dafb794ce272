"""The service's replicas, desk and sockets, joined in one process where Ray would join them."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import rnnc
from rnnc.cli import cli
from rnnc.emit.form import Form
from rnnc.runtime import manifest_of, session
from rnnc.service.protocol import Refusal, parse
from tests.streaming import close
from tests.test_runtime import NET, compiled, data, meant

pytest.importorskip("fastapi")
exceptions = pytest.importorskip("ray.exceptions")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # at what Ray makes of pydantic
    from rnnc.service.desk import Desk
    from rnnc.service.replica import Replica
    from rnnc.service.sockets import UNDER_WAY, Socket


class Handle:
    """Stands for the handle of Ray Serve: calls of replicas in this process."""

    def __init__(self, names: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.alive: dict[str, Any] = {}
        for name in names:
            context = SimpleNamespace(replica_id=SimpleNamespace(unique_id=name))
            monkeypatch.setattr("ray.serve.get_replica_context", lambda c=context: c)
            self.alive[name] = Replica(compiled(NET, Form("step")), {"max_streams": 2, "threads": 1})

    def options(self, session_id: str) -> Any:
        async def call(wanted: str, items: Any) -> Any:
            await asyncio.sleep(0)
            if wanted and wanted not in self.alive and session_id == "b":
                raise exceptions.RayActorError  # as one that is under way when its replica dies
            name = session_id if session_id in self.alive else next(iter(self.alive))
            return await self.alive[name].run(wanted, items)

        return SimpleNamespace(run=SimpleNamespace(remote=call))

    def broadcast(self, method: str, *args: Any) -> Any:
        async def results_async(**_: Any) -> list[Any]:
            return [await getattr(one, method)(*args) for one in self.alive.values()]

        return SimpleNamespace(results_async=results_async)


class Wire:
    """Stands for a WebSocket: what a client has sent, and what it is sent."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[Any] = asyncio.Queue()
        self.got: asyncio.Queue[Any] = asyncio.Queue()
        self.closed: int | None = None

    async def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = await self.sent.get()
        return message

    async def send_text(self, text: str) -> None:
        await self.got.put(json.loads(text))

    async def send_bytes(self, content: bytes) -> None:
        size = int.from_bytes(content[:4], "little")
        await self.got.put((json.loads(content[4 : 4 + size]), content[4 + size :]))

    async def close(self, code: int, reason: str) -> None:
        self.closed = code

    def push(self, x: Any, g: Any = None, **parameters: Any) -> None:
        arrays = {"x": x} if g is None else {"x": x, "g": g}
        inputs = [
            {"name": n, "shape": [1, *a.shape], "datatype": "FP32", "data": a.tolist()}
            for n, a in arrays.items()
        ]
        text = json.dumps({"inputs": inputs, "parameters": parameters})
        self.sent.put_nowait({"type": "websocket.receive", "text": text})

    def leave(self) -> None:
        self.sent.put_nowait({"type": "websocket.disconnect"})

    async def answer(self) -> Any:
        return await asyncio.wait_for(self.got.get(), 10)


@pytest.fixture
def handle(monkeypatch: pytest.MonkeyPatch):
    found = Handle(["a", "b"], monkeypatch)
    yield found
    for one in found.alive.values():
        one._pool.shutdown()


def desk(handle: Handle) -> Desk:
    return Desk(handle, "net", manifest_of(session(compiled(NET, Form("step")))) or {}, False)


def open_streams(handle: Handle) -> dict[str, list[Any]]:
    return {name: one._pool.streams for name, one in handle.alive.items()}


def test_streams_on_a_socket(handle: Handle) -> None:
    x, g = data(4, B=2)
    result = meant(x, g)

    async def client() -> None:
        wire, at = Wire(), desk(handle)
        serving = asyncio.create_task(Socket(at, wire, 10_000).serve())
        for t in range(4):
            wire.push(x[t, 0], g[0] if not t else None)  # a stream of the socket's own
            wire.push(x[t, 1], g[1] if not t else None, sequence_id="mine", sequence_start=not t)
            answers = [await wire.answer() for _ in range(2)]
            by_name = {a["parameters"]["sequence_id"] == "mine": a["outputs"] for a in answers}
            for n in range(2):
                y, z = by_name[bool(n)]
                assert (y["name"], y["shape"], z["name"]) == ("y", [1, 2], "z")
                close(np.array(y["data"]), result.outputs["y"][t, n])
                close(np.array(z["data"]), result.outputs["z"][t, n])
        assert sum(map(len, open_streams(handle).values())) == 2
        wire.leave()
        await serving

    asyncio.run(client())


def test_what_a_client_gets_wrong(handle: Handle) -> None:
    x, g = data(1, B=1)
    x, g = x[0, 0], g[0]

    async def client() -> None:
        wire, at = Wire(), desk(handle)
        serving = asyncio.create_task(Socket(at, wire, 1000).serve())

        async def told() -> Any:
            answer = await wire.answer()
            return answer["code"], answer.get("sequence_id")

        wire.push(x, sequence_id="s", sequence_start=True)
        assert await told() == ("INVALID", "s")  # g is not given, so there is no stream
        wire.push(x, sequence_id="s")
        assert await told() == ("STREAM_UNKNOWN", "s")
        wire.push(x[:1], g, sequence_id="s", sequence_start=True)
        assert await told() == ("INVALID", "s")
        assert open_streams(handle) == {"a": [], "b": []}
        wire.push(x, g, sequence_id="s", sequence_start=True)
        assert "outputs" in await wire.answer()
        wire.push(x, g, sequence_id="s")
        assert await told() == ("INVALID", "s")  # given, but not at the start
        for n in range(4):  # there is room for two in each replica
            wire.push(x, g, sequence_id=n, sequence_start=True)
            answer = await wire.answer()
            assert answer.get("code") == ("OVERLOADED" if n == 3 else None)
        wire.sent.put_nowait({"type": "websocket.receive", "text": "x" * 1001})
        assert await told() == ("TOO_LARGE", None)
        for content in (b"", b"\xff\xff\xff\xff"):
            wire.sent.put_nowait({"type": "websocket.receive", "bytes": content})
            assert await told() == ("MALFORMED", None)
        wire.push(x, sequence_id="s", sequence_end=True)
        assert "outputs" in await wire.answer()
        wire.push(x, sequence_id="s")
        assert await told() == ("STREAM_UNKNOWN", "s")
        wire.leave()
        await serving

    asyncio.run(client())


def test_a_replica_dies(handle: Handle) -> None:
    """Its streams are told as lost, by an answer or without being asked; others go on."""
    x, g = data(1, B=1)
    x, g = x[0, 0], g[0]

    async def clients() -> None:
        at, wires = desk(handle), [Wire(), Wire()]
        sockets = [Socket(at, wire, 1000) for wire in wires]
        at.listeners.update(sockets)
        serving = [asyncio.create_task(socket.serve()) for socket in sockets]
        for n in range(4):  # two on "a", then two on "b"
            wires[n % 2].push(x, g, sequence_id=n, sequence_start=True)
            assert "outputs" in await wires[n % 2].answer()
        assert open_streams(handle) == {"a": [0, 1], "b": [2, 3]}
        handle.alive.pop("b")._pool.shutdown()
        wires[0].push(x, sequence_id=2)
        answers = [await wire.answer() for wire in wires]
        assert [(a["code"], a["sequence_id"]) for a in answers] == [("STREAM_LOST", 2), ("STREAM_LOST", 3)]
        for n, wire in enumerate(wires):
            wire.push(x, sequence_id=n)
            assert "outputs" in await wire.answer()
        wires[0].push(x, sequence_id=0, sequence_end=True)
        assert "outputs" in await wires[0].answer()
        wires[1].push(x, sequence_id=3)
        assert (await wires[1].answer())["code"] == "STREAM_LOST"
        wires[1].push(x, g, sequence_id=3, sequence_start=True)
        assert "outputs" in await wires[1].answer()
        for wire in wires:
            wire.leave()
        await asyncio.gather(*serving)

    asyncio.run(clients())


def test_a_client_that_does_not_wait_for_answers(handle: Handle) -> None:
    async def client() -> None:
        wire = Wire()
        for n in range(UNDER_WAY + 1):
            wire.push(np.zeros(2, np.float32), sequence_id=n)
        await Socket(desk(handle), wire, 1000).serve()
        assert wire.closed == 1008
        assert (await wire.answer())["code"] == "OVERLOADED"

    asyncio.run(client())


def test_requests_without_a_stream(handle: Handle) -> None:
    async def client() -> None:
        with pytest.raises(Refusal, match="the model keeps a state for each stream"):
            await desk(handle).infer(parse(b"{}"))

    asyncio.run(client())


def test_the_command_says_what_is_wrong_before_ray_starts(tmp_path) -> None:
    import socket

    rnnc.compile(rnnc.cells.LSTM(2, 2)).save(tmp_path / "whole.onnx")
    rnnc.compile(rnnc.cells.LSTM(2, 2), "step").save(tmp_path / "step.onnx")
    for file, message in (("absent", "there is no file"), ("whole", "a sequence file keeps no state")):
        run = CliRunner().invoke(cli, ["serve", str(tmp_path / f"{file}.onnx")])
        assert run.exit_code == 1
        assert message in run.output
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        run = CliRunner().invoke(cli, ["serve", str(tmp_path / "step.onnx"), "--port", port])
    assert run.exit_code == 1
    assert "cannot be listened on" in run.output
