"""The tables in README.md, written between two markers from committed results.

A row per arm from the default profile, and the claims from the profile that trains every row.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from diffusionbert.config import Params, load
from diffusionbert.files import write_text
from diffusionbert.report import claim_page, conditional
from diffusionbert.report.claims import claims
from diffusionbert.report.document import NOT_APPLICABLE, NOT_RUN, Table
from diffusionbert.report.elsewhere import PAIRS
from diffusionbert.report.evidence import rows
from diffusionbert.report.findings import summary
from diffusionbert.report.formats import interval, perplexity
from diffusionbert.report.markdown import render_table
from diffusionbert.report.paper import CORPUS, SOURCE, row_of
from diffusionbert.report.results import ArmResults, Results, read_profile, read_results
from diffusionbert.report.table_2 import own_figure
from diffusionbert.report.tables import PROTOCOLS

LOCK = Path("dvc.lock")
MOST_ROWS = "table"  # its claims, where it was run: the default profile trains too few arms to decide most
BEGIN = "<!-- results: begin (written by `make readme`) -->"
END = "<!-- results: end -->"


def block(folder: Path, params: Params) -> str:
    """What stands between the markers: the summary and a row per arm, or that there are no results yet."""
    if not folder.exists():
        return f"No results of profile `{params.profile}` are here yet; `make run` makes them."
    results = read_results(folder, params, LOCK)
    lines = "\n".join(f"- {line}" for line in summary(results))
    claimed = _claimed(read_profile(folder.parent / MOST_ROWS, LOCK) or results)
    pairs = _conditional(read_profile(folder.parent / PAIRS, LOCK))
    return "\n\n".join([lines, render_table(_table(results)), _note(), claimed, *pairs])


def _conditional(results: Results | None) -> list[str]:
    """What stands of the profile `pairs`, where it was run."""
    if results is None or not (results.pairs or {}).get("arms"):
        return []
    made, profile = claim_page.of(results), results.params.profile
    told = (
        f"{conditional.finding(results)} Of profile `{profile}`, scored as "
        f"[docs/conditional.md](docs/conditional.md) says. {claim_page.tally(made)} "
        f"All of it, and DiffuSeq's published tables beside it: `results/{profile}/report.html`."
    )
    return [told, render_table(conditional.brief(results)), render_table(claim_page.verdicts(made))]


def _claimed(results: Results) -> str:
    made, profile = claims(results), results.params.profile
    told = (
        f"The paper's claims, decided by the {len(results.arms)} arms of profile `{profile}`: "
        f"{claim_page.tally(made)} What decided each: `results/{profile}/claims.md`; every row of the paper's tables: "
        f"`results/{profile}/report.html`."
    )
    return f"{told}\n\n{render_table(claim_page.verdicts(made))}"


def _table(results: Results) -> Table:
    columns = [
        "Arm",
        "Paper: PPL",
        *[f"Ours, {name}: PPL" for name in PROTOCOLS],
        "Ours, own figure: PPL",
        "Paper: BLEU",
        "Ours: BLEU-4",
    ]
    return Table("", columns, [_row(arm) for arm in rows(results)], frozenset(range(1, len(columns))))


def _row(arm: ArmResults) -> list[str]:
    published = row_of(arm.design)
    held = None if arm.evaluate is None else arm.evaluate["protocols"]
    return [
        arm.label,
        f"{published.perplexity_per_word:.2f}" if published else NOT_APPLICABLE,
        *(NOT_RUN if held is None else perplexity(held.get(name)) for name in PROTOCOLS),
        own_figure(arm),
        f"{published.bleu4:.4f}" if published else NOT_APPLICABLE,
        interval(arm.scores["bleu4"]) if arm.scores else NOT_RUN,
    ]


def _note() -> str:
    return (
        f"PPL is perplexity per word. The paper's numbers ({SOURCE}) are on {CORPUS}; ours are on the corpus of the "
        "default profile, so ratios compare and levels do not. ≤ marks an upper bound, = an exact value, 'no bound' a "
        "figure that is neither; 'own figure' is of systems that are no masked diffusion."
    )


def replaced(readme: str, text: str) -> str:
    """README's text with what is between the markers replaced; raises ValueError when a marker is missing."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md: no block between '{BEGIN}' and '{END}'; expected both markers, each on a line")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m diffusionbert.report.readme", description=__doc__)
    parser.add_argument("--readme", type=Path, default=Path("README.md"))
    parser.add_argument("--params", type=Path, default=Path("profiles/default.yaml"))
    parser.add_argument("--results", type=Path, default=Path("results/default"))
    args = parser.parse_args(argv)
    try:
        text = args.readme.read_text(encoding="utf-8")
        write_text(args.readme, replaced(text, block(args.results, load(args.params))))
    except (ValueError, OSError) as error:
        print(f"error: readme: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
