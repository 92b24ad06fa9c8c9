"""The entries of docs/deviations.md on a run of pairs: marker, measurement and the line that tells it."""

from __future__ import annotations

from diffusionbert.deviations.figures import Entry
from diffusionbert.deviations.pair_choices import measure_candidates, measure_choice, measure_pairwise
from diffusionbert.deviations.pair_clamp import measure_clamp
from diffusionbert.deviations.pair_ground import PairGround
from diffusionbert.deviations.pair_rows import measure_ends, measure_spindle_of_pairs
from diffusionbert.deviations.pair_scores import (
    measure_distinct,
    measure_smoothing_of_pairs,
    measure_spaces,
    measure_swapped,
)
from diffusionbert.deviations.pair_script import measure_script
from diffusionbert.deviations.pair_start import measure_start

PAIR_ENTRIES: tuple[Entry[PairGround], ...] = (
    Entry(
        "spindle_of_pairs",
        measure_spindle_of_pairs,
        "perplexity per word × {ratio} with the spindle; BLEU {diffusionbert_linear_tad_bleu} without it and "
        "{diffusionbert_spindle_tad_bleu} with it, of one training seed each",
    ),
    Entry(
        "start",
        measure_start,
        "a first call from a word predicts a token {difference} nats worse than one from [MASK], and fills at most "
        "{share} of the text: {cost} nats per target",
    ),
    Entry(
        "ends",
        measure_ends,
        "{ends} of the counted tokens are end tokens, and to say which costs {nats_ends} nats per target of {nats} "
        "(linear arm); {diffusionbert_linear_tad_empty} of its candidates are empty, and "
        "{diffusionbert_linear_tad_kept} of the sources have one without an end",
    ),
    Entry(
        "clamp",
        measure_clamp,
        "{clamped_empty} of the texts are empty with the clamp, {free_empty} without; BLEU {clamped_bleu} and "
        "{free_bleu}",
    ),
    Entry(
        "swapped",
        measure_swapped,
        "BLEU {diffusionbert_linear_tad_plain} of the text against the reference, {diffusionbert_linear_tad_swapped} "
        "the other way round (linear arm)",
    ),
    Entry(
        "smoothing_of_pairs",
        measure_smoothing_of_pairs,
        "BLEU {diffusionbert_linear_tad_new} by nltk 3.6 and later, {diffusionbert_linear_tad_old} before; Self-BLEU "
        "{diffusionbert_linear_tad_self_new} and {diffusionbert_linear_tad_self_old} (linear arm)",
    ),
    Entry(
        "spaces",
        measure_spaces,
        "BLEU {diffusionbert_linear_tad_split} with punctuation marks as words, {diffusionbert_linear_tad_spaced} of "
        "words between spaces (linear arm)",
    ),
    Entry(
        "choice",
        measure_choice,
        "with the arguments swapped another text is chosen for {diffusionbert_linear_tad_other} of the sources, and "
        "counting each against itself changes {diffusionbert_linear_tad_itself} of these choices; BLEU "
        "{diffusionbert_linear_tad_ours}, and {diffusionbert_linear_tad_swapped_difference} and "
        "{diffusionbert_linear_tad_released_difference} from it (linear arm)",
    ),
    Entry(
        "candidates",
        measure_candidates,
        "BLEU {diffusionbert_linear_tad_one} of one candidate, {diffusionbert_linear_tad_all} of the chosen one, "
        "{diffusionbert_linear_tad_best} of the best by the reference (linear arm)",
    ),
    Entry(
        "distinct",
        measure_distinct,
        "dist-1 of the references {references_alone} each by itself, {references_half} of half of them together, "
        "{references_pooled} of all",
    ),
    Entry(
        "pairwise",
        measure_pairwise,
        "Self-BLEU {diffusionbert_linear_tad_others} against all others, {diffusionbert_linear_tad_later} by twos, "
        "{diffusionbert_linear_tad_empty} with the empty texts (linear arm)",
    ),
    Entry(
        "script",
        measure_script,
        "BLEU {diffusionbert_linear_tad_ours} as here, {diffusionbert_linear_tad_script} as DiffuSeq's script counts, "
        "{diffusionbert_linear_tad_old} with nltk before 3.6 (linear arm); {copy_ours}, {copy_script} and {copy_old} "
        "(copy of the source)",
    ),
)
