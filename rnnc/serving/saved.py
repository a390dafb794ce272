"""Saved streams: their states and given values in a safetensors file, with the model that they belong to.

A tensor ``state.<path>`` or ``given.<name>`` has the streams first. The file's metadata has JSON under
``rnnc.streams``: ``model``, the digest of the model's file; ``streams``, their names in order; ``version``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rnnc.aside import aside
from rnnc.errors import FileError
from rnnc.ir import Array
from rnnc.serving.engine import Engine
from rnnc.serving.turns import Id

KEY = "rnnc.streams"
VERSION = 1


def save(path: str | os.PathLike[str], model: str, ids: list[Id], tensors: Mapping[str, Array]) -> None:
    """Write the file, whole or not at all."""
    from safetensors.numpy import save as to_bytes

    about = json.dumps({"model": model, "streams": ids, "version": VERSION}, sort_keys=True)
    try:
        with aside(Path(path)) as file:
            file.write_bytes(to_bytes(dict(tensors), {KEY: about}))
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror or error}") from None


def load(path: str | os.PathLike[str], engine: Engine) -> tuple[list[Id], dict[str, Array], dict[str, Array]]:
    """The streams of a file, their states and given values by name, checked against the model."""
    from safetensors import SafetensorError, safe_open

    path = os.fspath(path)
    wanted = {f"state.{k}": v.one for k, v in engine.states.items()}
    wanted |= {f"given.{k}": v.one for k, v in engine.given.items()}
    try:
        with safe_open(path, framework="numpy") as file:
            ids = _streams(path, file.metadata() or {}, engine.model)
            if set(wanted) != set(file.keys()):
                raise FileError(f"{path} does not hold the states of its model")
            tensors = {name: file.get_tensor(name) for name in wanted}
    except FileNotFoundError:
        raise FileError(f"there is no file {path}") from None
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}") from None
    except (SafetensorError, TypeError, AttributeError) as error:
        raise FileError(f"{path} is not a whole safetensors file: {error}") from None
    for name, port in wanted.items():
        found = tensors[name]
        if found.shape != (len(ids), *port.shape) or found.dtype != np.dtype(port.dtype):
            raise FileError(f"{path} has {name} as {found.dtype} {list(found.shape)}, unlike its model")
    return (
        ids,
        {path: tensors[f"state.{path}"] for path in engine.states},
        {name: tensors[f"given.{name}"] for name in engine.given},
    )


def _streams(path: str, metadata: Mapping[str, str], model: str) -> list[Id]:
    try:
        about: Any = json.loads(metadata[KEY])
        version, owner, ids = about["version"], about["model"], list(about["streams"])
    except (KeyError, TypeError, ValueError):
        raise FileError(f"{path} holds no streams", hint="Write it with StreamPool.save.") from None
    if version != VERSION:
        raise FileError(f"{path} has version {version}, which this rnnc does not know")
    if owner != model:
        raise FileError(
            f"{path} holds streams of another model, {owner:.12}, and not of {model:.12}",
            hint="States belong to the very file that computed them.",
        )
    if not all(isinstance(i, Id) for i in ids) or len(set(ids)) != len(ids):
        raise FileError(f"{path} names its streams in a way that cannot be: {ids!r:.60}")
    return ids
