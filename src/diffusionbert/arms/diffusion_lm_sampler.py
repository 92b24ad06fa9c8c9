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
    beside embeddings without noise. Where the canvas says that a text goes on behind, the end token is neither
    predicted nor drawn: a prediction of it would leave the draw at the end its nearest neighbours. A `direct` one that
    is not clamped names no word, and only the draw is kept from the end.
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

    inner = None if canvas.inner is None else canvas.inner[unknown]
    xt, calls = torch.where(given, clean, noise()), 0
    for s, t in zip(reversed(grid[:-1]), reversed(grid[1:]), strict=True):
        steps = torch.full_like(lengths, t)
        output = arm.denoiser(xt, lengths, steps)[unknown]
        calls += 1
        predicted, words = _rounded(arm, output, xt[unknown], t, inner)
        spread = torch.zeros(shape, device=device)
        spread[unknown] = predicted
        mean, variance = arm.process.posterior(xt, spread, s, t)
        xt = torch.where(given, clean, mean + variance**0.5 * noise())
        if s > 0:
            yield State(s, filled(words), calls)
    yield State(0, filled(_drawn(arm, xt[unknown], truncation, rng, inner)), calls)


def without_end(logits: Tensor, end_id: int, inner: Tensor | None) -> Tensor:
    """Logits, (M, V), that give the end token no probability in the rows of `inner`, (M,); as they are without one."""
    if inner is not None:
        logits[inner, end_id] = -torch.inf
    return logits


def _rounded(arm: DiffusionLM, output: Tensor, xt: Tensor, t: int, inner: Tensor | None) -> tuple[Tensor, Tensor]:
    """f(x_t, t) with the clamp, where it is set, and its likeliest words; (M, D), (M,)."""
    predictions, words = [], []
    for rows in _rows(arm, len(output)):
        steps = torch.full((len(output[rows]),), t, device=output.device)
        goes_on = None if inner is None else inner[rows]
        predicted = arm.predict(output[rows], xt[rows], steps, goes_on)
        with arm.float32():
            logits = nn.functional.linear(predicted, arm.denoiser.embedding.weight, arm.bias())
            likeliest = without_end(logits, arm.vocabulary.sep_id, goes_on).argmax(-1)
        predictions.append(arm.denoiser.embedding(likeliest) if arm.settings.clamp else predicted)
        words.append(likeliest)
    return torch.cat(predictions), torch.cat(words)


def _drawn(arm: DiffusionLM, x0: Tensor, truncation: Truncation, rng: torch.Generator, inner: Tensor | None) -> Tensor:
    """One word per row from p(w | x_0), truncated, and no end token where `inner`, (M,), says; (M,)."""
    candidates = arm.vocabulary.candidates.to(x0.device)
    drawn, weights = [], torch.zeros(1, len(candidates), device=x0.device)
    uniforms = torch.rand(len(x0), generator=rng, dtype=torch.float64, device=rng.device).to(x0.device)
    for rows in _rows(arm, len(x0)):
        goes_on = None if inner is None else inner[rows]
        logits = without_end(arm.denoiser.rounding_logits(x0[rows]), arm.vocabulary.sep_id, goes_on)
        drawn.append(draw_tokens(logits, weights, candidates, truncation, uniforms[rows])[0])
    return torch.cat(drawn)


def _rows(arm: DiffusionLM, count: int) -> list[slice]:
    most = max(1, arm.logits_budget_mb * 2**20 // (4 * arm.vocabulary.size))
    return [slice(start, start + most) for start in range(0, count, most)]
