"""Sessions: files opened by onnxruntime, and what can go wrong with that told in rnnc's words."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rnnc.emit.manifest import KEY, VERSION
from rnnc.errors import FileError, MissingExtra, RnncError

#: A file by its path, its content, or what ``compile`` gave.
Source = str | os.PathLike[str] | bytes | Any
Provider = str | tuple[str, Mapping[str, Any]]


def session(source: Source, providers: Sequence[Provider] | None = None, threads: int | None = None) -> Any:
    """An onnxruntime session of a file, denormals flushed to zero.

    They are flushed in onnxruntime's own threads, and in the caller's if no session of the process came
    before. ``providers`` are onnxruntime's, the first preferred; the CPU by default. ``threads`` is how many
    threads one op may use; onnxruntime's own choice by default.
    """
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    if threads is not None:
        options.intra_op_num_threads = threads
    wanted = wanted_providers(providers)
    for provider in wanted:
        name = provider if isinstance(provider, str) else provider[0]
        if name not in ort.get_available_providers():
            have = ", ".join(ort.get_available_providers())
            raise RnncError(f"this onnxruntime has no {name}", hint=f"It has {have}.")
    model, shown = _content(source)
    try:
        return ort.InferenceSession(model, options, providers=wanted)
    except failures() as error:
        raise FileError(f"{shown} is not a model that onnxruntime can run: {first_line(error)}") from error


def manifest_of(opened: Any) -> dict[str, Any] | None:
    """What a session's file says about itself; ``None`` if it was not written by rnnc."""
    text = opened.get_modelmeta().custom_metadata_map.get(KEY)
    if text is None:
        return None
    try:
        found = json.loads(text)
        version = found["version"]
    except (ValueError, TypeError, KeyError) as error:
        raise FileError(f"the file's {KEY} is damaged") from error
    if version != VERSION:
        raise FileError(f"the file's manifest has version {version}, which this rnnc does not know")
    return dict(found)


def content_digest(source: Source) -> str:
    """The SHA-256 of a file, in hexadecimal; its data file is covered by its name, which is a digest."""
    content, _ = _content(source)
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with open(content, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def wanted_providers(providers: Sequence[Provider] | None) -> list[Provider]:
    """The providers asked for, or the CPU; one name alone is a list of one."""
    return [providers] if isinstance(providers, str) else list(providers or ["CPUExecutionProvider"])


def onnxruntime() -> Any:
    """The library; an error that says how to get it."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra(
            "running a file needs onnxruntime", hint="Install it: pip install onnxruntime"
        ) from error
    return onnxruntime


def failures() -> tuple[type[Exception], ...]:
    """What onnxruntime raises: its exceptions have no common ancestor of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [e for e in vars(state).values() if isinstance(e, type) and issubclass(e, Exception)]
    return (*own, RuntimeError, ValueError)


def _content(source: Source) -> tuple[str | bytes, str]:
    """What onnxruntime reads, and what messages call it."""
    if isinstance(source, bytes):
        return source, "the model"
    if hasattr(source, "proto"):
        from rnnc.emit.save import to_bytes

        return to_bytes(source.proto), "the compiled model"
    path = os.fspath(source)
    if not Path(path).is_file():
        raise FileError(f"there is no file {path}")
    return path, path


def first_line(error: Exception) -> str:
    """What an error says first, which is what there is to know."""
    return str(error).strip().partition("\n")[0]


def run_error(error: Exception, source: Source) -> RnncError:
    """onnxruntime's failure, told with the place in the source that its node comes from."""
    from rnnc.emit.model import find_place

    message = first_line(error)
    node = re.search(r"Name:'([^']*)'", message)
    if node is None:
        return RnncError(f"onnxruntime failed: {message}")
    told = message.partition("Status Message:")[2].strip() or message
    return RnncError(f"onnxruntime failed in {node[1]}: {told}", loc=find_place(_content(source)[0], node[1]))
