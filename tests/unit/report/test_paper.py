import pytest

from diffusionbert.report.paper import TABLE_2, TABLE_3, Design, published_ratio, row_of


def test_every_design_stands_in_one_row() -> None:
    assert len({row.design for row in TABLE_2}) == len(TABLE_2) == 10


def test_the_headline_of_the_paper() -> None:
    spindle = Design("absorbing", "pretrained", "spindle", "tad")
    linear = Design("absorbing", "pretrained", "linear", "tad")
    assert published_ratio(spindle, linear) == pytest.approx(0.81, abs=0.001)
    assert published_ratio(spindle, Design("absorbing", "random", "spindle", "tad")) is None
    assert row_of(Design("gpt", "random", None, None)) is None


def test_the_two_tables_agree_where_both_have_the_model() -> None:
    steps_128 = next(row for row in TABLE_3 if (row.method, row.num_steps) == ("DiffusionBERT", 128))
    best = min(TABLE_2, key=lambda row: row.perplexity_per_word)
    assert steps_128.perplexity_per_word == best.perplexity_per_word
