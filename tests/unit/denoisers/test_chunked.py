"""Chunks of sentences: which, and that their gradients are taken once each."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from diffusionbert.denoisers.chunked import chunks_within, sentences_within, summed_in_chunks


@pytest.mark.parametrize(
    ("rows", "most", "expected"),
    [
        ([3, 3, 3], 9, [(0, 3)]),
        ([3, 3, 3], 6, [(0, 2), (2, 3)]),
        ([3, 3, 3], 5, [(0, 1), (1, 2), (2, 3)]),
        ([9, 1, 1], 2, [(0, 1), (1, 3)]),  # one sentence may be more than fits
        ([0, 0, 5], 2, [(0, 3)]),
        ([0], 1, [(0, 1)]),
    ],
)
def test_chunks(rows: list[int], most: int, expected: list[tuple[int, int]]) -> None:
    assert [(chunk.start, chunk.stop) for chunk in chunks_within(rows, most)] == expected


def test_the_budget_is_of_float32_logits() -> None:
    rows = torch.tensor([100, 100, 100])
    assert len(sentences_within(rows, 300, vocab_size=2**18, budget_mb=300)) == 1
    assert len(sentences_within(rows, 300, vocab_size=2**18, budget_mb=299)) == 2
    assert len(sentences_within(rows, 300, vocab_size=2**18, budget_mb=100)) == 3


def test_unused_parameters_and_unused_hidden_states_have_no_gradient() -> None:
    used, unused = nn.Linear(4, 5), nn.Linear(4, 5)
    hidden = torch.randn(3, 2, 4, requires_grad=True)
    seen: list[slice] = []

    def terms(piece: Tensor, chunk: slice) -> dict[str, Tensor]:
        seen.append(chunk)
        return {"one": used(piece[:, 0]).sum(), "two": piece.detach().sum()}

    chunks = [slice(0, 2), slice(2, 3)]
    total, named = summed_in_chunks(hidden, [*used.parameters(), *unused.parameters()], chunks, terms)
    total.backward()
    assert seen == chunks
    assert not any(term.requires_grad for term in named.values())
    assert unused.weight.grad is None
    assert used.weight.grad is not None
    torch.testing.assert_close(used.weight.grad, hidden.detach()[:, 0].sum(0).expand(5, 4))
    assert hidden.grad is not None
    assert bool((hidden.grad[:, 1] == 0).all())
    torch.testing.assert_close(named["one"] + named["two"], total.detach())


def test_without_gradients_none_is_taken() -> None:
    with torch.no_grad():
        total, _ = summed_in_chunks(
            torch.ones(2, 1, 1), [], [slice(0, 1), slice(1, 2)], lambda piece, _: {"sum": piece.sum()}
        )
    assert total.item() == 2
    assert not total.requires_grad
