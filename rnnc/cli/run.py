"""``rnnc run``: arrays in, arrays out, in bounded memory if asked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np

from rnnc.aside import aside
from rnnc.cli.arrays import load_array
from rnnc.cli.terminal import pairs, working
from rnnc.errors import FileError

Array = np.ndarray[Any, Any]


@click.command()
@click.argument("file", metavar="FILE.onnx")
@click.option(
    "-i",
    "--input",
    "inputs",
    multiple=True,
    required=True,
    metavar="[x=]X.npy",
    help="The array for an input; the name may be left out if there is only one. Repeatable.",
)
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    required=True,
    metavar="[y=]Y.npy",
    help="Where an output goes; the name may be left out if there is only one. Repeatable.",
)
@click.option(
    "--chunk",
    type=click.IntRange(min=1),
    metavar="N",
    help="Run N steps at a time, states carried over: memory holds one chunk, whatever the length.",
)
def run(file: str, inputs: tuple[str, ...], outputs: tuple[str, ...], chunk: int | None) -> None:  # fmt: skip
    """Run a file over arrays, from its initial states.

    \b
      rnnc run chain.onnx --input x.npy -o y.npy
      rnnc run denoise.onnx -i noisy=noisy.npy -o mask=mask.npy --chunk 1000

    Arrays are .npy files [T, B, …], also for a step file; they are mapped rather than read. --chunk needs a
    file that takes its states, of form chunk, step or unroll.
    """
    from rnnc.runtime import manifest_of, run_file, session, time_axis

    opened = session(file)
    found = manifest_of(opened) or {}
    states = {s[end] for s in found.get("states", ()) for end in ("input", "output")}
    streams = {i["name"] for i in found.get("inputs", ()) if i["kind"] == "stream"}
    final = {o["name"] for o in found.get("outputs", ()) if o["kind"] == "final"}
    axis = time_axis(found) if found else None
    takes = [i.name for i in opened.get_inputs() if i.name not in states]
    gives = [o.name for o in opened.get_outputs() if o.name not in states]
    xs = {name: load_array(path) for name, path in _files(inputs, takes, "input").items()}
    targets = _files(outputs, gives, "output")
    lengths = [
        x.shape[axis] for name, x in xs.items() if axis is not None and name in streams and x.ndim > axis
    ]
    steps = max(lengths, default=0)
    with ExitStack() as stack:
        sinks = {
            name: stack.enter_context(_sink(path, None if name in final else axis, steps))
            for name, path in targets.items()
        }
        advance = stack.enter_context(working(f"running {file}", steps if chunk else None))
        for piece in run_file(file, xs, chunk):
            for name, sink in sinks.items():
                sink.add(piece[name])
            advance(chunk or steps)


class Sink:
    """Pieces of one output, joined along ``axis`` in a .npy file; without one, the last stays."""

    def __init__(self, path: str, axis: int | None, steps: int) -> None:
        self.path, self.axis, self.steps = path, axis, steps
        self._done = 0
        self._whole: Array | None = None

    def add(self, piece: Array) -> None:
        """Write the next piece."""
        if self.axis is None or piece.ndim <= self.axis or piece.shape[self.axis] == self.steps:
            self._save(piece)
            return
        if self._whole is None:
            shape = list(piece.shape)
            shape[self.axis] = self.steps
            self._whole = np.lib.format.open_memmap(self.path, "w+", piece.dtype, tuple(shape))
            _allocate(self.path)
        stop = self._done + piece.shape[self.axis]
        self._whole[(slice(None),) * self.axis + (slice(self._done, stop),)] = piece
        self._done = stop

    def _save(self, piece: Array) -> None:
        with open(self.path, "wb") as file:
            np.save(file, piece)


def _allocate(path: str) -> None:
    """Give a file its place on the disk: writing to a mapped one that finds none ends the process."""
    if hasattr(os, "posix_fallocate"):
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, os.path.getsize(path))


@contextmanager
def _sink(target: str, axis: int | None, steps: int) -> Iterator[Sink]:
    """A sink whose file takes the place of ``target`` at the end, and is removed if that is not reached."""
    try:
        with aside(Path(target)) as file:
            yield Sink(str(file), axis, steps)
    except OSError as e:
        raise FileError(f"{target} cannot be written: {e.strerror or e}") from e


def _files(given: Sequence[str], names: Sequence[str], what: str) -> dict[str, str]:
    """The file for each name, where the only one may go without its name."""
    name, equals, _ = given[0].partition("=")
    if len(given) == 1 and len(names) == 1 and not (equals and name.isidentifier()):
        return {names[0]: given[0]}
    found = pairs(tuple(given), f"--{what}", f"{names[0]}={names[0]}.npy")
    for name in found:
        if name not in names:
            raise click.UsageError(f"the file has no {what} {name}: it has {', '.join(names)}")
    return found
