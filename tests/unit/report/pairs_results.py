"""Results of a corpus of pairs as the stages would leave them: four arms, two baselines."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

from synthetic_results import ci, edit, figure, make_params, write_results

from diffusionbert import config
from diffusionbert.files import read_json, write_json
from diffusionbert.metrics.pair_signatures import signatures

ABSORBING = {"init": "pretrained", "objective": "valid", "num_steps": 512}
ROWS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "linear": ("DiffusionBERT, linear, TAD", "absorbing", {**ABSORBING, "schedule": "linear"}),
    "spindle": ("DiffusionBERT, spindle, TAD", "absorbing", {**ABSORBING, "schedule": "spindle"}),
    "diffuseq": ("DiffuSeq", "diffusion_lm", {"init": "random", "schedule": "sqrt"}),
    "gpt": ("GPT, autoregressive", "autoregressive", {"init": "random"}),
}
BLEU = {"linear": 0.30, "spindle": 0.31, "diffuseq": 0.28, "gpt": 0.27, "copy": 0.40, "nearest": 0.05}
DIV_4 = {"linear": 0.80, "spindle": 0.79, "diffuseq": 0.85, "gpt": 0.60, "nearest": 0.99}


def pair_params(**changes: Any) -> config.Params:
    arms = {
        name: {"label": label, "tokenizer": "bert", "system": system, "backbone": "tiny", "settings": settings}
        | ({"baseline": "linear"} if name == "spindle" else {})
        for name, (label, system, settings) in ROWS.items()
    }
    paths = {split: f"corpora/{split}.jsonl" for split in ("train", "valid", "test")}
    told = {
        "profile": "pairs",
        "corpus": {"source": "pairs", "pairs": {"task": "files", "paths": paths}},
        "tokenize": {"max_length": 64, "max_target": 32, "target_length": "padded"},
        "sample": {"num_samples": 4, "length": 16, "num_steps": 8, "pairs": {"num_sources": 4, "num_candidates": 3}},
        "arms": arms,
        "frontier": {"arms": ["linear"], "temperatures": [0.5], "top_ks": [30], "num_samples": 4, "length": 16}
        | {"num_steps": 8},
    }
    return config.parse(make_params(("linear",)).model_dump() | told | changes)


def scores(name: str) -> dict[str, Any]:
    bleu = BLEU[name]
    told: dict[str, Any] = {key: ci(bleu) for key in ("bleu", "bleu_of_all", "diffuseq_bleu")}
    told |= {key: ci(bleu + 0.2) for key in ("rouge_l", "diffuseq_rouge_l")} | {"diffuseq_dist_1": ci(0.95)}
    told |= {"median_bleu": bleu - 0.02, "corpus_bleu": bleu - 0.05, "distinct_1": 0.2, "mean_words": 20.5}
    told |= {"num_candidates": 300, "empty_candidates": 7, "without_two_texts": 0}
    told |= {"without_four_grams": 0, "empty": 0, "chosen_otherwise_by_diffuseq": 1}
    if name in DIV_4:
        varied = {"div_4": ci(DIV_4[name]), "self_bleu": ci(1 - DIV_4[name])}
        told |= varied | {f"diffuseq_{key}": value for key, value in varied.items()}
    return told


def contrast(one: str, other: str, half: float = 0.005) -> dict[str, Any]:
    def apart(value: float) -> dict[str, float]:
        return {"value": value, "low": value - half, "high": value + half, "sources": 100}

    told: dict[str, Any] = {"one": one, "other": other}
    told |= {key: apart(BLEU[one] - BLEU[other]) for key in ("bleu", "rouge_l")}
    if one in DIV_4 and other in DIV_4:
        told |= {"div_4": apart(DIV_4[one] - DIV_4[other]), "self_bleu": apart(DIV_4[other] - DIV_4[one])}
    return told


def spread_of(half: float) -> dict[str, Any]:
    """A pair with three seeds, whose differences have a range of twice `half`."""
    values = {"values": [-half, 0.0, half]}
    return {"one": "spindle", "other": "linear", "seeds": [0, 1, 2]} | dict.fromkeys(
        ("bleu", "rouge_l", "div_4", "self_bleu"), values
    )


def near_copies_of(sources: int) -> dict[str, Any]:
    """What is left of every BLEU where so many sources have a near copy."""
    return {"least_bleu": 0.5, "sources": sources, "bleu": {name: ci(bleu - 0.01) for name, bleu in BLEU.items()}}


def write_pairs(folder: Path, params: config.Params) -> Path:
    write_results(folder, params)
    for name in ("diffuseq", "gpt"):
        own = {"diffuseq": ("bound", True), "gpt": ("exact", False)}[name]
        edit(folder / "sample" / name / "metrics.json", num_steps={"diffuseq": 12, "gpt": 32}[name])
        edit(folder / "evaluate" / name / "metrics.json", protocols={own[0]: figure(70.0, is_bound=own[1])}, orders={})
    for file in folder.glob("sample/*/samples.jsonl"):
        file.unlink()
    metrics = read_json(folder / "metrics" / "metrics.json")
    contrasts = [{"one": "linear", "other": "spindle", "figure_one": "valid", "figure_other": "valid"}]
    contrasts[0]["perplexity_per_word_ratio"] = ci(1.03, 0.01)  # type: ignore[assignment]
    kept = {key: metrics[key] for key in ("paired", "orders")}
    write_json(folder / "metrics" / "metrics.json", kept | {"arms": {}, "contrasts": contrasts, "spread": []})
    names = [*ROWS, "copy", "nearest"]
    answers = {name: f"{name} went to Egypt ." for name in names if name != "copy"}
    answers["gpt"] = ""
    example = {"source": "And he went unto <b>Egypt</b>.", "reference": "He went to Egypt.", "answers": answers}
    write_json(
        folder / "pairs" / "metrics.json",
        {"task": "files", "sources": 100, "candidates": 3, "rule": "mbr", "bertscore": None}
        | {"signature": signatures(100, 3, 0, "mbr", None), "examples": [example] * 3, "seeds": {}, "spread": []}
        | {"arms": {name: scores(name) for name in ROWS}}
        | {"baselines": {name: scores(name) for name in ("copy", "nearest")}}
        | {"near_copies": near_copies_of(3)}
        | {"references": {"distinct_1": 0.3, "mean_words": 25.5, "diffuseq_dist_1": ci(0.9)}}
        | {"contrasts": [contrast(one, other) for one, other in combinations(names, 2)]},
    )
    return folder
