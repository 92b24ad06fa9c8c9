"""The claims as a section of the report and as a page of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence

from diffusionbert.report import claim_prose as prose
from diffusionbert.report import conditional_claims, conditional_prose
from diffusionbert.report.claims import Claim, claims
from diffusionbert.report.conditional import NAMES
from diffusionbert.report.document import NOT_RUN, Block, Bullets, Document, Section, Table, Text
from diffusionbert.report.evidence import Part, spread
from diffusionbert.report.formats import number
from diffusionbert.report.results import Results
from diffusionbert.report.verdicts import Effect, Verdict

ELSEWHERE = "on the page of timings"
NO_SPREAD = "No pair of arms of this profile was trained under 3 seeds, so that no spread over seeds is known here."


def page(results: Results) -> Document:
    """claims.html and claims.md: byte for byte the same for the same results."""
    made = of(results)
    title = f"{results.params.report.title}: the paper's claims"
    sections = [
        Section("verdicts", "Verdicts", [verdicts(made)]),
        Section("evidence", "What decided", evidence(made)),
        Section("rules", "The rules", rules(results)),
    ]
    summary = [f"Profile `{results.params.profile}`. {tally(made)}", _opening(results)]
    return Document(
        title, summary, sections, [("report", "The report"), ("timings", "Timings and the claims on speed")]
    )


def short(results: Results) -> list[Block]:
    """The section of the report: verdicts alone; what decided them has its own page."""
    made = of(results)
    return [Text(f"{_opening(results)} {tally(made)} What decided each is on the page of claims."), verdicts(made)]


def of(results: Results) -> list[Claim]:
    """The claims that results of their kind of corpus can decide."""
    return conditional_claims.conditional_claims(results) if results.is_conditional else claims(results)


def _opening(results: Results) -> str:
    return conditional_prose.CLAIMS if results.is_conditional else prose.CLAIMS


def tally(made: Sequence[Claim]) -> str:
    """How many claims came out how, in one sentence."""
    counts = [(sum(claim.verdict == verdict for claim in made), verdict) for verdict in Verdict]
    told = ", ".join(f"{count} {verdict}" for count, verdict in counts if count)
    return f"Of {len(made)} claims (those on speed are {ELSEWHERE}): {told}."


def verdicts(made: Sequence[Claim]) -> Table:
    rows = [[claim.says, str(claim.verdict), _parts(claim)] for claim in made]
    return Table("Every claim and its verdict", ["The paper says", "Verdict", "By its comparisons"], rows)


def _parts(claim: Claim) -> str:
    found = [part.decision.verdict for part in claim.parts]
    if len(found) == 1:
        return found[0]
    return ", ".join(f"{found.count(verdict)} {verdict}" for verdict in Verdict if verdict in found)


def evidence(made: Sequence[Claim], ends: str = "95 %") -> list[Block]:
    """One table a claim: what was compared, the paper's numbers, ours between its ends, what decided."""
    return [_evidence(claim, ends) for claim in made]


def _evidence(claim: Claim, ends: str) -> Table:
    columns = ["Compared", "The paper", f"Ours [{ends}]", "Verdict", "Decided by"]
    notes = [claim.note, *(part.note for part in claim.parts)]
    note = " ".join(dict.fromkeys(note for note in notes if note))
    return Table(f"{claim.says}: {claim.verdict}", columns, [_row(part) for part in claim.parts], note=note)


def _row(part: Part) -> list[str]:
    ours = NOT_RUN if part.ours is None else _effect(part.ours, is_ratio=part.is_ratio)
    return [part.compared, part.published, ours, str(part.decision.verdict), part.decision.reason]


def _effect(effect: Effect, *, is_ratio: bool) -> str:
    value, low, high = (effect.value, effect.low, effect.high)
    if is_ratio:
        value, low, high = (math.exp(end) for end in (value, low, high))
        return f"ratio {number(value)} [{number(low)}, {number(high)}]"
    return f"{_signed(value)} [{_signed(low)}, {_signed(high)}]"


def _signed(value: float) -> str:
    text = number(value)
    return f"+{text}" if value > 0 else text


def rules(results: Results) -> list[Block]:
    """The rules in words, and the spread that the page was decided with."""
    if results.is_conditional:
        return [Bullets([*conditional_prose.RULES, _spread_of_pairs(results)])]
    return [Bullets([*prose.RULES, _spread(results)])]


def _spread_of_pairs(results: Results) -> str:
    found = {name: conditional_claims.spread(results, key) for key, name in NAMES.items()}
    told = [f"{number(value)} {name}" for name, value in found.items() if value is not None]
    if not told:
        return NO_SPREAD
    return f"The spread over seeds in this profile: {', '.join(told)}."


def _spread(results: Results) -> str:
    pairs = (results.metrics or {}).get("spread", [])
    ratio, bleu = spread(results, "perplexity_per_word_ratio"), spread(results, "bleu4")
    nats = spread(results, "difference_nats_per_sentence")
    if ratio is None or bleu is None or nats is None:
        return NO_SPREAD
    labels = {arm.name: arm.label for arm in results.arms}
    named = "; ".join(f"“{labels[pair['one']]}” against “{labels[pair['other']]}”" for pair in pairs)
    return (
        f"The spread over seeds in this profile, of {named}: {number(ratio)} in ln of the ratio of perplexities per "
        f"word (a factor of {number(math.exp(ratio))}), {number(nats)} nats per sentence, {number(bleu)} BLEU-4."
    )
