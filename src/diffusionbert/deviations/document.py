"""docs/deviations.md: the blocks between its markers, written from the JSON files of the measurements alone.

<!-- measured: posterior -->  ...  <!-- end -->      an entry's figures
<!-- measured: contents -->  ...  <!-- end -->       one line for each numbered entry
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusionbert.deviations.catalogue import ENTRIES
from diffusionbert.deviations.ground import RATIO, SHARE
from diffusionbert.deviations.pair_catalogue import PAIR_ENTRIES
from diffusionbert.files import read_json

CONTENTS = "contents"
NOTHING = "Nothing to measure:"
BLOCK = re.compile(r"<!-- measured: ([a-z_]+) -->\n.*?<!-- end -->", re.DOTALL)
HEADING = re.compile(r"^### (\d+)\. (.+)$", re.MULTILINE)
NAMED = re.compile(r"\{([a-z0-9_.]+)\}")
HEADLINES = {entry.key: entry.headline for entry in ENTRIES} | {entry.key: entry.headline for entry in PAIR_ENTRIES}

Measured = Mapping[str, Mapping[str, Any]]  # marker -> its JSON


@dataclass(frozen=True)
class Section:
    """A numbered entry of the document."""

    number: int
    title: str
    text: str

    @property
    def markers(self) -> list[str]:
        return [match[1] for match in BLOCK.finditer(self.text)]

    @property
    def nothing(self) -> str | None:
        """Why there is nothing to measure, where the entry says so."""
        found = re.search(re.escape(NOTHING) + r"\s+(.+?)(?:\n\n|\Z)", self.text, re.DOTALL)
        return None if found is None else " ".join(found[1].split())


def sections(document: str) -> list[Section]:
    """The numbered entries, each with its text up to the next heading of any level."""
    found = []
    for heading in HEADING.finditer(document):
        rest = document[heading.end() :]
        stop = re.search(r"^##", rest, re.MULTILINE)
        found.append(Section(int(heading[1]), heading[2], rest[: stop.start()] if stop else rest))
    return found


def read_measured(folder: Path) -> dict[str, Any]:
    """The JSON of every entry; raises ValueError naming the first that is missing."""
    found = {key: read_json(folder / f"{key}.json") for key in HEADLINES}
    for measured in found.values():
        measured["figures"] = {figure["name"]: figure for figure in measured["figures"]}
    return found


def number(value: float, unit: str) -> str:
    """Shares in per cent, ratios with three decimals, everything else with four significant digits."""
    if unit == SHARE:
        return f"{100 * value:.3g} %"
    if unit == RATIO:
        return f"{value:.3f}"
    if value == 0:
        return "0"
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{int(value):,}"
    return f"{value:.1e}" if abs(value) < 1e-3 else f"{value:,.4g}"


def headline(template: str, figures: Mapping[str, Mapping[str, Any]]) -> str:
    """An entry's line with its figures filled in, ratios with their intervals.

    Raises ValueError for a figure that the JSON lacks.
    """

    def filled(match: re.Match[str]) -> str:
        if match[1] not in figures:
            raise ValueError(f"no figure '{match[1]}'; the JSON has {', '.join(figures)}")
        figure = figures[match[1]]
        value, low, high, unit = (figure[name] for name in ("value", "low", "high", "unit"))
        if unit != RATIO or low is None:
            return number(value, unit)
        return f"{number(value, unit)} ({number(low, unit)} to {number(high, unit)})"

    return NAMED.sub(filled, template)


def block(key: str, measured: Measured) -> str:
    """The lines of one entry: its headline and a table of its figures."""
    figures = measured[key]["figures"]
    lines = [f"*Measured*: {headline(HEADLINES[key], figures)}.", "", "| what | value | 95 % interval | unit | over |"]
    lines.append("| --- | ---: | --- | --- | --- |")
    for figure in figures.values():
        value, low, high, unit = (figure[name] for name in ("value", "low", "high", "unit"))
        interval = "" if low is None else f"{number(low, unit)} to {number(high, unit)}"
        shown = "" if unit in (SHARE, "1") else unit
        lines.append(f"| {figure['what']} | {number(value, unit)} | {interval} | {shown} | {figure['over']} |")
    return "\n".join(lines)


def contents(document: str, measured: Measured) -> str:
    """One line for each entry: its number and title, and what was measured of it or why nothing was."""
    lines = ["| | entry | measured effect |", "| ---: | --- | --- |"]
    for section in sections(document):
        told = [headline(HEADLINES[key], measured[key]["figures"]) for key in section.markers]
        if section.nothing is not None:
            told.append(f"nothing to measure: {section.nothing.rstrip('.')}")
        anchor = _anchor(f"{section.number}. {section.title}")
        lines.append(f"| {section.number} | [{section.title}](#{anchor}) | {'; '.join(told)} |")
    return "\n".join([*lines, "", _provenance(measured)])


def _anchor(heading: str) -> str:
    """The link to a heading as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _provenance(measured: Measured) -> str:
    machines = sorted({_told(entry["machine"]) for entry in measured.values()})
    names = sorted({entry["profile"] for entry in measured.values()})
    profiles = " and ".join(f"`{name}`" for name in names)
    return (
        f"Measured by `make deviations` with the trained arms of the profile{'s' if len(names) > 1 else ''} {profiles} "
        f"({'; '.join(machines)}). Intervals are 95 % bootstrap intervals over sentences, sources, samples, positions "
        "or draws, paired wherever two things are compared; a figure without one was computed and not sampled. "
        "A short training is one run: its interval is over test sentences, not over seeds."
    )


def _told(machine: Mapping[str, Any]) -> str:
    threads = machine["threads"]
    return f"{machine['device']}, {machine['dtype']}, {threads} thread{'s' if threads != 1 else ''}"


def written(document: str, measured: Measured) -> str:
    """The document with every block made new.

    Raises ValueError for a marker without a measurement, a measurement without a marker, or an entry with neither a
    block nor a reason why there is nothing to measure.
    """
    keys = [match[1] for match in BLOCK.finditer(document)]
    known = {*HEADLINES, CONTENTS}
    if strange := sorted(set(keys) ^ known):
        raise ValueError(f"docs/deviations.md: markers {', '.join(strange)}; expected each measured entry once")
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise ValueError(f"docs/deviations.md: markers {', '.join(twice)} stand twice; expected each once")
    if missing := list(_bare(document)):
        raise ValueError(f"docs/deviations.md: {missing[0]}; expected a measured block or '{NOTHING}'")

    def renewed(match: re.Match[str]) -> str:
        text = contents(document, measured) if match[1] == CONTENTS else block(match[1], measured)
        return f"<!-- measured: {match[1]} -->\n{text}\n<!-- end -->"

    return BLOCK.sub(renewed, document)


def _bare(document: str) -> Iterator[str]:
    for position, section in enumerate(sections(document), start=1):
        if section.number != position:
            yield f"entry {section.number} stands in place {position}"
        if not section.markers and section.nothing is None:
            yield f"entry {section.number} has neither"
