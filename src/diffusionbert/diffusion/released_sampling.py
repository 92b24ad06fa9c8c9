"""The published code's sampler, for comparison: one reverse step as it does it, defects included.

Its step draws from a posterior in which [MASK] is one entry among the words, p(v) ~ beta k p~(v) and
p([MASK]) ~ (1 - k)(1 - p~([MASK])) + p~([MASK]), with beta = (t - s)/(T - s) and k its spindle's keep probability at s
of the token it thinks likeliest. Temperature and top-k act on that posterior: a word's share is cut, [MASK]'s is not,
so the text stays masked for longer than the schedule says and may end with [MASK] in it. docs/deviations.md measures
it; `sampling.py` is what this project samples with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from diffusionbert.diffusion.sampling import Canvas, Predictor, State
from diffusionbert.diffusion.schedules import ReleasedSpindle
from diffusionbert.diffusion.truncation import Truncation, draw_tokens
from diffusionbert.shapes import Bool, Float, Int


@torch.no_grad()
def released_sampling(
    predictor: Predictor,
    schedule: ReleasedSpindle,
    canvas: Canvas,
    grid: Sequence[int],
    *,
    mask_id: int,
    truncation: Truncation,
    rng: torch.Generator,
) -> Iterator[State]:
    """One denoiser call for every step of the grid; visible tokens stay, and the last state may hold [MASK].

    A truncation acts on the posterior, [MASK] included.
    """
    xt, masked = canvas.xt.clone(), canvas.masked.clone()
    everything = torch.ones(len(schedule.log_frequency), dtype=torch.bool, device=xt.device)
    unweighted = torch.zeros(1, len(everything), device=xt.device)
    for calls, (s, t) in enumerate(zip(reversed(grid[:-1]), reversed(grid[1:]), strict=True), start=1):
        steps = torch.full((len(xt),), t, device=xt.device)
        hidden = predictor.encode(xt, canvas.lengths, steps)
        # its keep probability is centred over all positions, so that a prediction is needed at the visible ones too
        logits = predictor.predict(hidden, canvas.counted)
        tokens = torch.zeros_like(xt).masked_scatter(canvas.counted, logits.argmax(-1))
        keep = keep_of_predictions(schedule, s, tokens, canvas.counted)
        scores = posterior_logits(logits[masked[canvas.counted]], keep[masked], schedule, s, t, mask_id)
        draws = torch.rand(len(scores), generator=rng, dtype=torch.float64, device=rng.device).to(xt.device)
        xt[masked] = draw_tokens(scores, unweighted, everything, truncation, draws)[0]
        masked = masked & (xt == mask_id)
        yield State(s, xt.clone(), calls)


def keep_of_predictions(
    schedule: ReleasedSpindle, s: int, predicted: Int[Tensor, "B L"], counted: Bool[Tensor, "B L"]
) -> Float[Tensor, "B L"]:
    """k_s of the likeliest token at every position, its log-frequency centred over the sentence's predictions."""
    steps = torch.full((len(predicted),), s, device=predicted.device)
    return schedule.alpha_bar(steps, predicted, schedule.sentence_mean(predicted, counted))


def posterior_logits(
    logits: Float[Tensor, "M V"], keep: Float[Tensor, M], schedule: ReleasedSpindle, s: int, t: int, mask_id: int
) -> Float[Tensor, "M V"]:
    """ln of the unnormalised p(x_s = . | x_t = [MASK]), [MASK] among the entries; `keep` is k_s. Float64."""
    beta = schedule.transition(torch.tensor([s]), torch.tensor([t])).to(logits.device)
    log_p = torch.log_softmax(logits.double(), -1)
    scores = log_p + (beta * keep).log()[:, None]
    on_mask = log_p[:, mask_id].exp()
    scores[:, mask_id] = ((1 - keep) * (1 - on_mask) + on_mask).log()
    return scores
