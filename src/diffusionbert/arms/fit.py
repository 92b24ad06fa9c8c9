"""Whether a backbone fits what an arm asks of it, told by its configuration alone, before any compute is spent.

A backbone from the hub, or of a package that was never fetched, is not at hand yet; its arm tells the same when it is
built.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diffusionbert.config import Backbone, Params
from diffusionbert.corpus.packages import CACHE
from diffusionbert.denoisers import backbone

Wanted = dict[str, int]  # key of params.yaml -> tokens of a sentence that it asks for


def check_fit(name: str, params: Params, settings: Any, kind: backbone.Kind) -> None:
    """Raises ValueError naming the key: another kind of model, weights asked of a shape, or too few positions."""
    row = params.arms[name]
    described, key = params.backbones[row.backbone], f"backbones.{row.backbone}"
    if described.source == "fresh" and settings.init == "pretrained":
        raise ValueError(
            f"arms.{name}.settings.init: found 'pretrained' with {key} of source 'fresh', which has no "
            "weights; expected 'random'"
        )
    at_hand = described.config if described.source == "fresh" else folder_of(described, params)
    if at_hand is None:
        return
    try:
        config = backbone.shape(at_hand, kind)
    except ValueError as error:
        raise ValueError(f"{key} for arms.{name} of system '{row.system}': {error}") from None
    time_token = 1 if getattr(settings, "time", None) == "pte" else 0
    room = backbone.num_positions(config) - (1 if kind == "causal" else 2) - time_token
    for wish, length in _wanted(name, params).items():
        if length > room:
            raise ValueError(
                f"{wish} for arms.{name}: {length} tokens, and {key} has room for {max(room, 0)} beside its special "
                f"tokens{' and the time token' if time_token else ''}; expected at most as many"
            )


def folder_of(described: Backbone, params: Params) -> Path | None:
    """Where its files lie on this machine already; None where they do not, or where there are none."""
    if described.source == "path" and described.name is not None:
        return Path(described.name)
    if described.source == "package" and described.package is not None and described.folder is not None:
        version = params.packages[described.package].version
        folder = CACHE / f"{described.package}-{version}" / described.folder
        return folder if folder.is_dir() else None
    return None


def _wanted(name: str, params: Params) -> Wanted:
    """The lengths that are certain to be asked for; the corpus's own longest sentence is known once it is tokenized."""
    if params.corpus.source == "pairs":
        source, target = params.tokenize.max_source or 0, params.tokenize.max_target or 0
        return {"tokenize.max_source, a separator and tokenize.max_target": source + 1 + target}
    wanted = {"a sentence": 1, "sample.length": params.sample.length}
    if name in params.frontier.arms:
        wanted["frontier.length"] = params.frontier.length
    if params.speed.arms is None or name in params.speed.arms:
        wanted["speed.length"] = params.speed.length
    return wanted
