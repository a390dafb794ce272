"""Where a measurement was made: the machine, the versions of the libraries, and the state of the sources."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent

#: The libraries whose versions matter.
LIBRARIES = ("onnxruntime", "torch", "jax", "openvino", "onnxscript", "numpy")
#: The parts of the sources that decide what is measured, and how.
SOURCES = ("rnnc", "passes", "tools/bench")


def pin(cpus: int) -> None:
    """Keep this process, and what it starts, to so many processors.

    That is to be done before any library is imported, since most count the processors as they are loaded.
    """
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cpus])
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(cpus)


def where() -> dict[str, Any]:
    """The machine, versions and commit, by which a measurement is known."""
    return {"machine": machine(), "versions": versions(), "commit": commit()}


def machine() -> str:
    """The processor by its name, and the system."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} CPUs, {platform.system()}"


def versions() -> dict[str, str]:
    """Those of Python and of the libraries that are installed."""
    found = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """The commit that is checked out, and a digest of what has been changed since in the sources."""
    head = _git("rev-parse", "--short=12", "HEAD").decode().strip()
    changed = _git("diff", "HEAD", "--", *SOURCES)
    new = _git("ls-files", "--others", "--exclude-standard", "--", *SOURCES).decode()
    for name in sorted(new.splitlines()):
        changed += name.encode() + (ROOT / name).read_bytes()
    mark = f"+{hashlib.sha256(changed).hexdigest()[:8]}" if changed else ""
    return f"{head or 'no commit'}{mark}"


def _git(*arguments: str) -> bytes:
    """What git says; nothing where there is no git, or no checkout."""
    try:
        run = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)
    except FileNotFoundError:
        return b""
    return run.stdout
