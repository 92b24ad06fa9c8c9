"""The entries of docs/deviations.md on the default run: marker, measurement and the line that tells it."""

from __future__ import annotations

from diffusionbert.deviations.estimators import measure_drawing, measure_estimator, measure_units
from diffusionbert.deviations.figures import Entry
from diffusionbert.deviations.ground import Ground
from diffusionbert.deviations.protocols import (
    measure_factor,
    measure_posterior,
    measure_softmax,
    measure_told,
)
from diffusionbert.deviations.samplers import measure_calls, measure_draws, measure_lengths, measure_truncation
from diffusionbert.deviations.spindles import (
    measure_clipping,
    measure_mean,
    measure_precision,
    measure_relative,
    measure_sep,
    measure_smoothing,
    measure_strength,
)
from diffusionbert.deviations.texts import measure_case, measure_mismatch
from diffusionbert.deviations.trainings import (
    measure_backbone,
    measure_corpus,
    measure_kept,
    measure_objective,
    measure_optimiser,
    measure_pretrained,
)

ENTRIES: tuple[Entry[Ground], ...] = (
    Entry(
        "posterior",
        measure_posterior,
        "perplexity per word × {alone} by the posterior alone, × {whole} by the whole protocol `released`, with no "
        "change in the model",
    ),
    Entry(
        "told",
        measure_told,
        "perplexity per word × {ratio} for an arm trained under `valid`, × {trained} for one trained under `oracle`",
    ),
    Entry("factor", measure_factor, "perplexity per word × {own} without it at the arm's lambda, × {stronger} at 0.5"),
    Entry(
        "clipping",
        measure_clipping,
        "{clipped_0.1}, {clipped_0.3} and {clipped_0.5} of the text is clipped at lambda 0.1, 0.3 and 0.5; the cap "
        "changes a token's weight by {cap_2048} at T = 2048",
    ),
    Entry(
        "relative",
        measure_relative,
        "standard deviation {sd_paper} by eq. 12, {sd_release} in the release; its 0.3 is nearest to {nearest} there",
    ),
    Entry("mean", measure_mean, "perplexity per word × {ratio} with the sentence mean, which has to be estimated"),
    Entry(
        "strength",
        measure_strength,
        "perplexity per word × {lambda_0.1}, × {lambda_0.3}, × {lambda_0.5} at lambda 0.1, 0.3, 0.5 against 0; × "
        "{steps_512}, × {steps_2048} at T = 512, 2048 against 64",
    ),
    Entry(
        "softmax",
        measure_softmax,
        "perplexity per word × {ratio} with [MASK] and the unused ids in the softmax, which hold {mass} of the mass",
    ),
    Entry(
        "estimator",
        measure_estimator,
        "standard deviation of a sentence's bound {controlled} nats, {stratified} without the control variate, "
        "{independent} with every t on its own, {grid} on the release's grid, for as many calls, whose bound is "
        "another model's and {other_model} nats off",
    ),
    Entry("units", measure_units, "the same nats are {per_word} per word and {per_token} per token"),
    Entry(
        "objective",
        measure_objective,
        "against training on `valid`, perplexity per word × {oracle} (`oracle`), × {as_released} (as the release), × "
        "{cross_entropy} (`cross_entropy`)",
    ),
    Entry(
        "drawing",
        measure_drawing,
        "standard deviation of a batch's loss {shared} with one t a batch, {independent} independent, {stratified} "
        "stratified",
    ),
    Entry(
        "optimiser",
        measure_optimiser,
        "perplexity per word × {value} with the release's clipping, × {decay} with its weight decay, × {order} with "
        "batches as they come, which are {shuffled} padding instead of {bucketed}",
    ),
    Entry("pretrained", measure_pretrained, "perplexity per word × {ratio} from random weights"),
    Entry("sep", measure_sep, "perplexity per word × {trained} without attending to [SEP]"),
    Entry("backbone", measure_backbone, "perplexity per word {before} before any training, {after} after it"),
    Entry("kept", measure_kept, "the last step is {diffusionbert_spindle_tad} nats per sentence over the run's best"),
    Entry(
        "precision",
        measure_precision,
        "a step's weight is wrong by {step_512}, {step_1000} and {step_2048} of itself at most at T = 512, 1000, 2048",
    ),
    Entry(
        "corpus",
        measure_corpus,
        "{sentences} training sentences of {words} words, {entropy} nats per token without context",
    ),
    Entry("case", measure_case, "BLEU-4 {linear_cased} against cased references, {linear_lowered} against lower-cased"),
    Entry(
        "smoothing",
        measure_smoothing,
        "perplexity per word × {ratio_0.1} with 0.1 added, × {ratio_10} with 10, against 1",
    ),
    Entry(
        "truncation",
        measure_truncation,
        "at T/2, {spindle_cold_half} is [MASK] by the release's sampler (spindle arm), {spindle_warm_half} at "
        "temperature 1, {spindle_ours_half} by ours, {spindle_schedule} by the schedule on real text; left in the text "
        "{spindle_cold_end}, {spindle_warm_end} and {spindle_ours_end}",
    ),
    Entry(
        "draws",
        measure_draws,
        "float32 draws cannot reach {mass_512} of the prediction at T = 512, {mass_2048} at 2048",
    ),
    Entry("calls", measure_calls, "{first} network calls instead of {released}"),
    Entry("lengths", measure_lengths, "BLEU-4 {short_bleu} at 32 tokens, {long_bleu} at the run's length"),
    Entry("mismatch", measure_mismatch, "BLEU-4 {linear_released} as the release, {linear_ours} as here, same samples"),
)
