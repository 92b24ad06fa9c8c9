"""The claims on conditional generation: comparable to the baselines, more diverse than they are, the spindle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from diffusionbert.report.claims import Claim
from diffusionbert.report.conditional import BASELINES, NAMES
from diffusionbert.report.conditional_systems import baselines, beginnings, ours
from diffusionbert.report.evidence import (
    MissingError,
    Part,
    decide_perplexity,
    not_run,
    perplexity,
    same_group,
)
from diffusionbert.report.paper_pairs import QQP, published
from diffusionbert.report.results import ArmResults, Results
from diffusionbert.report.verdicts import (
    SEEDS,
    Decision,
    Effect,
    Verdict,
    difference,
    from_one_seed,
    from_seeds,
    over_seeds,
)

NOT_PRINTED = "in its abstract; its tables were not at hand"
NEVER_COMBINED = "not tried in the release"


def conditional_claims(results: Results) -> list[Claim]:
    return [_quality(results), _diversity(results), _spindle(results)]


def _quality(results: Results) -> Claim:
    says = "The quality of DiffusionBERT is comparable to that of established baselines (every other trained row)"
    parts = [
        _comparable(results, arm, other, score)
        for arm in ours(results)
        for other in baselines(results)
        for score in ("bleu", "rouge_l")
    ]
    return Claim("conditional_quality", says, parts or [_nothing_to_compare()], beginnings(results))


def _nothing_to_compare() -> Part:
    missing = "an arm of DiffusionBERT and one of another system"
    return not_run("DiffusionBERT against its baselines", NOT_PRINTED, missing, is_ratio=False)


def _printed(other: ArmResults, score: str) -> str:
    """The one number of the published version's tables that was at hand is ROUGE-L, beside DiffuSeq's."""
    if (other.design.system, score) != ("diffusion_lm", "rouge_l"):
        return NOT_PRINTED
    own, theirs = (published(QQP, name).rouge_l for name in ("DiffusionBERT, 10 candidates", "DiffuSeq"))
    return f"QQP: {own:.3f} against {theirs:.3f}"


def _comparable(results: Results, arm: ArmResults, other: ArmResults, score: str) -> Part:
    """What is missing to the other's score must lie within the spread over seeds."""
    told = _printed(other, score)
    compared = f"“{other.label}” minus “{arm.label}”, {NAMES[score]}: what is missing"
    try:
        missing = effect(results, other, arm, score)
        failing = _no_measure(results, (other, arm), score)
    except MissingError as error:
        return not_run(compared, told, str(error), is_ratio=False)
    values = _seedwise(results, other, arm, score)
    if len(values) >= SEEDS:
        missing = over_seeds(values, missing)
    return Part(compared, told, missing, False, failing or _within(missing, spread(results, score)))


def _no_measure(results: Results, arms: Sequence[ArmResults], score: str) -> Decision | None:
    """Undecided, with every reason, where one of the arms is no measure of another. Raises MissingError."""
    failing = [reason for each in arms if (reason := failure(results, each, score))]
    return Decision(Verdict.INCONCLUSIVE, "; ".join(failing)) if failing else None


def failure(results: Results, arm: ArmResults, score: str) -> str | None:
    """Why this arm is no measure of another: it writes next to nothing, or no better than what nobody trained.

    Two systems that both fail are comparable, and it says nothing. Raises MissingError where it was not compared.
    """
    held = results.pairs or {}
    empty = held["arms"][arm.name]["empty"]
    if 2 * empty > held["sources"]:
        return f"“{arm.label}” writes nothing for {empty} of {held['sources']} sources"
    ahead = _contrast(results, arm.name, "nearest", score, arm.label, BASELINES["nearest"])
    if ahead.low <= 0:
        return f"{NAMES[score]} of “{arm.label}” is not above that of the nearest neighbour in train"
    return None


def _within(missing: Effect, noise: float | None) -> Decision:
    if noise is None:
        return Decision(Verdict.INCONCLUSIVE, "no spread over seeds was measured, which says what comparable is")
    if missing.high <= noise:
        return Decision(Verdict.REPRODUCED, f"what is missing is within the spread over seeds ({noise:.3g})")
    if missing.low > noise:
        return Decision(Verdict.CONTRADICTED, f"what is missing exceeds the spread over seeds ({noise:.3g})")
    return Decision(Verdict.INCONCLUSIVE, f"its interval holds the spread over seeds ({noise:.3g})")


def _diversity(results: Results) -> Claim:
    says = "DiffusionBERT's candidates are more diverse than those of established baselines (every other trained row)"
    scores = (("div_4", 1), ("self_bleu", -1))
    parts = [
        _varied(results, arm, other, score, claimed)
        for arm in ours(results)
        for other in baselines(results)
        for score, claimed in scores
    ]
    note = (
        "Diversity alone is no merit: texts at random have most of it. It is to be read beside BLEU and the lengths. "
        "Empty candidates have none: Self-BLEU is over those that are not empty, of sources that have two at least."
    )
    note = f"{note} {beginnings(results)}".rstrip()
    return Claim("conditional_diversity", says, parts or [_nothing_to_compare()], note)


def _varied(results: Results, arm: ArmResults, other: ArmResults, score: str, claimed: int) -> Part:
    """Diversity is compared between texts that are more than noise, which has most of it: by their BLEU."""
    part = _directed(results, arm, other, score, claimed, NOT_PRINTED)
    if part.ours is None:
        return part
    try:
        noise = _no_measure(results, (arm, other), "bleu")
    except MissingError as error:
        return not_run(part.compared, NOT_PRINTED, str(error), is_ratio=False)
    return replace(part, decision=noise or part.decision)


def _spindle(results: Results) -> Claim:
    says = "The spindle schedule helps conditional generation too (a question of ours: the release never combined them)"
    spindles, linears = ours(results, "spindle"), ours(results, "linear")
    pairs = [(one, other) for one in spindles for other in linears if one.arm.baseline == other.name]
    if not pairs:
        missing = "a spindle arm of DiffusionBERT with its linear twin as baseline"
        return Claim("conditional_spindle", says, [not_run("spindle over linear", NEVER_COMBINED, missing)])
    parts = []
    for one, other in pairs:
        parts.append(_nats(results, one, other))
        parts += [_directed(results, one, other, score, 1, NEVER_COMBINED) for score in ("bleu", "rouge_l")]
    return Claim("conditional_spindle", says, parts)


def _nats(results: Results, one: ArmResults, other: ArmResults) -> Part:
    compared = f"“{one.label}” over “{other.label}”, PPL per word of the target under valid"
    try:
        found = perplexity(results, one, other, "valid")
    except MissingError as error:
        return not_run(compared, NEVER_COMBINED, str(error))
    found, decision = decide_perplexity(results, one, other, found, -1, "valid")
    return Part(compared, NEVER_COMBINED, found, True, decision)


def _directed(results: Results, one: ArmResults, other: ArmResults, score: str, claimed: int, told: str) -> Part:
    compared = f"“{one.label}” minus “{other.label}”, {NAMES[score]}"
    try:
        found = effect(results, one, other, score)
    except MissingError as error:
        return not_run(compared, told, str(error), is_ratio=False)
    values = _seedwise(results, one, other, score)
    if len(values) >= SEEDS:
        found = over_seeds(values, found)
        return Part(compared, told, found, False, from_seeds(found, claimed))
    return Part(compared, told, found, False, from_one_seed(found, claimed, spread(results, score), "sources"))


def effect(results: Results, one: ArmResults, other: ArmResults, score: str) -> Effect:
    """One's score minus the other's, paired by source. Raises MissingError, also where most sources have none."""
    same_group(one, other)
    return _contrast(results, one.name, other.name, score, one.label, other.label)


def _contrast(results: Results, one: str, other: str, score: str, label: str, other_label: str) -> Effect:
    held = results.pairs or {}
    missing = f"{NAMES[score]} of “{label}” against “{other_label}”"
    for row in held.get("contrasts", []):
        if score not in row or {row["one"], row["other"]} != {one, other}:
            continue
        if 2 * row[score]["sources"] < held["sources"]:
            raise MissingError(f"{missing} on half of the sources at least; found {row[score]['sources']}")
        found = difference(row[score])
        return found if row["one"] == one else -found
    raise MissingError(missing)


def spread(results: Results, score: str) -> float | None:
    """The range over seeds of a pair's differences, the widest of all pairs measured; None where none was."""
    held = [pair[score]["values"] for pair in (results.pairs or {}).get("spread", []) if score in pair]
    return max((max(values) - min(values) for values in held), default=None)


def _seedwise(results: Results, one: ArmResults, other: ArmResults, score: str) -> list[float]:
    """The differences at every seed that both arms have."""
    ours, theirs = (_by_seed(results, arm, score) for arm in (one, other))
    return [ours[seed] - theirs[seed] for seed in ours if seed in theirs]


def _by_seed(results: Results, arm: ArmResults, score: str) -> dict[int, float]:
    held = (results.pairs or {}).get("seeds", {}).get(arm.name, {})
    return dict(zip(held.get("seeds", []), held.get(score, {}).get("values", []), strict=False))
