"""Text -> sentences."""

from __future__ import annotations

import pytest

from diffusionbert.corpus.sentences import normalize_space, split_sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It rains. We stay. ", ["It rains.", "We stay."]),
        ('"Go!" he said. "Why?" Nobody knew.', ['"Go!" he said.', '"Why?"', "Nobody knew."]),
        ("Mr. Smith met Sen. Jones. They spoke.", ["Mr. Smith met Sen. Jones.", "They spoke."]),
        ("J. R. Smith came. He left.", ["J. R. Smith came.", "He left."]),
        ("He is in the U.S. The rest is not.", ["He is in the U.S.", "The rest is not."]),
        ("The U.S. Senate met at 5 p.m. on Monday.", ["The U.S. Senate met at 5 p.m. on Monday."]),
        ("It grew 3.5 percent. 40 people saw it.", ["It grew 3.5 percent.", "40 people saw it."]),
        ("See No. 5 there. I said no. He went.", ["See No. 5 there.", "I said no.", "He went."]),
        ("no end mark", ["no end mark"]),
        ("  ", []),
    ],
)
def test_split(text: str, expected: list[str]) -> None:
    assert split_sentences(text) == expected


def test_space() -> None:
    assert normalize_space(" a\u00a0b\t\n c\u200bd ") == "a b cd"
