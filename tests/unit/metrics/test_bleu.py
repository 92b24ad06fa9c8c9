import numpy as np
import pytest

from diffusionbert.metrics.bleu import bleu, self_bleu


def test_a_hypothesis_that_is_a_reference_scores_one() -> None:
    text = ["the", "minister", "said", "on", "tuesday", "that"]
    assert bleu([text], [text, ["other"]])[0] == pytest.approx(1.0, abs=1e-15)


def test_no_word_in_common_is_zero_and_no_four_gram_in_common_is_tiny() -> None:
    scores = bleu([["x", "y"], ["a", "b", "c", "x", "d", "e"]], [["a", "b", "c", "d", "e"]])
    assert scores[0] == 0.0
    assert 0 < scores[1] < 1e-70


def test_references_may_be_a_generator_that_is_read_once() -> None:
    references = [["a", "b"], ["c"]]
    np.testing.assert_array_equal(bleu([["a", "c"]], iter(references)), bleu([["a", "c"]], references))


def test_self_bleu_does_not_compare_a_sample_with_itself() -> None:
    assert self_bleu([["a", "b", "c", "d", "e"], ["v", "w", "x", "y", "z"]]).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bleu([], [["a"]]), "no samples"),
        (lambda: bleu([["a"]], []), "no references"),
        (lambda: self_bleu([["a"]]), "1 samples; expected at least two"),
    ],
)
def test_nothing_to_score_is_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
