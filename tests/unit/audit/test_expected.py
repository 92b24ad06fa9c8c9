"""The closed forms, digit by digit against those of an independent derivation."""

from __future__ import annotations

import pytest

from diffusionbert.audit.expected import release_of, spindle_of, told_nats, valid_nats
from diffusionbert.audit.sources import zipf

# Zipf, V = 30,000, exponent 1.1, T = 256, Hbar = the entropy; the release with counts of 0.85e9 p(v), centred by
# their expectation: oracle (true posterior, own minimiser), released (the same).
TABLE = {
    0.1: ((6.2571, 6.2364), (6.1522, 6.1501)),
    0.3: ((6.2534, 6.0780), (5.9483, 5.9292)),
    0.5: ((6.2493, 5.9350), (5.7533, 5.6996)),
}
ENTROPY = 6.2573


@pytest.mark.parametrize("spindle_lambda", TABLE)
def test_the_table_to_four_decimals(spindle_lambda: float) -> None:
    source = zipf(30_000, 1.1)
    spindle = spindle_of(source, 256, spindle_lambda)
    release = release_of(source, 256, spindle_lambda, 850_000_000)
    found = [tuple(round(nats, 4) for nats in told_nats(source, each).values()) for each in (spindle, release)]
    assert tuple(found) == TABLE[spindle_lambda]
    assert round(valid_nats(source, spindle, "true_posterior"), 4) == ENTROPY


@pytest.mark.parametrize("denoiser", ["true_posterior", "own_minimiser"])
def test_without_a_spindle_every_protocol_gives_the_entropy(denoiser: str) -> None:
    source = zipf(500, 1.1)
    spindle, release = spindle_of(source, 64, 0.0), release_of(source, 64, 0.0, 1_000_000)
    figures = [told_nats(source, spindle)[denoiser], told_nats(source, release)[denoiser]]
    figures.append(valid_nats(source, spindle, denoiser))
    assert figures == pytest.approx([source.entropy] * 3, abs=1e-12)


def test_the_pieces_of_steps_add_up_whatever_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    source = zipf(100, 1.0)
    spindle = spindle_of(source, 17, 0.3)
    whole = told_nats(source, spindle) | {"valid": valid_nats(source, spindle, "own_minimiser")}
    monkeypatch.setattr("diffusionbert.audit.expected.ENTRIES_AT_ONCE", 300)
    assert told_nats(source, spindle) | {"valid": valid_nats(source, spindle, "own_minimiser")} == pytest.approx(whole)


def test_a_larger_corpus_has_a_flatter_release() -> None:
    source = zipf(1000, 1.1)
    small, large = (told_nats(source, release_of(source, 64, 0.3, size)) for size in (10_000, 10_000_000))
    assert small["own_minimiser"] < large["own_minimiser"] < source.entropy
