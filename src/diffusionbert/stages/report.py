"""Stage report: the paper's tables beside ours, from results alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diffusionbert.config import Params
from diffusionbert.files import write_text
from diffusionbert.report import claim_page
from diffusionbert.report.document import Document
from diffusionbert.report.elsewhere import PAIRS, PROFILE
from diffusionbert.report.html import render_html
from diffusionbert.report.markdown import render_markdown
from diffusionbert.report.results import SETTINGS, Results, read_profile, read_results
from diffusionbert.report.sections import as_yaml, report
from diffusionbert.report.timings import read_timings, timings
from diffusionbert.stages import shell

LOCK = Path("dvc.lock")


def body(context: shell.Context) -> None:
    folder = context.paths["results"]
    results = read_results(folder, context.params, LOCK, read_beside(folder), read_beside(folder, PAIRS))
    pages = {
        "report": report(results),
        "claims": claim_page.page(results),
        "timings": timings(read_timings(folder, results)),
    }
    for name, document in pages.items():
        for path in write_page(folder, name, document):
            context.journal.artifact(path)
    write_text(folder / SETTINGS, as_yaml(context.params))


def read_beside(folder: Path, profile: str = PROFILE) -> Results | None:
    """The results of profile `gpu`, which another machine made, or of another, where they lie beside `folder`."""
    beside = folder.parent / profile
    return None if beside.resolve() == folder.resolve() else read_profile(beside, LOCK)


def write_page(folder: Path, name: str, document: Document) -> list[Path]:
    """<name>.html and <name>.md."""
    written = [folder / f"{name}.html", folder / f"{name}.md"]
    write_text(written[0], render_html(document))
    write_text(written[1], render_markdown(document))
    return written


def sections(params: Params, instance: str | None) -> dict[str, Any]:
    return {"report": params.report.model_dump()}


def main(argv: Sequence[str] | None = None) -> int:
    return shell.run("report", body, argv, paths=("results",), sections=sections)


if __name__ == "__main__":
    sys.exit(main())
