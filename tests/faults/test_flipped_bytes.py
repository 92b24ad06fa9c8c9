"""One flipped byte in what a stage reads: is it noticed before use, also where DVC brings it from its cache?"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from diffusionbert.corpus.shards import Shards
from diffusionbert.corpus.statistics import read_information
from diffusionbert.corpus.text import check_text
from diffusionbert.files import check_sums
from diffusionbert.stages.inputs import read_nats, sample_rows
from pipeline.project import Project, kill_training

from .conftest import Ledger
from .test_full_disk import command_of, limited, outs_of

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

FLIPS = 50
MODEL = "results/engines/train/linear/model"
SHARDS = "results/engines/tokenize/bert/shards"
TABLE = "results/engines/information/bert/table.parquet"
TEXT = "results/engines/corpus/text"
SAMPLES = "results/engines/sample/linear/samples.jsonl"
FRONTIER = "results/engines/frontier/linear/samples.jsonl"
NATS = "results/engines/evaluate/linear/sentences.parquet"


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1 << (place % 8)
    mode = path.stat().st_mode
    path.chmod(mode | 0o200)  # an object of DVC's cache is read-only
    path.write_bytes(data)
    path.chmod(mode)


def noticed(files: list[Path], read: Callable[[], object], rng: random.Random) -> tuple[int, int]:
    """(refused, read as before) of FLIPS flips at random places; anything else fails."""
    expected = repr(read())
    refused = same = 0
    one_line = True
    for _ in range(FLIPS):
        path = rng.choice(files)
        place = rng.randrange(path.stat().st_size)
        flip(path, place)
        try:
            found = repr(read())
        except ValueError as error:
            refused += 1
            one_line = one_line and "\n" not in str(error)
        else:
            assert found == expected, f"byte {place} of {path.name} changed what was read"
            same += 1
        flip(path, place)
    assert one_line
    return refused, same


def test_flips_at_random_places(finished: Project, ledger: Ledger) -> None:
    rng = random.Random(ledger.seed)
    folder = finished.folder
    special = Shards.open(folder / SHARDS).special
    readers: dict[str, tuple[list[Path], Callable[[], object]]] = {
        "shards and their tokenizer": (
            files_of(folder / SHARDS),
            lambda: Shards.open(folder / SHARDS).key,
        ),
        "the corpus": (files_of(folder / TEXT), lambda: check_text(folder / TEXT)),
        "samples": ([folder / SAMPLES], lambda: sample_rows(folder / SAMPLES, ("text", "tokens"))),
        "texts of a frontier": ([folder / FRONTIER], lambda: sample_rows(folder / FRONTIER, ("point", "text"))),
        "a trained model": (files_of(folder / MODEL), lambda: check_sums(folder / MODEL)),
        "the information table": (
            [folder / TABLE],
            lambda: [column.tolist() for column in vars(read_information(folder / TABLE, special)).values()],
        ),
        "nats of every sentence": (
            [folder / NATS],
            lambda: {name: column.tolist() for name, column in read_nats(folder / NATS).items()},
        ),
    }
    for what, (files, read) in readers.items():
        refused, same = noticed(files, read, rng)
        print(f"{what}: {refused} refused, {same} read as before", flush=True)
        ledger.add(
            f"a flipped byte in {what}", FLIPS, f"{refused} refused by name, {same} read as before, 0 used changed"
        )


def files_of(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def test_a_model_with_a_flipped_byte_is_not_scored(finished: Project) -> None:
    flip(finished.folder / MODEL / "model.safetensors", -1)
    done = limited(finished, command_of(finished, "evaluate@linear"), None)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "rror" in line]
    assert line.startswith(f"error: evaluate@linear: {MODEL}/model.safetensors: changed since it was written")


def test_a_checkpoint_with_a_flipped_byte_is_not_resumed(finished: Project, ledger: Ledger) -> None:
    kill_training_of(finished)
    paths = sorted((finished.folder / ".checkpoints").glob("*/step-*.pt"), reverse=True)
    rng = random.Random(ledger.seed)
    assert len(paths) == 2
    places = [rng.randrange(path.stat().st_size) for path in paths]
    for path, place in zip(paths, places, strict=True):
        flip(path, place)
    done = limited(finished, command_of(finished, "train@linear"), None)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "rror" in line]
    assert f"{paths[-1].name}: damaged checkpoint" in line
    ledger.add("a flipped byte in every checkpoint of a training", len(paths), "refused by name")
    flip(paths[-1], places[-1])  # the oldest is whole again
    done = limited(finished, command_of(finished, "train@linear"), None)
    assert done.returncode == 0
    assert f"{paths[0].name}: damaged checkpoint" in done.stderr
    assert "resum" in done.stderr
    ledger.add("a flipped byte in the newest checkpoint", 1, "named, and the one before it is resumed")


def kill_training_of(project: Project) -> None:
    project.run("rm", "-rf", *outs_of(project, "train@linear"))
    shutil.rmtree(project.folder / ".dvc/cache/runs")  # else DVC takes the model from there
    project.edit("engines", lambda data: data["train"].update(steps=20, checkpoint_every=5))
    cold = Project(project.folder)
    kill_training(cold, "dvc", "repro", "train@linear", whole_group=True, checkpoints=2)


def test_dvc_checks_out_a_flipped_byte_of_its_cache_and_our_sums_notice(finished: Project, ledger: Ledger) -> None:
    """DVC trusts an object of its cache that is read-only, as all are: what this asserts of it docs/faults.md tells."""
    text = (finished.folder / "dvc.lock").read_text(encoding="utf-8")
    outs = YAML(typ="safe", pure=True).load(text)["stages"]["train@linear"]["outs"]
    (listed,) = [out["md5"] for out in outs if out["path"] == MODEL]
    objects = finished.folder / ".dvc/cache/files/md5"
    files = json.loads((objects / listed[:2] / listed[2:]).read_text(encoding="utf-8"))
    (weights,) = [file["md5"] for file in files if file["relpath"] == "model.safetensors"]
    flip(objects / weights[:2] / weights[2:], -1)
    shutil.rmtree(finished.folder / MODEL)
    finished.run("dvc", "checkout", f"{MODEL}")
    assert "up to date" in finished.run("dvc", "status", "train@linear"), (
        "DVC notices by now: tell it in docs/faults.md"
    )
    with pytest.raises(ValueError, match=r"model\.safetensors: changed since it was written"):
        check_sums(finished.folder / MODEL)
    ledger.add(
        "a flipped byte in DVC's cache", 1, "DVC checks it out and calls it up to date; the sums refuse the model"
    )
