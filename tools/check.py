"""Run every check in order and stop at the first that fails: ruff, its formatter, mypy, pytest.

    python tools/check.py           what CI runs
    python tools/check.py --fix     let ruff mend and format first
    python tools/check.py --fast    leave out the tests marked slow

pytest runs last and has the last word: its closing line counts the tests.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def steps(*, fix: bool, fast: bool) -> Iterator[list[str]]:
    """Each check as the module to run and its arguments."""
    if fix:
        yield ["ruff", "check", "--fix"]
        yield ["ruff", "format"]
    else:
        yield ["ruff", "check"]
        yield ["ruff", "format", "--check"]
    yield ["mypy"]  # strict, by pyproject.toml
    workers = ["-n", "2"] if find_spec("xdist") else []
    yield ["pytest", "-q", *workers, *(["-m", "not slow"] if fast else [])]


def main() -> int:
    """Run the checks, and return the exit status of the first that fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--fix", action="store_true", help="let ruff mend and format")
    parser.add_argument("--fast", action="store_true", help="leave out the tests marked slow")
    for step in steps(**vars(parser.parse_args())):
        name = " ".join(step)
        print(f"== {name}", flush=True)
        start = time.perf_counter()
        status = subprocess.run([sys.executable, "-m", *step], cwd=ROOT, check=False).returncode
        if step[0] != "pytest":
            result = f"failed with exit status {status}" if status else "ok"
            print(f"   {name}: {result}, {time.perf_counter() - start:.1f} s", flush=True)
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
