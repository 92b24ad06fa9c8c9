"""The denoiser of Diffusion-LM: a masked LM's encoder over noisy embeddings, and the rounding back to words."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from diffusionbert.denoisers.backbone import num_positions
from diffusionbert.denoisers.masked import Framing
from diffusionbert.shapes import Float, Int

TIME_WIDTH = 128  # of the sinusoids, as Diffusion-LM's
BUCKETS = 32  # of noise levels, for what is remembered of the error


class EmbeddedDenoiser(nn.Module):
    """(x_t, t) in, a vector per position out; with the learnt embeddings of the words and their rounding.

    As in Diffusion-LM: a projection to the encoder's width plus an embedding of t, the encoder with its own positions,
    a projection of two layers back, and p(w | x) = softmax(x . EMB(w) + b(w)), tied to the embeddings. [CLS] and [SEP]
    stand around the sentence as their embeddings, without noise and never counted; padding is not attended to.
    """

    squared_error: Tensor
    visits: Tensor

    def __init__(self, model: Any, framing: Framing, embedding_size: int) -> None:
        super().__init__()
        self.encoder = getattr(model, model.base_model_prefix)
        self.framing = framing
        vocab_size, width = model.get_input_embeddings().weight.shape
        hidden = int(model.config.hidden_size)
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.rounding_bias = nn.Parameter(torch.zeros(vocab_size))
        self.input_projection = nn.Linear(embedding_size, width)
        self.time = nn.Sequential(nn.Linear(TIME_WIDTH, 4 * TIME_WIDTH), nn.SiLU(), nn.Linear(4 * TIME_WIDTH, width))
        # before anything is seen: none where there is no noise, all of it where there is nothing else
        self.register_buffer("squared_error", (torch.arange(1, BUCKETS + 1) / BUCKETS) ** 4)
        self.register_buffer("visits", torch.zeros(BUCKETS))
        self.output_projection = nn.Sequential(nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, embedding_size))

    @property
    def max_length(self) -> int:
        """The longest sentence that fits, [CLS] and [SEP] taken off."""
        return num_positions(self.encoder.config) - 2

    @torch.no_grad()
    def start_from_frequencies(self, log_probability: Float[Tensor, V]) -> None:
        """The rounding's bias from the words' frequencies, 0 where an id is no word."""
        self.rounding_bias.copy_(log_probability)

    @torch.no_grad()
    def start_positions(self) -> None:
        """The encoder's learnt positions, where it has any, from N(0, 1), as the releases of Diffusion-LM and DiffuSeq.

        A masked LM's own start (0.02 in BERT) is made for words of that size; beside embeddings of variance 1 it is
        lost, and a short training learns nothing of where a token stands.
        """
        for name, module in self.encoder.named_modules():
            if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight)

    @torch.no_grad()
    def start_silent(self) -> None:
        """An output of 0, which as evidence on a word says nothing."""
        _silence(self.output_projection)

    @torch.no_grad()
    def start_from_words(self) -> None:
        """Embeddings and input projection from the encoder's own word embeddings.

        The embeddings are their principal components, scaled to variance 1 a component on average; the projection
        undoes both, so that the encoder meets its own words (all that the components hold of them) at noise 0.

        Raises ValueError when there are fewer components than the embeddings have.
        """
        words = self.encoder.get_input_embeddings().weight.detach().double()
        size = self.embedding.embedding_dim
        if size > words.shape[1]:
            raise ValueError(
                f"embedding_size is {size} with init 'pretrained', and the backbone's words have {words.shape[1]} "
                "components; expected at most as many"
            )
        mean = words.mean(0)
        _, vectors = torch.linalg.eigh((words - mean).T @ (words - mean))
        components = vectors[:, -size:]
        reduced = (words - mean) @ components
        scale = reduced.square().mean().sqrt()
        self.embedding.weight.copy_(reduced / scale)
        self.input_projection.weight.copy_(components * scale)
        self.input_projection.bias.copy_(mean)
        _silence(self.time)

    def forward(self, xt: Float[Tensor, "B L D"], lengths: Int[Tensor, B], t: Int[Tensor, B]) -> Float[Tensor, "B L D"]:
        """The vector predicted at the sentence's own positions; float32 whatever the autocast."""
        framing, length = self.framing, xt.shape[1]
        place = torch.arange(length + 2, device=xt.device)
        cls, sep = self.embedding.weight[framing.cls_id], self.embedding.weight[framing.sep_id]
        framed = nn.functional.pad(xt, (0, 0, 1, 1))
        framed = torch.where((place == 0)[None, :, None], cls, framed)
        framed = torch.where((place == lengths[:, None] + 1)[..., None], sep, framed)
        attended = (place <= lengths[:, None] + 1).long()
        inputs = self.input_projection(framed) + self.time(sinusoids(t))[:, None]
        hidden = self.encoder(inputs_embeds=inputs, attention_mask=attended).last_hidden_state[:, 1:-1]
        with torch.autocast(hidden.device.type, enabled=False):
            projected: Tensor = self.output_projection(hidden.float())
        return projected

    @torch.no_grad()
    def remember(self, place: Float[Tensor, B], squared_error: Float[Tensor, B], share: float) -> None:
        """Moves what is known of the error (mean over components) at a place in [0, 1] by a share towards what is seen.

        What is kept is its mean square: draws in proportion to the root of that have the smallest variance. The first
        visits of a place are averaged, so that nothing is left there of what was assumed before.
        """
        bucket = _bucket(place)
        count = torch.zeros_like(self.squared_error).index_add(0, bucket, torch.ones_like(squared_error))
        total = torch.zeros_like(self.squared_error).index_add(0, bucket, squared_error.square())
        self.visits += count > 0
        share_now = (1 / self.visits.clamp(min=1)).clamp(min=share)
        moved = self.squared_error + share_now * (total / count.clamp(min=1) - self.squared_error)
        self.squared_error.copy_(torch.where(count > 0, moved, self.squared_error))

    def remembered(self, place: Float[Tensor, K]) -> Float[Tensor, K]:
        """The remembered error at places in [0, 1], the root of its mean square."""
        return self.squared_error.sqrt()[_bucket(place)]

    def rounding_logits(self, x: Float[Tensor, "M D"]) -> Float[Tensor, "M V"]:
        """ln p(w | x) up to a constant a row; float32 whatever the autocast."""
        with torch.autocast(x.device.type, enabled=False):
            return nn.functional.linear(x, self.embedding.weight, self.rounding_bias)


def _silence(layers: nn.Sequential) -> None:
    """Has the last layer give 0 whatever it is given."""
    last = layers[-1]
    assert isinstance(last, nn.Linear), "both end in a projection"
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)


def _bucket(place: Tensor) -> Tensor:
    return (place * BUCKETS).long().clamp(0, BUCKETS - 1)


def sinusoids(t: Int[Tensor, B]) -> Float[Tensor, "B D"]:
    """cos and sin of t at TIME_WIDTH / 2 rates from 1 to 1/10,000."""
    half = TIME_WIDTH // 2
    rates = torch.exp(-math.log(10_000) * torch.arange(half, dtype=torch.float64, device=t.device) / half)
    angles = t.double()[:, None] * rates
    return torch.cat([angles.cos(), angles.sin()], -1).float()
