"""Diffusion-LM (Li et al. 2022, arXiv 2205.14217): Gaussian diffusion on learnt embeddings, rounded to words.

With `partial_noising` it is DiffuSeq (Gong et al. 2022, arXiv 2210.08933): a source's embeddings stay clean at every
step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from diffusionbert.arms.base import Draw, Loss, Vocabulary
from diffusionbert.arms.diffusion_lm_sampler import sampled, without_end
from diffusionbert.arms.diffusion_lm_scorer import DiffusionLMScorer
from diffusionbert.corpus.batches import Batch
from diffusionbert.denoisers.backbone import Kind
from diffusionbert.denoisers.chunked import sentences_within, summed_in_chunks
from diffusionbert.denoisers.embedded import EmbeddedDenoiser
from diffusionbert.denoisers.masked import Framing
from diffusionbert.diffusion.gaussian import (
    Gaussian,
    cosine_alpha_bar,
    noise_place,
    normals,
    sqrt_alpha_bar,
    squared_norms,
    squares,
)
from diffusionbert.diffusion.sampling import Canvas, State
from diffusionbert.diffusion.truncation import Truncation
from diffusionbert.files import write_json
from diffusionbert.shapes import Bool, Float, Int

LOGITS_BUDGET_MB = 128
BESIDE = "diffusion_lm.safetensors"  # what is no part of the masked LM: embeddings, projections, rounding
MEMORY = 0.05  # of what training saw of its error at some t, the share that the newest batch replaces


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a Diffusion-LM arm may be set to (`arms.X.settings`)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"strict": True, "extra": "forbid"}

    init: Literal["pretrained", "random"]
    schedule: Literal["cosine", "sqrt"]
    num_steps: int = 2000
    embedding_size: int = 128  # the paper's for ROCStories; 16 for E2E
    sampling_steps: int = 200  # the paper's: every tenth of its 2000
    clamp: bool = True  # in sampling each prediction becomes its nearest word's embedding, as the release samples
    prediction: Literal["direct", "expected"] = "direct"
    objective: Literal["simple", "bound"] = "simple"
    partial_noising: bool = False  # given tokens, of pairs the sources, keep clean embeddings: DiffuSeq
    first_variance: float | None = None  # sigma_0^2 of x_0 around EMB(w); None: 1 - a_1, the release's

    def __post_init__(self) -> None:
        for name in ("num_steps", "embedding_size", "sampling_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least 1")
        if self.sampling_steps > self.num_steps:
            raise ValueError(f"sampling_steps is {self.sampling_steps}; expected at most num_steps = {self.num_steps}")
        if self.first_variance is not None and not 0 < self.first_variance < 1:
            raise ValueError(f"first_variance is {self.first_variance}; expected a number in (0, 1), or null")


def process_of(settings: Settings) -> Gaussian:
    alpha_bar = (cosine_alpha_bar if settings.schedule == "cosine" else sqrt_alpha_bar)(settings.num_steps)
    first = settings.first_variance
    return Gaussian(alpha_bar, float(1 - alpha_bar[1]) if first is None else first)


@dataclass(frozen=True)
class _Noised:
    """A batch at step t: EMB(w), x_0, x_t and what the network made of x_t, (B, L, D) each."""

    embedded: Tensor
    x0: Tensor
    xt: Tensor
    output: Tensor


class DiffusionLM:
    """An arm of Gaussian diffusion over embeddings; satisfies `arms.base.Arm`."""

    backbone_kind: ClassVar[Kind] = "masked"

    def __init__(
        self,
        settings: Settings,
        model: Any,
        vocabulary: Vocabulary,
        tokenizer_folder: Path,
        logits_budget_mb: int = LOGITS_BUDGET_MB,
    ) -> None:
        """`model` is a Hugging Face masked LM over the vocabulary, of which only the encoder is used and trained.

        Raises ValueError when the model's vocabulary is not the tokenizer's.
        """
        size = int(model.config.vocab_size)
        if size != vocabulary.size:
            raise ValueError(
                f"the backbone has a vocabulary of {size} and the token shards one of {vocabulary.size}; expected "
                "the backbone's own tokenizer"
            )
        self.settings = settings
        self.vocabulary = vocabulary
        self.tokenizer_folder = tokenizer_folder
        self.logits_budget_mb = logits_budget_mb
        self.process = process_of(settings)
        self.model = model
        framing = Framing(vocabulary.pad_id, vocabulary.cls_id, vocabulary.sep_id)
        self.denoiser = EmbeddedDenoiser(model, framing, settings.embedding_size)

    def start(self) -> None:
        """The weights that are its own, and the encoder's positions where its weights are drawn."""
        vocabulary, denoiser = self.vocabulary, self.denoiser
        denoiser.start_from_frequencies(-vocabulary.information.masked_fill(~vocabulary.candidates, 0.0))
        if self.settings.init == "pretrained":
            denoiser.start_from_words()
        else:
            denoiser.start_positions()
        if self.settings.prediction == "expected":
            denoiser.start_silent()

    @property
    def module(self) -> nn.Module:
        return self.denoiser

    @property
    def num_steps(self) -> int:
        return self.settings.num_steps

    @property
    def continuous(self) -> bool:
        return False

    @property
    def one_t_per_batch(self) -> bool:
        return False

    @property
    def max_length(self) -> int:
        return self.denoiser.max_length

    def noised(self, batch: Batch, draw: Draw) -> _Noised:
        """x_0 and x_t of one draw; both come from the same chain where training asks for x_0 back.

        Given tokens are their embeddings at every t (partial noising). Raises ValueError where that is not set.
        """
        if batch.given is not None and not self.settings.partial_noising:
            raise ValueError(
                "settings.partial_noising is false, and the batch has given tokens; expected true, as for pairs"
            )
        embedded = self.denoiser.embedding(batch.tokens)
        of_x0, of_xt = normals(draw.uniforms, [self.settings.embedding_size] * 2)
        x0 = embedded + self.process.first_variance**0.5 * of_x0
        xt = self.process.noised_further(x0, draw.t, of_xt)
        if batch.given is not None:
            x0, xt = (torch.where(batch.counted[..., None], noisy, embedded) for noisy in (x0, xt))
        return _Noised(embedded, x0, xt, self.denoiser(xt, batch.lengths, draw.t))

    def chunks(self, lengths: Tensor, longest: int) -> list[slice]:
        return sentences_within(lengths, len(lengths) * longest, self.vocabulary.size, self.logits_budget_mb)

    def predict(
        self,
        output: Float[Tensor, "M D"],
        xt: Float[Tensor, "M D"],
        t: Int[Tensor, M],
        inner: Bool[Tensor, M] | None = None,
    ) -> Tensor:
        """f(x_t, t), the prediction of EMB(w): the network's output, or the expected embedding.

        `expected` reads the output as evidence on the word, p(w) in proportion to exp(out . EMB(w) + b(w)), and adds
        that of x_t itself, N(x_t; sqrt(a_t) EMB(w), v_t I): f = sum_w p(w | out, x_t) EMB(w), Bayes' rule. Where
        `inner` says that a text goes on behind, the end token is no such w.
        """
        if self.settings.prediction == "direct":
            return output
        with self.float32():
            embeddings, snr = self.denoiser.embedding.weight, self.process.snr.to(output)[t]
            rate = (self.process.alpha_bar.sqrt() / self.process.variance).to(output)[t]
            # SNR |EMB(w)|^2 / 2 as one more component, so that a single product makes the logits
            evidence = torch.cat([output + rate[:, None] * xt, -snr[:, None] / 2], -1)
            words = torch.cat([embeddings, embeddings.square().sum(-1, keepdim=True)], -1)
            logits = without_end(nn.functional.linear(evidence, words, self.bias()), self.vocabulary.sep_id, inner)
            return logits.softmax(-1) @ embeddings

    def float32(self) -> torch.autocast:
        """Autocast off: the bound multiplies a prediction's squared error by an SNR of up to 1 / sigma_0^2."""
        return torch.autocast(self.device.type, enabled=False)

    def bias(self) -> Tensor:
        """b(w) of the candidates, -inf elsewhere: no other id is a word."""
        return self.denoiser.rounding_bias.masked_fill(~self.vocabulary.candidates.to(self.device), -torch.inf)

    @property
    def device(self) -> torch.device:
        return self.denoiser.rounding_bias.device

    def rounding_nats(self, x0: Float[Tensor, "M D"], tokens: Int[Tensor, M]) -> Float[Tensor, M]:
        """-ln p(w | x_0), float32."""
        with self.float32():
            logits = nn.functional.linear(x0, self.denoiser.embedding.weight, self.bias())
            return nn.functional.cross_entropy(logits, tokens, reduction="none")

    def loss(self, batch: Batch, draw: Draw) -> Loss:
        """`simple`: L_simple^e2e of Li et al., whose squared errors are means over components, of no unit, beside nats.

        The target is x_0, and EMB(w) at t = 1; t is uniform. `bound`: T times the bound's term at t, nats per token.
        """
        noised = self.noised(batch, draw)
        size, tokens = self.settings.embedding_size, batch.num_counted.sum()
        if self.settings.objective == "simple":
            scale = torch.full((len(draw.t),), 1 / size, device=draw.t.device) / tokens
            target = torch.where((draw.t == 1)[:, None, None], noised.embedded, noised.x0)
            last = noised.x0 * float(self.process.alpha_bar[-1]) ** 0.5
            prior = squared_norms(last, batch.counted).sum() / (size * tokens)
        else:
            scale = self.num_steps * self.process.half_snr_drop(draw.t - 1, draw.t) / tokens
            target = noised.embedded
            prior = self.process.prior_term(noised.embedded, batch.counted).sum() / tokens
        errors = torch.zeros(len(batch.lengths), device=scale.device)

        def terms(vectors: Tensor, chunk: slice) -> dict[str, Tensor]:
            counted = batch.counted[chunk]
            x0, xt, output, wanted, words = (part[counted] for part in torch.tensor_split(vectors, 5, -1))
            steps = draw.t[chunk, None].expand_as(counted)[counted]
            predicted = self.predict(output, xt, steps)
            sentence = counted.nonzero()[:, 0]
            with torch.no_grad():
                errors[chunk] += torch.zeros_like(errors[chunk]).index_add(0, sentence, squares(words - predicted))
            return {
                "error": (squares(wanted - predicted) * scale[chunk][sentence]).sum(),
                "rounding": self.rounding_nats(x0, batch.tokens[chunk][counted]).sum() / tokens,
            }

        together = torch.cat([noised.x0, noised.xt, noised.output, target, noised.embedded], -1)
        chunks = self.chunks(batch.num_counted, batch.tokens.shape[1])
        used = (*self.denoiser.embedding.parameters(), self.denoiser.rounding_bias)
        total, named = summed_in_chunks(together, used, chunks, terms)
        place = noise_place(self.process).to(draw.t.device)[draw.t]
        observed = torch.stack([place, errors / (size * batch.num_counted)], -1)
        return Loss(total + prior, {**named, "prior": prior.detach()}, tokens, observed)

    def remember(self, observed: Float[Tensor, "B 2"]) -> None:
        """The error at every sentence's noise, which says where the scorer draws its steps."""
        place, errors = observed.unbind(-1)
        self.denoiser.remember(place, errors, MEMORY)

    def warmup_loss(self, batch: Batch, draw: Draw) -> Loss:
        return self.loss(batch, draw)

    def scorer(self, orders: Sequence[float], released_lambda: float, *, continuous: bool = False) -> DiffusionLMScorer:
        return DiffusionLMScorer(self)

    def own_steps(self, length: int) -> tuple[int, ...]:
        return tuple(dict.fromkeys((self.settings.sampling_steps, self.num_steps)))

    @torch.no_grad()
    def sample(self, canvas: Canvas, num_steps: int, truncation: Truncation, rng: torch.Generator) -> Iterator[State]:
        """Ancestral, down an even grid of `num_steps` (`arms.diffusion_lm_sampler`).

        Raises ValueError when tokens are given and it was not trained beside embeddings without noise.
        """
        yield from sampled(self, canvas, num_steps, truncation, rng)

    def save(self, folder: Path) -> None:
        self.model.config._name_or_path = ""  # else the path it came from would be part of the result
        self.model.save_pretrained(folder)
        for path in sorted(self.tokenizer_folder.iterdir()):
            (folder / path.name).write_bytes(path.read_bytes())
        save_file(self._beside(), folder / BESIDE)
        write_json(folder / "arm.json", {"system": "diffusion_lm", "settings": asdict(self.settings)})

    def restore(self, folder: Path) -> None:
        """Raises ValueError naming the file when its tensors are not this arm's."""
        path = folder / BESIDE
        if not path.is_file():
            raise ValueError(f"{path}: no such file; expected the embeddings of a Diffusion-LM arm")
        found, wanted = load_file(path), self._beside()
        for name, tensor in wanted.items():
            if name not in found or found[name].shape != tensor.shape:
                shape = tuple(found[name].shape) if name in found else "none"
                raise ValueError(f"{path}: found {shape} under '{name}'; expected {tuple(tensor.shape)}")
        self.denoiser.load_state_dict(found, strict=False)

    def _beside(self) -> dict[str, Tensor]:
        state = self.denoiser.state_dict()
        return {name: tensor.contiguous() for name, tensor in state.items() if not name.startswith("encoder.")}
