"""Does a running Triton give what ``rnnc.Stream`` gives? Many streams at once, that begin again and end.

rnnc export triton char.onnx -o repository
tritonserver --model-repository repository
python -m tools.triton char.onnx --url localhost:8001
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import rnnc

#: How far results may lie apart: absolutely up to 1, relatively above.
TOLERANCE = 1e-4

#: How often a stream ends, and how often one begins again that has not ended.
ENDS, RESTARTS = 0.05, 0.02

#: Integers are drawn below this: tokens of every model here.
TOKENS = 10


def follow(file: str, name: str, url: str, seed: int, steps: int) -> float:
    """Step one stream of the model ``name`` at ``url``, and one of ``file``; how far they get apart."""
    from tritonclient.grpc import InferenceServerClient, InferInput
    from tritonclient.utils import np_to_triton_dtype

    stream, rng = rnnc.Stream(file, threads=1), np.random.default_rng(seed)
    inputs, outputs = stream.manifest["inputs"], stream.manifest["outputs"]
    worst, start = 0.0, True
    with InferenceServerClient(url) as client:
        for step in range(steps):
            xs = [_drawn(rng, port["dtype"], port["shape"][1:]) for port in inputs]
            sent = []
            for port, x in zip(inputs, xs, strict=True):
                whole = x if x.ndim > 1 else x[:, None]  # no tensor of Triton has the batch alone
                sent.append(InferInput(port["name"], whole.shape, np_to_triton_dtype(x.dtype)))
                sent[-1].set_data_from_numpy(whole)
            start = start or bool(rng.random() < RESTARTS)
            end = step == steps - 1 or bool(rng.random() < ENDS)
            if start:
                stream.reset()
            answer = client.infer(name, sent, sequence_id=seed + 1, sequence_start=start, sequence_end=end)
            ys = stream.push(*xs)
            for port, y in zip(outputs, ys if isinstance(ys, tuple) else (ys,), strict=True):
                worst = max(worst, _difference(answer.as_numpy(port["name"]), y))
            start = end
    return worst


def _drawn(rng: np.random.Generator, dtype: str, shape: Sequence[int]) -> Any:
    if np.dtype(dtype).kind == "f":
        return rng.normal(size=(1, *shape)).astype(dtype)
    return rng.integers(0, 2 if dtype == "bool" else TOKENS, (1, *shape)).astype(dtype)


def _difference(found: Any, meant: Any) -> float:
    a, b = np.float64(found).ravel(), np.float64(meant).ravel()
    return float(np.max(np.abs(a - b) / np.maximum(1.0, np.abs(b)), initial=0.0))


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, and print how far apart the two are; 1 if that is too far."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("file", help="the step file that was exported")
    parser.add_argument("--name", help="the model's name in the repository, if not that of the file")
    parser.add_argument("--url", default="localhost:8001", help="where Triton listens for gRPC")
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--steps", type=int, default=60)
    told = parser.parse_args(arguments)
    name = told.name or Path(told.file).name.partition(".")[0]
    with ThreadPoolExecutor(told.streams) as threads:
        each = [(told.file, name, told.url, seed, told.steps) for seed in range(told.streams)]
        worst = max(threads.map(lambda stream: follow(*stream), each))
    print(f"{told.streams} streams of {told.steps} steps differ from rnnc.Stream by at most {worst:.1e}")
    return int(worst > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
