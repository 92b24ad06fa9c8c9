"""The mathematics alone: draw and posterior, one term of the bound, the making of an arm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from diffusionbert import training
from diffusionbert.arms.absorbing import Absorbing, Settings
from diffusionbert.arms.base import Draw
from diffusionbert.bench.clock import take_turns
from diffusionbert.bench.figures import Figure, milliseconds_of, ratio_of
from diffusionbert.bench.rivals import framed
from diffusionbert.bench.subjects import ARMS, NUM_STEPS, Size, arm_of, batch_of, model_of, vocabulary_of
from diffusionbert.bench.turns import Autocast
from diffusionbert.corpus.batches import Batch
from diffusionbert.diffusion.absorbing import absorb
from diffusionbert.diffusion.schedules import reveal_probability, stay_probability

TERM_LENGTH = 32
SCHEDULES = ("linear", "spindle")


def draw_and_posterior(size: Size, device: torch.device, repeats: int) -> list[Figure]:
    """x_t and the reveal and stay probabilities of every position, with and without the uniforms' making."""
    batch = batch_of(size, size.length + 2)
    lines = []
    for name in SCHEDULES:
        samples = take_turns(_draws(arm_of(size, name, device), batch, device), repeats=repeats, device=device)
        what = f"forward draw and posterior, {name}, {size.batch} x {size.length}, T = {NUM_STEPS}"
        lines += [
            milliseconds_of(f"{what}, uniforms made", "with draws", samples["with draws"], 5.0),
            milliseconds_of(f"{what}, uniforms given", "draws given", samples["draws given"]),
        ]
    return lines


def _draws(arm: Absorbing, batch: Batch, device: torch.device) -> dict[str, Callable[[], object]]:
    there = batch.to(device)

    def posterior(draw: Draw) -> object:
        alpha_s = arm.schedule.alpha_bar(draw.s, there.tokens, None)
        alpha_t = arm.schedule.alpha_bar(draw.t, there.tokens, None)
        noised = absorb(there.tokens, alpha_t, draw.uniforms, there.counted, arm.vocabulary.mask_id)
        return noised, reveal_probability(alpha_s, alpha_t), stay_probability(alpha_s, alpha_t)

    def made() -> Draw:
        return training.draw_for(arm, batch, 0, 0).to(device)

    ready = made()
    return {"with draws": lambda: posterior(made()), "draws given": lambda: posterior(ready)}


@torch.no_grad()
def bound_term(size: Size, device: torch.device, autocast: Autocast, repeats: int) -> list[Figure]:
    """One term of the bound, draw included, over one call of the network with log-softmax at the same positions."""
    length = min(TERM_LENGTH, size.length)
    batch = batch_of(size, length + 2)
    lines = []
    for name, target in (("linear", 1.3), ("spindle", 1.6)):
        arm = arm_of(size, name, device)
        arm.module.eval()
        samples = take_turns(
            {
                "term": _term(arm, batch, device, autocast),
                "network": _network_call(arm, batch, device, autocast),
            },
            repeats=repeats,
            device=device,
        )
        what = f"one bound term, {name}, {size.batch} x {length}, over one network call"
        lines.append(ratio_of(what, ("term", samples["term"]), ("network", samples["network"]), target))
    return lines


def _term(arm: Absorbing, batch: Batch, device: torch.device, autocast: Autocast) -> Callable[[], object]:
    scorer, there = arm.scorer([], 0.0), batch.to(device)

    def call() -> object:
        with autocast():
            return scorer(there, training.draw_for(arm, batch, 0, 0).to(device), ["valid"])

    return call


def _network_call(arm: Absorbing, batch: Batch, device: torch.device, autocast: Autocast) -> Callable[[], object]:
    """The same sentences, masked at the same positions before the clock starts."""
    model, there = arm.denoiser.model, batch.to(device)
    encoder = getattr(model, model.base_model_prefix)
    ids, attended, asked = framed(arm, there, training.draw_for(arm, batch, 0, 0).to(device))
    targets = there.tokens[asked[:, 1:-1]]

    def call() -> object:
        with autocast():
            hidden = encoder(input_ids=ids, attention_mask=attended).last_hidden_state
            logits = model.cls(hidden[asked]).float()
            return logits.log_softmax(-1).gather(-1, targets[:, None])

    return call


def construction(size: Size, device: torch.device, repeats: int) -> list[Figure]:
    """An arm's making around a network that is there already."""
    model, vocabulary = model_of(size).to(device), vocabulary_of(size).to(device)
    lines = []
    for name in SCHEDULES:
        settings = Settings(init="random", num_steps=NUM_STEPS, **ARMS[name])
        make = {"made": lambda settings=settings: Absorbing(settings, model, vocabulary, Path())}
        samples = take_turns(make, repeats=repeats, device=device)["made"]
        lines.append(milliseconds_of(f"construction beyond the network, {name}", "made", samples, 100.0))
    return lines
