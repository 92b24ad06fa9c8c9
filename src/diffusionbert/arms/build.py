"""Where params meet objects: the systems there are, and how a row of params.yaml becomes an arm."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError

from diffusionbert import config
from diffusionbert.arms.base import NO_MASK, Arm, OwnStart, Vocabulary
from diffusionbert.arms.fit import check_fit
from diffusionbert.arms.places import place_of
from diffusionbert.arms.saved import DESCRIBED, read_description, read_vocabulary
from diffusionbert.corpus.shards import Shards
from diffusionbert.corpus.statistics import InformationTable
from diffusionbert.denoisers import backbone
from diffusionbert.diffusion.information import mean_information
from diffusionbert.files import check_sums

CPU = torch.device("cpu")
# system -> its module in this room, its settings and its class: one line per family of rows
SYSTEMS = {
    "absorbing": ("Settings", "Absorbing"),
    "autoregressive": ("Settings", "Autoregressive"),
    "bert_mouth": ("Settings", "BertMouth"),
    "diffusion_lm": ("Settings", "DiffusionLM"),
}


def settings_of(name: str, row: config.Arm, where: str = "params.yaml") -> Any:
    """The row's settings as its system's own dataclass; `where` names the file in errors.

    Raises ConfigError, one line per fault, for an unknown system, an unknown or misspelt key, or a wrong value.
    """
    return _settings(row.system, row.settings, where, f"arms.{name}.")


def _settings(system: str, chosen: dict[str, Any], where: str, key: str) -> Any:
    if system not in SYSTEMS:
        known = ", ".join(sorted(SYSTEMS))
        raise config.ConfigError(f"{where}: {key}system: found '{system}'; expected one of {known}")
    kind = getattr(import_module(f"diffusionbert.arms.{system}"), SYSTEMS[system][0])
    try:
        return TypeAdapter(kind).validate_json(json.dumps(chosen))
    except ValidationError as error:
        raise config.ConfigError("\n".join(config.lines_of(error, where, f"{key}settings"))) from None


def check(params: config.Params, where: str = "params.yaml") -> None:
    """Checks every arm's settings against its system and its backbone, the steps of evaluation and sampling against
    each T, and the judge.

    Raises ConfigError or ValueError.
    """
    judge = params.generative.arm
    if judge is not None and params.arms[judge].system != "autoregressive":
        raise config.ConfigError(
            f"{where}: generative.arm: found '{judge}' of system '{params.arms[judge].system}'; expected an arm of "
            "system 'autoregressive', or null"
        )
    if judge is not None and params.corpus.source == "pairs":
        raise config.ConfigError(
            f"{where}: generative.arm: found '{judge}' with corpus.source 'pairs'; expected null, as an arm of pairs "
            "says how likely a target is given its source and not by itself"
        )
    for name, row in params.arms.items():
        settings = settings_of(name, row, where)
        if getattr(settings, "partial_noising", params.corpus.source == "pairs") != (params.corpus.source == "pairs"):
            raise config.ConfigError(
                f"{where}: arms.{name}.settings.partial_noising: found {str(settings.partial_noising).lower()} with "
                f"corpus.source '{params.corpus.source}'; expected true for 'pairs' and false for any other"
            )
        if params.sample.sampler == "released" and row.system != "absorbing":
            raise config.ConfigError(
                f"{where}: sample.sampler: found 'released' with arms.{name} of system '{row.system}'; expected "
                "'exact', as no other system than 'absorbing' has the published one"
            )
        try:
            check_fit(name, params, settings, _class(row.system).backbone_kind)
        except ValueError as error:
            raise config.ConfigError(f"{where}: {error}") from None
        if not hasattr(settings, "check_steps"):  # a system whose samplers take their own numbers of steps
            continue
        wanted = {
            "evaluate.num_steps": params.evaluate.num_steps,
            "sample.num_steps": params.sample.num_steps,
        }
        wanted |= {f"evaluate.step_counts[{i}]": steps for i, steps in enumerate(params.evaluate.step_counts)}
        if params.speed.arms is None or name in params.speed.arms:
            wanted |= {f"speed.num_steps[{i}]": steps for i, steps in enumerate(params.speed.num_steps)}
        if name in params.frontier.arms:
            wanted["frontier.num_steps"] = params.frontier.num_steps
        for key, steps in wanted.items():
            if steps is not None:
                try:
                    settings.check_steps(steps)
                except ValueError as error:
                    raise config.ConfigError(f"{where}: {key} for arms.{name}: {error}") from None


def vocabulary_of(shards: Shards, table: InformationTable) -> Vocabulary:
    special = shards.special
    return Vocabulary(
        NO_MASK if special.mask_id is None else special.mask_id,
        special.pad_id,
        special.cls_id,
        special.sep_id,
        torch.from_numpy(np.array(table.candidates)),
        torch.from_numpy(np.array(table.counts)),
        torch.from_numpy(np.array(table.information)),
        mean_information(table.probability, table.information),
    )


def new_arm(
    name: str, params: config.Params, shards: Shards, table: InformationTable, device: torch.device = CPU
) -> Arm:
    """The arm as it is before its first training step, on the device; random weights follow from the arm's seed."""
    row = params.arms[name]
    settings = settings_of(name, row)
    if shards.special.mask_id is None and _class(row.system).backbone_kind == "masked":
        raise ValueError(
            f"arms.{name}.tokenizer: '{row.tokenizer}' has no mask token; expected a masked LM's tokenizer for system "
            f"'{row.system}'"
        )
    with torch.random.fork_rng():
        torch.manual_seed(row.seed)  # transformers draws initial weights from torch's global generator
        model = _backbone(
            row.backbone,
            params,
            shards,
            pretrained=settings.init == "pretrained",
            kind=_class(row.system).backbone_kind,
        )
        arm = _arm(row, settings, model, params, shards, table, device)
        if isinstance(arm, OwnStart):
            arm.start()
    arm.module.to(device)
    return arm


def trained_arm(
    name: str, params: config.Params, folder: Path, shards: Shards, table: InformationTable, device: torch.device = CPU
) -> Arm:
    """The arm as its train stage left it in `folder`, on the device and ready to score and sample.

    Raises ValueError when the folder is missing, or a file of it has changed since.
    """
    row = params.arms[name]
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; expected the trained model of arm {name}")
    check_sums(folder)
    model = backbone.load(folder, pretrained=True, kind=_class(row.system).backbone_kind)
    arm = _arm(row, settings_of(name, row), model, params, shards, table, device)
    arm.restore(folder)
    arm.module.to(device).eval()
    return arm


def is_left_to_right(system: str) -> bool:
    """Whether the system sees of a text what stands before a token alone."""
    return _class(system).backbone_kind == "causal"


def fills(name: str, row: config.Arm, where: str = "params.yaml") -> bool:
    """Whether the row's system fills any positions of a text around given ones."""
    settings = settings_of(name, row, where)
    return not is_left_to_right(row.system) and getattr(settings, "partial_noising", True)


def saved_arm(folder: Path, device: torch.device = CPU) -> Arm:
    """The arm that `save_arm` wrote, from its folder alone, on the device and ready to score and sample.

    Raises ValueError when the folder is no arm's, or a file of it is missing or has changed since.
    """
    system, chosen = read_description(folder)
    settings = _settings(system, chosen, str(folder / DESCRIBED), "")
    vocabulary = read_vocabulary(folder).to(device)
    model = backbone.load(folder, pretrained=True, kind=_class(system).backbone_kind)
    arm: Arm = _class(system)(settings, model, vocabulary, folder)
    arm.restore(folder)
    arm.module.to(device).eval()
    return arm


def _class(system: str) -> Any:
    return getattr(import_module(f"diffusionbert.arms.{system}"), SYSTEMS[system][1])


def _arm(
    row: config.Arm,
    settings: Any,
    model: Any,
    params: config.Params,
    shards: Shards,
    table: InformationTable,
    device: torch.device,
) -> Arm:
    vocabulary = vocabulary_of(shards, table).to(device)
    arm: Arm = _class(row.system)(settings, model, vocabulary, shards.tokenizer_folder, params.runtime.logits_budget_mb)
    longest = max(int(shards[split].lengths.max(initial=0)) for split in ("train", "valid", "test"))
    if longest > arm.max_length:
        raise ValueError(
            f"backbones.{row.backbone}: holds sentences of {arm.max_length} tokens beside its special tokens (a time "
            f"token, time: pte, takes one position too), and the shards have one of {longest}; lower "
            "tokenize.max_length"
        )
    return arm


def _backbone(name: str, params: config.Params, shards: Shards, *, pretrained: bool, kind: backbone.Kind) -> Any:
    described = params.backbones[name]
    identity = pretrained and described.head == "identity"
    if described.source == "fresh":
        if pretrained:
            raise ValueError(f"backbones.{name}: source 'fresh' has no weights; expected init: random")
        assert described.config is not None
        try:
            return backbone.fresh(described.config, shards.special.vocab_size, kind=kind)
        except ValueError as error:
            raise ValueError(f"backbones.{name}.config: {error}") from None
    return backbone.load(place_of(name, params), pretrained=pretrained, kind=kind, identity_head=identity)
