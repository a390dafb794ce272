"""Arrays in files, as the command line takes them."""

from __future__ import annotations

import numpy as np

from rnnc.errors import FileError
from rnnc.ir import Array


def load_array(path: str) -> Array:
    """The array in an ``.npy`` file, mapped to memory; :class:`FileError` if it has none, or several."""
    try:
        array = np.load(path, mmap_mode="r")
    except (OSError, EOFError, ValueError) as e:
        reason = e.strerror if isinstance(e, OSError) and e.strerror else "it is no whole .npy file"
        raise FileError(f"{path} cannot be read: {reason}") from e
    if not isinstance(array, np.ndarray):
        raise FileError(f"{path} holds several arrays", hint="Give one .npy file for each input.")
    return array
