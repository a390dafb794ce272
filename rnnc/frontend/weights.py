"""The arrays of a layer: naming and loading them.

A model is traced to know its arrays, since a body may call layers that are not its fields. Sizes of inputs
need not be known for that.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from os import PathLike, fspath
from typing import Any

import numpy as np

from rnnc.errors import FileError
from rnnc.frontend.layers import Layer, as_layer
from rnnc.frontend.trace import Trace
from rnnc.ir import Array


def _traced(layer: Layer) -> Trace:
    trace = Trace()
    with trace.active():
        trace.run(as_layer(layer))
    return trace


def params(layer: Layer) -> dict[str, Array]:
    """Every array of ``layer`` by its path, a shared layer's once, initial values included."""
    return {path: owner.array(name, path) for path, (owner, name) in _traced(layer).weights.items()}


def load(layer: Layer, source: str | PathLike[str] | Mapping[str, Any]) -> None:
    """Set the arrays of ``layer``, all or, if anything is wrong, none. Initial values may be left out."""
    where = "the mapping" if isinstance(source, Mapping) else fspath(source)
    arrays = read(where) if not isinstance(source, Mapping) else {k: _array(k, v) for k, v in source.items()}
    trace = _traced(layer)
    unknown = sorted(arrays.keys() - trace.weights.keys())
    if unknown:
        raise FileError(
            f"{where} has a tensor {unknown[0]}, which {layer!r} does not have",
            hint=f"It has {', '.join(trace.weights)}.",
        )
    for path, (owner, name) in trace.weights.items():
        if path not in arrays:
            if path in trace.starts:
                continue
            raise FileError(f"{where} has no tensor {path}, which {layer!r} needs")
        old, new = owner.array(name, path), arrays[path]
        if new.dtype != old.dtype:
            raise FileError(
                f"the tensor {path} in {where} has elements of type {new.dtype}, and is to have {old.dtype}"
            )
        if new.shape != old.shape:
            raise FileError(f"the tensor {path} in {where} has shape {new.shape}, and is to have {old.shape}")
    for path, array in arrays.items():
        owner, name = trace.weights[path]
        kept = np.array(array)
        kept.flags.writeable = False
        owner.arrays[name] = kept


def _array(path: str, value: Any) -> Array:
    try:
        return np.asarray(value)
    except ValueError:  # its rows differ in length
        raise FileError(f"{path} is given as {value!r:.40}, which is no array") from None


def read(path: str) -> dict[str, Array]:
    """The arrays in a safetensors or npz file."""
    try:
        if path.endswith(".npz"):
            with open(path, "rb") as file:
                if not zipfile.is_zipfile(file):
                    raise ValueError("it is no zip archive")
                file.seek(0)
                return dict(np.load(file, allow_pickle=False))
        if path.endswith(".safetensors"):
            return _read_safetensors(path)
    except FileNotFoundError:
        raise FileError(f"there is no file {path}") from None
    except OSError as e:
        raise FileError(f"{path} cannot be read: {e.strerror or e}") from None
    except (ValueError, EOFError, zipfile.BadZipFile) as e:
        raise FileError(f"{path} is not a whole npz file of plain arrays: {e}") from None
    raise FileError(f"{path} is neither .safetensors nor .npz, the files that weights come in")


def _read_safetensors(path: str) -> dict[str, Array]:
    from safetensors import SafetensorError, safe_open

    found: dict[str, Array] = {}
    try:
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118  (it is no mapping)
                found[name] = file.get_tensor(name)
    except SafetensorError as e:
        raise FileError(f"{path} is not a whole safetensors file: {e}") from None
    except (TypeError, AttributeError) as e:  # an element type that NumPy does not have
        raise FileError(f"{path} has a tensor {name} that NumPy cannot hold: {e}") from None
    return found
