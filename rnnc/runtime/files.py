"""Whole files: a file run over whole sequences, in one piece or several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from rnnc.errors import FormError, RnncError
from rnnc.ir import Array
from rnnc.ports import Port
from rnnc.runtime.sessions import Provider, Source, failures, manifest_of, run_error, session
from rnnc.runtime.stream import Stream


def run_file(
    source: Source,
    inputs: Mapping[str, Any],
    chunk: int | None = None,
    providers: Sequence[Provider] | None = None,
) -> Iterator[dict[str, Array]]:
    """Run a file from its initial states over whole sequences; outputs by name, in pieces of ``chunk`` steps.

    Inputs are read piece by piece, so they may be memory-mapped. Pieces join along the time axis
    (:func:`time_axis`), except outputs that only the last step has. Without ``chunk``, there is one piece.
    """
    opened = session(source, providers)
    found = manifest_of(opened)
    if found is None or found["form"] == "sequence":
        if chunk is not None:
            raise FormError(
                "only a file that takes its states can be run in pieces",
                hint='Compile the model with form="chunk" or form="step", or run it whole.',
            )
        yield _whole(opened, source, found, inputs)
        return
    yield from _pieces(Stream(source, providers), inputs, chunk)


def time_axis(manifest: Mapping[str, Any]) -> int:
    """The axis along which the pieces of :func:`run_file` join."""
    return int(manifest["time_axis"] or 0)


def _named(ports: Sequence[Port], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """``inputs`` in the file's order; an error if they are not exactly what it takes."""
    names = [p.name for p in ports]
    if set(names) != set(inputs):
        raise RnncError(
            f"the file takes the inputs {', '.join(names)}, and was given {', '.join(inputs) or 'none'}"
        )
    return {name: inputs[name] for name in names}


def _whole(
    opened: Any, source: Source, found: Mapping[str, Any] | None, inputs: Mapping[str, Any]
) -> dict[str, Array]:
    feeds = dict(inputs)
    if found is not None:
        ports = [Port.read(entry) for entry in found["inputs"]]
        sizes: dict[str, int] = {}
        feeds = {
            p.name: p.array(x, sizes) for p, x in zip(ports, _named(ports, inputs).values(), strict=True)
        }
    names = [output.name for output in opened.get_outputs()]
    try:
        return dict(zip(names, opened.run(names, feeds), strict=True))
    except failures() as error:
        raise run_error(error, source) from error


def _pieces(stream: Stream, inputs: Mapping[str, Any], chunk: int | None) -> Iterator[dict[str, Array]]:
    found = stream.manifest
    ports = [Port.read(entry) for entry in found["inputs"]]
    given = _named(ports, inputs)
    kinds = {entry["name"]: entry["kind"] for entry in found["inputs"]}
    names = [entry["name"] for entry in found["outputs"]]
    if found.get("separate"):
        yield dict(zip(names, _several(stream.push(*given.values())), strict=True))
        return
    axis, stepwise = time_axis(found), found["form"] == "step"
    finals = [entry["kind"] == "final" for entry in found["outputs"]]
    counts = {
        name: np.shape(x)[axis] for name, x in given.items() if kinds[name] == "stream" and np.ndim(x) > axis
    }
    total = next(iter(counts.values()), 0)
    for name, steps in counts.items():
        if steps != total:
            raise RnncError(f"{name} has {steps} steps, and {next(iter(counts))} has {total}")
    for port in ports:
        if port.kind == "lengths":  # of the whole, since what a piece gets is always in range
            given[port.name] = port.array(given[port.name], {"T": total})
    if stepwise and counts and not total:
        yield _of_no_steps(found, given)
        return
    size = found.get("steps") or chunk or max(total, 1)
    if size < 1 or (found["form"] == "unroll" and total % size):
        raise RnncError(f"{total} steps cannot be run in pieces of {size}")

    def part(name: str, start: int, stop: int) -> Any:
        if kinds[name] == "lengths":
            return np.clip(given[name] - start, 0, stop - start)
        return (
            given[name][(slice(None),) * axis + (slice(start, stop),)]
            if kinds[name] == "stream"
            else given[name]
        )

    for start in range(0, max(total, 1), size):
        stop = min(start + size, total)
        piece = {name: part(name, start, stop) for name in given}
        if not stepwise:
            yield dict(zip(names, _several(stream.push(*piece.values())), strict=True))
            continue
        steps = [
            _several(stream.push(*(x[t] if kinds[name] == "stream" else x for name, x in piece.items())))
            for t in range(stop - start)
        ]
        columns = zip(finals, zip(*steps, strict=True), strict=True)
        joined = [ys[-1] if final else np.stack(ys) for final, ys in columns]
        yield dict(zip(names, joined, strict=True))


def _of_no_steps(found: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Array]:
    """What a step file gives where there is no step to run: nothing of a stream, zeros of a last value."""
    sizes: dict[str, int] = {}
    for entry in found["inputs"]:
        x = np.asarray(given[entry["name"]])
        Port.read(entry).array(np.zeros(x.shape[1:], x.dtype) if entry["kind"] == "stream" else x, sizes)
    ys = {}
    for entry in found["outputs"]:
        shape = [sizes.get(d, 0) if isinstance(d, str) else d for d in entry["shape"]]
        ys[entry["name"]] = np.zeros(shape if entry["kind"] == "final" else [0, *shape], entry["dtype"])
    return ys


def _several(ys: Any) -> tuple[Array, ...]:
    return ys if isinstance(ys, tuple) else (ys,)
