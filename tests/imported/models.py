"""All the step models, by name, each as small as tests need it or as large as it is deployed."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any, NamedTuple

from tests.imported.step_model import StepModel


class Kind(NamedTuple):
    """The function that makes a model, in which module, what makes it small, and whether torch exports it."""

    module: str
    small: dict[str, Any]
    torch: bool


#: Every model; its function has the name of the model.
KINDS = {
    "voice_detector": Kind("voice", {"units": 16}, torch=True),
    "voice_detector_two_rates": Kind("voice", {"units": 16}, torch=True),
    "voice_detector_frames": Kind("voice", {"units": 16, "frames": 3}, torch=True),
    "mask_denoiser": Kind("denoiser", {"units": 12, "bins": 9}, torch=False),
    "feature_denoiser": Kind("denoiser", {"units": 12, "frame": 16, "features": 10}, torch=False),
    "enhancer": Kind("enhancer", {"channels": 8}, torch=True),
    "enhancer_scatter": Kind("enhancer", {"channels": 8}, torch=True),
    "transducer_encoder": Kind(
        "transducer", {"layers": 2, "size": 12, "units": 16, "features": 16}, torch=True
    ),
    "noise_suppressor": Kind("gru", {"features": 10, "bands": 5}, torch=False),
    "wake_word": Kind("gru", {"units": 12, "bands": 8}, torch=False),
    "video_matting": Kind("matting", {"height": 16, "width": 32, "sizes": (4, 4, 6, 8)}, torch=True),
    "amplifier": Kind("small", {"units": 8}, torch=False),
    "tagger": Kind("small", {"words": 50, "size": 8, "units": 12, "tags": 5}, torch=False),
    "tcn": Kind("convolutional", {"channels": 4, "layers": 3}, torch=True),
    "memory_detector": Kind(
        "convolutional",
        {"features": 12, "size": 8, "inner": 10, "order": 4, "layers": 2, "classes": 6},
        torch=True,
    ),
    "personal_denoiser": Kind(
        "convolutional", {"bins": 9, "channels": 8, "units": 12, "speaker": 5}, torch=True
    ),
    "keyword_loop": Kind("converted", {"features": 6, "units": 12}, torch=False),
    "keyword_scan": Kind("converted", {"features": 6, "units": 12}, torch=False),
}


@cache
def step_model(name: str, small: bool = False) -> StepModel:
    """The model of that name."""
    kind = KINDS[name]
    module = importlib.import_module(f"tests.imported.{kind.module}")
    made: StepModel = getattr(module, name)(**kind.small if small else {})
    return made
