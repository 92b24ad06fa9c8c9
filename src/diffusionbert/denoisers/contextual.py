"""Contextual vectors of texts under a pretrained encoder: what BERTScore compares."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from diffusionbert.denoisers.backbone import no_bars, num_positions
from diffusionbert.metrics.bertscore import Encoded


class ContextualEncoder:
    """A folder's or a hub name's encoder with its own tokenizer, read at one of its layers."""

    def __init__(self, place: str | Path, layer: int | None, device: torch.device) -> None:
        """`layer` counts from 1, 0 being the embeddings; None is the last.

        Raises ValueError when nothing loads from there or the encoder has no such layer.
        """
        import transformers

        transformers.logging.set_verbosity_error()
        no_bars(transformers)
        try:
            self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(str(place))
            self._model: Any = transformers.AutoModel.from_pretrained(str(place), dtype=torch.float32)
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(f"'{place}': no encoder with its tokenizer loads from there ({reason})") from None
        depth = int(self._model.config.num_hidden_layers)
        if layer is not None and not 0 <= layer <= depth:
            raise ValueError(f"layer is {layer}; expected 0 to {depth}, as '{place}' has")
        self.layer = depth if layer is None else layer
        self._longest = min(num_positions(self._model.config), 512)
        self._device = device
        self._model.to(device).eval()

    @torch.inference_mode()
    def encode(self, texts: Sequence[str], batch_size: int = 64) -> list[Encoded]:
        """Every text's vectors, special tokens among them but not counted; longer texts are cut."""
        found: list[Encoded] = []
        for start in range(0, len(texts), batch_size):
            batch = self._tokenizer(
                list(texts[start : start + batch_size]),
                return_tensors="pt",
                padding=True,
                truncation=True,
                max_length=self._longest,
                return_special_tokens_mask=True,
            )
            is_special = batch.pop("special_tokens_mask").bool().numpy()
            attended = batch["attention_mask"].bool().numpy()
            hidden = self._model(**batch.to(self._device), output_hidden_states=True).hidden_states[self.layer]
            for vectors, special, real in zip(hidden.float().cpu().numpy(), is_special, attended, strict=True):
                found.append(Encoded.of(np.asarray(vectors[real]), ~special[real]))
        return found
