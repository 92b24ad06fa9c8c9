"""What the pages of claims explain in words: the rules, as `verdicts.py` applies them; no number of a result."""

from __future__ import annotations

from diffusionbert.report.paper import CORPUS, SOURCE
from diffusionbert.report.verdicts import ONE_RUN

CLAIMS = (
    f"What {SOURCE} claims, in our words; its numbers, which are single runs on {CORPUS}; ours, and what they "
    "decide. Only directions are compared, by ratios and differences: levels are of another corpus and another "
    "scale, and no verdict rests on them. The claims on speed are on the page of timings."
)

RULES = [
    "*Reproduced*: ours goes in the claimed direction, by the rule for its kind. *Contradicted*: it goes in the "
    "other, by the same rule. *Inconclusive at this scale*: the rule cannot tell. *Not run*: what is missing is "
    "named. The direction claimed is that of the paper's own two numbers, where there are two. A claim of several "
    "comparisons is reproduced when all are, contradicted when one is.",
    "Two trained systems, 3 seeds or more of both: the mean of the seed-wise paired effects (ln of the ratio of "
    "perplexities per word, or the difference of BLEU-4) with the half-width sqrt(t^2 sd^2 / n + w^2), Student's t "
    "over the n seeds and w half the width of the interval over sentences. It decides when it excludes no effect.",
    "Two trained systems, fewer seeds: the 95 % interval over sentences (paired; over samples, unpaired, for BLEU) "
    "must exclude no effect *and* the effect must exceed the spread over seeds: the range, greatest minus least, of "
    "the seed-wise paired effects of a pair of arms of this profile that has 3 seeds; the widest where several "
    "pairs have. Where no pair has, nothing is decided. A range of 3 is a rough measure, and another pair's may "
    "differ.",
    "A match (30 % of the steps against the arm's own end): reproduced when the whole interval of what is "
    "left to gain is within the spread over seeds in nats per sentence; contradicted when the whole of it is beyond.",
    "One trained model scored in two ways (few steps against many): no training seed enters, and the paired "
    "interval over sentences alone decides.",
    "The frontier: ahead is the difference of BLEU-4 at equal Self-BLEU-4, on straight lines between the points, "
    "averaged over the range of Self-BLEU that both systems reach (a frontier that no setting moves is a point, and "
    "compared there). Its interval redraws every point from normal "
    "laws with the point's own intervals; then the rule for two trained systems, with the spread in BLEU-4.",
    "Perplexities of unlike kinds, two bounds of different looseness or a bound and an exact value, are marked as "
    "such: what differs may be the bound.",
]

SPEED_RULE = (
    "The rule: the median seconds of one system over the other's; decided when the whole range over repeats, least "
    "over greatest to greatest over least, lies on one side of the limit; where one of them was timed once, by a "
    f"factor of {ONE_RUN:g} at least. Seconds are of this machine and this batch size; "
    "the paper's are of one A100, for how many texts is not stated."
)
