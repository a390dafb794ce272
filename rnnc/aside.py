"""Files and folders written aside: whoever looks at a path sees the old one, or the whole new one."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def aside(path: Path, suffix: str = "") -> Iterator[Path]:
    """A file next to ``path`` that takes its place at the end, and is removed if that is not reached.

    Its name ends in ``suffix``, for readers that know files by it.

    What is there already must be a file: a folder or a device is not replaced, but an ``OSError``.
    """
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "a device" if _is_device(path) else "no plain file"
        raise OSError(f"it is {kind}")
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=suffix)
    os.close(handle)
    try:
        yield Path(name)
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


@contextmanager
def folder_aside(path: Path) -> Iterator[Path]:
    """A folder next to ``path`` that takes its place at the end, and is removed if that is not reached."""
    if path.exists() and not path.is_dir():
        raise OSError("it is no folder")
    new = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield new
        new.chmod(0o777 & ~_umask())
        if path.exists():
            old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
            os.replace(path, old)
            os.replace(new, path)
            shutil.rmtree(old)
        else:
            os.replace(new, path)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise


def _is_device(path: Path) -> bool:
    mode = path.stat().st_mode
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
