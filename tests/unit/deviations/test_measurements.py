from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch

from diffusionbert.checkpoint import Checkpoint
from diffusionbert.corpus.batches import Stream
from diffusionbert.deviations.estimators import measure_drawing, measure_estimator, measure_units
from diffusionbert.deviations.figures import Figure, as_json, bootstrap
from diffusionbert.deviations.ground import LINEAR, SPINDLE, Ground
from diffusionbert.deviations.protocols import (
    measure_factor,
    measure_posterior,
    measure_softmax,
    measure_told,
    oracle,
    plain_posterior,
    plain_posterior_only,
    total_weight,
    valid,
    weights_of,
)
from diffusionbert.deviations.samplers import gumbel_weight, measure_calls, measure_draws, measure_truncation
from diffusionbert.deviations.spindles import (
    _WithoutSep,
    clipped_share,
    measure_mean,
    measure_relative,
    measure_sep,
)
from diffusionbert.deviations.texts import measure_case, measure_mismatch
from diffusionbert.deviations.trainings import (
    OBJECTIVES,
    OPTIMISERS,
    measure_backbone,
    measure_objective,
    measure_optimiser,
)
from diffusionbert.deviations.trials import Trial, as_they_come, run, settings_of
from diffusionbert.diffusion.schedules import Cosine, Linear
from diffusionbert.evaluation import evaluate
from diffusionbert.stages.spindle import clipped_tokens
from diffusionbert.training import train
from diffusionbert.words import split_cased
from unit import small_arms
from unit.small_arms import small_arm


def test_scores_are_those_of_the_evaluate_stage(ground: Ground) -> None:
    arm, own = ground.trained(SPINDLE), ground.spindle(0.3)
    ours = ground.score(arm, own, {"valid": valid(own), "oracle": oracle(own)}, "test")
    theirs = evaluate(
        arm.scorer([], 0.3),
        ground.batches,
        num_strata=ground.effort.strata,
        num_eval_steps=None,
        seed=ground.seed,
        device=torch.device("cpu"),
        label="test",
    )
    for name, nats in ours.items():
        np.testing.assert_allclose(nats, theirs[name].nats, rtol=1e-12)


def test_a_default_trial_is_a_training_run(ground: Ground, tmp_path: Path) -> None:
    pads, batch_size = ground.shards.special.pad_id, ground.params.train.batch_size
    ours = run(small_arm(ground.shards, small_arms.SPINDLE, seed=3), ground, Trial())
    theirs = small_arm(ground.shards, small_arms.SPINDLE, seed=3)
    train(
        theirs,
        Stream(ground.shards["train"], batch_size, 0, pads),
        settings_of(ground),
        seed=0,
        device=torch.device("cpu"),
        autocast=nullcontext,
        checkpoint=Checkpoint(tmp_path, "k"),
        validate=dict,
        log=lambda values, step: None,
        label="test",
    )
    for ours_one, theirs_one in zip(ours.arm.module.parameters(), theirs.module.parameters(), strict=True):
        assert torch.equal(ours_one, theirs_one)
    assert len(ours.norms) == ground.effort.steps
    assert (ours.largest <= ours.norms).all()


@pytest.mark.parametrize("trial", [Trial(value_clipping=1e-3), Trial(as_they_come=True)])
def test_what_a_trial_changes_changes_the_arm(ground: Ground, trial: Trial) -> None:
    plain = run(small_arm(ground.shards, small_arms.LINEAR, seed=3), ground, Trial())
    other = run(small_arm(ground.shards, small_arms.LINEAR, seed=3), ground, trial)
    pairs = zip(plain.arm.module.parameters(), other.arm.module.parameters(), strict=True)
    assert any(not torch.equal(first, second) for first, second in pairs)


def test_decay_on_everything_reaches_the_vectors(ground: Ground) -> None:
    plain = run(small_arm(ground.shards, small_arms.LINEAR, seed=3), ground, Trial())
    other = run(small_arm(ground.shards, small_arms.LINEAR, seed=3), ground, Trial(decay_everything=True))
    scale = next(name for name, _ in plain.arm.module.named_parameters() if name.endswith("LayerNorm.weight"))
    first, second = dict(plain.arm.module.named_parameters()), dict(other.arm.module.named_parameters())
    assert second[scale].sum() < first[scale].sum()


def test_batches_as_they_come_go_through_the_epoch(ground: Ground) -> None:
    size, count = 5, len(ground.shards["train"])
    batches = [as_they_come(ground, size, 0, step) for step in range(count // size)]
    seen = np.concatenate([batch.index for batch in batches])
    assert len(set(seen.tolist())) == len(seen)


def test_the_plain_posterior_is_the_releases(ground: Ground) -> None:
    theirs = ground.released(0.3)
    s, t = torch.tensor([3, 8]), torch.tensor([4, 12])
    keep = torch.rand(2, 5, dtype=torch.float64)
    expected = theirs.reveal_probability(s, t, keep)
    torch.testing.assert_close(plain_posterior(keep, s, t, ground.num_steps), expected)


def test_a_bayes_posterior_weighs_every_token_once(ground: Ground) -> None:
    words = ground.vocabulary.candidates
    for schedule in (Linear(16), Cosine(16), ground.spindle(0.3), ground.spindle(2.0)):
        weights = weights_of(schedule, plain=False)
        weights = weights if len(weights) == 1 else weights[words]
        torch.testing.assert_close(weights, torch.ones_like(weights))
    linear = weights_of(Linear(16), plain=True)
    torch.testing.assert_close(linear, torch.ones_like(linear))
    assert float((weights_of(ground.spindle(0.3), plain=True)[words] - 1).abs().max()) > 0.1


def test_total_weight_adds_up_what_is_revealed() -> None:
    marginals = torch.tensor([[1.0], [0.5], [0.0]])
    assert float(total_weight(marginals, torch.tensor([[1.0], [0.5]]))) == pytest.approx(0.5 + 0.5)


def test_only_the_posterior_differs_from_the_oracle(ground: Ground) -> None:
    """At lambda = 0 the release's posterior is Bayes', and with it the whole term."""
    arm, linear = ground.trained(LINEAR), Linear(16)
    found = ground.score(arm, linear, {"plain": plain_posterior_only(linear), "oracle": oracle(linear)}, "test")
    np.testing.assert_allclose(found["plain"], found["oracle"], rtol=1e-6)


@pytest.mark.parametrize("spindle_lambda", [0.1, 0.3, 0.5, 2.0])
def test_the_clipped_share_is_that_of_the_spindle_stage(ground: Ground, spindle_lambda: float) -> None:
    schedule, counts = ground.spindle(spindle_lambda), ground.table.counts
    clipped = clipped_tokens(schedule)
    expected = counts[clipped].sum() / counts.sum()
    assert clipped_share(schedule, counts.astype(np.float64)) == pytest.approx(expected, abs=1e-12)


def test_truncated_gumbel_draws_lose_rare_words_as_the_formula_says() -> None:
    """Against draws that are cut at a limit low enough to be seen."""
    rng, largest, odds, count = np.random.default_rng(0), 4.0, 50.0, 2_000_000
    words, masks = rng.gumbel(size=count), rng.gumbel(size=count)
    wins = np.minimum(words, largest) > masks + np.log(odds)
    expected = float(gumbel_weight(np.array([odds]), largest)[0]) / odds
    assert wins.mean() == pytest.approx(expected, rel=0.05)
    assert float(gumbel_weight(np.array([odds]), largest)[0]) < 0.8


def test_without_sep_nothing_depends_on_it(ground: Ground) -> None:
    arm, batch = ground.trained(LINEAR), ground.batches[0]
    t = torch.ones(len(batch.lengths), dtype=torch.long)
    attending = arm.denoiser
    other = _WithoutSep(attending.model, attending.framing).eval()
    with torch.no_grad():
        plain, without = attending.encode(batch.tokens, batch.lengths, t), other.encode(batch.tokens, batch.lengths, t)
        shorter = other.encode(batch.tokens[:, :-1], batch.lengths.clamp(max=batch.tokens.shape[1] - 1), t)
    assert not torch.allclose(plain, without)
    short = batch.lengths < batch.tokens.shape[1]
    rows = slice(0, int(batch.lengths.min()))
    torch.testing.assert_close(without[short][:, rows], shorter[short][:, rows], rtol=1e-4, atol=1e-5)


def test_a_figure_is_finite_and_an_interval_holds_its_value() -> None:
    with pytest.raises(ValueError, match="value is nan"):
        Figure("w", "1", float("nan"), None, None, "n")
    values = np.random.default_rng(0).normal(size=400)
    found = bootstrap(lambda rows: float(values[rows].mean()), 400, 0)
    assert found.low < found.value < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.15)


def test_cased_words_keep_case_and_split_punctuation() -> None:
    assert split_cased("Mr. Élan said") == ["Mr", ".", "Élan", "said"]


def test_measurements_of_the_bound_repeat_and_have_the_sign_that_theory_gives(ground: Ground) -> None:
    posterior, again = measure_posterior(ground), measure_posterior(ground)
    assert as_json(posterior) == as_json(again)
    assert posterior["rare"].value < 1 < posterior["frequent"].value
    assert measure_factor(ground)["own"].value > 0
    assert measure_softmax(ground)["mass"].value > 0
    assert measure_mean(ground)["ratio"].value > 0
    relative = measure_relative(ground)
    assert relative["correlation"].value < 0 < relative["nearest"].value


def test_spreads_are_told_for_every_way_of_drawing(ground: Ground) -> None:
    estimator, drawing = measure_estimator(ground), measure_drawing(ground)
    for figures, names in ((estimator, ("stratified", "independent", "grid")), (drawing, ("shared", "stratified"))):
        for name in names:
            assert figures[name].value > 0
    assert estimator["divisor"].value < 1
    units = measure_units(ground)
    assert units["per_word"].value > units["per_token"].value > units["framed"].value


def test_samplers_are_compared_on_the_same_arms(ground: Ground) -> None:
    found = measure_truncation(ground)
    assert found["linear_schedule"].value == pytest.approx(0.5)
    for arm in ("linear", "spindle"):
        assert found[f"{arm}_ours_end"].value == 0
        assert 0 < found[f"{arm}_ours_half"].value < 1
    calls = measure_calls(ground)
    assert calls["first"].value <= calls["released"].value
    draws = measure_draws(ground)
    assert 0 <= draws["mass_512"].value < draws["mass_2048"].value < 1


def test_text_conventions_score_the_same_samples(ground: Ground, tmp_path: Path) -> None:
    """Samples that are test sentences score 1 against lower-cased references, and less against others."""
    (tmp_path / "corpus").symlink_to(ground.results / "corpus")
    for name in (LINEAR, SPINDLE):
        folder = tmp_path / "sample" / name
        folder.mkdir(parents=True)
        rows = [{"tokens": ground.shards["test"].tokens(index).tolist()} for index in range(8)]
        (folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    changed = Ground(ground.params, tmp_path, ground.machine, ground.effort)
    changed.__dict__.update({key: ground.__dict__[key] for key in ("shards", "table", "_arms")})
    case, mismatch = measure_case(changed), measure_mismatch(changed)
    assert case["linear_lowered"].value == pytest.approx(1.0)
    assert case["linear_cased"].value < 1
    assert mismatch["linear_ours"].value == pytest.approx(1.0)
    assert mismatch["linear_released"].value < 1


def test_trainings_are_compared_with_one_another(ground: Ground) -> None:
    objective, optimiser = measure_objective(ground), measure_optimiser(ground)
    names = {"base", *OBJECTIVES}
    assert names <= set(objective)
    assert {objective[name].value for name in OBJECTIVES}.isdisjoint({1.0})
    assert set(OPTIMISERS) <= set(optimiser)
    assert optimiser["bucketed"].value < optimiser["shuffled"].value
    assert 0 <= optimiser["norm_5"].value <= optimiser["norm_1"].value <= 1
    told = measure_told(ground)
    assert told["trained"].value != told["ratio"].value


def test_a_trained_arm_is_compared_with_its_start(ground: Ground) -> None:
    assert measure_backbone(ground)["ratio"].value > 0
    assert {"trained", "pretrained"} == set(measure_sep(ground))
