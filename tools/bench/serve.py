"""The service as it is used and misused: ``rnnc serve`` started for real, clients that check every output.

    python -m tools.bench.serve [--clients 64] [--seconds 30] [--width 32]

First many clients over WebSockets, each with a stream of its own, compare all they get with their stream's
own run through the sequence form. Then a replica is killed while they run. Then everything that a client can
do wrong is done, while a client that does nothing wrong watches. All of it is on the loopback interface,
bounded in time, and ends with Ray shut down. The exit status is 1 if anything was not as it should be.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import rnnc
from rnnc.runtime import session
from tools.bench.machine import ROOT

Array = np.ndarray[Any, Any]

PORT = 8137
TOLERANCE = 1e-4
#: How many streams each of the two replicas has room for.
ROOM = 100
HTTP, WS = f"http://127.0.0.1:{PORT}/v2/models/lstm", f"ws://127.0.0.1:{PORT}/v2/models/lstm/stream"


@contextlib.contextmanager
def served(file: Path) -> Iterator[subprocess.Popen[str]]:
    """``rnnc serve`` on a file with two replicas, ended however this ends."""
    argv = [sys.executable, "-m", "rnnc", "serve", str(file), "--port", str(PORT), "--name", "lstm"]
    argv += ["--replicas", "2", "--max-streams", str(ROOM), "--idle", "120"]
    server = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert server.stdout is not None
        for line in server.stdout:
            if line.startswith("serving"):
                break
        else:
            raise SystemExit("rnnc serve did not start")
        yield server
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            server.kill()


def below(process: int) -> dict[int, str]:
    """All processes that a process started, and those that they did: their titles."""
    parents, titles = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                stat = (folder / "stat").read_text().rpartition(")")[2].split()
                parents[int(folder.name)] = int(stat[1])
                titles[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ").strip()
    found: dict[int, str] = {}
    more = [process]
    while more:
        mine = [p for p, parent in parents.items() if parent in more]
        found |= {p: titles[p] for p in mine}
        more = mine
    return found


def memory(server: subprocess.Popen[str], title: str) -> float:
    """The memory of the processes with such a title, in MB."""
    total = 0
    for process, told in below(server.pid).items():
        if title in told:
            with contextlib.suppress(OSError):
                total += int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf(
                    "SC_PAGE_SIZE"
                )
    return total / 1e6


def request(x: Array, binary: bool, id: str = "", **parameters: Any) -> bytes | str:
    """A message with one frame."""
    entry: dict[str, Any] = {"name": "x", "shape": [1, *x.shape], "datatype": "FP32"}
    if not binary:
        entry["data"] = x.tolist()
        return json.dumps({"id": id, "inputs": [entry], "parameters": parameters})
    entry["parameters"] = {"binary_data_size": x.nbytes}
    parameters["binary_data_output"] = True
    header = json.dumps({"id": id, "inputs": [entry], "parameters": parameters}).encode()
    return len(header).to_bytes(4, "little") + header + x.tobytes()


def response(message: bytes | str) -> tuple[dict[str, Any], Array]:
    """What a message says, and its output."""
    if isinstance(message, str):
        told = json.loads(message)
        data = told["outputs"][0]["data"] if "outputs" in told else []
        return told, np.array(data, np.float32)
    size = int.from_bytes(message[:4], "little")
    return json.loads(message[4 : 4 + size]), np.frombuffer(message[4 + size :], np.float32)


@dataclass
class Client:
    """A client with one stream on a WebSocket, which remembers all that it sent and got."""

    name: str
    width: int
    binary: bool
    pause: float = 0.0
    sent: list[list[Array]] = field(default_factory=list)  # for each time the stream was started
    got: list[list[Array]] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    notices: list[dict[str, Any]] = field(default_factory=list)

    async def run(self, seconds: float) -> None:
        """Push frames until time is up; start anew at times, and where the stream is lost."""
        from websockets.asyncio.client import connect

        rng, numbers = np.random.default_rng(list(self.name.encode())), itertools.count()
        chance, end, fresh = random.Random(self.name), time.perf_counter() + seconds, True
        async with connect(WS, compression=None) as socket:
            while time.perf_counter() < end:
                x = rng.normal(size=self.width).astype(np.float32)
                fresh |= chance.random() < 0.005
                if fresh:
                    self.sent.append([])
                    self.got.append([])
                begun = time.perf_counter()
                sent = str(next(numbers))
                await socket.send(request(x, self.binary, sent, sequence_id=self.name, sequence_start=fresh))
                told, y = response(await socket.recv())
                while told.get("id") != sent:  # told without having asked
                    self.notices.append(told)
                    told, y = response(await socket.recv())
                if "error" in told:
                    self.errors.append(told)
                    fresh = True
                    if told["code"] != "STREAM_LOST":
                        await asyncio.sleep(0.1)
                    continue
                fresh = False
                self.latencies.append(time.perf_counter() - begun)
                self.sent[-1].append(x)
                self.got[-1].append(y)
                if self.pause:
                    await asyncio.sleep(self.pause)

    def error(self, run: Any) -> float:
        """The largest difference from the stream's own run through the sequence form."""
        largest = 0.0
        for xs, ys in zip(self.sent, self.got, strict=True):
            if xs:
                (meant,) = run(None, {"x": np.stack(xs)[:, None]})
                largest = max(largest, float(np.abs(meant[:, 0] - np.stack(ys)).max()))
        return largest


def told(clients: list[Client], seconds: float, run: Any) -> bool:
    """Print what clients saw; whether all outputs were right."""
    latencies = np.concatenate([c.latencies for c in clients]) * 1e3
    error = max(c.error(run) for c in clients)
    p50, p99 = np.percentile(latencies, [50, 99])
    print(
        f"  {len(clients)} clients, {sum(len(c.sent) for c in clients)} streams, {len(latencies):,} frames, "
        f"{len(latencies) / seconds:,.0f} a second; p50 {p50:.1f} ms, p99 {p99:.1f} ms; "
        f"{sum(len(c.errors) for c in clients)} errors; outputs within {error:.1e}",
        flush=True,
    )
    return error < TOLERANCE


async def many(server: subprocess.Popen[str], clients: int, seconds: float, width: int, run: Any) -> bool:
    """Many clients at once, none of which sees an error."""
    mine = [Client(f"client {n}", width, bool(n % 4)) for n in range(clients)]
    await asyncio.gather(*(c.run(seconds) for c in mine))
    return told(mine, seconds, run) and not any(c.errors for c in mine)


async def killed(server: subprocess.Popen[str], clients: int, seconds: float, width: int, run: Any) -> bool:
    """A replica is killed while clients run: those whose streams it had are told, and no others."""
    mine = [Client(f"survivor {n}", width, True) for n in range(clients)]
    running = asyncio.gather(*(c.run(seconds) for c in mine))
    await asyncio.sleep(seconds / 3)
    victim = next(p for p, title in below(server.pid).items() if "ServeReplica:rnnc:replica" in title)
    streams = {line.split('"')[1]: float(line.split()[-1]) for line in await metrics("rnnc_pool_streams{")}
    os.kill(victim, signal.SIGKILL)
    await running
    right = told(mine, seconds, run)
    kinds = Counter(error["code"] for c in mine for error in c.errors)
    named = all(told.get("sequence_id") == c.name for c in mine for told in [*c.errors, *c.notices])
    hit = [c for c in mine if c.errors]
    after = all(c.got[-1] for c in hit)
    print(
        f"  streams before: {streams}; told of errors: {len(hit)} of {clients} clients, {dict(kinds)}, each "
        f"by the name of its own stream: {named}; all of them started again and went on: {after}"
    )
    return right and named and after and set(kinds) == {"STREAM_LOST"} and len(hit) in streams.values()


async def metrics(start: str) -> list[str]:
    """The lines of the metrics that begin so."""
    import httpx

    async with httpx.AsyncClient() as http:
        text = (await http.get(f"http://127.0.0.1:{PORT}/metrics", timeout=20)).text
    return [line for line in text.splitlines() if line.startswith(start)]


def main() -> int:
    """Run it all; 0 if everything was as it should be."""
    from tools.bench.misuse import misused

    parser = argparse.ArgumentParser(prog="python -m tools.bench.serve", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--clients", type=int, default=64, help="how many clients (%(default)s)")
    parser.add_argument("--seconds", type=float, default=30, help="how long they run (%(default)s)")
    parser.add_argument("--width", type=int, default=32, help="how wide the LSTM is (%(default)s)")
    given = parser.parse_args()
    model = rnnc.cells.LSTM(given.width, given.width)
    run = session(rnnc.compile(model), threads=1).run
    verdicts = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "lstm.onnx"
        rnnc.compile(model, "step").save(file)
        begun = time.perf_counter()
        with served(file) as server:
            print(f"rnnc serve: ready after {time.perf_counter() - begun:.0f} s, two replicas")
            for what, play, seconds in (
                ("clients over WebSockets", many, given.seconds),
                ("a replica is killed", killed, min(given.seconds, 15)),
                ("everything that a client can do wrong", misused, 0),
            ):
                print(f"{what}:", flush=True)
                verdicts[what] = asyncio.run(play(server, given.clients, seconds, given.width, run))
            left = below(server.pid)
        verdicts["ends"] = not any(Path(f"/proc/{p}").exists() for p in left)
        print(f"shut down: {len(left)} processes, all of them ended: {verdicts['ends']}")
    for what, fine in verdicts.items():
        print(f"{'ok' if fine else 'FAILED':8}{what}")
    return 0 if all(verdicts.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
