"""The text that the character model learns, and the script that teaches it."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors import safe_open

from tools import topics


def test_pages_are_held_out_by_the_digest_of_their_name():
    held = {name for name in topics.PAGES if topics.held_out(name)}
    assert {"while", "lists", "await"} <= held
    assert 0 < len(held) < len(topics.PAGES) / 4


def test_nothing_held_out_is_learned():
    learned = {p.strip() for p in topics.training().split(b"\n\n")}
    assert learned.isdisjoint(p.strip() for p in topics.testing().split(b"\n\n"))


@pytest.mark.torch
def test_training_goes_on_where_it_was_stopped(monkeypatch, tmp_path):
    torch = pytest.importorskip("torch")
    from models import char
    from tools import train_char

    random = np.random.default_rng(0)
    monkeypatch.setattr(topics, "training", lambda: random.integers(97, 105, 600).astype(np.uint8).tobytes())
    monkeypatch.setattr(topics, "testing", lambda: b"abcdefgh" * 4)
    monkeypatch.setattr(char, "HIDDEN", 8)
    options = [
        "--epochs",
        "2",
        "--batch",
        "4",
        "--steps",
        "16",
        "--output",
        str(tmp_path / "weights.safetensors"),
    ]
    before = torch.get_num_threads()

    def train(checkpoint: str, epochs: int):
        nonlocal random
        random = np.random.default_rng(0)
        read = train_char.parser().parse_args([*options, "--checkpoint", str(tmp_path / checkpoint)])
        training = train_char.Training(read)
        if read.checkpoint.exists():
            training.resume(read.checkpoint)
        while training.epoch < epochs:
            training.run_epoch()
        training.save(read.checkpoint)
        return training.module

    train("pieces.pt", 1)
    torch.rand(7)
    pieces, whole = train("pieces.pt", 2).state_dict(), train("whole.pt", 2).state_dict()
    assert all(torch.equal(pieces[name], whole[name]) for name in whole)
    train_char.main([*options, "--checkpoint", str(tmp_path / "whole.pt")])
    torch.set_num_threads(before)
    with safe_open(tmp_path / "weights.safetensors", framework="numpy") as file:
        assert set(file.keys()) == set(char.char().params)
        assert {"python", "testing", "training", "torch", "seed", "bits per byte"} <= file.metadata().keys()


@pytest.mark.torch
def test_other_options_do_not_go_on_from_a_checkpoint(monkeypatch, tmp_path):
    pytest.importorskip("torch")
    from models import char
    from tools import train_char

    monkeypatch.setattr(char, "HIDDEN", 8)
    options = ["--checkpoint", str(tmp_path / "c.pt"), "--batch"]
    train_char.Training(train_char.parser().parse_args([*options, "4"])).save(tmp_path / "c.pt")
    with pytest.raises(SystemExit, match="other options"):
        train_char.Training(train_char.parser().parse_args([*options, "5"])).resume(tmp_path / "c.pt")
