"""What the audit finds: every protocol's figures beside the entropy, and which of them fall below it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from diffusionbert.audit.expected import DENOISERS, Denoiser, release_of, spindle_of, told_nats, valid_nats
from diffusionbert.audit.network import LINEAR, Excess, Network
from diffusionbert.audit.sources import Source
from diffusionbert.diffusion.protocols import protocols

ROUNDING = 1e-9  # nats per token: a closed form in float64 is closer than this
# A trained network's figure is flagged when it is below the entropy by more than so many standard errors; what theory
# says is a bound by more, since chance alone would take one of fifty there by 2 and an alarm stops the stage.
STANDARD_ERRORS = 2.0
STANDARD_ERRORS_OF_A_BOUND = 5.0


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One figure: nats per token above the entropy of its source, which no bound can be below."""

    source: str
    protocol: str
    spindle_lambda: float
    denoiser: str  # in closed form; for a trained network the objective it was trained under
    excess_nats_per_token: float
    standard_error: float = 0.0
    corpus_tokens: int | None = None  # N of the release's counts
    is_bound: bool  # as `diffusion.protocols` declares it

    def __post_init__(self) -> None:
        if math.isnan(self.excess_nats_per_token) or self.excess_nats_per_token == -math.inf:
            raise ValueError(
                f"audit: {self.flag}, {self.denoiser}, {self.source}: the figure is {self.excess_nats_per_token}; "
                "expected a number, or infinity for a denoiser that is certain and wrong"
            )

    @property
    def below_entropy(self) -> bool:
        errors = STANDARD_ERRORS_OF_A_BOUND if self.is_bound else STANDARD_ERRORS
        return self.excess_nats_per_token < -max(ROUNDING, errors * self.standard_error)

    @property
    def flag(self) -> str:
        return f"{self.protocol}@{self.spindle_lambda:g}"


def closed_form(
    source: Source, num_steps: int, lambdas: Sequence[float], corpus_tokens: Sequence[int]
) -> Iterator[Finding]:
    """Every protocol, lambda, denoiser and, for `released`, corpus size; a counted source adds its own size."""
    sizes = sorted({*corpus_tokens, *([] if source.num_tokens is None else [source.num_tokens])})
    for spindle_lambda in lambdas:
        spindle = spindle_of(source, num_steps, spindle_lambda)
        releases = {size: release_of(source, num_steps, spindle_lambda, size) for size in sizes}
        figures: list[tuple[str, int | None, dict[Denoiser, float]]] = [
            ("valid", None, {denoiser: valid_nats(source, spindle, denoiser) for denoiser in DENOISERS}),
            ("oracle", None, told_nats(source, spindle)),
        ]
        figures += [("released", size, told_nats(source, release)) for size, release in releases.items()]
        for protocol, size, by_denoiser in figures:
            scoring = protocols(spindle, releases[size or sizes[0]], continuous=False)[protocol]
            for denoiser, nats in by_denoiser.items():
                yield Finding(
                    source=source.name,
                    protocol=protocol,
                    spindle_lambda=spindle_lambda,
                    denoiser=denoiser,
                    excess_nats_per_token=nats - source.entropy,
                    corpus_tokens=size,
                    is_bound=scoring.is_bound,
                )


def trained(network: Network, excesses: dict[str, dict[str, Excess]]) -> Iterator[Finding]:
    """The trained networks' figures; the control is trained and scored at lambda 0."""
    for objective, by_protocol in excesses.items():
        for protocol, excess in by_protocol.items():
            yield Finding(
                source=network.source.name,
                protocol=protocol,
                spindle_lambda=0.0 if objective == LINEAR else network.spindle_lambda,
                denoiser=objective,
                excess_nats_per_token=excess.nats_per_token,
                standard_error=excess.standard_error,
                is_bound=excess.is_bound,
            )


def not_bounds(findings: Iterable[Finding]) -> list[str]:
    """`protocol@lambda` of all that fall below the entropy.

    Raises ValueError when one of them is a bound by theory: then theory or code is wrong, and no figure can be trusted.
    """
    flagged = [finding for finding in findings if finding.below_entropy]
    for finding in flagged:
        if finding.is_bound:
            raise ValueError(
                f"audit: {finding.flag}, {finding.denoiser}, {finding.source}: {-finding.excess_nats_per_token:.3g} "
                "nats per token below the entropy of the source; expected a bound, which is never below it"
            )
    return sorted({finding.flag for finding in flagged})
