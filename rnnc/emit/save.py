"""Saving: files appear whole or not at all.

A file is written aside, under a temporary name in the same folder, and renamed. Weights too large for the
model file go to a data file next to it, named after its content, which is in place before the model that
names it.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from onnx import GraphProto, ModelProto, StringStringEntryProto, TensorProto

from rnnc.errors import FileError

#: Weights of at least this many bytes go to a data file; below 2 GiB one file may hold all.
ONE_FILE = 2**31 - 2**20
EXTERNAL_THRESHOLD = 1024
#: Offsets in a data file are multiples of this, so that it can be mapped to memory.
ALIGNMENT = 4096


def to_bytes(model: ModelProto) -> bytes:
    """The model as bytes, the same for equal models."""
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def save(model: ModelProto, path: str | os.PathLike[str], external_threshold: int | None = None) -> None:
    """Write ``model`` to ``path``.

    Weights of ``external_threshold`` bytes or more are put into a data file; by default only where the model
    would be too large for one file.
    """
    target = Path(path)
    written: list[Path] = []
    try:
        if external_threshold is None and model.ByteSize() > ONE_FILE:
            external_threshold = EXTERNAL_THRESHOLD
        if external_threshold is not None:
            model, blob = externalized(model, target.stem, external_threshold)
            if blob is not None:
                data = target.with_name(blob[0])
                new = not data.exists()
                _write(data, blob[1])
                if new:
                    written.append(data)
        _write(target, to_bytes(model))
    except OSError as error:
        for left in written:
            left.unlink(missing_ok=True)
        raise FileError(
            f"{target} cannot be written: {error.strerror or error}",
            hint="Choose a folder that exists and that you may write to.",
        ) from error


def externalized(model: ModelProto, stem: str, threshold: int) -> tuple[ModelProto, tuple[str, bytes] | None]:
    """A copy of ``model`` whose large weights are in a data file, and that file's name and content."""
    copy = ModelProto()
    copy.CopyFrom(model)
    large = [t for t in tensors(copy.graph) if len(t.raw_data) >= max(threshold, 1)]
    if not large:
        return copy, None
    blob = bytearray()
    spans = []
    for tensor in large:
        blob += bytes(-len(blob) % ALIGNMENT)
        spans.append((len(blob), len(tensor.raw_data)))
        blob += tensor.raw_data
    name = f"{stem}-{hashlib.sha256(blob).hexdigest()[:16]}.data"
    for tensor, (offset, length) in zip(large, spans, strict=True):
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        entries = {"location": name, "offset": str(offset), "length": str(length)}
        tensor.external_data.extend(StringStringEntryProto(key=k, value=v) for k, v in entries.items())
    return copy, (name, bytes(blob))


def tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """The initializers of a graph and of the graphs inside its nodes."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from tensors(attribute.g)


def _write(path: Path, content: bytes) -> None:
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(aside, 0o666 & ~_umask())
        os.replace(aside, path)
    except BaseException:
        os.unlink(aside)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
