"""The numbers of the published code, reproduced by the `released` protocol (released.json says how they were made)."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from diffusionbert.diffusion.absorbing import absorb
from diffusionbert.diffusion.bound import Step, negative_log_prediction, released_terms
from diffusionbert.diffusion.released_sampling import keep_of_predictions, posterior_logits
from diffusionbert.diffusion.schedules import (
    Linear,
    ReleasedSpindle,
    Spindle,
    log_frequency,
    reveal_probability,
    stay_probability,
)

GOLDEN = json.loads(Path(__file__).with_name("released.json").read_text(encoding="utf-8"))
INPUTS = GOLDEN["inputs"]
CASES = {(int(name.split(",")[0][2:]), float(name.split("=")[2])): case for name, case in GOLDEN["cases"].items()}
WITH_STEPS = [key for key in CASES if key[0] <= 8]  # the cases whose arrays per step are kept

X0 = torch.tensor(INPUTS["x0"])
COUNTED = torch.tensor(INPUTS["target_mask"]).bool()
LOGITS = torch.tensor(INPUTS["model_logits"], dtype=torch.float64)
MASK = INPUTS["mask_id"]
EVERY_ID = torch.ones(INPUTS["V"], dtype=torch.bool)  # the release's softmax keeps [MASK]
RTOL = 1e-5


def close(ours: Tensor, theirs: Any, where: Tensor = COUNTED, atol: float = 2e-7) -> None:
    """Equal at the counted positions to rtol 1e-5; the release computed in float32, whence `atol`."""
    theirs = torch.tensor(theirs, dtype=torch.float64)
    torch.testing.assert_close(ours[..., where], theirs[..., where], rtol=RTOL, atol=atol)


def released(num_steps: int, strength: float) -> ReleasedSpindle:
    return ReleasedSpindle(num_steps, log_frequency(torch.tensor(INPUTS["counts"])), strength)


def at(t: int) -> Tensor:
    return torch.full((len(X0),), t)


def keeps(schedule: ReleasedSpindle) -> Tensor:
    mean = schedule.sentence_mean(X0, COUNTED)
    return torch.stack([schedule.alpha_bar(at(t), X0, mean) for t in range(schedule.num_steps + 1)])


def step_of(s: int, t: int, masked: Tensor, candidates: Tensor = EVERY_ID) -> Step:
    return Step(X0, COUNTED, masked, at(s), at(t), LOGITS[masked], candidates)


def terms_if_masked(schedule: ReleasedSpindle, s: int, t: int, *, mask_in_softmax: bool = True) -> Tensor:
    """The term of every counted position, were it masked at t; (B, L), 0 elsewhere. One sentence a position."""
    rows, columns = COUNTED.nonzero(as_tuple=True)
    masked = torch.zeros(len(rows), X0.shape[1], dtype=torch.bool)
    masked[torch.arange(len(rows)), columns] = True
    candidates = EVERY_ID if mask_in_softmax else torch.arange(len(EVERY_ID)) != MASK
    step = Step(
        X0[rows],
        COUNTED[rows],
        masked,
        torch.full((len(rows),), s),
        torch.full((len(rows),), t),
        LOGITS[rows, columns],
        candidates,
    )
    terms = released_terms(step, schedule, mask_in_softmax=MASK if mask_in_softmax else None)
    return torch.zeros(X0.shape, dtype=torch.float64).masked_scatter(COUNTED, terms.total)


def expected_elbo(schedule: ReleasedSpindle, *, mask_in_softmax: bool = True) -> Tensor:
    """sum_t (1 - k_t) term_t at every position, in nats."""
    keep = keeps(schedule)
    return torch.stack(
        [
            (1 - keep[t]) * terms_if_masked(schedule, t - 1, t, mask_in_softmax=mask_in_softmax)
            for t in range(1, schedule.num_steps + 1)
        ]
    ).sum(0)


def test_the_log_frequencies_are_the_releases() -> None:
    frequencies = log_frequency(torch.tensor(INPUTS["counts"]))
    close(frequencies, INPUTS["word_freq_norm"], where=torch.ones(len(frequencies), dtype=torch.bool))
    schedule = ReleasedSpindle(4, frequencies, 0.3)
    centred = frequencies[X0] - schedule.sentence_mean(X0, COUNTED)[:, None]
    close(centred, INPUTS["word_freq_logits"])


@pytest.mark.parametrize(("num_steps", "strength"), WITH_STEPS)
def test_marginals(num_steps: int, strength: float) -> None:
    close(keeps(released(num_steps, strength)), CASES[num_steps, strength]["p_keep"])


@pytest.mark.parametrize(("num_steps", "strength"), WITH_STEPS)
def test_posteriors(num_steps: int, strength: float) -> None:
    schedule = released(num_steps, strength)
    keep = keeps(schedule)
    ours = [schedule.reveal_probability(at(t - 1), at(t), keep[t - 1]) for t in range(1, num_steps + 1)]
    close(torch.stack(ours), CASES[num_steps, strength]["post_unmask"])


@pytest.mark.parametrize(("num_steps", "strength"), WITH_STEPS)
def test_bayes_posteriors_of_the_same_marginals(num_steps: int, strength: float) -> None:
    keep = keeps(released(num_steps, strength))
    revealed = reveal_probability(keep[:-1], keep[1:])
    close(revealed, CASES[num_steps, strength]["post_unmask_consistent"])
    torch.testing.assert_close(1 - stay_probability(keep[:-1], keep[1:]), revealed, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("num_steps", "strength"), WITH_STEPS)
def test_loss_terms(num_steps: int, strength: float) -> None:
    schedule = released(num_steps, strength)
    ours = torch.stack([terms_if_masked(schedule, t - 1, t) for t in range(1, num_steps + 1)])
    close(ours, CASES[num_steps, strength]["term_if_masked"], atol=2e-6)


@pytest.mark.parametrize(("num_steps", "strength"), list(CASES))
def test_expected_elbo(num_steps: int, strength: float) -> None:
    case = CASES[num_steps, strength]
    elbo = expected_elbo(released(num_steps, strength))
    close(elbo, case["elbo_expected_per_pos"])
    assert float(elbo.sum()) == pytest.approx(case["elbo_expected_sum"], rel=RTOL)


@pytest.mark.parametrize("num_steps", [4, 8, 64])
def test_elbo_of_the_linear_schedule_with_and_without_mask_in_the_softmax(num_steps: int) -> None:
    schedule = released(num_steps, 0.0)
    assert float(expected_elbo(schedule).sum()) == pytest.approx(49.4469, abs=1e-4)
    without = float(expected_elbo(schedule, mask_in_softmax=False).sum())
    assert without == pytest.approx(49.2871, abs=1e-4)
    # and both are what a prediction of neither x_t nor t must score: its own cross-entropy
    words = LOGITS.clone()
    words[..., MASK] = -math.inf
    for logits, figure in ((LOGITS, float(expected_elbo(schedule).sum())), (words, without)):
        surprise = -torch.log_softmax(logits, -1).gather(-1, X0[..., None]).squeeze(-1)
        assert figure == pytest.approx(float(surprise[COUNTED].sum()), rel=1e-10)


@pytest.mark.parametrize(("num_steps", "strength"), list(CASES))
@pytest.mark.parametrize("stride", [1, 2])
def test_elbo_of_one_draw_on_a_strided_grid(num_steps: int, strength: float, stride: int) -> None:
    """The release's own ELBO with its draw fixed: [MASK] iff q(x_t = MASK | x_0) > U, every `stride` steps."""
    schedule = released(num_steps, strength)
    keep = keeps(schedule)
    uniforms = 1 - torch.tensor(INPUTS["U"], dtype=torch.float64)
    total = 0.0
    for t in range(stride, num_steps + 1, stride):
        xt, masked = absorb(X0, keep[t], uniforms, COUNTED, MASK)
        assert torch.equal(xt == MASK, masked)
        if masked.any():
            terms = released_terms(step_of(t - stride, t, masked), schedule, mask_in_softmax=MASK)
            total += float(terms.total.sum())
    figures = CASES[num_steps, strength]["elbo_det"][str(stride)]
    assert total == pytest.approx(figures["likelihood"], rel=RTOL)
    bits = total / math.log(2) / int(COUNTED.sum())
    assert bits == pytest.approx(figures["elbo_in_bits_per_dim"], rel=RTOL)


@pytest.mark.parametrize(("num_steps", "strength"), list(CASES))
def test_training_loss_of_one_draw(num_steps: int, strength: float) -> None:
    """KL (cross-entropy at t = 1) plus 0.01 cross-entropy at every real position, [MASK] in the softmax."""
    schedule = released(num_steps, strength)
    keep = keeps(schedule)
    uniforms = 1 - torch.tensor(INPUTS["U"], dtype=torch.float64)
    everywhere = step_of(0, 1, COUNTED)
    auxiliary = 0.01 * float(negative_log_prediction(everywhere).sum())
    for t in range(1, num_steps + 1):
        _, masked = absorb(X0, keep[t], uniforms, COUNTED, MASK)
        base = 0.0
        if masked.any():
            terms = released_terms(step_of(t - 1, t, masked), schedule, mask_in_softmax=MASK)
            base = float(terms.total.sum())
        loss, base_loss, hybrid_loss = CASES[num_steps, strength]["train_metrics_det"][t - 1][:3]
        assert base == pytest.approx(base_loss, rel=RTOL, abs=1e-6)
        assert auxiliary == pytest.approx(hybrid_loss, rel=RTOL)
        assert base + auxiliary == pytest.approx(loss, rel=RTOL)


@pytest.mark.parametrize(("num_steps", "strength"), list(CASES))
def test_the_total_weight_of_a_token_is_not_one(num_steps: int, strength: float) -> None:
    """sum_t (1 - k_t) r_t: what tells the release's figure from a bound for lambda > 0."""
    schedule = released(num_steps, strength)
    keep = keeps(schedule)
    mass = sum(
        (1 - keep[t]) * schedule.reveal_probability(at(t - 1), at(t), keep[t - 1]) for t in range(1, num_steps + 1)
    )
    assert isinstance(mass, Tensor)
    close(mass, CASES[num_steps, strength]["unmask_mass_code"])
    assert bool((mass[COUNTED] - 1).abs().max() > 0.05) == (strength > 0)


@pytest.mark.parametrize(("num_steps", "strength"), WITH_STEPS)
def test_the_papers_curve_clipped(num_steps: int, strength: float) -> None:
    counts = torch.tensor(INPUTS["counts"], dtype=torch.float64)
    information = -(counts / counts.sum()).log()
    information[counts == 0] = math.nan
    schedule = Spindle(num_steps, information, strength, "sentence")
    mean = schedule.sentence_mean(X0, COUNTED)
    ours = torch.stack([schedule.alpha_bar(at(t), X0, mean) for t in range(num_steps + 1)])
    paper = torch.tensor(CASES[num_steps, strength]["alpha_paper"], dtype=torch.float64).clamp(0, 1)
    close(ours, paper.tolist())


def test_lambda_zero_is_linear_but_for_the_cap() -> None:
    schedule, linear = released(4096, 0.0), Linear(4096)
    t = torch.arange(4097)
    ours = schedule.alpha_bar_of_vocabulary(t, torch.zeros(4097))[:, 0]
    plain = linear.alpha_bar_of_vocabulary(t)[:, 0]
    capped = torch.where(t > 0, plain.clamp(max=0.999), plain)
    assert torch.equal(ours, capped)
    assert not torch.equal(ours, plain)


def test_one_step_of_its_sampler() -> None:
    """Posterior logits at the masked positions, [MASK] among the entries; the release centres over all n positions."""
    case = GOLDEN["sampling_step"]
    t = case["x_t_index"]
    s = t - case["step_size"]
    masked = torch.tensor(case["x_t"]) == MASK
    schedule = released(case["T"], case["lambda"])
    keep = keep_of_predictions(schedule, s, LOGITS.argmax(-1), torch.ones_like(COUNTED))
    ours = posterior_logits(LOGITS[masked], keep[masked], schedule, s, t, MASK)
    theirs = torch.tensor(case["posterior_logits"], dtype=torch.float64)[masked]
    assert bool((theirs > -40).all()), "an impossible entry among those compared"
    torch.testing.assert_close(ours, theirs, rtol=RTOL, atol=1e-6)
    softmax = torch.tensor(case["softmax"], dtype=torch.float64)[masked]
    torch.testing.assert_close(torch.softmax(ours, -1), softmax, rtol=RTOL, atol=1e-7)
