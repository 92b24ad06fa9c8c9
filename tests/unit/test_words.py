import pytest

from diffusionbert.words import split_words, word_starts


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("   \t\n", []),
        ('He said, "Don\'t."', ["he", "said", ",", '"', "don", "'", "t", ".", '"']),
        ('He said , " Don \' t . "', ["he", "said", ",", '"', "don", "'", "t", ".", '"']),
        ("Café NAÏVE", ["cafe", "naive"]),
        ("5.3% of $1,000", ["5", ".", "3", "%", "of", "$", "1", ",", "000"]),
        ("東京 is", ["東", "京", "is"]),
        ("soft\u00adhyphen zero\u0000byte", ["softhyphen", "zerobyte"]),
        ("em\u2014dash\u2026", ["em", "\u2014", "dash", "\u2026"]),
    ],
)
def test_words_are_what_berts_basic_tokeniser_leaves(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        ("", []),
        ('He said, "no".', [0, 3, 7, 9, 10, 12, 13]),
        ("Café  NAÏVE, 東京 \u00ad\u0000x", [0, 6, 11, 13, 14, 18]),
    ],
)
def test_words_begin_where_the_text_has_them(text: str, starts: list[int]) -> None:
    assert word_starts(text) == starts


def test_splitting_again_changes_nothing() -> None:
    text = "Mr. O'Neill's 3-year-old firm (U.S.) grew 5%..."
    words = split_words(text)
    assert split_words(" ".join(words)) == words
