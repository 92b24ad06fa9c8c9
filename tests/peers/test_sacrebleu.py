"""sacrebleu agrees where its definition is nltk's: one reference, every n-gram order matched."""

import pytest
import sacrebleu

from diffusionbert.metrics.bleu import bleu


@pytest.mark.parametrize(
    ("hypothesis", "reference"),
    [
        ("the cat sat on the mat today", "the cat sat on the mat"),
        ("a b c d e f", "a b c d e f g h i"),
        ("a b c d a b c d", "a b c d x"),
    ],
)
def test_one_reference(hypothesis: str, reference: str) -> None:
    theirs = sacrebleu.sentence_bleu(hypothesis, [reference], smooth_method="none", tokenize="none").score / 100
    assert bleu([hypothesis.split()], [reference.split()])[0] == pytest.approx(theirs, rel=1e-12)
