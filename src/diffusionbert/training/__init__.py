"""One training run: draws, steps, validation, checkpoints. It knows arms by their protocol alone.

Every draw is keyed by (seed, purpose, step, sentence), so arms with one seed meet the same sentences, steps and noise
in the same order, a resumed run continues to the bit on one device, and several processes make the batch of one.
"""

from diffusionbert.training.distribution import ALONE, Distribution
from diffusionbert.training.loop import train
from diffusionbert.training.schedule import rate_multiplier
from diffusionbert.training.settings import COMPARED, SENTENCES, Autocast, History, Settings, StoppedError
from diffusionbert.training.step import draw_for

__all__ = [
    "ALONE",
    "COMPARED",
    "SENTENCES",
    "Autocast",
    "Distribution",
    "History",
    "Settings",
    "StoppedError",
    "draw_for",
    "rate_multiplier",
    "train",
]
