"""What ``torch.onnx.export`` makes of the hand-written PyTorch cell, run by onnxruntime.

Its loop is a Python ``for``, which the exporter writes out step by step, so the file has hundreds of nodes
and takes long to make: each cell is exported once, at its smallest, for no longer than :data:`PATIENCE`.
"""

from __future__ import annotations

import io
import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, ClassVar

from rnnc.runtime import session
from tools.bench.matrix import WIDTHS, Entry
from tools.bench.peers import Peer, Ready
from tools.bench.peers.torch import sequence, tensors
from tools.bench.subject import Subject

#: How many seconds an export may take.
PATIENCE = 60


class TorchExport(Peer):
    """An exported sequence in a session."""

    name: ClassVar[str] = "torch.onnx"
    needs: ClassVar[tuple[str, ...]] = ("torch", "onnxscript")

    def meant_for(self, entry: Entry) -> bool:
        """Once a cell: the smallest sequence."""
        return (entry.form, entry.H, entry.B, entry.cpus) == ("sequence", WIDTHS[0], 1, 1)

    def ready(self, subject: Subject) -> Ready:
        """The exported cell."""
        opened = session(exported(subject), threads=subject.entry.cpus)
        names = [port.name for port in opened.get_inputs()]
        feeds = dict(zip(names, subject.inputs.values(), strict=True))
        return Ready(lambda: opened.run(None, feeds), lambda: list(opened.run(None, feeds)))


def exported(subject: Subject) -> bytes:
    """The bytes of the exported file."""
    import torch

    run = sequence(subject)

    class Module(torch.nn.Module):  # type: ignore[misc]
        def forward(self, *xs: Any) -> Any:
            """The recorded sequence."""
            return run(*xs)

    inputs, written = tuple(tensors(subject.inputs).values()), io.BytesIO()
    with patience(PATIENCE), redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        torch.onnx.export(Module().eval(), inputs, dynamo=True).save(written)
    return written.getvalue()


@contextmanager
def patience(seconds: int) -> Iterator[None]:
    """Break off with a ``TimeoutError`` what takes longer."""

    def ring(*_: Any) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
