"""What is dropped, and for which reason."""

from __future__ import annotations

import pytest

from diffusionbert import config
from diffusionbert.corpus.cleaning import hyphens_are_spaces, judge, mend

RULES = config.Cleaning(min_words=5, max_words=14)


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("This is a sentence that stays.", None),
        ('"So is this one," said Mr. Smith.', None),
        ("Too short now.", "too_short"),
        ("This one goes on and on and on and on and on and on.", "too_long"),
        ("The Garda\ufffd said it was so.", "damaged"),
        ("He said it was Sch?uble again there.", "damaged"),
        ('The lawmakers"?questions were not heard then.', "damaged"),
        ("They were quashed-as a result of it.", "damaged"),
        ("no capital letter begins this sentence.", "not_a_sentence"),
        ("There is no end mark in this", "not_a_sentence"),
        ("See www.example.com for more of this.", "address_or_markup"),
        ("He wrote to @somebody about it all.", "address_or_markup"),
        ("READ MORE: Somebody has written about it.", "heading"),
        ("In 2016: 12, 13, 14, 15.", "few_letters"),
    ],
)
def test_reasons(sentence: str, reason: str | None) -> None:
    assert judge([sentence], RULES) == [reason]


def test_damage_is_kept_when_it_shall_be() -> None:
    rules = config.Cleaning(drop_damaged=False, min_words=5, max_words=12)
    assert judge(["He said it was Sch?uble again there."], rules) == [None]


def test_hyphens_are_trusted_unless_the_document_lost_its_spaces() -> None:
    good, bad = "A well-known state-of-the-art by-election.", "It was-the end.- He had-been there."
    assert not hyphens_are_spaces(good)
    assert hyphens_are_spaces(bad)
    sentence = ["This is a well-known thing to say."]
    assert judge(sentence, RULES) == [None]
    assert judge(sentence, RULES, distrust_hyphens=True) == ["damaged"]


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("the country.- It grew", "the country. It grew"),
        ("and money.   - Above: The team", "and money. Above: The team"),
        ('the "word" - he said', 'the "word" - he said'),
        ('he doesn"t know', "he doesn't know"),
        ('optimal flavor."?In other words', 'optimal flavor." In other words'),
        ('he asked "why"?', 'he asked "why"?'),
    ],
)
def test_mend(text: str, mended: str) -> None:
    assert mend(text) == mended
