"""Masked language models of the Hugging Face library, pretrained or fresh, split into encoder and head.

No modeling file is forked. The split is what makes the loss head cheap: the encoder sees the whole sentence, the
head (128 x 30,522 and more) only the positions that are asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

Head = Callable[[Tensor], Tensor]
Kind = Literal["masked", "causal"]  # what a system builds on: a masked or a causal language model
# types whose learnt positions are counted from the pad id on
AFTER_PAD = frozenset(
    {"camembert", "data2vec-text", "esm", "ibert", "longformer", "mpnet", "roberta", "roberta-prelayernorm"}
    | {"xlm-roberta", "xlm-roberta-xl", "xmod"}
)
CLASSES: dict[Kind, str] = {"masked": "AutoModelForMaskedLM", "causal": "AutoModelForCausalLM"}


def load(place: str | Path, *, pretrained: bool, kind: Kind = "masked", identity_head: bool = False) -> nn.Module:
    """A language model by hub name or folder: its weights, or only its shape with weights drawn from torch's generator.

    With `identity_head` the weights are an encoder's alone, and the MLM head it lacks is set to the identity.
    Raises ValueError when nothing loads from there, when it is no LM of this kind, or when weights of it are missing.
    """
    import transformers

    transformers.logging.set_verbosity_error()
    no_bars(transformers)
    try:
        config = transformers.AutoConfig.from_pretrained(place)
        _check_kind(config, kind)
        if not pretrained:
            return getattr(transformers, CLASSES[kind]).from_config(config)
        model, report = getattr(transformers, CLASSES[kind]).from_pretrained(
            place, output_loading_info=True, dtype=torch.float32
        )
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"backbone '{place}': no {kind} LM loads from there ({reason}); expected the name or the folder of one. "
            "Without a network, fetch it elsewhere and give the folder with source: path"
        ) from None
    missing = sorted(report["missing_keys"])
    if identity_head:
        inside = [key for key in missing if key.startswith(f"{model.base_model_prefix}.")]
        if not missing:
            raise ValueError(f"backbone '{place}': has an MLM head of its own; expected none, as head is 'identity'")
        set_identity_head(model)
        missing = inside
    if missing:
        raise ValueError(
            f"backbone '{place}': {len(missing)} weights are missing, {missing[0]} the first; expected a {kind} LM "
            "with its head"
        )
    return model


@torch.no_grad()
def set_identity_head(model: Any) -> None:
    """Sets BERT's MLM head: transform I, normalisation 1 and 0, output the embeddings without a bias.

    An encoder that comes without a head starts far ahead of one with a random head. Raises ValueError for a model
    whose head is built otherwise.
    """
    if model.config.model_type != "bert":
        raise ValueError(f"backbone of type '{model.config.model_type}': found head 'identity'; expected type 'bert'")
    predictions = model.cls.predictions
    transform = predictions.transform
    torch.nn.init.eye_(transform.dense.weight)
    transform.LayerNorm.weight.fill_(1.0)
    for bias in (transform.dense.bias, transform.LayerNorm.bias, predictions.bias):
        bias.zero_()
    model.tie_weights()


def fresh(config: dict[str, Any], vocab_size: int, *, kind: Kind = "masked") -> nn.Module:
    """A language model of the given shape (`model_type` and its own keys), its weights drawn from torch's generator."""
    import transformers

    transformers.logging.set_verbosity_error()  # GPT-2's own start and end ids lie outside most vocabularies
    no_bars(transformers)
    described = shape({**config, "vocab_size": vocab_size}, kind)
    try:
        return getattr(transformers, CLASSES[kind]).from_config(described)
    except ValueError as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"no {kind} LM has this shape ({reason})") from None


def shape(described: dict[str, Any] | Path, kind: Kind) -> Any:
    """The transformers configuration of a `fresh` backbone's keys, or of a model's folder.

    Raises ValueError when there is none, or none of an LM of this kind.
    """
    from transformers import AutoConfig

    try:
        if isinstance(described, Path):
            config = AutoConfig.from_pretrained(described)
        else:
            model_type = described.get("model_type")
            if not isinstance(model_type, str):
                raise ValueError(f"model_type is {model_type!r}")
            rest = {key: value for key, value in described.items() if key != "model_type"}
            config = AutoConfig.for_model(model_type, **rest)
        _check_kind(config, kind)
    except (ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"no {kind} LM has this shape ({reason})") from None
    return config


def _check_kind(config: Any, kind: Kind) -> None:
    """Raises ValueError for a model that looks the other way: back only, or both ways.

    Some types are served as either kind (BERT), and `is_decoder` of their config says which way they look.
    """
    from transformers.models.auto import modeling_auto

    masked = config.model_type in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    causal = config.model_type in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    is_decoder = bool(getattr(config, "is_decoder", False))
    if kind == "masked" and not masked:
        raise ValueError(f"type '{config.model_type}' is {'a causal LM' if causal else 'no masked LM'}")
    if kind == "masked" and is_decoder:
        raise ValueError(f"type '{config.model_type}' with is_decoder: true sees what stands before alone")
    if kind == "causal" and masked and not is_decoder:
        raise ValueError(f"type '{config.model_type}' with is_decoder: false sees what stands behind, too")


def no_bars(transformers: Any) -> None:
    from huggingface_hub.utils.tqdm import disable_progress_bars

    transformers.utils.logging.disable_progress_bar()
    disable_progress_bars()  # save_pretrained shows the hub client's own


def first_position(config: Any) -> int:
    """The position id of [CLS]; the positions of RoBERTa and its kin start after the pad id."""
    return int(config.pad_token_id) + 1 if config.model_type in AFTER_PAD else 0


def num_positions(config: Any) -> int:
    """How many tokens fit, special ones included; without learnt positions as good as any number."""
    return int(getattr(config, "max_position_embeddings", 1 << 30)) - first_position(config)


def head_of(model: Any) -> Head:
    """Hidden states to logits over the vocabulary, as the model's own forward pass does it.

    Raises ValueError for a model whose head this project does not know how to run alone.
    """
    base = model.base_model_prefix
    children = {name: child for name, child in model.named_children() if name != base}
    kind = model.config.model_type
    if kind == "distilbert":
        return lambda hidden: model.vocab_projector(
            model.vocab_layer_norm(model.activation(model.vocab_transform(hidden)))
        )
    if kind == "modernbert":
        return lambda hidden: model.decoder(model.head(hidden))
    if kind == "electra":
        return lambda hidden: model.generator_lm_head(model.generator_predictions(hidden))
    if len(children) == 1:
        (head,) = children.values()
        return head
    raise ValueError(
        f"backbone of type '{kind}': its head is {', '.join(children) or 'absent'}; expected one head module after "
        "the encoder, as BERT, RoBERTa and ALBERT have"
    )
