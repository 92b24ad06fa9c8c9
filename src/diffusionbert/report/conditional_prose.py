"""What the report says of conditional generation in words; no number of a result is written here."""

from __future__ import annotations

INTRODUCTION = [
    "A source is given and its target is generated. The source is visible, never noised and never counted: nats are "
    "those of the target given its source, per target. Quality is that of one text a source, which its candidates "
    "choose among themselves: the one that the others agree with most by BLEU (minimum Bayes risk). Diversity is "
    "that of the candidates of one source.",
]

TASKS = {
    "kjv_web": "The data: verses of King James' Bible (1769) and, as their targets, the same verses of the World "
    "English Bible. They are split by book: no book has verses in two splits. Books share passages (Kings and "
    "Chronicles, the gospels), so that some verses have a near copy in train all the same.",
    "wordnet_gloss": "The data: words of WordNet 3.1 with their part of speech, and an example of their use where "
    "there is one, and as their targets the definitions. No word and no definition is in two splits. Common words of "
    "many senses, which are linked by the definitions that they share, are all in train: what is held out are mostly "
    "words of one sense. A source of several senses without an example has several right targets.",
    "qqp": "The data: Quora question pairs (QQP), one question and another that asks the same, in DiffuSeq's splits.",
    "quasar_t": "The data: Quasar-T, a passage and a question about it, in DiffuSeq's splits.",
    "wiki_auto": "The data: Wiki-Auto, a sentence and a simpler one, in DiffuSeq's splits.",
    "cc": "The data: Commonsense Conversation, what is said and what is answered, in DiffuSeq's splits.",
    "files": "The data: pairs of the user's own files.",
}

OURS_NOTE = (
    "Init is what a system's weights are before it is trained on these pairs. ≤ marks an upper bound, = an exact "
    "value. Steps are those of sampling. BLEU is the mean over targets of the "
    "smoothed BLEU-4 of a text against its reference. dist-1 is over the words of all texts together, so that it "
    "falls as their number grows. Self-BLEU has each candidate against all the others of its source, empty ones left "
    "out, and so are sources with fewer than two that are not; div-4 leaves out sources whose candidates have no "
    "4-gram. Copying the source and the train target of the nearest train source are no systems: a score that they "
    "reach says little."
)

MORE_NOTE = (
    "A few sources with a near copy of their target in train lift a mean: the median is over all sources, and BLEU "
    "without near copies is the mean over the others. BLEU of all candidates is the mean without any choice: what the "
    "choice gains is the difference to BLEU. Corpus BLEU is not smoothed and of all texts together. An empty text "
    "scores 0. Empty texts are those among the chosen, empty candidates those among all: an empty one agrees with "
    "none, and minimum Bayes risk chooses it only where all candidates of a source are empty. Where many sources are "
    "without two texts or without a 4-gram, Self-BLEU and div-4 are of the few that have them."
)

DIFFUSEQ_NOTE = (
    "The formulas of DiffuSeq's script: its words (split on spaces after decoding), its choice (the candidate that "
    "the others score best against), hypothesis and reference of BLEU swapped, dist-1 of each text by itself, "
    "Self-BLEU over pairs of candidates, div-4 zero where there is no 4-gram. These columns alone are of the kind "
    "that the published tables have."
)

SENTENCE = "A sentence is here the target of a pair, and words and tokens are the target's: the source is given."

PUBLISHED_NOTE = "Other data and other sizes than ours: no number of this table compares with one of ours."

CONTRASTS_NOTE = (
    "The first minus the second, paired by source. Higher is better for BLEU, ROUGE-L and div-4, lower for Self-BLEU. "
    "How much a different training seed would move the figures is not in the intervals."
)

LENGTHS = {
    "padded": "The target is followed by end tokens up to the longest length; they are counted, learnt and generated, "
    "and a text ends at the first. So its length is part of what is scored and generated.",
    "given": "The length of the target is given: every system is told the reference's, in scoring and in sampling.",
}

CLAIMS = (
    "What the paper's published version (ACL 2023.acl-long.248) claims of conditional generation, in our words: "
    "quality comparable to that of a series of established baselines, and more diversity than theirs. Its abstract was "
    "at hand, its tables were not. Only directions are compared: levels are of other data and another scale."
)

RULES = [
    "*Reproduced*: ours goes in the claimed direction, by the rule for its kind. *Contradicted*: it goes in the "
    "other, by the same rule. *Inconclusive at this scale*: the rule cannot tell. *Not run*: what is missing is named.",
    "Two trained systems, 3 seeds or more of both: the mean of the seed-wise differences with the half-width "
    "sqrt(t^2 sd^2 / n + w^2), Student's t over the n seeds and w half the width of the interval over sources. Fewer "
    "seeds: the paired interval over sources must exclude no effect *and* the effect must exceed the spread over "
    "seeds, the range of a pair of arms of this profile that has 3 seeds. Where no pair has, nothing is decided.",
    "Comparable, to every other system that was trained, in BLEU and in ROUGE-L: reproduced when the whole interval of "
    "what is missing is within the spread over seeds, contradicted when the whole of it is beyond. Nothing is decided "
    "where one of the two writes nothing for more than half of the sources, or is not above the nearest neighbour in "
    "train in that score, the paired interval over sources deciding: two systems that both fail are comparable, and it "
    "says nothing.",
    "More diverse: than every other system that was trained, by div-4 and by Self-BLEU. Nothing is decided where one "
    "of the two writes nothing for more than half of the sources, or is not above the nearest neighbour in train in "
    "BLEU, by the same interval: noise is the most diverse of all, and it says nothing.",
]
