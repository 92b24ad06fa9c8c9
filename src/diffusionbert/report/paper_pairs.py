"""What others publish of conditional generation, as data with its provenance; nothing here is measured by us.

DiffuSeq: Gong, Li, Feng, Wu, Kong, "DiffuSeq: Sequence to Sequence Text Generation with Diffusion Models", arXiv
2210.08933, Table 1, by its own script (`metrics.diffuseq` has the formulas). The published version of DiffusionBERT
adds conditional generation; of its tables one number alone was at hand, quoted by Lovelace et al., "Latent Diffusion
for Language Generation", arXiv 2212.09462, Table 6.
"""

from __future__ import annotations

from dataclasses import dataclass

SOURCE = "arXiv 2210.08933, Table 1"
QUOTED = "arXiv 2212.09462, Table 6, which quotes the published version of DiffusionBERT"


@dataclass(frozen=True)
class PairRow:
    """One system on one data set. No seeds and no error bars are published; None is what we do not have."""

    task: str
    method: str
    bleu: float | None
    rouge_l: float
    bertscore: float | None = None
    dist_1: float | None = None
    self_bleu: float | None = None
    div_4: float | None = None
    source: str = SOURCE


QUASAR_T, QQP, WIKI_AUTO = "Quasar-T (question generation)", "QQP (paraphrase)", "Wiki-Auto (simplification)"

TABLE = (
    PairRow(QUASAR_T, "Transformer-base", 0.1663, 0.3441, 0.6307, 0.9309, 0.3265, 0.7720),
    PairRow(QUASAR_T, "GPT2-large, fine-tuned", 0.1110, 0.3215, 0.6346, 0.9670, 0.2910, 0.8062),
    PairRow(QUASAR_T, "DiffuSeq", 0.1731, 0.3665, 0.6123, 0.9056, 0.2789, 0.8103),
    PairRow(QQP, "Transformer-base", 0.2722, 0.5748, 0.8381, 0.9748, 0.4483, 0.7345),
    PairRow(QQP, "GPT2-large, fine-tuned", 0.2059, 0.5415, 0.8363, 0.9819, 0.7325, 0.5020),
    PairRow(QQP, "GPVAE-T5", 0.2409, 0.5886, 0.8466, 0.9688, 0.5604, 0.6169),
    PairRow(QQP, "NAR-LevT", 0.2268, 0.5795, 0.8344, 0.9790, 0.9995, 0.3329),
    PairRow(QQP, "DiffuSeq", 0.2413, 0.5880, 0.8365, 0.9807, 0.2732, 0.8641),
    PairRow(WIKI_AUTO, "DiffuSeq", 0.3622, 0.5849, 0.8126, 0.9264, 0.4642, 0.6604),
    PairRow(QQP, "DiffusionBERT, 10 candidates", None, 0.589, source=QUOTED),
)

CAVEATS = (
    "DiffuSeq scores quality on the choice among 10 candidates and diversity over 3.",
    "Its script has hypothesis and reference of BLEU swapped, and its Self-BLEU scores the later of every two "
    "candidates against the earlier; the release of DiffusionBERT takes both over.",
    "How nltk smooths (method 4) changed with its version 3.6; which version made the table is not said.",
    "The release of DiffusionBERT counts a candidate against itself when it chooses, starts from RoBERTa with "
    "BERT's mask id, and never combines the spindle with conditional generation.",
)


def published(task: str, method: str) -> PairRow:
    """The row of a system on a data set. Raises KeyError where there is none."""
    for row in TABLE:
        if (row.task, row.method) == (task, method):
            return row
    raise KeyError(f"{method} on {task}")
