"""Saving: files appear whole or not at all.

A file is written aside, under a temporary name in the same folder, and renamed. Weights too large for the
model file go to a data file next to it, named after its content, which is in place before the model that
names it: whoever opens the model, at whatever moment, finds the data that belong to it. A data file that no
model names any more, because the one that did was replaced, is removed in the end.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from onnx import GraphProto, ModelProto, StringStringEntryProto, TensorProto

from rnnc.aside import aside
from rnnc.errors import FileError

#: How many bytes of weights one file may hold: an ONNX file ends at 2 GiB, and has room for the rest then.
ONE_FILE = 2**31 - 2**24
#: Where one file cannot hold them, weights of at least this many bytes go to a data file.
EXTERNAL_THRESHOLD = 1024
#: Offsets in a data file are multiples of this, so that it can be mapped to memory.
ALIGNMENT = 4096


def to_bytes(model: ModelProto) -> bytes:
    """The model as bytes, the same for equal models."""
    if _weight_bytes(model) > ONE_FILE:
        raise FileError("the model is larger than the 2 GiB that one ONNX file may have", hint="Save it.")
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def save(model: ModelProto, path: str | os.PathLike[str], external_threshold: int | None = None) -> None:
    """Write ``model`` to ``path``.

    Weights of ``external_threshold`` bytes or more are put into a data file; by default only where the model
    would be too large for one file.
    """
    target = Path(path)
    if external_threshold is None and _weight_bytes(model) > ONE_FILE:
        external_threshold = EXTERNAL_THRESHOLD
    large = [] if external_threshold is None else _large(model, external_threshold)
    before = _data_files(target)
    try:
        with aside(target) as file:
            if large:
                assert external_threshold is not None
                data = target.with_name(_data_name(target, large))
                before = [*before, data]
                file.write_bytes(to_bytes(_referring(model, external_threshold, data.name)))
                with aside(data) as blob, blob.open("wb") as out:
                    out.writelines(_blocks(large))
            else:
                file.write_bytes(to_bytes(model))
    except OSError as error:
        raise FileError(
            f"{target} cannot be written: {error.strerror or error}",
            hint="Choose a folder that exists and that you may write to.",
        ) from error
    finally:
        _remove_unnamed(before, target)


def tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """The initializers of a graph and of the graphs inside its nodes."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from tensors(attribute.g)


# -- the data file -------------------------------------------------------------------------------------------


def _weight_bytes(model: ModelProto) -> int:
    return sum(len(t.raw_data) for t in tensors(model.graph))


def _large(model: ModelProto, threshold: int) -> list[TensorProto]:
    """The weights that go to a data file. Sizes and axes stay: they are read before any data file is."""
    return [
        t
        for t in tensors(model.graph)
        if len(t.raw_data) >= max(threshold, 1)
        and not (t.data_type == TensorProto.INT64 and len(t.dims) <= 1)
    ]


def _blocks(large: Iterable[TensorProto]) -> Iterator[bytes]:
    """The content of the data file, in pieces: each tensor, and before it what aligns it."""
    end = 0
    for tensor in large:
        yield bytes(-end % ALIGNMENT)
        yield tensor.raw_data
        end += -end % ALIGNMENT + len(tensor.raw_data)


def _data_name(target: Path, large: Sequence[TensorProto]) -> str:
    digest = hashlib.sha256()
    for block in _blocks(large):
        digest.update(block)
    return f"{target.stem}-{digest.hexdigest()[:16]}.data"


def _referring(model: ModelProto, threshold: int, data: str) -> ModelProto:
    """A copy of ``model`` whose large weights are in the file ``data``, laid out as ``_blocks`` does."""
    copy = ModelProto()
    copy.CopyFrom(model)
    end = 0
    for tensor in _large(copy, threshold):
        start, length = end + -end % ALIGNMENT, len(tensor.raw_data)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        entries = {"location": data, "offset": str(start), "length": str(length)}
        tensor.external_data.extend(StringStringEntryProto(key=k, value=v) for k, v in entries.items())
        end = start + length
    return copy


def _data_files(target: Path) -> list[Path]:
    """The data files that the model at ``target``, if there is one, names."""
    pattern = re.compile(rf"{re.escape(target.stem)}-[0-9a-f]{{16}}\.data")
    with suppress(OSError):  # a folder that cannot be looked into has nothing to tidy
        found = [p for p in target.parent.iterdir() if pattern.fullmatch(p.name)]
        return [p for p in found if _names(target, p.name)]
    return []


def _remove_unnamed(data: Iterable[Path], target: Path) -> None:
    """Remove those of some data files that no model in their folder names."""
    for file in data:
        with suppress(OSError):  # it stays where it is in use, or where it cannot be known that it is not
            models = {target, *target.parent.glob("*.onnx")}
            if not any(_names(m, file.name) for m in models):
                file.unlink(missing_ok=True)


def _names(model: Path, data: str) -> bool:
    """Whether a file, which need not be there, has that name in it."""
    if not model.is_file() or not model.stat().st_size:
        return False
    with model.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(data.encode()) >= 0
