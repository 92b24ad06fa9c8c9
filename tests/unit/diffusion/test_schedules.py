"""Schedules: named values, bad settings, and the ends that are assigned."""

from __future__ import annotations

import math

import pytest
import torch

from diffusionbert.diffusion.schedules import (
    Cosine,
    Linear,
    ReleasedSpindle,
    Spindle,
    log_frequency,
    reveal_probability,
    reveal_rate,
    stay_probability,
)

INFORMATION = torch.tensor([1.0, 2.0, 4.0, math.nan], dtype=torch.float64)


def test_linear_falls_by_one_over_num_steps() -> None:
    alpha = Linear(4).alpha_bar_of_vocabulary(torch.arange(5))
    assert alpha.dtype == torch.float64
    assert alpha[:, 0].tolist() == [1, 0.75, 0.5, 0.25, 0]


def test_cosine_is_the_square_of_the_cosine() -> None:
    alpha = Cosine(4).alpha_bar(torch.tensor([0, 1, 2, 4]), torch.zeros(4, 2, dtype=torch.long))
    expected = [1, (2 + math.sqrt(2)) / 4, 0.5, 0]
    torch.testing.assert_close(alpha[:, 0], torch.tensor(expected, dtype=torch.float64))


def test_spindle_follows_equation_ten() -> None:
    schedule = Spindle(8, INFORMATION, 0.4, "corpus", 2.5)
    alpha = schedule.alpha_bar(torch.tensor([2]), torch.tensor([[0, 1, 2]]))
    wave = 0.4 * math.sin(math.pi / 4)
    expected = [min(1 - 2 / 8 - wave * (1 - 2.5 / h), 1.0) for h in (1.0, 2.0, 4.0)]
    assert alpha.tolist() == [pytest.approx(expected)]
    assert expected[0] == 1, "the most frequent token is clipped here"


def test_sentence_mean_is_over_the_counted_positions() -> None:
    schedule = Spindle(8, INFORMATION, 0.4, "sentence")
    x0 = torch.tensor([[3, 0, 2, 3], [1, 1, 2, 0]])
    counted = torch.tensor([[False, True, True, False], [True, True, True, True]])
    assert schedule.uses_sentence_mean
    assert schedule.sentence_mean(x0, counted).tolist() == [2.5, 2.25]


def test_special_ids_are_never_masked() -> None:
    t = torch.arange(1, 8)
    assert Spindle(8, INFORMATION, 1.0, "corpus", 2.5).alpha_bar_of_vocabulary(t)[:, 3].tolist() == [1.0] * 7


def test_a_sentence_spindle_needs_its_mean() -> None:
    with pytest.raises(ValueError, match="sentence mean"):
        Spindle(8, INFORMATION, 0.4, "sentence").alpha_bar(torch.tensor([2]), torch.tensor([[0]]))


def test_bad_settings_are_named() -> None:
    with pytest.raises(ValueError, match="num_steps is 0"):
        Linear(0)
    with pytest.raises(ValueError, match=r"spindle_lambda is -0\.1"):
        Spindle(4, INFORMATION, -0.1, "sentence")
    with pytest.raises(ValueError, match="spindle mean is 'token'"):
        Spindle(4, INFORMATION, 0.1, "token")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="corpus_mean is nan"):
        Spindle(4, INFORMATION, 0.1, "corpus")
    with pytest.raises(ValueError, match="finite information > 0"):
        Spindle(4, torch.tensor([0.0, 1.0]), 0.1, "sentence")


def test_nothing_masked_reveals_nothing() -> None:
    one = torch.ones(1, dtype=torch.float64)
    assert reveal_probability(one, one).tolist() == [0]
    assert stay_probability(one, one).tolist() == [1]
    assert reveal_rate(one, one).tolist() == [0]


def test_stay_probability_keeps_what_subtraction_loses() -> None:
    # r rounds to 1 here, and 1 - r to 0: the timing term needs the small number itself
    alpha_s = torch.tensor([1 - 2.0**-40], dtype=torch.float64)
    stays = stay_probability(alpha_s, torch.zeros(1, dtype=torch.float64))
    assert stays.tolist() == [2.0**-40]


def test_released_posterior_uses_the_plain_beta() -> None:
    schedule = ReleasedSpindle(8, torch.tensor([1.0, 0.5], dtype=torch.float64), 0.3)
    keep = torch.tensor([[0.6, 0.6]], dtype=torch.float64)
    s, t = torch.tensor([4]), torch.tensor([6])
    assert schedule.transition(s, t).tolist() == [0.5]
    revealed = schedule.reveal_probability(s, t, keep)
    assert revealed.tolist() == [pytest.approx([0.3 / 0.7, 0.3 / 0.7])]


def test_log_frequency_is_one_for_the_most_frequent() -> None:
    logs = log_frequency(torch.tensor([0, 9, 99]))
    torch.testing.assert_close(logs, torch.tensor([0, 0.5, 1], dtype=torch.float64))
