"""A row of the paper against another, in its numbers and in ours: the part that most claims consist of."""

from __future__ import annotations

from diffusionbert.report import evidence
from diffusionbert.report.evidence import KINDS, MissingError, Part, not_run, own_figure
from diffusionbert.report.paper import Row, rows_of
from diffusionbert.report.results import ArmResults, Results

UNLIKE = "Upper bounds of unlike kinds: how loose each is is not known."
AGAINST_EXACT = "A bound against an exact value: the bound's side looks the worse for it."


def perplexities(
    results: Results, one: Row, other: Row, figure: str | None = None, objective: str | None = None
) -> Part:
    """The perplexity of one design over another's, in the direction of the published ratio.

    `objective` is what the first was trained under: that of the figure, where None.
    """
    ratio = one.perplexity_per_word / other.perplexity_per_word
    published = f"{one.perplexity_per_word:.2f} over {other.perplexity_per_word:.2f}: ratio {ratio:.4f}"
    arms = _arms(results, one, other, figure, objective)
    if isinstance(arms, str):
        return not_run(f"{one} over {other}", published, arms)
    compared = f"“{arms[0].label}” over “{arms[1].label}”, PPL per word"
    try:
        note = _kinds(*arms) if figure is None else ""
        effect = evidence.perplexity(results, *arms, figure)
    except MissingError as missing:
        return not_run(compared, published, str(missing))
    claimed = -1 if ratio < 1 else 1
    effect, decision = evidence.decide_perplexity(results, *arms, effect, claimed, figure)
    return Part(compared, published, effect, True, decision, note)


def bleus(results: Results, one: Row, other: Row) -> Part:
    """BLEU-4 of one design minus another's, in the direction of the published difference."""
    gained = one.bleu4 - other.bleu4
    published = f"{one.bleu4:.4f} against {other.bleu4:.4f}: {gained:+.4f}"
    arms = _arms(results, one, other, None)
    if isinstance(arms, str):
        return not_run(f"{one} against {other}", published, arms, is_ratio=False)
    compared = f"“{arms[0].label}” minus “{arms[1].label}”, BLEU-4"
    try:
        effect = evidence.bleu(results, *arms)
    except MissingError as missing:
        return not_run(compared, published, str(missing), is_ratio=False)
    effect, decision = evidence.decide_bleu(results, *arms, effect, 1 if gained > 0 else -1)
    return Part(compared, published, effect, False, decision)


def strongest(results: Results, method: str) -> Row:
    """The method's row of lowest published perplexity that was run; where none was, the lowest of all."""
    every = rows_of(method)
    return next((row for row in every if evidence.of_row(results, row)), every[0])


def _arms(
    results: Results, one: Row, other: Row, figure: str | None, objective: str | None = None
) -> tuple[ArmResults, ArmResults] | str:
    """The two arms, each trained under the figure's objective where there is a choice; or what is missing."""
    ours, theirs = (evidence.of_row(results, row, figure or "valid") for row in (one, other))
    if objective is not None:
        ours = evidence.of_row(results, one, objective)
        if ours is None or ours.arm.settings.get("objective") != objective:
            return f"an arm of {one} trained under {objective}"
    missing = [str(row) for row, arm in ((one, ours), (other, theirs)) if arm is None]
    if ours is None or theirs is None:
        return f"an arm of {' and of '.join(missing)}"
    return ours, theirs


def _kinds(one: ArmResults, other: ArmResults) -> str:
    figures = (own_figure(one), own_figure(other))
    if figures[0] == figures[1]:
        return ""
    return AGAINST_EXACT if len({KINDS[name] for name in figures}) > 1 else UNLIKE
