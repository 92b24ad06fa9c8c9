from __future__ import annotations

import pytest

from diffusionbert.audit import bound_code
from diffusionbert.audit.bound_code import TOLERANCE, largest_difference


def test_closed_forms_are_what_the_bound_itself_gives() -> None:
    assert largest_difference([0.0, 0.3, 2.0]) < TOLERANCE


def test_a_difference_is_an_error_that_names_the_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bound_code, "valid_nats", lambda source, schedule, denoiser: source.entropy + 1e-6)
    with pytest.raises(ValueError, match=r"valid at lambda 0\.1, true_posterior: .* differ by 1e-06 nats per token"):
        largest_difference([0.1])
