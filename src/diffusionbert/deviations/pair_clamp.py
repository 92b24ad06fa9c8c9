"""DiffuSeq's sampler on pairs with and without the clamp: what each writes of the same sources from the same noise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch

from diffusionbert.arms.diffusion_lm import DiffusionLM
from diffusionbert.corpus.tokenizers import decode_tokens
from diffusionbert.deviations.figures import Figures
from diffusionbert.deviations.ground import SHARE
from diffusionbert.deviations.pair_ground import PairGround
from diffusionbert.deviations.pair_scores import BLEU, bleu_of
from diffusionbert.diffusion.truncation import Truncation
from diffusionbert.metrics.sentence_bleu import Counted
from diffusionbert.progress import track
from diffusionbert.stages.canvases import starts, written
from diffusionbert.words import split_words


def measure_clamp(ground: PairGround) -> Figures:
    """One text of each source, the arm's steps, the profile's truncation."""
    (label, arm), references = ground.diffuseq, ground.references
    figures: Figures = {}
    for key, clamp in (("free", False), ("clamped", True)):
        with _clamping(arm, clamp):
            texts = _texts(ground, arm, len(references))
        what = f"{label}, {arm.settings.sampling_steps} steps, {'with' if clamp else 'without'} the clamp"
        words = np.array([len(split_words(text)) for text in texts], dtype=np.float64)
        bleu = bleu_of([Counted.of(split_words(text)) for text in texts], references)
        figures[f"{key}_empty"] = ground.mean(f"{what}: empty texts", SHARE, (words == 0).astype(np.float64))
        figures[f"{key}_words"] = ground.mean(f"{what}: words of a text", "words", words)
        figures[f"{key}_bleu"] = ground.mean(f"{what}", BLEU, bleu)
    return figures


@contextmanager
def _clamping(arm: DiffusionLM, clamp: bool) -> Iterator[None]:
    own = arm.settings
    arm.settings = replace(own, clamp=clamp)
    try:
        yield
    finally:
        arm.settings = own


def _texts(ground: PairGround, arm: DiffusionLM, count: int) -> list[str]:
    run, sample = ground.run, ground.params.sample
    begun = starts(
        arm,
        run.shards,
        num_samples=count,
        length=sample.length,
        batch_size=sample.batch_size,
        device=run.machine.device,
        key="sample",
    )
    end_id = run.shards.special.sep_id if run.shards.padded else None
    truncation = Truncation(sample.temperature, sample.top_k, sample.top_p)
    found: dict[int, list[int]] = {}
    for start in track(list(begun), label="clamp"):
        rng = torch.Generator().manual_seed(ground.seed + int(start.index[0]))  # the same with the clamp and without
        with run.machine.autocast():
            *_, last = arm.sample(start.canvas, start.num_steps(arm, sample.num_steps), truncation, rng)
        found |= dict(zip(start.index.tolist(), written(start.canvas, last.xt, end_id), strict=True))
    return decode_tokens(run.shards.tokenizer_folder, [found[row] for row in range(count)], run.shards.line_end)
