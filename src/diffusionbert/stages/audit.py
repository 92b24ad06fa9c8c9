"""audit: every protocol on sources of known entropy, in closed form and with a small trained network."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from diffusionbert.audit.bound_code import TOLERANCE, largest_difference
from diffusionbert.audit.findings import Finding, closed_form, not_bounds, trained
from diffusionbert.audit.network import Network, Place, trained_excesses
from diffusionbert.audit.sources import Source, unigram, zipf
from diffusionbert.config import Params
from diffusionbert.files import write_json, write_text
from diffusionbert.progress import track
from diffusionbert.stages import shell
from diffusionbert.stages.compute import Machine
from diffusionbert.tables import read_table


def body(context: shell.Context) -> None:
    params, out = context.params, context.paths["out"]
    settings = params.audit
    machine = Machine.prepare(params.runtime)
    largest_difference(settings.lambdas)  # fails above the tolerance
    sources = sources_of(params, context.paths["information"])
    exact = [
        finding
        for source in track(sources, label="audit: closed forms")
        for finding in closed_form(source, settings.num_steps, settings.lambdas, settings.corpus_tokens)
    ]
    network = Network(**settings.network.model_dump())
    measured = list(trained(network, trained_excesses(network, Place(machine.device, machine.autocast))))
    flags = not_bounds([*exact, *measured])
    write_text(out / "excess.csv", curve(exact))
    write_json(
        out / "metrics.json",
        {
            **machine.described,
            "num_steps": settings.num_steps,
            "agrees_with_bound_code_to_nats": TOLERANCE,
            "sources": {source.name: described(source) for source in sources},
            "closed_form": [as_row(finding) for finding in exact],
            "network": {**described(network.source), "name": network.source.name},
            "trained": by_objective(measured),
            "not_a_bound": flags,
        },
    )
    context.journal.tags({"not_a_bound": ", ".join(flags) or "none"})
    context.journal.metrics(tracked(measured))
    context.journal.artifact(out / "excess.csv")


def sources_of(params: Params, information: Path) -> list[Source]:
    """The Zipf laws of params, then every tokenizer's own unigram law."""
    laws = [zipf(law.vocab_size, law.exponent) for law in params.audit.zipf]
    return laws + [read_unigram(information / name / "table.parquet", name) for name in sorted(params.tokenizers)]


def read_unigram(path: Path, tokenizer: str) -> Source:
    """The unigram law of an information table. Raises ValueError naming the file when it is no such table."""
    table = read_table(path, "a table of token information", ["count", "probability"])
    count, probability = table["count"].to_numpy(), table["probability"].to_numpy()
    return unigram(tokenizer, torch.tensor(probability, dtype=torch.float64), int(count.sum()))


def described(source: Source) -> dict[str, Any]:
    return {
        "label": source.label,
        "vocab_size": len(source.probability),
        "entropy_nats": source.entropy,
        "corpus_tokens": source.num_tokens,
    }


def as_row(finding: Finding) -> dict[str, Any]:
    """Rounded to a digit that no order of sums moves: a bound that is met exactly has the excess 0.

    A figure that is infinite is null.
    """
    excess = finding.excess_nats_per_token
    rounded = {
        "excess_nats_per_token": round(excess, 10) + 0.0 if excess < math.inf else None,
        "standard_error": round(finding.standard_error, 10),
    }
    return {**asdict(finding), **rounded, "below_entropy": finding.below_entropy}


def by_objective(findings: Sequence[Finding]) -> dict[str, dict[str, Any]]:
    """Objective trained under -> protocol scored under -> figure."""
    result: dict[str, dict[str, Any]] = {}
    for finding in findings:
        result.setdefault(finding.denoiser, {})[finding.protocol] = as_row(finding)
    return result


def curve(findings: Sequence[Finding]) -> str:
    """The finite closed forms as a table: excess against lambda, one line a source, protocol, denoiser and size."""
    lines = ["line,spindle_lambda,excess_nats_per_token"]
    for finding in findings:
        if finding.excess_nats_per_token == math.inf:
            continue
        size = "" if finding.corpus_tokens is None else f" {finding.corpus_tokens}"
        line = f"{finding.source} {finding.protocol} {finding.denoiser}{size}"
        lines.append(f"{line},{finding.spindle_lambda:g},{as_row(finding)['excess_nats_per_token']:.9f}")
    return "\n".join(lines) + "\n"


def tracked(findings: Sequence[Finding]) -> dict[str, float]:
    """Nats per token above the entropy, by the objective trained under and the protocol scored under."""
    return {
        f"{finding.denoiser}.{finding.protocol}.excess_nats_per_token": finding.excess_nats_per_token
        for finding in findings
    }


def sections(params: Params, instance: str | None) -> dict[str, Any]:
    return {"audit": params.audit.model_dump(), "runtime": params.runtime.model_dump()}


def main(argv: Sequence[str] | None = None) -> int:
    return shell.run("audit", body, argv, paths=("information", "out"), sections=sections)


if __name__ == "__main__":
    sys.exit(main())
