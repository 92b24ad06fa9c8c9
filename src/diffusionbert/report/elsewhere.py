"""Results of the profiles `gpu`, made on another machine, and `pairs`, in sections of their own beside this profile's.

Levels, budgets and corpora differ, so that no table ever holds both.
"""

from __future__ import annotations

from dataclasses import replace

from diffusionbert.report import claim_page, conditional, findings, table_2, tables
from diffusionbert.report.document import Block, Bullets, Section, Text
from diffusionbert.report.results import Results

PROFILE = "gpu"
PAIRS = "pairs"


def sections(results: Results) -> list[Section]:
    """None where there are no such results."""
    found = []
    if (held := results.pairs_beside) is not None:
        title = f"Conditional generation: profile {held.params.profile}"
        found.append(Section("conditional", title, _of_pairs(held)))
    if (held := results.beside) is not None:
        found.append(Section("gpu", f"The same on a GPU: profile {held.params.profile}", _blocks(held)))
    return found


def _of_pairs(held: Results) -> list[Block]:
    made = claim_page.of(held)
    profile = held.params.profile
    return [
        Text(
            f"From a run of its own, under other settings and on other text: `results/{profile}` has the whole of it."
        ),
        Bullets(findings.summary(held)),
        *conditional.blocks(held),
        Text(claim_page.tally(made)),
        replace(claim_page.verdicts(made), caption=f"Every claim on conditional generation, profile {profile}"),
        *conditional.samples(held),
    ]


def _blocks(held: Results) -> list[Block]:
    places = sorted({arm.group for arm in held.arms if arm.group})
    made = claim_page.of(held)
    opening = (
        f"Trained and scored elsewhere ({'; '.join(places) or 'nothing was run'}), under other settings: "
        f"`results/{held.params.profile}` has the whole of it. Its numbers stand in tables of their own."
    )
    verdicts = claim_page.verdicts(made)
    return [
        Text(opening),
        Bullets(findings.summary(held)),
        *tables.per_group(held, lambda arms, group: table_2.table_2(held, arms, group)),
        *([] if (seeds := table_2.over_seeds(held)) is None else [seeds]),
        Text(claim_page.tally(made)),
        replace(verdicts, caption=f"{verdicts.caption}, profile {held.params.profile}"),
    ]
