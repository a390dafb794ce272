"""What clients of the service can do wrong, done to a running one, while another client watches."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import numpy as np

MB = 1 << 20


def requests(width: int) -> Iterator[tuple[str, bytes, dict[str, str], int]]:
    """Bodies that are wrong: what is, the body, headers, and the status that is due."""
    good = {"name": "x", "shape": [1, width], "datatype": "FP32", "data": [0.0] * width}
    on = {"sequence_id": "wrong", "sequence_start": True}

    def body(parameters: Any = on, **changes: Any) -> bytes:
        return json.dumps({"parameters": parameters, "inputs": [{**good, **changes}]}).encode()

    def binary(raw: bytes, size: int, header: int | None = None) -> tuple[bytes, dict[str, str]]:
        entry = {
            "name": "x",
            "shape": [1, width],
            "datatype": "FP32",
            "parameters": {"binary_data_size": size},
        }
        told = json.dumps({"parameters": on, "inputs": [entry]}).encode()
        return told + raw, {"inference-header-content-length": str(len(told) if header is None else header)}

    yield "wrong shape", body(shape=[1, width + 1], data=[0.0] * (width + 1)), {}, 400
    yield "wrong batch", body(shape=[2, width], data=[0.0] * 2 * width), {}, 400
    yield "shape unlike the data", body(shape=[1, width + 1]), {}, 400
    yield "negative shape", body(shape=[-1, -width]), {}, 400
    yield "huge shape", body(shape=[1 << 40, 1 << 40]), {}, 400
    yield "wrong dtype", body(datatype="FP64"), {}, 400
    yield "unknown dtype", body(datatype="FP31"), {}, 400
    yield "strings for numbers", body(data=["a"] * width), {}, 400
    yield "NaN in JSON", body(data=[float("nan")] * width), {}, 400
    yield "unknown input", body(name="z"), {}, 400
    yield "no input", json.dumps({"parameters": on}).encode(), {}, 400
    yield "no stream", body(parameters={}), {}, 400
    yield "stream that never was", body(parameters={"sequence_id": "never"}), {}, 404
    yield "stream named by a list", body(parameters={"sequence_id": [1]}), {}, 400
    yield "empty body", b"", {}, 400
    yield "malformed JSON", b'{"inputs": [', {}, 400
    yield "JSON that is no object", b"[1, 2]", {}, 400
    yield "deeply nested JSON", b"[" * 100_000, {}, 400
    yield "bytes that are no text", bytes(range(256)) * 8, {}, 400
    yield "binary tensor cut short", *binary(b"\0" * 7, 4 * width), 400
    yield "binary tensor too long", *binary(b"\0" * 8 * width, 4 * width), 400
    yield "binary tensor of a wrong size", *binary(b"\0" * 8, 8), 400
    yield "header longer than the body", *binary(b"", 4 * width, 10**9), 400
    yield "header of no length", b"{}", {"inference-header-content-length": "x"}, 400


async def misused(server: subprocess.Popen[str], _: int, __: float, width: int, run: Any) -> bool:
    """Do all of it; whether each was told what was wrong with it, and the one who watches saw nothing."""
    import httpx
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    from tools.bench.serve import HTTP, PORT, ROOM, WS, Client, memory, metrics, request, response
    from tools.bench.serve import told as tell

    fine = True
    watch = Client("watches", width, True, pause=0.02)
    watching = asyncio.create_task(watch.run(3600))

    def note(what: str, right: bool, found: str) -> None:
        nonlocal fine
        fine &= right
        print(f"  {'ok' if right else 'FAILED':7}{what:36}{found[:140]}", flush=True)

    x = np.zeros(width, np.float32)
    async with httpx.AsyncClient(timeout=60) as http:
        for what, body, headers, status in requests(width):
            found = await http.post(f"{HTTP}/infer", content=body, headers=headers)
            note(
                what,
                found.status_code == status and "code" in found.text,
                f"{found.status_code} {found.text}",
            )
        found = await http.post(f"{HTTP[:-4]}other/infer", content=b"{}")
        note("unknown model", found.status_code == 404, f"{found.status_code} {found.text}")

        async def chunks() -> Any:
            for _ in range(100):
                yield b" " * MB

        for what, content in (("100 MB over HTTP", b" " * 100 * MB), ("100 MB in chunks", chunks())):
            try:
                found = await http.post(f"{HTTP}/infer", content=content)
                note(what, found.status_code == 413, f"{found.status_code} {found.text}")
            except httpx.TransportError as error:  # it is told before it has been sent, and the line is cut
                note(what, True, f"cut: {type(error).__name__}")

        async with connect(WS, compression=None, max_size=None) as ws:
            for what, message, code in (
                ("malformed JSON over a WebSocket", "{", "MALFORMED"),
                ("binary message of two bytes", b"ab", "MALFORMED"),
                ("binary message, header too long", b"\xff\xff\xff\xffab", "MALFORMED"),
                ("9 MB over a WebSocket", " " * 9 * MB, "TOO_LARGE"),
            ):
                await ws.send(message)
                told, _y = response(await ws.recv())
                note(what, told.get("code") == code, json.dumps(told))
            await ws.send(request(np.full(width, np.nan, np.float32), True))
            told, y = response(await ws.recv())
            note(
                "NaN in a binary tensor",
                bool(np.isnan(y).all()) and "error" not in told,
                "outputs NaN, as documented",
            )
            await ws.send(request(x, True, sequence_start=True))
            told, y = response(await ws.recv())
            note(
                "the same stream after a reset", bool(np.isfinite(y).all()) and "error" not in told, "finite"
            )
        try:
            async with connect(WS, compression=None) as ws:
                await ws.send(b"\0" * 100 * MB)
                note("100 MB over a WebSocket", False, str(await ws.recv()))
        except ConnectionClosed as error:
            note("100 MB over a WebSocket", True, f"closed: {error}")

        starts = [
            http.post(f"{HTTP}/infer", content=request(x, False, sequence_id=f"s{n}", sequence_start=True))
            for n in range(2 * ROOM + 40)
        ]
        answers = [await start for start in starts]
        refused = [a for a in answers if a.status_code == 503]
        kept = [a for a in answers if a.status_code == 200]
        note(
            "more streams than there is room for",
            len(refused) + len(kept) == len(answers) and len(refused) >= 40,
            f"{len(kept)} started, {len(refused)} told {refused[0].text if refused else ''}",
        )
        for n in range(len(answers)):
            ended = {"parameters": {"sequence_id": f"s{n}", "sequence_end": True}}
            await http.post(f"{HTTP}/infer", json=ended)

    vanished = await connect(WS, compression=None)
    for n in range(5):
        await vanished.send(request(x, True, sequence_id=f"v{n}", sequence_start=True))
    for _ in range(5):
        await vanished.recv()
    vanished.transport.abort()
    for _ in range(100):
        open_streams = sum(float(line.split()[-1]) for line in await metrics("rnnc_pool_streams{"))
        if open_streams == 1:
            break
        await asyncio.sleep(0.1)
    note("a client that vanishes", open_streams == 1, "its 5 streams have ended with it")

    half = socket.create_connection(("127.0.0.1", PORT))
    half.sendall(b"POST /v2/models/lstm/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{")
    before = memory(server, "ray::")
    frames, closed = await flood(WS, request(x, True), 0)
    after = memory(server, "ray::")
    end = "closed" if closed else "not seen to be closed"
    note(
        "a client that sends without end",
        after - before < 100,
        f"{end} after {frames:,} frames; memory of all processes {before:.0f} to {after:.0f} MB",
    )
    frames, closed = await flood(WS, request(x, True), 0.01)
    after = memory(server, "ray::")
    note(
        "a client that does not read",
        after - before < 100,
        f"{frames:,} frames in 10 s; memory of all processes {before:.0f} to {after:.0f} MB",
    )
    async with httpx.AsyncClient(timeout=5) as http:
        found = await http.get(f"http://127.0.0.1:{PORT}/v2/health/live")
    note("a client that sent half a request", found.status_code == 200, "still waits, and holds no one up")
    half.close()

    seen = len(watch.latencies)
    await asyncio.sleep(1)
    watching.cancel()
    note("the client that watched", not watch.errors and len(watch.latencies) > seen, "saw no error, goes on")
    async with httpx.AsyncClient(timeout=20) as http:
        ready = await http.get(f"http://127.0.0.1:{PORT}/v2/health/ready")
    note("ready afterwards", ready.status_code == 200, ready.text)
    return tell([watch], sum(watch.latencies) + 0.02 * len(watch.latencies), run) and fine


async def flood(url: str, message: bytes | str, pause: float) -> tuple[int, bool]:
    """Send what is answered for ten seconds, and read nothing; how often, and whether that was ended."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    sent = 0
    ws = await connect(url, compression=None, max_queue=1)
    try:
        async with asyncio.timeout(10):
            while True:
                await ws.send(message)
                await asyncio.sleep(pause)
                sent += 1
    except TimeoutError:
        return sent, False
    except ConnectionClosed:
        return sent, True
    finally:
        ws.transport.abort()
