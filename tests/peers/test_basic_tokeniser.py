"""transformers' own basic tokeniser splits text into the same words."""

from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.bert.tokenization_bert_legacy import BasicTokenizer

from diffusionbert.words import split_words

LETTERS = st.sampled_from("abcXYZ 019.,;:!?'\"-_()[]$%&/\\#@*+=<>~^`|{}\t\n" + "éÜñßçø—–…“”’«»€£ 東京かな")
TOKENIZER = BasicTokenizer(do_lower_case=True)


@settings(deadline=None, max_examples=200)
@given(st.text(LETTERS, max_size=40) | st.text(st.characters(codec="ascii"), max_size=40))
def test_words_are_transformers(text: str) -> None:
    assert split_words(text) == TOKENIZER.tokenize(text)
