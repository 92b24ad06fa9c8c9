"""What arms over a masked LM share: noising a batch, asking the denoiser where it is [MASK], a chunk at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from diffusionbert.arms.base import Draw, Loss, Vocabulary
from diffusionbert.corpus.batches import Batch
from diffusionbert.denoisers.chunked import sentences_within, summed_in_chunks
from diffusionbert.denoisers.masked import MaskedDenoiser
from diffusionbert.diffusion.absorbing import absorb
from diffusionbert.diffusion.bound import Step, negative_log_prediction
from diffusionbert.diffusion.sampling import Canvas, Predictor
from diffusionbert.diffusion.schedules import Schedule
from diffusionbert.files import write_json
from diffusionbert.shapes import Bool, Float, Int

LOGITS_BUDGET_MB = 128  # on a CPU less is slower and more is no faster
MLM_SHARE = 0.15  # BERT's share of the tokens that are to be predicted
TIME_FILE = "time.safetensors"  # beside the backbone, of arms that are told the time


@runtime_checkable
class OverMasked(Protocol):
    """An arm whose network is a masked LM."""

    denoiser: MaskedDenoiser
    vocabulary: Vocabulary
    logits_budget_mb: int  # no more logits are held at once than fit


@dataclass(frozen=True)
class Unending:
    """A predictor that gives the end token no probability where a text is known to go on."""

    predictor: Predictor
    end_id: int
    inner: Bool[Tensor, "B L"]

    @property
    def time_agnostic(self) -> bool:
        return self.predictor.time_agnostic

    def encode(self, xt: Int[Tensor, "B L"], lengths: Int[Tensor, B], t: Tensor) -> Tensor:
        return self.predictor.encode(xt, lengths, t)

    def predict(self, hidden: Tensor, positions: Bool[Tensor, "B L"]) -> Float[Tensor, "M V"]:
        logits = self.predictor.predict(hidden, positions).clone()
        logits[self.inner[positions], self.end_id] = -torch.inf
        return logits


def predictor_of(arm: OverMasked, canvas: Canvas) -> Predictor:
    """The arm's denoiser as a sampler of this canvas asks it."""
    return arm.denoiser if canvas.inner is None else Unending(arm.denoiser, arm.vocabulary.sep_id, canvas.inner)


@dataclass(frozen=True)
class Noised:
    """Where a batch is to be predicted, (B, L), and what the encoder made of its noisy form, (B, L, H)."""

    masked: Tensor
    hidden: Tensor


def check_vocabulary(model: Any, vocabulary: Vocabulary) -> None:
    """Raises ValueError when the model's vocabulary is not the tokenizer's."""
    size = int(model.config.vocab_size)
    if size != vocabulary.size:
        raise ValueError(
            f"the backbone has a vocabulary of {size} and the token shards one of {vocabulary.size}; expected "
            "the backbone's own tokenizer"
        )


def noised(arm: OverMasked, batch: Batch, draw: Draw, alpha_bar: Tensor) -> Noised:
    xt, masked = absorb(batch.tokens, alpha_bar, draw.uniforms, batch.counted, arm.vocabulary.mask_id)
    return Noised(masked, arm.denoiser.encode(xt, batch.lengths, draw.t))


def noisy_steps(arm: OverMasked, batch: Batch, draw: Draw, schedule: Schedule) -> Iterator[Step]:
    """Noises the batch and asks the denoiser at the masked positions, a chunk of sentences at a time."""
    mean = schedule.sentence_mean(batch.tokens, batch.counted)
    return asked(arm, batch, draw, noised(arm, batch, draw, schedule.alpha_bar(draw.t, batch.tokens, mean)))


def asked(arm: OverMasked, batch: Batch, draw: Draw, noisy: Noised) -> Iterator[Step]:
    for chunk in chunks_of(arm, noisy.masked):
        yield step_of(arm, batch, draw, noisy.masked, noisy.hidden[chunk], chunk)


def chunks_of(arm: OverMasked, rows: Tensor) -> list[slice]:
    return sentences_within(rows.sum(-1), rows.numel(), arm.vocabulary.size, arm.logits_budget_mb)


def step_of(arm: OverMasked, batch: Batch, draw: Draw, masked: Tensor, hidden: Tensor, chunk: slice) -> Step:
    """The step of the chunk's sentences, whose hidden states are given."""
    return Step(
        batch.tokens[chunk],
        batch.counted[chunk],
        masked[chunk],
        draw.s[chunk],
        draw.t[chunk],
        arm.denoiser.predict(hidden, masked[chunk]),
        arm.vocabulary.candidates,
    )


def summed(
    arm: OverMasked, rows: Tensor, hidden: Tensor, terms: Callable[[Tensor, slice], dict[str, Tensor]], count: Tensor
) -> Loss:
    """Sums terms over chunks of sentences; `rows` marks the positions whose logits they take.

    `count` is the number of tokens that the terms are per.
    """
    return Loss(*summed_in_chunks(hidden, arm.denoiser.parameters(), chunks_of(arm, rows), terms), count)


def cross_entropy(arm: OverMasked, batch: Batch, draw: Draw, noisy: Noised, weights: Tensor) -> Loss:
    """Masked-LM cross-entropy, nats per predicted token, each sentence weighted, (B,)."""
    count = noisy.masked.sum()
    scale = weights / count.clamp(min=1)

    def terms(hidden: Tensor, chunk: slice) -> dict[str, Tensor]:
        step = step_of(arm, batch, draw, noisy.masked, hidden, chunk)
        return {"reveal": (step.per_sentence(negative_log_prediction(step)) * scale[chunk]).sum()}

    return summed(arm, noisy.masked, noisy.hidden, terms, count)


def save(arm: OverMasked, folder: Path, tokenizer_folder: Path, system: str, settings: Any) -> None:
    """The backbone and its tokenizer as `transformers` reads them; beside them the time module and what the arm is."""
    model, time = arm.denoiser.model, arm.denoiser.time
    model.config._name_or_path = ""  # else the path it came from would be part of the result
    model.save_pretrained(folder)
    if time is not None:
        from safetensors.torch import save_file

        save_file(time.state_dict(), folder / TIME_FILE)
    for path in sorted(tokenizer_folder.iterdir()):
        (folder / path.name).write_bytes(path.read_bytes())
    write_json(folder / "arm.json", {"system": system, "settings": asdict(settings)})


def restore(arm: OverMasked, folder: Path) -> None:
    """The time module, where the arm has one. Raises ValueError when the folder has none that fits."""
    if arm.denoiser.time is None:
        return
    from safetensors.torch import load_file

    path = folder / TIME_FILE
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected the time module of this arm, or settings.time: tad")
    try:
        arm.denoiser.time.load_state_dict(load_file(path))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{path}: not this arm's time module ({reason}); expected the one it was trained with"
        ) from None
