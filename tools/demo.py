"""The main job from end to end, on the trained character model: compile, score, generate, check, inspect.

    python -m tools.demo

The model of ``models/char.py`` is compiled as a sequence file and as a step file. The sequence file scores
text that the model has not seen, and the step file writes some, byte by byte. Both are compared with the
reference machine, and the sequence file is inspected. The files are left in ``build``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import rnnc
from models.char import WEIGHTS, model
from rnnc.cli import cli
from rnnc.ir import Array
from rnnc.runtime import run_file
from tools import topics

BUILD = Path(__file__).resolve().parent.parent / "build"

#: How many steps are compared with the reference machine, and how far apart results may be.
PREFIX, TOLERANCE = 200, 1e-4

#: How much is written, how boldly, and after what.
SAMPLE, TEMPERATURE, PROMPT = 500, 0.6, b"The "


def main() -> int:
    """Run the demonstration; 1 if a result is not what the reference machine says."""
    BUILD.mkdir(exist_ok=True)
    sequence, step = BUILD / "char.onnx", BUILD / "char.step.onnx"
    with timed(f"compiling models/char.py to {shown(sequence)} and {shown(step)}"):
        rnnc.compile(model).save(sequence)
        rnnc.compile(model, "step").save(step)
    text = tokens(b"\n" + topics.testing())
    with timed(f"scoring {len(text) - 1:,} held-out bytes with {shown(sequence)}"):
        logits = whole(sequence, text[:-1])
    print(f"  {bits_per_byte(logits, text[1:]):.3f} bits per byte")
    with timed(f"writing {SAMPLE} bytes with {shown(step)}"):
        sample, stepped = write(step)
    print("\n".join(f"  | {line}" for line in sample.decode(errors="replace").splitlines()))
    with timed("asking the reference machine"):
        errors = {
            shown(sequence): difference(logits[:PREFIX], text[:PREFIX]),
            shown(step): difference(stepped[:PREFIX], tokens(sample)[:PREFIX]),
        }
    for name, error in errors.items():
        print(f"  {name} differs from it by at most {error:.1e} over {PREFIX} steps")
    print(f"\n$ rnnc inspect {shown(sequence)}", flush=True)
    cli(["inspect", shown(sequence)], prog_name="rnnc", standalone_mode=False)
    if max(errors.values()) > TOLERANCE:
        print(f"That is more than {TOLERANCE}: something is wrong.", file=sys.stderr)
        return 1
    return 0


def tokens(text: bytes) -> Array:
    """Bytes as tokens."""
    return np.frombuffer(text, np.uint8).astype(np.int64)


def whole(file: Path, x: Array) -> Array:
    """The logits after every token of one text, by one call of a sequence file."""
    (found,) = run_file(file, {"x": x[:, None]})
    (y,) = found.values()
    return y[:, 0]


def bits_per_byte(logits: Array, wanted: Array) -> float:
    """What a text costs to write down, on average, for whoever has the same logits."""
    top = logits.max(axis=1)
    total = np.log(np.exp(logits - top[:, None]).sum(axis=1)) + top
    return float(np.mean(total - logits[np.arange(len(wanted)), wanted]) / np.log(2))


def write(file: Path) -> tuple[bytes, Array]:
    """A text begun with ``PROMPT``, and the logits after each byte of it."""
    rng = np.random.default_rng(0)
    stream = rnnc.Stream(file)
    text = bytearray(PROMPT)
    logits: list[Array] = []
    while len(logits) < SAMPLE:
        logits.append(stream.push(np.array([text[len(logits)]]))[0])
        if len(text) == len(logits):
            odds = np.exp((logits[-1] - logits[-1].max()).astype(np.float64) / TEMPERATURE)
            text.append(int(rng.choice(len(odds), p=odds / odds.sum())))
    return bytes(text[:SAMPLE]), np.array(logits)


def difference(logits: Array, x: Array) -> float:
    """How far logits are from what the reference machine gives for the tokens ``x``."""
    y, _ = rnnc.reference(model, x[:, None])
    return float(np.abs(logits - y[:, 0]).max())


def shown(path: Path) -> str:
    """A path below the working directory as one would type it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Tells what is being done, and how long it took."""
    print(f"{what} …", end="", flush=True)
    start = time.perf_counter()
    yield
    print(f" {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    if not WEIGHTS.exists():
        sys.exit(f"{WEIGHTS} is missing: train the model with python -m tools.train_char")
    sys.exit(main())
