"""The loss head a few sentences at a time, when the logits of all of them would take more memory than they may.

Logits at the masked positions, (M, V), are the largest array of a training step by far, and their gradient is another
one. A chunk's gradient with respect to the hidden states and the head's weights is taken as soon as its terms are
known, and its logits are dropped before the next chunk's are made: nothing is computed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from diffusionbert.shapes import Float, Int

Terms = Callable[[Tensor, slice], dict[str, Tensor]]


def chunks_within(rows_per_sentence: Sequence[int], most_rows: int) -> list[slice]:
    """Consecutive sentences, as many as have at most `most_rows` rows together; always at least one."""
    chunks, first, rows = [], 0, 0
    for sentence, more in enumerate(rows_per_sentence):
        if rows and rows + more > most_rows:
            chunks.append(slice(first, sentence))
            first, rows = sentence, 0
        rows += more
    return [*chunks, slice(first, len(rows_per_sentence))]


def sentences_within(
    rows_per_sentence: Int[Tensor, B], most_possible: int, vocab_size: int, budget_mb: int
) -> list[slice]:
    """Chunks whose float32 logits fit the budget; one sentence's may exceed it.

    `most_possible` is what the caller knows without a look at the device: where even so many rows fit, none is taken.
    """
    most_rows = max(1, budget_mb * 2**20 // (4 * vocab_size))
    if most_possible <= most_rows:
        return [slice(0, len(rows_per_sentence))]
    return chunks_within(rows_per_sentence.tolist(), most_rows)


def summed_in_chunks(
    hidden: Float[Tensor, "B L H"], parameters: Iterable[nn.Parameter], chunks: Sequence[slice], terms: Terms
) -> tuple[Tensor, dict[str, Tensor]]:
    """The sum of all named terms over the chunks, which carries the gradient, and each term without one.

    `terms(hidden[chunk], chunk)` gives scalars that add up over chunks; `parameters` are those that it may use.
    """
    if len(chunks) == 1 or not torch.is_grad_enabled():
        pieces = [terms(hidden[chunk], chunk) for chunk in chunks]
        named = {name: torch.stack([piece[name] for piece in pieces]).sum() for name in pieces[0]}
        return torch.stack(list(named.values())).sum(), {name: term.detach() for name, term in named.items()}
    found: dict[str, Tensor] = {}
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    total: Tensor = _GradientAtOnce.apply(terms, chunks, found, hidden, *trained)  # type: ignore[no-untyped-call]
    return total, found


class _GradientAtOnce(torch.autograd.Function):
    """The total over the chunks; its gradient is complete when the forward pass ends."""

    @staticmethod
    def forward(
        ctx: Any, terms: Terms, chunks: Sequence[slice], found: dict[str, Tensor], hidden: Tensor, *trained: Tensor
    ) -> Tensor:
        of_hidden = torch.zeros_like(hidden)
        of_trained: list[Tensor | None] = [None] * len(trained)
        for chunk in chunks:
            with torch.enable_grad():
                piece = hidden[chunk].detach().requires_grad_()
                named = terms(piece, chunk)
                total = torch.stack(list(named.values())).sum()
            of_piece, *of_chunk = torch.autograd.grad(total, [piece, *trained], allow_unused=True)
            if of_piece is not None:
                of_hidden[chunk] = of_piece
            for place, gradient in enumerate(of_chunk):
                before = of_trained[place]
                of_trained[place] = gradient if before is None or gradient is None else before.add_(gradient)
            for name, term in named.items():
                found[name] = found[name] + term.detach() if name in found else term.detach()
        ctx.used = [gradient is not None for gradient in of_trained]
        ctx.save_for_backward(of_hidden, *(gradient for gradient in of_trained if gradient is not None))
        return torch.stack(list(found.values())).sum()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (scale,) = upstream
        of_hidden, *rest = ctx.saved_tensors
        remaining = iter(rest)
        of_trained = [next(remaining) * scale.to(of_hidden.dtype) if used else None for used in ctx.used]
        return None, None, None, of_hidden * scale.to(of_hidden.dtype), *of_trained
