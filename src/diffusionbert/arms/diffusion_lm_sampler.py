"""Samples of a Diffusion-LM arm: ancestral steps over embeddings, and the words drawn at the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from diffusionbert.diffusion.gaussian import even_grid
from diffusionbert.diffusion.sampling import Canvas, State
from diffusionbert.diffusion.truncation import Truncation, draw_tokens

if TYPE_CHECKING:
    from diffusionbert.arms.diffusion_lm import DiffusionLM


@torch.no_grad()
def sampled(
    arm: DiffusionLM, canvas: Canvas, num_steps: int, truncation: Truncation, rng: torch.Generator
) -> Iterator[State]:
    """Down an even grid of `num_steps`; a state shows the words nearest to the prediction.

    The words at the end are drawn from p(w | x_0), and truncation acts there alone: the diffusion has none.
    Given tokens are their embeddings at every step. Raises ValueError when there are any and the arm was not trained
    beside embeddings without noise.
    """
    lengths, unknown = canvas.lengths, canvas.masked
    given = (canvas.inside & ~unknown)[..., None]
    if not arm.settings.partial_noising and bool(given.any()):
        raise ValueError(
            "some tokens are given; expected none, as this Diffusion-LM was trained with every embedding noised"
        )
    device, grid = lengths.device, even_grid(arm.num_steps, num_steps)
    shape = (*unknown.shape, arm.settings.embedding_size)
    clean = arm.denoiser.embedding(canvas.xt.clamp(min=0))  # a tokenizer without [MASK] has no id for it

    def noise() -> Tensor:
        return torch.randn(shape, generator=rng, dtype=torch.float64, device=rng.device).float().to(device)

    def filled(tokens: Tensor) -> Tensor:
        text = canvas.xt.clone()
        text[unknown] = tokens
        return text

    xt, calls = torch.where(given, clean, noise()), 0
    for s, t in zip(reversed(grid[:-1]), reversed(grid[1:]), strict=True):
        steps = torch.full_like(lengths, t)
        output = arm.denoiser(xt, lengths, steps)[unknown]
        calls += 1
        predicted, words = _rounded(arm, output, xt[unknown], t)
        spread = torch.zeros(shape, device=device)
        spread[unknown] = predicted
        mean, variance = arm.process.posterior(xt, spread, s, t)
        xt = torch.where(given, clean, mean + variance**0.5 * noise())
        if s > 0:
            yield State(s, filled(words), calls)
    inner = None if canvas.inner is None else canvas.inner[unknown]
    yield State(0, filled(_drawn(arm, xt[unknown], truncation, rng, inner)), calls)


def _rounded(arm: DiffusionLM, output: Tensor, xt: Tensor, t: int) -> tuple[Tensor, Tensor]:
    """f(x_t, t) with the clamp, where it is set, and its likeliest words; (M, D), (M,)."""
    predictions, words = [], []
    for rows in _rows(arm, len(output)):
        steps = torch.full((len(output[rows]),), t, device=output.device)
        predicted = arm.predict(output[rows], xt[rows], steps)
        with arm.float32():
            likeliest = nn.functional.linear(predicted, arm.denoiser.embedding.weight, arm.bias()).argmax(-1)
        predictions.append(arm.denoiser.embedding(likeliest) if arm.settings.clamp else predicted)
        words.append(likeliest)
    return torch.cat(predictions), torch.cat(words)


def _drawn(arm: DiffusionLM, x0: Tensor, truncation: Truncation, rng: torch.Generator, inner: Tensor | None) -> Tensor:
    """One word per row from p(w | x_0), truncated, and no end token where `inner`, (M,), says; (M,)."""
    candidates = arm.vocabulary.candidates.to(x0.device)
    drawn, weights = [], torch.zeros(1, len(candidates), device=x0.device)
    uniforms = torch.rand(len(x0), generator=rng, dtype=torch.float64, device=rng.device).to(x0.device)
    for rows in _rows(arm, len(x0)):
        logits = arm.denoiser.rounding_logits(x0[rows])
        if inner is not None:
            logits[inner[rows], arm.vocabulary.sep_id] = -torch.inf
        drawn.append(draw_tokens(logits, weights, candidates, truncation, uniforms[rows])[0])
    return torch.cat(drawn)


def _rows(arm: DiffusionLM, count: int) -> list[slice]:
    most = max(1, arm.logits_budget_mb * 2**20 // (4 * arm.vocabulary.size))
    return [slice(start, start + most) for start in range(0, count, most)]
