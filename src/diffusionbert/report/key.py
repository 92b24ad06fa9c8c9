"""One hash for everything a report was made from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from diffusionbert.config import Params, read_yaml

PER_ARM = ("train", "evaluate", "sample")
PER_TOKENIZER = ("tokenize", "information", "spindle")


def lock_key(lock: Path, params: Params) -> str:
    """sha256 over what dvc.lock holds of the outputs of this profile's stages and current arms.

    Only outputs enter: equal results have equal keys, however often their code was rewritten without
    effect. The report, the speed and the timings differ from run to run and stay out, and so do arms that
    params no longer has and entries of another profile.
    """
    if not lock.exists():
        return "no dvc.lock"
    stages = (read_yaml(lock) or {}).get("stages", {})
    wanted = ["corpus", "metrics", "generative", "audit"]
    wanted += [f"{stage}@{name}" for stage in PER_TOKENIZER for name in params.tokenizers]
    wanted += [f"{stage}@{name}" for stage in PER_ARM for name in params.arms]
    wanted += [f"frontier@{name}" for name in params.frontier.arms]
    if params.corpus.source == "pairs":  # of any other corpus it scores nothing
        wanted.append("pairs")
    prefix = f"results/{params.profile}/"
    found = {name: outs for name in sorted(wanted) if (outs := _outputs(stages.get(name), prefix))}
    if not found:
        return f"dvc.lock has no stage of profile {params.profile}"
    digest = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()
    if len(found) < len(wanted):
        return f"{digest} ({len(found)} of {len(wanted)} stages in dvc.lock)"
    return digest


def _outputs(entry: dict[str, Any] | None, prefix: str) -> dict[str, str]:
    outs = (entry or {}).get("outs", [])
    return {
        out["path"]: str(out.get(out.get("hash", "md5")))
        for out in outs
        if out["path"].startswith(prefix) and not out["path"].startswith(f"{prefix}timing/")
    }
