"""Train models/char.py, and write its weights to models/char.safetensors.

    python -m tools.train_char                     about ten minutes on one core
    python -m tools.train_char --epochs 1          a taste

The text (tools/topics.py) lies in as many lanes as a batch has sequences; each is read in pieces of
``--steps`` bytes, the state carried from piece to piece and gradients stopped between: truncated
backpropagation through time. Every epoch the lanes begin elsewhere. While learning, elements of the matrices
are dropped at random, since so little text is soon known by heart. AdamW; the rate warms up, then falls along
a cosine; gradients are clipped.

Each epoch is saved to ``--checkpoint``; started again with the same options, training goes on from there. The
same seed, options and versions give the same weights.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.numpy import save
from torch.nn import functional as F

from models.char import WEIGHTS, char
from tools import topics

BITS = math.log(2)


def tokens(text: bytes) -> torch.Tensor:
    """Bytes as tokens, after a line end from which the first byte is predicted."""
    return torch.tensor(list(b"\n" + text))


def lanes(text: torch.Tensor, batch: int, seed: int, epoch: int) -> torch.Tensor:
    """The text, begun elsewhere in every epoch, as ``[length, batch]``."""
    generator = torch.Generator().manual_seed(seed * 1000003 + epoch)
    shift = int(torch.randint(len(text), (), generator=generator))
    length = len(text) // batch
    return text.roll(shift)[: length * batch].view(batch, length).T.contiguous()


#: What share of a matrix's elements is dropped while learning, by the path that its name begins with.
DROPPED = {"0.": 0.1, "1.Wy": 0.4, "2.W": 0.2}


def dropped(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The module's parameters, some elements of its matrices at 0 and the others scaled up."""
    return {name: F.dropout(p, share_dropped(name)) for name, p in module.named_parameters()}


def share_dropped(name: str) -> float:
    """What share of a parameter's elements is dropped."""
    return next((share for path, share in DROPPED.items() if name.startswith(path)), 0.0)


def bits_per_byte(module: torch.nn.Module, text: torch.Tensor) -> float:
    """What the module needs, on average, to write one byte of a text that it reads from its initial state."""
    state, bits = module.initial_state(1), 0.0
    with torch.no_grad():
        for start in range(0, len(text) - 1, 4096):
            y, state = module(text[start : start + 4096][: len(text) - 1 - start, None], state=state)
            wanted = text[start + 1 : start + 1 + len(y)]
            bits += float(F.cross_entropy(y[:, 0], wanted, reduction="sum")) / BITS
    return bits / (len(text) - 1)


class Training:
    """A module, its optimiser, and how far they are."""

    def __init__(self, options: argparse.Namespace) -> None:
        torch.manual_seed(options.seed)
        self.options = options
        self.text = tokens(topics.training())
        self.module: torch.nn.Module = char().to_torch()  # type: ignore[no-untyped-call]
        self.pieces: int = (len(self.text) // options.batch - 1) // options.steps
        self.optimizer = torch.optim.AdamW(
            self.module.parameters(), lr=options.rate, betas=(0.9, 0.99), weight_decay=options.decay
        )
        total = options.epochs * self.pieces

        def rate(i: int) -> float:
            return min(1.0, (i + 1) / 100) * (0.51 + 0.49 * math.cos(math.pi * min(1.0, i / total)))

        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, rate)
        self.epoch = 0

    def run_epoch(self) -> float:
        """Read the text once; the bits per byte on the way, with dropped weights."""
        o, losses = self.options, 0.0
        columns = lanes(self.text, o.batch, o.seed, self.epoch)
        state: dict[str, Any] = {}
        for start in range(0, self.pieces * o.steps, o.steps):
            x, wanted = columns[start : start + o.steps], columns[start + 1 : start + o.steps + 1]
            weights = dropped(self.module)
            y, state = torch.func.functional_call(self.module, weights, (x,), {"state": state})
            state = {path: value.detach() for path, value in state.items()}
            loss = F.cross_entropy(y.flatten(0, 1), wanted.flatten())
            self.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
            self.optimizer.step()
            self.schedule.step()
            losses += loss.item() / BITS
        self.epoch += 1
        return losses / self.pieces

    def save(self, path: Path) -> None:
        """Write all that is needed to go on."""
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".part")
        parts = {"module": self.module, "optimizer": self.optimizer, "schedule": self.schedule}
        state = {name: part.state_dict() for name, part in parts.items()}
        torch.save(
            {**state, "epoch": self.epoch, "random": torch.get_rng_state(), "told": told(self.options)}, aside
        )
        aside.replace(path)

    def resume(self, path: Path) -> None:
        """Go on from what was saved."""
        saved = torch.load(path, weights_only=True)
        if saved["told"] != told(self.options):
            raise SystemExit(f"{path} was made with other options, {saved['told']}: give these, or remove it")
        self.module.load_state_dict(saved["module"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.schedule.load_state_dict(saved["schedule"])
        self.epoch = saved["epoch"]
        torch.set_rng_state(saved["random"])

    def write(self, path: Path, bits: float) -> None:
        """Write the weights, with how they came about in the file's metadata."""
        arrays = {name: value.numpy() for name, value in self.module.state_dict().items()}
        notes = {
            **topics.source(),
            **told(self.options),
            "torch": torch.__version__,
            "bits per byte": f"{bits:.4f}",
        }
        path.write_bytes(save(arrays, metadata=notes))


def told(options: argparse.Namespace) -> dict[str, str]:
    """The options that decide what is learned."""
    names = ("seed", "epochs", "batch", "steps", "rate", "decay")
    return {name: str(getattr(options, name)) for name in names}


def parser() -> argparse.ArgumentParser:
    """What can be asked for."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)

    def option(name: str, default: float | Path, text: str = "") -> None:
        p.add_argument(name, type=type(default), default=default, help=f"{text} (default: {default})".strip())

    option("--epochs", 16, "how often the text is read")
    option("--batch", 32, "lanes side by side")
    option("--steps", 128, "bytes between two updates")
    option("--rate", 4e-3, "the highest learning rate")
    option("--decay", 0.02, "weight decay")
    option("--seed", 0)
    option("--threads", 1)
    option("--checkpoint", Path("build/char.pt"), "where to go on from")
    option("--output", WEIGHTS, "the weights")
    return p


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, telling how it goes."""
    options = parser().parse_args(arguments)
    torch.set_num_threads(options.threads)
    training, text = Training(options), tokens(topics.testing())
    if options.checkpoint.exists():
        training.resume(options.checkpoint)
    sizes = f"{len(training.text)} bytes to learn, {len(text)} held out"
    print(f"{sizes}, {training.pieces} updates an epoch", flush=True)
    while training.epoch < options.epochs:
        begun = time.perf_counter()
        learned = training.run_epoch()
        training.save(options.checkpoint)
        took = time.perf_counter() - begun
        print(
            f"epoch {training.epoch:3}: {learned:.3f} bits per byte while learning, {took:.0f} s", flush=True
        )
    bits = bits_per_byte(training.module, text)
    print(f"{bits:.4f} bits per byte on what was held out")
    training.write(options.output, bits)


if __name__ == "__main__":
    main()
