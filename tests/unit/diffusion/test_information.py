"""H(v) from counts."""

from __future__ import annotations

import numpy as np
import pytest

from diffusionbert.diffusion.information import mean_information, token_information


def test_information_is_minus_log_of_the_smoothed_probability() -> None:
    counts = np.array([7, 3, 0, 5])
    candidates = np.array([False, True, True, True])
    probability, information = token_information(counts, candidates, 1.0)
    np.testing.assert_allclose(probability, np.array([0, 4, 1, 6]) / 11)
    np.testing.assert_allclose(information[1:], -np.log(np.array([4, 1, 6]) / 11))
    assert np.isnan(information[0])
    entropy = -(probability[1:] * np.log(probability[1:])).sum()
    assert mean_information(probability, information) == pytest.approx(entropy)


@pytest.mark.parametrize(
    ("counts", "candidates", "smoothing", "message"),
    [
        ([1, 2], [True, True], 0.0, "smoothing is 0"),
        ([1, 2], [True, False], 1.0, "1 candidate"),
        ([1, -2], [True, True], 1.0, "token 1 is negative"),
        ([1, 2], [True], 1.0, "differ in shape"),
    ],
)
def test_bad_input_is_named(counts: list[int], candidates: list[bool], smoothing: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        token_information(np.array(counts), np.array(candidates), smoothing)
