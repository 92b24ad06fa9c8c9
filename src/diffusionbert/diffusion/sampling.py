"""Samplers: iterators of states from all [MASK] to text, exact in law for the T-step (or K-step) reverse process.

`ancestral` serves every schedule. `first_hitting` serves token-independent ones: each position's reveal step is drawn
first, so the denoiser is called at most min(n, T) times and only where something is revealed. A time-agnostic
denoiser whose input did not change since its last call is not called again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from diffusionbert.diffusion.bound import Step, believed_alpha_bar, estimated_mean
from diffusionbert.diffusion.schedules import Schedule, reveal_probability
from diffusionbert.diffusion.truncation import Truncation, draw_tokens
from diffusionbert.shapes import Bool, Float, Int


@runtime_checkable
class Predictor(Protocol):
    """A denoiser in two halves, so that the head runs only where a prediction is wanted."""

    @property
    def time_agnostic(self) -> bool: ...

    def encode(self, xt: Int[Tensor, "B L"], lengths: Int[Tensor, B], t: Tensor) -> Tensor:
        """Hidden states (B, L, H) of the noisy sentence; t is (B,)."""
        ...

    def predict(self, hidden: Tensor, positions: Bool[Tensor, "B L"]) -> Float[Tensor, "M V"]:
        """Logits of x0 at the chosen positions, row-major."""
        ...


@dataclass(frozen=True)
class State:
    """A moment of the reverse process: the sentences after the step that ended at `t` (0 at the end)."""

    t: int
    xt: Int[Tensor, "B L"]
    calls: int  # denoiser calls so far


@dataclass(frozen=True)
class Canvas:
    """What is to be filled: tokens, and where they are [MASK]; the others inside a length are given and stay.

    A given token is to a sampler one that was revealed before it began. Positions beyond a length hold padding. Rows
    need neither the same length nor the same pattern. `given` is, as a batch's, how many leading tokens of each row
    stand before its text, as the source of a pair does; None where none does. The known words of a text are part of it.
    `inner` is where a text is known to go on behind, so that no end token may be written there; None: nowhere.
    """

    xt: Int[Tensor, "B L"]
    masked: Bool[Tensor, "B L"]
    lengths: Int[Tensor, B]
    given: Int[Tensor, B] | None = None
    inner: Bool[Tensor, "B L"] | None = None

    @staticmethod
    def blank(lengths: Int[Tensor, B], mask_id: int, pad_id: int) -> Canvas:
        """All [MASK], of the given lengths."""
        inside = torch.arange(int(lengths.max()), device=lengths.device) < lengths[:, None]
        return Canvas(torch.where(inside, mask_id, pad_id), inside, lengths)

    @staticmethod
    def of_pairs(
        tokens: Int[Tensor, "B L"], given: Int[Tensor, B], lengths: Int[Tensor, B], mask_id: int, pad_id: int
    ) -> Canvas:
        """So many leading tokens of each row given, all behind them inside its length [MASK], whatever stood there."""
        place = torch.arange(tokens.shape[1], device=tokens.device)
        inside, told = place < lengths[:, None], place < given[:, None]
        xt = torch.where(told, tokens, mask_id).masked_fill(~inside, pad_id)
        return Canvas(xt, inside & ~told, lengths, given)

    @property
    def inside(self) -> Bool[Tensor, "B L"]:
        """Where a row has a token, a source's included."""
        return torch.arange(self.xt.shape[1], device=self.xt.device) < self.lengths[:, None]

    @property
    def counted(self) -> Bool[Tensor, "B L"]:
        """The positions of the text: those that a scorer counts, so that a mean over them is the one it takes."""
        if self.given is None:
            return self.inside
        place = torch.arange(self.xt.shape[1], device=self.xt.device)
        return self.inside & (place >= self.given[:, None])

    def repeated(self, count: int) -> Canvas:
        """So many copies of every row."""
        row = torch.arange(len(self.xt), device=self.xt.device).repeat_interleave(count)
        given = None if self.given is None else self.given[row]
        inner = None if self.inner is None else self.inner[row]
        return Canvas(self.xt[row], self.masked[row], self.lengths[row], given, inner)


def strided_grid(num_steps: int, num_eval_steps: int) -> list[int]:
    """0 = t_0 < ... < t_K = T, evenly strided. Raises ValueError when K does not divide T."""
    if not 1 <= num_eval_steps <= num_steps or num_steps % num_eval_steps:
        raise ValueError(f"{num_eval_steps} steps do not divide num_steps = {num_steps}; expected a divisor of it")
    return list(range(0, num_steps + 1, num_steps // num_eval_steps))


class _Cached:
    """Calls the predictor's encoder, unless it is time-agnostic and its input is the one of its last call."""

    def __init__(self, predictor: Predictor, lengths: Tensor) -> None:
        self.predictor, self.lengths = predictor, lengths
        self.calls = 0
        self._input: Tensor | None = None
        self._hidden: Tensor | None = None

    def hidden(self, xt: Tensor, t: Tensor) -> Tensor:
        unchanged = self._input is not None and torch.equal(self._input, xt)
        if self._hidden is None or not (self.predictor.time_agnostic and unchanged):
            self._input, self._hidden = xt.clone(), self.predictor.encode(xt, self.lengths, t)
            self.calls += 1
        return self._hidden


@torch.no_grad()
def ancestral(
    predictor: Predictor,
    schedule: Schedule,
    canvas: Canvas,
    candidates: Bool[Tensor, V],
    grid: Sequence[int],
    *,
    truncation: Truncation,
    rng: torch.Generator,
) -> Iterator[State]:
    """Step by step down the grid: draw v in proportion to p~_t(v), reveal it with r_t(v), discard it otherwise.

    A position whose uniform exceeds every token's r_t cannot be revealed at this step whatever v is, so nothing is
    predicted there: the law is the same and most of the head's work is not done.
    """
    xt, masked = canvas.xt.clone(), canvas.masked.clone()
    cached = _Cached(predictor, canvas.lengths)
    for s, t in zip(reversed(grid[:-1]), reversed(grid[1:]), strict=True):
        uniforms = _uniforms(masked.shape, rng, xt.device)
        steps = torch.full((len(xt),), t, device=xt.device)
        chosen = masked
        if not schedule.uses_sentence_mean:
            alpha_t = schedule.alpha_bar_of_vocabulary(steps[:1])
            alpha_s = schedule.alpha_bar_of_vocabulary(torch.full_like(steps[:1], s))
            ceiling = reveal_probability(alpha_s, alpha_t)
            chosen = masked & (uniforms < torch.where(_some(candidates, ceiling), ceiling, 0.0).amax())
        if bool(chosen.any()):
            hidden = cached.hidden(xt, steps)
            logits = predictor.predict(hidden, chosen)
            if schedule.uses_sentence_mean:
                step = Step(xt, canvas.counted, masked, steps, steps, logits, candidates)
                mean = estimated_mean(step, schedule)
                alpha_t = believed_alpha_bar(schedule, steps, mean)
                alpha_s = believed_alpha_bar(schedule, torch.full_like(steps, s), mean)
            tokens, revealed = _reveal(logits, alpha_s, alpha_t, candidates, chosen, uniforms, truncation, rng)
            where = chosen.clone()
            where[chosen] = revealed
            xt[where] = tokens[revealed]
            masked = masked & ~where
        yield State(s, xt.clone(), cached.calls)
    assert not bool(masked.any()), "a reverse process that ended at t = 0 left a [MASK]"


def _some(candidates: Tensor, per_token: Tensor) -> Tensor:
    return candidates if per_token.shape[-1] > 1 else torch.ones_like(candidates[:1])


def _reveal(
    logits: Tensor,
    alpha_s: Tensor,
    alpha_t: Tensor,
    candidates: Tensor,
    chosen: Tensor,
    uniforms: Tensor,
    truncation: Truncation,
    rng: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """A drawn token for each chosen position and whether it is revealed, (M,) each."""
    log_weights = (1 - alpha_t).log()
    reveal = reveal_probability(alpha_s, alpha_t)
    if len(alpha_t) > 1:  # one schedule per sentence: spread it over the sentence's rows
        sentence = chosen.nonzero()[:, 0]
        log_weights, reveal = log_weights[sentence], reveal[sentence]
    log_weights = log_weights.expand(-1, logits.shape[-1])
    reveal = reveal.expand(len(reveal), logits.shape[-1])
    draws = _uniforms((len(logits),), rng, logits.device)
    tokens, left = draw_tokens(logits, log_weights, candidates, truncation, draws)
    row = torch.arange(len(tokens), device=tokens.device) if len(reveal) > 1 else torch.zeros_like(tokens)
    accepted = uniforms[chosen] < reveal[row, tokens]
    return tokens, accepted | ~left.to(accepted.device)


@torch.no_grad()
def first_hitting(
    predictor: Predictor,
    schedule: Schedule,
    canvas: Canvas,
    candidates: Bool[Tensor, V],
    grid: Sequence[int],
    *,
    truncation: Truncation,
    rng: torch.Generator,
) -> Iterator[State]:
    """The same law in at most min(n, K) calls, for a schedule that looks at no token (Zheng et al. 2409.02908).

    Each masked position's reveal step tau is drawn with P(tau = t) = a_s - a_t; a sentence visits its distinct tau
    from the largest down, and every position of one step is filled from one call. Sentences advance together, each
    at its own step, which the denoiser is told.

    Raises ValueError for a schedule that depends on the token.
    """
    if not schedule.token_independent:
        raise ValueError("first-hitting sampling needs a token-independent schedule; use ancestral sampling")
    xt, masked = canvas.xt.clone(), canvas.masked
    steps = torch.tensor(grid, device=xt.device)
    # of a word: a spindle of lambda = 0 keeps the ids that are none visible
    word = candidates.nonzero()[:1].expand(len(grid), 1)
    alpha = schedule.alpha_bar(steps, word).squeeze(-1)
    # the first grid step at which u > a_t is the step at which the forward process masks the position
    uniforms = _uniforms(masked.shape, rng, xt.device)
    index = (uniforms[..., None] <= alpha[None, None, :]).sum(-1).clamp(1, len(grid) - 1)
    tau = torch.where(masked, steps[index], 0)
    cached = _Cached(predictor, canvas.lengths)
    log_weights = torch.zeros(1, len(candidates), device=xt.device)
    if not bool(masked.any()):
        yield State(0, xt.clone(), 0)
    while bool((tau > 0).any()):
        current = tau.amax(-1)
        chosen = (tau == current[:, None]) & (tau > 0)
        hidden = cached.hidden(xt, current.clamp(min=1))
        draws = _uniforms((int(chosen.sum()),), rng, xt.device)
        tokens, _ = draw_tokens(predictor.predict(hidden, chosen), log_weights, candidates, truncation, draws)
        xt[chosen] = tokens
        tau = torch.where(chosen, 0, tau)
        yield State(int(tau.amax()), xt.clone(), cached.calls)


def _uniforms(shape: Sequence[int] | torch.Size, rng: torch.Generator, device: torch.device) -> Tensor:
    return torch.rand(tuple(shape), generator=rng, dtype=torch.float64, device=rng.device).to(device)
