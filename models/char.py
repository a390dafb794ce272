"""A character model: bytes in, one a step, and what the next byte may be out, as 256 logits.

Trained by tools/train_char.py on the language reference that every Python ships.
"""

from pathlib import Path

import numpy as np

from rnnc import Chain
from rnnc.cells import LSTM, Affine, Embedding

WEIGHTS = Path(__file__).with_suffix(".safetensors")

HIDDEN = 320


def char():
    """The model before training. Forget gates start open, so that the state lasts from the first."""
    return Chain(Embedding(256, 64), LSTM(64, HIDDEN, bf=np.ones(HIDDEN, np.float32)), Affine(HIDDEN, 256))


model = char()
if WEIGHTS.exists():
    model.load(WEIGHTS)
