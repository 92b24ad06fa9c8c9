"""The scores of several systems' texts at once, and of real text as their ceiling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diffusionbert.metrics.bleu import ORDER, bleu, self_bleu
from diffusionbert.metrics.diversity import distinct, token_entropy
from diffusionbert.metrics.perplexity import mean_interval
from diffusionbert.metrics.signature import Signature
from diffusionbert.words import CASE, split_words

REAL_TEXT = "real_text"
Words = list[list[str]]


@dataclass(frozen=True)
class Texts:
    """One system's texts as words: one set for BLEU, another of the same size for Self-BLEU and diversity."""

    quality: Words
    diversity: Words


@dataclass(frozen=True)
class PerSample:
    """BLEU-4 of every text of the first set, and Self-BLEU-4 of every text of the other."""

    bleu4: NDArray[np.float64]
    self_bleu4: NDArray[np.float64]


def median_words(texts: Words) -> int:
    """The length in words that half of the texts do not exceed."""
    return int(np.median([len(words) for words in texts]))


def real_texts(sentences: list[str], num_samples: int, cut: int, seed: int) -> Texts:
    """The words of `real_sentences`, cut to `cut` of them: the first half for BLEU, the second for Self-BLEU."""
    words = [split_words(sentence)[:cut] for sentence in real_sentences(sentences, num_samples, seed)]
    half = len(words) // 2
    return Texts(quality=words[:half], diversity=words[half:])


def real_sentences(sentences: list[str], num_samples: int, seed: int) -> list[str]:
    """Twice `num_samples` sentences, or all there are but for an odd one, in a seeded order.

    Raises ValueError for fewer than four sentences.
    """
    half = min(num_samples, len(sentences) // 2)
    if half < 2:
        raise ValueError(f"{len(sentences)} sentences of real text; expected at least 4 for the ceiling")
    order = np.random.default_rng(seed).permutation(len(sentences))[: 2 * half]
    return [sentences[row] for row in order]


def per_sample(texts: Mapping[str, Texts], references: Iterable[list[str]]) -> dict[str, PerSample]:
    """Every system's scores by sample; all their BLEU sets go through the references together, in one pass."""
    scores = bleu([words for system in texts.values() for words in system.quality], references)
    result, start = {}, 0
    for name, system in texts.items():
        stop = start + len(system.quality)
        result[name] = PerSample(scores[start:stop], self_bleu(system.diversity))
        start = stop
    return result


def summary(system: Texts, scores: PerSample, seed: int, resamples: int) -> dict[str, Any]:
    """One system's scores as they are told, with intervals."""
    rng = np.random.default_rng(seed)
    return {
        "bleu4": mean_interval(scores.bleu4, rng, resamples).as_dict(),
        "self_bleu4": mean_interval(scores.self_bleu4, rng, resamples).as_dict(),
        "distinct_1": distinct(system.diversity, 1),
        "distinct_2": distinct(system.diversity, 2),
        "token_entropy_nats": token_entropy(system.diversity),
        "mean_words": float(np.mean([len(words) for words in system.quality + system.diversity])),
        "samples": len(system.quality),
    }


def signatures(
    num_samples: int, num_references: int, num_real: int, cut: int, seed: int, case: str = CASE
) -> dict[str, dict[str, Any]]:
    """What each of `score`'s numbers must be told with, by its name; `case` is that of BLEU's references."""
    interval = "95 % bootstrap over the per-sample scores, the references held fixed"
    pooled = "over the words of the Self-BLEU set, pooled"
    others = num_samples - 1

    def of(name: str, n: int, references: int | None, note: str, smoothing: str | None = None) -> Signature:
        return Signature(name, n, num_samples, references, seed, note, smoothing)

    real = (
        f"{num_real} valid sentences in a seeded order scored like samples, "
        f"those longer than {cut} words (the samples' median) cut there"
    )
    told = f"mean of per-sample scores; {interval}"
    every = [
        Signature("bleu4", ORDER, num_samples, num_references, seed, told, "none", case=case),
        of("self_bleu4", ORDER, others, f"each sample against all the others, mean; {interval}", "none"),
        of("distinct_1", 1, None, pooled),
        of("distinct_2", 2, None, pooled),
        of("token_entropy_nats", 1, None, f"entropy of words {pooled}"),
        Signature(REAL_TEXT, ORDER, num_real, num_references, seed, real, "none", case=case),
    ]
    return {signature.score: signature.as_dict() for signature in every}


def frontier_signatures(
    num_samples: int, num_references: int, cut: int, seed: int, case: str = CASE
) -> dict[str, dict[str, Any]]:
    """The same of the points of a frontier, whose every score is over one set."""
    interval = "95 % bootstrap over the per-sample scores, the references held fixed"
    texts = f"a point has one set for both scores, real text two, cut to {cut} words"
    others = f"each sample against all the others of its point, mean; {texts}; {interval}"
    every = [
        Signature(
            "frontier_bleu4", ORDER, num_samples, num_references, seed, f"{texts}; {interval}", "none", case=case
        ),
        Signature("frontier_self_bleu4", ORDER, num_samples, num_samples - 1, seed, others, "none"),
    ]
    return {signature.score: signature.as_dict() for signature in every}
