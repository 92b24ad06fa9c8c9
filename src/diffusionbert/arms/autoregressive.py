"""Autoregressive language model: GPT from random or pretrained weights, scored exactly and sampled left to right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from diffusionbert.arms.base import Draw, Figure, Loss, Vocabulary
from diffusionbert.corpus.batches import Batch
from diffusionbert.denoisers.backbone import Kind
from diffusionbert.denoisers.causal import CausalPredictor
from diffusionbert.denoisers.chunked import sentences_within, summed_in_chunks
from diffusionbert.denoisers.masked import Framing
from diffusionbert.diffusion.bound import Terms
from diffusionbert.diffusion.logsums import log_sums_and_targets
from diffusionbert.diffusion.sampling import Canvas, State
from diffusionbert.diffusion.truncation import Truncation, draw_tokens
from diffusionbert.files import write_json

LOGITS_BUDGET_MB = 128
GIVEN_LENGTH, WITH_END = "exact", "with_end"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What an autoregressive arm may be set to (`arms.X.settings`)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"strict": True, "extra": "forbid"}

    init: Literal["pretrained", "random"]


class Autoregressive:
    """An arm that predicts each token from those before it; satisfies `arms.base.Arm`. It has no t and no noise."""

    backbone_kind: ClassVar[Kind] = "causal"

    def __init__(
        self,
        settings: Settings,
        model: Any,
        vocabulary: Vocabulary,
        tokenizer_folder: Path,
        logits_budget_mb: int = LOGITS_BUDGET_MB,
    ) -> None:
        """`model` is a Hugging Face causal LM over the vocabulary; no more logits are held at once than fit the budget.

        Raises ValueError when the model's vocabulary is not the tokenizer's.
        """
        size = int(model.config.vocab_size)
        if size != vocabulary.size:
            raise ValueError(
                f"the backbone has a vocabulary of {size} and the token shards one of {vocabulary.size}; expected "
                "the backbone's own tokenizer"
            )
        for config in (model.config, model.generation_config):  # what it was made with may be another tokenizer's
            config.bos_token_id = vocabulary.cls_id
            config.eos_token_id = vocabulary.sep_id
            config.pad_token_id = vocabulary.pad_id
        self.settings = settings
        self.vocabulary = vocabulary
        self.tokenizer_folder = tokenizer_folder
        self.logits_budget_mb = logits_budget_mb
        self.predictor = CausalPredictor(model, Framing(vocabulary.pad_id, vocabulary.cls_id, vocabulary.sep_id))

    @property
    def module(self) -> nn.Module:
        return self.predictor

    @property
    def num_steps(self) -> int:
        """One: every token is trained on at every step, and the draw of a step is not read."""
        return 1

    @property
    def continuous(self) -> bool:
        return False

    @property
    def one_t_per_batch(self) -> bool:
        return False

    @property
    def max_length(self) -> int:
        return self.predictor.max_length

    def chunks(self, rows: Tensor) -> list[slice]:
        """Sentences whose logits at the positions `rows` marks fit the budget."""
        return sentences_within(rows.sum(-1), rows.numel(), self.vocabulary.size, self.logits_budget_mb)

    def loss(self, batch: Batch, draw: Draw) -> Loss:
        """Mean cross-entropy of a sentence's tokens and of its end, over the full softmax, nats per token.

        Its terms are the tokens' share and the end's. Tokens that are given are read and not predicted: of pairs the
        source comes first. The draw is not read.
        """
        hidden = self.predictor.encode(batch.tokens)
        targets, real = self.predictor.targets(batch.tokens, batch.lengths, batch.given)
        count = (batch.num_counted + 1).sum()
        scale = 1 / count
        every_id = torch.ones(1, 1, self.vocabulary.size, device=hidden.device)

        def terms(hidden: Tensor, chunk: slice) -> dict[str, Tensor]:
            logits, wanted = self.predictor.predict(hidden, real[chunk]), targets[chunk][real[chunk]]
            log_sum, chosen = log_sums_and_targets(logits, every_id, real[chunk].sum()[None], wanted)
            nats, end = log_sum.squeeze(-1) - chosen, _is_end(batch.num_counted[chunk])
            return {"token": nats[~end].sum() * scale, "end": nats[end].sum() * scale}

        return Loss(*summed_in_chunks(hidden, self.predictor.parameters(), self.chunks(real), terms), count)

    def warmup_loss(self, batch: Batch, draw: Draw) -> Loss:
        return self.loss(batch, draw)

    def scorer(
        self, orders: Sequence[float], released_lambda: float, *, continuous: bool = False
    ) -> AutoregressiveScorer:
        """One pass, whatever is asked of diffusions: there is no t, no schedule and no order but left to right."""
        return AutoregressiveScorer(self)

    def own_steps(self, length: int) -> tuple[int, ...]:
        return (length,)

    @torch.no_grad()
    def sample(self, canvas: Canvas, num_steps: int, truncation: Truncation, rng: torch.Generator) -> Iterator[State]:
        """One token a step, over the candidates alone, behind the given ones; positions still to come hold padding.

        Raises ValueError when a given token stands behind an unknown one, which a causal model would not have seen,
        and when the steps are not as many as the row with most of them has unknown tokens.
        """
        masked, vocabulary = canvas.masked, self.vocabulary
        _check_left_to_right(canvas, num_steps)
        xt = canvas.xt.masked_fill(masked, vocabulary.pad_id)
        no_weights = torch.zeros(1, vocabulary.size, device=xt.device)
        first, end = (
            int((canvas.lengths - masked.sum(-1)).min()),
            int(canvas.lengths.max()),
        )  # before `first` all is given
        last, cache = torch.cat([torch.full_like(xt[:, :1], vocabulary.cls_id), xt[:, :first]], -1), None
        for place in range(first, end):
            hidden, cache = self.predictor.read(last, cache)
            writing = masked[:, place]
            uniforms = torch.rand(len(xt), generator=rng, dtype=torch.float64, device=rng.device).to(xt.device)
            logits = self.predictor.predict(hidden, writing)
            tokens, _ = draw_tokens(logits, no_weights, vocabulary.candidates, truncation, uniforms[writing])
            xt[writing, place] = tokens
            last = xt[:, place : place + 1]
            yield State(int(masked[:, place + 1 :].sum(-1).max()), xt.clone(), place - first + 1)
        if first == end:  # nothing is unknown
            yield State(0, xt, 0)

    def save(self, folder: Path) -> None:
        model = self.predictor.model
        model.config._name_or_path = ""  # else the path it came from would be part of the result
        model.save_pretrained(folder)
        for path in sorted(self.tokenizer_folder.iterdir()):
            (folder / path.name).write_bytes(path.read_bytes())
        write_json(folder / "arm.json", {"system": "autoregressive", "settings": asdict(self.settings)})

    def restore(self, folder: Path) -> None:
        """Nothing: the model is all there is."""


def _check_left_to_right(canvas: Canvas, num_steps: int) -> None:
    """Raises ValueError for a canvas that cannot be written from left to right, or not in so many steps."""
    behind = ~canvas.masked & (canvas.masked.cumsum(-1) > 0) & canvas.counted
    if bool(behind.any()):
        raise ValueError(
            f"token {int(behind.nonzero()[0, 1]) + 1} is given behind an unknown one; expected given tokens at the "
            "start alone, as a causal model does not look to its right"
        )
    longest = int(canvas.masked.sum(-1).max())
    if num_steps != longest:
        raise ValueError(f"{num_steps} steps for a text of {longest} unknown tokens; left to right it takes {longest}")


class AutoregressiveScorer:
    """Scores every sentence in one pass, exactly.

    `exact` is -ln p(x | n) = -sum_i ln p~(x_i | x_<i): as p~ is everywhere here, the softmax over the candidates
    alone. To be given the length n means that at each of the n positions a word stands: neither the end nor any
    other special token can, and the end after n is certain. It is a distribution over the sentences of n tokens, and
    the one that `sample` draws from. (It is not p(x, end) / p(n): that sums over all sentences.) Where targets of
    pairs are filled up with end tokens, the end is a candidate as any word is, x has the fill, and what is given is
    the frame's size alone: the text's own length is paid for.

    `with_end` is -ln p(x_1 .. x_n, end) under the full softmax, which the model was trained on: the length is not
    given, and what special tokens take is lost.
    """

    num_steps: int | None = None
    continuous = False

    def __init__(self, arm: Autoregressive) -> None:
        self.arm = arm
        learnt = bool(arm.vocabulary.candidates[arm.vocabulary.sep_id])
        length = "its length learnt by end tokens" if learnt else "given the length"
        self.figures: Mapping[str, Figure] = {
            GIVEN_LENGTH: Figure(is_bound=True, schedule=f"left to right, {length}", exact=True),
            WITH_END: Figure(is_bound=True, schedule="left to right, with the end token", exact=True),
        }

    def __call__(self, batch: Batch, draw: Draw, names: Sequence[str]) -> dict[str, Terms]:
        parts = list(self._chunks(batch))
        return {name: Terms.joined([part[name] for part in parts]) for name in names}

    def _chunks(self, batch: Batch) -> Iterator[dict[str, Terms]]:
        predictor, candidates = self.arm.predictor, self.arm.vocabulary.candidates
        hidden = predictor.encode(batch.tokens)
        targets, real = predictor.targets(batch.tokens, batch.lengths, batch.given)
        both = torch.stack([candidates, torch.ones_like(candidates)])[None].float()  # (1, 2, V)
        for chunk in self.arm.chunks(real):
            rows, wanted = real[chunk], targets[chunk][real[chunk]]
            logits = predictor.predict(hidden[chunk], rows)
            log_sums, chosen = log_sums_and_targets(logits, both, rows.sum()[None], wanted)
            among_candidates, among_all = (log_sums - chosen[:, None]).unbind(-1)
            given_length = torch.where(candidates[wanted], among_candidates, torch.inf)
            given_length = given_length.masked_fill(_is_end(batch.num_counted[chunk]), 0.0)
            yield {GIVEN_LENGTH: _terms(given_length, rows), WITH_END: _terms(among_all, rows)}


def _is_end(lengths: Tensor) -> Tensor:
    """Which of the rows of these sentences, n + 1 each for n tokens that are predicted, is the end's."""
    ends = torch.zeros(int((lengths + 1).sum()), dtype=torch.bool, device=lengths.device)
    ends[(lengths + 1).cumsum(0) - 1] = True
    return ends


def _terms(nats: Tensor, rows: Tensor) -> Terms:
    """Nats of the rows, summed sentence by sentence in float64."""
    nothing = torch.zeros(len(rows), dtype=torch.float64, device=nats.device)
    return Terms(nothing.index_add(0, rows.nonzero()[:, 0], nats.double()), nothing)
