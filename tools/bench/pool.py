"""Many streams through a :class:`rnnc.StreamPool`, beside one call of the same file for every frame.

    python -m tools.bench.pool [--streams 1000] [--steps 200] [--width 128] [--cpus 1]

The streams of an LSTM take steps at random times, each at a pace of its own, and are opened, closed and reset
in between. Three faces of the pool serve them: ``push_many``, on what has arrived in a moment; ``apush``, a
task of asyncio for each stream that awaits each answer; and ``apush`` again at half of what it can do,
arrivals at random (Poisson), which shows the latency without the queue. Beside the first two, in turns and on
the same frames, is what serves them without a pool: one call of the file for each frame, its states kept in a
dict; and the pool itself, made to run one stream at a time. Every output of every stream is compared with the
stream's own run through the sequence form. Python's share is the part of the time that is not spent in
onnxruntime; "in CPU" is the ratio of times of the processor, which others that it serves do not disturb. The
garbage collector is off.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import gc
import itertools
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter, process_time
from typing import Any

import numpy as np

import rnnc
from rnnc.errors import Overloaded
from rnnc.runtime import session
from tools.bench.machine import pin

Array = np.ndarray[Any, Any]

#: How far an output may be from the sequence form's.
TOLERANCE = 1e-4
#: How many steps clients take before another server has its turn.
BLOCK = 20
#: How wide the columns of the table are.
WIDTHS = (11, 8, 8, 10, 8, 9, 9, 9)


@dataclass(frozen=True)
class Tick:
    """A moment: the clients whose streams are closed, opened and reset in it, and then push a frame."""

    closed: list[int]
    opened: list[int]
    reset: list[int]
    pushed: list[int]


@dataclass
class Script:
    """What ``clients`` do until each has pushed ``steps`` frames, drawn at random, and their frames."""

    clients: int
    steps: int
    width: int
    seed: int = 0

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        self._frames = rng.normal(size=(4096, self.width)).astype(np.float32)
        self._which = rng.integers(4096, size=(self.clients, self.steps))

    def frames(self, client: int) -> Array:
        """All that a client pushes, ``[steps, width]``."""
        found: Array = self._frames[self._which[client]]
        return found

    def now(self, clients: list[int], done: Array) -> Array:
        """The next frame of each client."""
        found: Array = self._frames[self._which[clients, done[clients]]]
        return found

    def ticks(self) -> Iterator[Tick]:
        """Moment after moment."""
        rng = np.random.default_rng(self.seed + 1)
        pace = rng.uniform(0.2, 1.0, self.clients)
        left = np.full(self.clients, self.steps)
        here = np.zeros(self.clients, bool)
        while left.any():
            draw = rng.random((4, self.clients))
            closed = here & (draw[0] < 0.005)
            opened = ~here & (draw[1] < 0.3) & (left > 0)
            here = (here & ~closed) | opened
            reset = here & ~opened & (draw[2] < 0.01)
            pushed = here & (draw[3] < pace) & (left > 0)
            left -= pushed
            yield Tick(*(np.flatnonzero(some).tolist() for some in (closed, opened, reset, pushed)))


@dataclass
class Record:
    """What came out: each client's outputs in order, and before which of them its stream began anew."""

    script: Script
    outputs: list[list[Array]] = field(init=False)
    begun: list[list[int]] = field(init=False)

    def __post_init__(self) -> None:
        self.outputs = [[] for _ in range(self.script.clients)]
        self.begun = [[] for _ in range(self.script.clients)]

    def begin(self, clients: list[int]) -> None:
        """These start at the initial state."""
        for client in clients:
            self.begun[client].append(len(self.outputs[client]))

    def error(self, whole: rnnc.Compiled) -> float:
        """The largest difference from the sequence form, each stretch of each stream run alone."""
        run, largest = session(whole, threads=1).run, 0.0
        for client, ys in enumerate(self.outputs):
            assert len(ys) == self.script.steps
            x = self.script.frames(client)[:, None]
            cuts = sorted({0, *self.begun[client], len(ys)})
            for start, stop in itertools.pairwise(cuts):
                (meant,) = run(None, {"x": x[start:stop]})
                largest = max(largest, float(np.abs(meant[:, 0] - np.stack(ys[start:stop])).max()))
        return largest


class OneByOne:
    """What serves streams without a pool: a call of the step file for every frame, states in a dict."""

    def __init__(self, step: rnnc.Compiled, width: int) -> None:
        self._session = session(step, threads=1)
        self.busy = 0.0
        self._names = [s["input"] for s in step.manifest["states"]]
        self._first = [np.zeros((1, width), np.float32) for _ in self._names]
        self._states: dict[int, list[Array]] = {}

    def open(self, stream: int) -> None:
        """Begin at the initial state."""
        self._states[stream] = self._first

    reset = open

    def close(self, stream: int) -> None:
        """Forget the state."""
        del self._states[stream]

    def push(self, stream: int, x: Array) -> Array:
        """One step."""
        states = self._states[stream]
        feeds = {"x": x[None], **dict(zip(self._names, states, strict=True))}
        start = perf_counter()
        y, *after = self._session.run(None, feeds)
        self.busy += perf_counter() - start
        self._states[stream] = after
        found: Array = y[0]
        return found

    def push_many(self, streams: list[int], xs: Array) -> list[Array]:
        """One step of each, one after another."""
        return [self.push(stream, x) for stream, x in zip(streams, xs, strict=True)]

    async def apush(self, stream: int, x: Array) -> Array:
        """One step; others have their turn before it."""
        await asyncio.sleep(0)
        return self.push(stream, x)


@dataclass
class Times:
    """How long a server took: seconds in all and of the processor, and the latency of what was awaited."""

    seconds: float = 0.0
    worked: float = 0.0
    frames: int = 0
    refused: int = 0
    latencies: list[float] = field(default_factory=list)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Adds what the block takes."""
        start, before = perf_counter(), process_time()
        yield
        self.seconds += perf_counter() - start
        self.worked += process_time() - before

    @property
    def each(self) -> float:
        """Seconds a frame."""
        return self.seconds / self.frames

    def latency(self, percent: float) -> float:
        """The latency that so many percent of the frames are within."""
        return float(np.percentile(self.latencies, percent))


@dataclass
class Player:
    """Plays a script to one server, and records what comes out."""

    script: Script
    server: Any
    record: Record = field(init=False)
    times: Times = field(default_factory=Times)

    def __post_init__(self) -> None:
        self.record = Record(self.script)

    def play(self, tick: Tick, xs: Array | None) -> None:
        """All of a moment at once."""
        with self.times.taken():
            for client in tick.closed:
                self.server.close(client)
            for client in tick.opened:
                self.server.open(client)
            for client in tick.reset:
                self.server.reset(client)
            ys = [] if xs is None else self.server.push_many(tick.pushed, xs)
        self.times.frames += len(ys)
        self.record.begin([*tick.opened, *tick.reset])
        for client, y in zip(tick.pushed, ys, strict=True):
            self.record.outputs[client].append(y)

    async def play_tasks(self, start: int, stop: int) -> None:
        """Some steps of every client: a task that awaits its answers, idles, resets and opens anew."""
        with self.times.taken():
            await asyncio.gather(*(self._task(n, start, stop) for n in range(self.script.clients)))
        self.times.frames += self.script.clients * (stop - start)

    async def _task(self, client: int, start: int, stop: int) -> None:
        rng = random.Random(client * self.script.steps + start)
        server, frames, latencies = self.server, self.script.frames(client), self.times.latencies
        outputs = self.record.outputs[client]
        if not start:
            server.open(client)
            self.record.begin([client])
        for x in frames[start:stop]:
            if (drawn := rng.random()) < 0.015:
                if drawn < 0.005:
                    server.close(client)
                    await asyncio.sleep(0)
                    server.open(client)
                else:
                    server.reset(client)
                self.record.begin([client])
            while rng.random() < 0.3:
                await asyncio.sleep(0)
            asked = perf_counter()
            outputs.append(await server.apush(client, x))
            latencies.append(perf_counter() - asked)


def rehearse(script: Script, servers: Mapping[str, Any]) -> dict[str, Player]:
    """Play a script to servers, each moment to each of them, taking turns at being first."""
    players = {name: Player(script, server) for name, server in servers.items()}
    done = np.zeros(script.clients, int)
    for number, tick in enumerate(script.ticks()):
        xs = script.now(tick.pushed, done) if tick.pushed else None
        order = list(players.values())
        for player in order if number % 2 else order[::-1]:
            player.play(tick, xs)
        done[tick.pushed] += 1
    return players


def rehearse_tasks(script: Script, servers: Mapping[str, Any]) -> dict[str, Player]:
    """Let the clients be tasks of asyncio; servers take turns, some steps each."""
    players = {name: Player(script, server) for name, server in servers.items()}
    for start in range(0, script.steps, BLOCK):
        for player in players.values():
            asyncio.run(player.play_tasks(start, min(start + BLOCK, script.steps)))
    return players


async def arrivals(pool: rnnc.StreamPool, script: Script, rate: float, seconds: float) -> Times:
    """Latencies of frames that arrive at random, so many a second, each of a stream drawn at random.

    They count from when a frame was due, so that what is pushed late is late.
    """
    rng = np.random.default_rng(script.seed)
    due = np.cumsum(rng.exponential(1 / rate, int(rate * seconds))) + perf_counter()
    who = rng.integers(script.clients, size=len(due)).tolist()
    x, times, waiting = script.frames(0)[0], Times(), set()

    def note(at: float, future: asyncio.Future[Array]) -> None:
        times.latencies.append(perf_counter() - at)
        waiting.discard(future)
        future.result()

    for client, at in zip(who, due.tolist(), strict=True):
        while perf_counter() < at:
            await asyncio.sleep(0)
        try:
            future = pool.apush(client, x)
        except Overloaded:
            times.refused += 1
            continue
        waiting.add(future)
        future.add_done_callback(functools.partial(note, at))
    await asyncio.gather(*waiting)
    return times


def main() -> None:
    """Measure, compare and print."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.pool", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    for name, default, told in (
        ("streams", 1000, "how many streams"),
        ("steps", 200, "how many steps each of them takes"),
        ("width", 128, "how wide the LSTM and its input are"),
        ("batch", 256, "how many streams run at once at most"),
        ("cpus", 1, "how many processors all of it has"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{told} (%(default)s)")
    given = parser.parse_args()
    pin(given.cpus)
    model = rnnc.cells.LSTM(given.width, given.width)
    step, whole = rnnc.compile(model, "step"), rnnc.compile(model)
    script = Script(given.streams, given.steps, given.width)
    print(f"{given.streams} streams, {given.steps} steps each, LSTM of {given.width}, {given.cpus} CPU")
    headings = ("µs a frame", "÷ pool", "in CPU", "frames/s", "Python", "p50, ms", "p99, ms", "error")
    print("\n" + " " * 34 + "".join(f"{h:>{w}}" for h, w in zip(headings, WIDTHS, strict=True)))
    gc.disable()
    for face, play in (("push_many", rehearse), ("apush", rehearse_tasks)):
        with (
            rnnc.StreamPool(step, given.streams, threads=1, max_batch=given.batch) as pool,
            rnnc.StreamPool(step, given.streams, threads=1, max_batch=1) as single,
        ):
            servers = {
                "pool": pool,
                "one call a frame": OneByOne(step, given.width),
                "pool, a stream a batch": single,
            }
            players = play(script, servers)
            base = players["pool"].times
            for name, player in players.items():
                report(f"{face}, {name}", player, base, whole)
            if face == "apush":
                rate = 0.5 / base.each
                for client in range(script.clients):
                    if client not in pool.streams:
                        pool.open(client)
                found = asyncio.run(arrivals(pool, script, rate, 3.0))
                refused = f", {found.refused} refused" if found.refused else ""
                print(f"{f'apush, pool, {rate:,.0f} frames/s arrive{refused}':79}{_ms(found)}")


def report(name: str, player: Player, base: Times, whole: rnnc.Compiled) -> None:
    """A line of the table; an error if any output was wrong."""
    times, busy = player.times, player.server.busy
    error = player.record.error(whole)
    latency = _ms(times) if times.latencies else " " * 18
    print(
        f"{name:34}{times.each * 1e6:11.2f}{times.each / base.each:8.2f}"
        f"{times.worked / times.frames / base.worked * base.frames:8.2f}{1 / times.each:10,.0f}"
        f"{1 - busy / times.seconds:8.0%}{latency}{error:9.1e}",
        flush=True,
    )
    if error > TOLERANCE:
        raise SystemExit(f"an output is {error:.1e} from that of the sequence form")


def _ms(times: Times) -> str:
    return f"{times.latency(50) * 1e3:9.2f}{times.latency(99) * 1e3:9.2f}"


if __name__ == "__main__":
    main()
