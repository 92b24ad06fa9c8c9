"""`make test-lm1b`: the paper's run, from random weights of its shape, started on a corpus of LM1B's layout.

The corpus is resampled from the default profile's, its archive read as LM1B's is. Corpus, tokenize and information run
as stages of the DAG; one training is estimated, then started, sent SIGTERM, started again and stopped again, as a queue
would. Settings are those of profiles/paper_random.yaml, but for what this machine and that corpus ask; `CHANGED` names
them. What a whole run takes is computed from what was measured here and from `make bench-scale`.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from textwrap import fill
from typing import Any

from workflow import bench_scale_page as scale_page
from workflow.bench_scale_corpus import base_sentences, write_archive
from workflow.bench_scale_plot import SMALLEST
from workflow.clones import Clone
from workflow.scale import keep

from diffusionbert.corpus.lm1b import PUBLISHED_COUNTS
from diffusionbert.files import read_json
from diffusionbert.stages.processes import STOPPED

PROFILE, ARM = "paper_random", "d3pm_linear_tad"
FULL = PUBLISHED_COUNTS["train"]
STARTS = 2
VALIDATED = 32  # sentences, before the first step; the profile's would take minutes on a CPU
LONGEST = 1800.0  # seconds until a training has stopped
WRITTEN = re.compile(r"the state after step (\d+) is written")
ESTIMATE = Path("estimate.json")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m workflow.lm1b_trial", description=__doc__)
    parser.add_argument("--sentences", type=int, default=100_000)
    parser.add_argument("--corpus", type=Path, default=Path("results/default/corpus/text"))
    args = parser.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory() as place:
            figures = trial(Path.cwd(), Path(place), base_sentences(args.corpus), args.sentences)
        keep("lm1b", figures, told(figures, read_json(scale_page.RESULT)))
    except (ValueError, OSError) as error:
        print(f"error: test-lm1b: {error}", file=sys.stderr)
        return 1
    return 0


def trial(root: Path, place: Path, base: list[str], sentences: int) -> dict[str, Any]:
    """Seconds, bytes and steps. Raises ValueError where a stage fails or the training does not stop as it should."""
    clone = Clone(place / "clone", {"OMP_NUM_THREADS": str(os.cpu_count())})
    clone.prepare(root, PROFILE)
    changed = fit_to_machine(clone.folder / "params.yaml")
    write_archive(clone.folder / archive_of(clone.folder), base, sentences)
    seconds: dict[str, float] = {}
    for stage in ("corpus", "tokenize@bert", "information@bert"):
        start = time.monotonic()
        clone.call("dvc", "repro", "--single-item", stage)
        seconds[stage] = round(time.monotonic() - start, 1)
        print(f"{stage}: {seconds[stage]} s", flush=True)
    results = clone.folder / "results" / PROFILE
    tokens = read_json(results / "tokenize" / "bert" / "metrics.json")
    clone.call("python", "-m", "diffusionbert.stages.train", "--arm", ARM, "--estimate", "--json", str(ESTIMATE))
    estimate = read_json(clone.folder / ESTIMATE)
    print(f"estimate: {median(estimate['step_seconds']):.3g} s a step", flush=True)
    validation = estimate["hours"]["validations"] * 3600 / estimate["validations"]
    wait = 30 + validation + 4 * max(estimate["step_seconds"])
    stops = [stopped_after(clone, wait) for _ in range(STARTS)]
    if stops[0] < 1 or sorted(set(stops)) != stops:
        raise ValueError(f"train@{ARM}: stopped after the steps {stops}; expected each start to go on from the last")
    return {
        "profile": PROFILE,
        "changed": changed,
        "sentences": sentences,
        "tokens": sum(tokens["tokens"].values()),
        "rows": sum(tokens["sentences"].values()),
        "seconds": seconds,
        "text_bytes": _bytes(results / "corpus" / "text"),
        "shard_bytes": _bytes(results / "tokenize" / "bert" / "shards", "*.arrow"),
        "estimate": estimate,
        "stopped_after_steps": stops,
    }


def fit_to_machine(path: Path) -> list[str]:
    """Changes, in the text of params.yaml, what this machine and the corpus ask; returns what is other than before."""
    changes = {
        r"^(  threads:) \d+": f"{os.cpu_count()}",
        r"^(  dtype:) \w+": "float32",
        r"^(  processes:) \w+": "1",
        r"^(  logits_budget_mb:) \d+": "128",
        r"^(  valid_sentences:) \d+": f"{VALIDATED}",
        r"^(    allow_count_mismatch:) \w+": "true",
    }
    text = path.read_text(encoding="utf-8")
    if "allow_count_mismatch" not in text:
        text = re.sub(r"^(    archive: .*)$", r"\1\n    allow_count_mismatch: false", text, count=1, flags=re.M)
    told = []
    for pattern, value in changes.items():
        found = re.search(pattern, text, flags=re.M)
        if found is None:
            raise ValueError(f"{path.name}: found no line like '{pattern}'; expected the profile {PROFILE}")
        text = f"{text[: found.start()]}{found[1]} {value}{text[found.end() :]}"
        told.append(f"{found[1].strip()} {value}")
    path.write_text(text, encoding="utf-8")
    return told


def archive_of(folder: Path) -> str:
    found = re.search(r"^    archive: (\S+)", (folder / "params.yaml").read_text(encoding="utf-8"), flags=re.M)
    if found is None:
        raise ValueError(f"profiles/{PROFILE}.yaml: names no corpus.lm1b.archive; expected a file in corpora/")
    return found[1]


def stopped_after(clone: Clone, wait: float) -> int:
    """Starts the training, sends SIGTERM, and returns the step after which it says that its state is written."""
    results = f"results/{PROFILE}"
    words = [sys.executable, "-m", "diffusionbert.stages.train", "--arm", ARM]
    words += ["--tokens", f"{results}/tokenize/bert", "--information", f"{results}/information/bert"]
    words += ["--out", f"{results}/train/{ARM}"]
    environment = {**os.environ, **clone.environment, "PYTHONPATH": str(clone.folder / "src")}
    environment |= {"DIFFUSIONBERT_TRACKING": "off", "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(words, cwd=clone.folder, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        process.wait(wait)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=LONGEST)[1]
    found = WRITTEN.search(said)
    if process.returncode != STOPPED or found is None:
        raise ValueError(f"train@{ARM}: exit status {process.returncode}; expected {STOPPED}\n{said}")
    print(f"train@{ARM}: stopped after step {found[1]}", flush=True)
    return int(found[1])


def _bytes(folder: Path, names: str = "*") -> int:
    return sum(path.stat().st_size for path in folder.rglob(names) if path.is_file())


def told(figures: Mapping[str, Any], scale: Mapping[str, Any]) -> str:
    """The figures in words, with what they come to for all of LM1B."""
    estimate, rows = figures["estimate"], figures["rows"]
    changed = ", ".join(f"`{change}`" for change in figures["changed"])
    stops = " and ".join(map(str, figures["stopped_after_steps"]))
    started = (
        f"The profile `{PROFILE}`, which is `paper` from random weights of its shape, on a corpus of "
        f"{figures['sentences']:,} sentences in LM1B's layout ({figures['tokens'] / rows:.1f} tokens a sentence), with "
        f"{changed}. The training `{ARM}` ({estimate['parameters']:,} parameters) was started, sent SIGTERM and "
        f"started again: it stopped after steps {stops}, its state written each time."
    )
    bytes_of_row = {name: figures[f"{name}_bytes"] / rows for name in ("text", "shard")}
    full_rows = FULL * rows / figures["sentences"]
    disk = {
        "text": bytes_of_row["text"] * full_rows,
        "token shards": bytes_of_row["shard"] * full_rows,
        "checkpoints of one training": (
            estimate["checkpoint_bytes"] * (estimate["checkpoints_kept"] + 1) + estimate["best_bytes"]
        ),
        "a trained model": estimate["parameters"] * 4,
    }
    table = [f"| on disk, for {FULL:,} training sentences (extrapolated) | GB |", "| --- | ---: |"]
    table += [f"| {what} | {size / 1e9:.1f} |" for what, size in disk.items()]
    paragraphs = [started, _training(estimate), data_stages(scale)]
    links = (
        "DVC's cache holds each output once, and the work tree a link to it or a copy, as `dvc config cache.type` says."
    )
    return "\n\n".join([*(fill(words, 118) for words in paragraphs), "\n".join(table), links])


def _training(estimate: Mapping[str, Any]) -> str:
    where, hours, tokens = estimate["machine"], estimate["hours"], estimate["tokens"]
    return (
        f"`--estimate` on {estimate['processes']} x {where.get('device_name', where['device'])}, {where['dtype']}, "
        f"{where['threads']} threads: {median(estimate['step_seconds']):.2f} s a step of {estimate['batch_size']} "
        f"sentences, {estimate['tokens_per_second']:,.0f} tokens a second, {estimate['process_memory_mb']:,} MB of "
        f"memory. The paper's {estimate['steps']:,} steps are {tokens / 1e9:.2f} billion tokens of these sentences: "
        f"{hours['steps']:,.0f} hours here for the steps and {hours['checkpoints']:,.1f} for "
        f"{estimate['checkpoints']:,} checkpoints. It would be {tokens / 3600 / 1e5:,.1f} hours at 100,000 tokens a "
        "second; `--estimate` says how many there are on other hardware."
    )


def data_stages(scale: Mapping[str, Any]) -> str:
    """The data stages' hours for all of LM1B, from `make bench-scale`, or that it did not go far enough."""
    sizes = {int(size): values for size, values in scale["sizes"].items()}
    last = sorted(sizes)[-scale_page.POINTS :]
    if len(last) < scale_page.POINTS or last[-1] < SMALLEST:
        return f"The data stages are not extrapolated: `make bench-scale` went to {last[-1]:,} sentences."
    minutes = {
        stage: scale_page.at_full_size(sizes, lambda values, stage=stage: values[stage]["seconds"]) / 60
        for stage in scale_page.STAGES
    }
    of = ", ".join(f"{stage} {value:,.0f}" for stage, value in minutes.items())
    return (
        f"The data stages take {sum(minutes.values()) / 60:.1f} hours ({of} minutes) with {scale['workers']} processes "
        f"that tokenise, extrapolated in [scale-data.md](scale-data.md) from {last[-1]:,} sentences."
    )


if __name__ == "__main__":
    sys.exit(main())
