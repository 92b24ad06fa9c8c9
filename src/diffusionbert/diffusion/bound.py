"""The bound (NELBO) in nats, term by term, under the three protocols.

For one step s -> t of one sentence, with r_i the posterior that masked position i is revealed and R_i what the model
believes of it:

    reveal term   r_i (-ln p~_t,i(x0_i))            naming the token, once it is revealed
    timing term   (1 - r_i) ln((1 - r_i)/(1 - R_i)) not knowing which tokens are revealed first

Summed over the steps of a grid they bound -ln p(x0) under `valid`. `oracle` and `released` tell the model things only
the true sentence knows; they are kept because the paper's equations, read literally, and the published code compute
them. Every function returns the terms of ONE step per sentence; estimators sum or average over steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from diffusionbert.diffusion.logsums import log_sums_and_targets, weighted_log_sums
from diffusionbert.diffusion.schedules import ReleasedSpindle, Schedule, reveal_probability, stay_probability
from diffusionbert.shapes import Bool, Float, Int

MIXED_IN = 0.01  # eps of the linear schedule mixed into an estimated spindle, so that nothing becomes impossible


@dataclass(frozen=True)
class Terms:
    """Nats of one step, per sentence: (B,) float64 each."""

    reveal: Float[Tensor, B]
    timing: Float[Tensor, B]

    @property
    def total(self) -> Float[Tensor, B]:
        return self.reveal + self.timing

    @staticmethod
    def joined(parts: Sequence[Terms]) -> Terms:
        """The sentences of several parts, one after another."""
        return Terms(torch.cat([part.reveal for part in parts]), torch.cat([part.timing for part in parts]))


@dataclass(frozen=True)
class Step:
    """One step s -> t of a batch: what the forward process drew, and where.

    `logits` are the denoiser's at the masked positions, row-major: (M, V). `candidates` marks the ids that can be a
    word; the prediction p~ is 0 for all others. `s` and `t` are (B,), 0 <= s < t <= T, on the fine scale of T.
    """

    x0: Int[Tensor, "B L"]
    counted: Bool[Tensor, "B L"]
    masked: Bool[Tensor, "B L"]
    s: Tensor
    t: Tensor
    logits: Float[Tensor, "M V"]
    candidates: Bool[Tensor, V]

    @property
    def rows_per_sentence(self) -> Int[Tensor, B]:
        return self.masked.sum(-1)

    @property
    def targets(self) -> Int[Tensor, M]:
        """The true tokens of the masked positions."""
        return self.x0[self.masked]

    @property
    def target_logits(self) -> Float[Tensor, M]:
        return self.logits.gather(-1, self.targets.unsqueeze(-1)).squeeze(-1)

    def per_sentence(self, values: Float[Tensor, M]) -> Float[Tensor, B]:
        """Sums the values of the masked positions sentence by sentence, in float64."""
        sentence = self.masked.nonzero()[:, 0]
        return torch.zeros(len(self.x0), dtype=torch.float64, device=values.device).index_add(
            0, sentence, values.double()
        )


def negative_log_prediction(step: Step) -> Float[Tensor, M]:
    """-ln p~(x0) at every masked position: plain cross-entropy over the candidates, no schedule factor.

    Infinite for a token that is no candidate.
    """
    weights = step.candidates[None, None, :].double()
    rows = step.rows_per_sentence.sum()[None]
    log_sums, target_logits = log_sums_and_targets(step.logits, weights, rows, step.targets)
    return torch.where(step.candidates[step.targets], log_sums.squeeze(-1) - target_logits, torch.inf)


def valid_terms(step: Step, schedule: Schedule, *, schedule_factor: bool = True) -> Terms:
    """An upper bound's terms: the model knows x_t and t, and pays for all it does not know.

    A schedule that uses the sentence mean is scored by an estimate of it from x_t alone; it is still a bound.
    """
    mean = schedule.sentence_mean(step.x0, step.counted)
    alpha_s = schedule.alpha_bar(step.s, step.x0, mean)[step.masked]
    alpha_t = schedule.alpha_bar(step.t, step.x0, mean)[step.masked]
    revealed, stays = reveal_probability(alpha_s, alpha_t), stay_probability(alpha_s, alpha_t)
    if schedule.token_independent:
        # the factor cancels and R = r: nothing is paid for the timing
        return Terms(step.per_sentence(revealed * negative_log_prediction(step)), _no_timing(step))
    believed_s, believed_t = _believed(step, schedule)
    weight_t, weight_s = _weights(believed_s, believed_t, schedule_factor)
    weights = torch.stack([weight_t, weight_s], 1) * step.candidates
    rows = step.rows_per_sentence
    if len(weights) == 1:
        rows = rows.sum()[None]
    log_sums, target_logits = log_sums_and_targets(step.logits, weights, rows, step.targets)
    log_z_t, log_z_s = log_sums.unbind(-1)
    group = torch.zeros_like(step.targets) if len(weights) == 1 else step.masked.nonzero()[:, 0]
    weight_of_target = weight_t[group, step.targets]
    believed_reveal = reveal_probability(believed_s[group, step.targets], believed_t[group, step.targets])

    # r = 0 drops the reveal term, r = 1 the timing term: by selection before any gradient, never by masking after
    naming = log_z_t - target_logits - weight_of_target.log()
    believing = torch.where(revealed > 0, revealed.log() - believed_reveal.log(), 0.0)
    some = revealed > 0
    reveal = torch.zeros_like(revealed).masked_scatter(some, (revealed * (naming + believing))[some])
    some = stays > 0
    timing = torch.zeros_like(stays).masked_scatter(
        some, stays[some] * (stays[some].log() - (log_z_s[some] - log_z_t[some]))
    )
    return Terms(step.per_sentence(reveal), step.per_sentence(timing))


def _weights(alpha_s: Tensor, alpha_t: Tensor, schedule_factor: bool) -> tuple[Tensor, Tensor]:
    """What p~ is multiplied by for Z_t and for Z_s, so that 1 - R = Z_s / Z_t.

    With the schedule factor 1 - a_t(v) and 1 - a_s(v); without it, candidates that cannot be masked are removed.
    """
    if schedule_factor:
        return 1 - alpha_t, 1 - alpha_s
    possible = (alpha_t < 1).double()
    return possible, possible * stay_probability(alpha_s, alpha_t)


def _no_timing(step: Step) -> Tensor:
    return torch.zeros(len(step.x0), dtype=torch.float64, device=step.x0.device)


def _believed(step: Step, schedule: Schedule) -> tuple[Tensor, Tensor]:
    """The schedule as the model may know it, (G, V) at s and at t: exact, or from the estimated sentence mean."""
    if not schedule.uses_sentence_mean:
        if bool((step.t == step.t[0]).all()) and bool((step.s == step.s[0]).all()):
            return (
                schedule.alpha_bar_of_vocabulary(step.s[:1]),
                schedule.alpha_bar_of_vocabulary(step.t[:1]),
            )
        return (schedule.alpha_bar_of_vocabulary(step.s), schedule.alpha_bar_of_vocabulary(step.t))
    mean = estimated_mean(step, schedule)
    return believed_alpha_bar(schedule, step.s, mean), believed_alpha_bar(schedule, step.t, mean)


def believed_alpha_bar(schedule: Schedule, t: Tensor, mean: Float[Tensor, B]) -> Float[Tensor, "B V"]:
    """a^ of every token under an estimated mean: (1 - eps) a + eps (1 - t/T), so that 0 < a^ < 1 inside."""
    linear = (1 - t.double() / schedule.num_steps).unsqueeze(-1)
    return (1 - MIXED_IN) * schedule.alpha_bar_of_vocabulary(t, mean) + MIXED_IN * linear


@torch.no_grad()
def estimated_mean(step: Step, schedule: Schedule) -> Float[Tensor, B]:
    """Hbar^ = (sum of H over visible positions + sum of E_p~ H over masked ones) / n, from p~ before any factor."""
    information = schedule.information  # type: ignore[attr-defined]  # only the spindle uses a sentence mean
    known = torch.where(step.candidates, information, 0.0)
    weights = torch.stack([step.candidates.double(), known])[None]
    rows = step.rows_per_sentence.sum()[None]
    log_mass, log_weighted = weighted_log_sums(step.logits.detach(), weights, rows).double().unbind(-1)
    visible = torch.where(step.counted & ~step.masked, known[step.x0], 0.0).sum(-1)
    return (visible + step.per_sentence((log_weighted - log_mass).exp())) / step.counted.sum(-1)


def oracle_terms(step: Step, schedule: Schedule) -> Terms:
    """Eq. 3 with eq. 10 read literally: the model is told the true token's schedule. Not a bound for lambda > 0."""
    mean = schedule.sentence_mean(step.x0, step.counted)
    alpha_s = schedule.alpha_bar(step.s, step.x0, mean)[step.masked]
    alpha_t = schedule.alpha_bar(step.t, step.x0, mean)[step.masked]
    revealed = reveal_probability(alpha_s, alpha_t)
    return Terms(step.per_sentence(revealed * negative_log_prediction(step)), _no_timing(step))


def released_terms(step: Step, schedule: ReleasedSpindle, *, mask_in_softmax: int | None = None) -> Terms:
    """What the published code computes: its own marginals, a plain-beta posterior, x0's frequencies told to the model.

    `mask_in_softmax` is the mask id when the softmax keeps [MASK], as the release's does (for the golden numbers;
    `candidates` must then include it): the term is the divergence between two outcomes, x0 or still [MASK].
    """
    if mask_in_softmax is not None:
        return _two_outcomes(step, schedule, *_surprise_and_mass_on(mask_in_softmax, step))
    mean = schedule.sentence_mean(step.x0, step.counted)
    keep = schedule.alpha_bar(step.s, step.x0, mean)
    revealed = schedule.reveal_probability(step.s, step.t, keep)[step.masked]
    return Terms(step.per_sentence(revealed * negative_log_prediction(step).double()), _no_timing(step))


def released_objective(
    everywhere: Step, masked: Bool[Tensor, "B L"], schedule: ReleasedSpindle, mask_id: int
) -> tuple[Terms, Float[Tensor, B]]:
    """The two parts of the release's training loss: its terms at the masked positions, cross-entropy at all of them.

    `everywhere` has the logits of every counted position, with [MASK] among the candidates.
    """
    surprise, mass_on_mask = _surprise_and_mass_on(mask_id, everywhere)
    at = masked[everywhere.masked]
    terms = _two_outcomes(replace(everywhere, masked=masked), schedule, surprise[at], mass_on_mask[at])
    return terms, everywhere.per_sentence(surprise)


def _surprise_and_mass_on(mask_id: int, step: Step) -> tuple[Float[Tensor, M], Float[Tensor, M]]:
    """-ln p~(x0) and p~([MASK]), from one look at the logits."""
    only_mask = torch.zeros_like(step.candidates)
    only_mask[mask_id] = True
    weights = torch.stack([step.candidates, only_mask])[None].double()
    rows = step.rows_per_sentence.sum()[None]
    log_sums, target_logits = log_sums_and_targets(step.logits, weights, rows, step.targets)
    log_all, log_mask = log_sums.double().unbind(-1)
    return log_all - target_logits, (log_mask - log_all).exp()


def _two_outcomes(
    step: Step, schedule: ReleasedSpindle, surprise: Float[Tensor, M], mass_on_mask: Float[Tensor, M]
) -> Terms:
    """The release's divergence between two outcomes at every masked position, x0 or still [MASK]."""
    mean = schedule.sentence_mean(step.x0, step.counted)
    keep = schedule.alpha_bar(step.s, step.x0, mean)
    revealed = schedule.reveal_probability(step.s, step.t, keep)[step.masked]
    beta = schedule.transition(step.s, step.t).unsqueeze(-1).expand(keep.shape)[step.masked]
    keep = keep[step.masked]
    normaliser = (1 - mass_on_mask) * (beta * keep + 1 - keep) + mass_on_mask
    # k clipped to 0 cannot be revealed, and s = 0 leaves nothing masked: finite stand-ins there, weighted 0 below
    naming = -torch.where(keep > 0, beta * keep, 1.0).log() + surprise + normaliser.log()
    last = step.s.unsqueeze(-1).expand(step.x0.shape)[step.masked] <= 0
    still_masked = torch.where(last, 1.0, (1 - keep) * (1 - mass_on_mask) + mass_on_mask)
    staying = -still_masked.log() + normaliser.log()
    divergence = torch.special.xlogy(revealed, revealed) + torch.special.xlogy(1 - revealed, 1 - revealed)
    term = revealed * naming + torch.where(last, 0.0, (1 - revealed) * staying) + divergence
    return Terms(step.per_sentence(term), _no_timing(step))
